-- Back to an empty database.
DROP TABLE events;
DROP TABLE recovery_runs;
DROP TABLE system_metrics;
DROP TABLE agent_metrics;
DROP TABLE health_rounds;
DROP TABLE health_records;
DROP TABLE messages;
DROP TABLE idempotency_keys;
DROP TABLE task_attempts;
DROP TABLE task_dependencies;
DROP TABLE tasks;
DROP TABLE workflows;
DROP TABLE crashes;
DROP TABLE restart_budgets;
DROP TABLE spawned_processes;
DROP TABLE agents;
DROP TABLE sessions;
