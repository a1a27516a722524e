-- One row in every table of the latest schema, for the tests of migrations.
INSERT INTO sessions VALUES (zeroblob(16), 'n', 1, 2, 3, 4, NULL);
INSERT INTO agents (name, kind, desired, replicas, config_hash, generation, restarts_total,
        created_at, updated_at)
    VALUES ('echo', 'process', 'stopped', 2, 'aa', 5, 6, 7, 8);
INSERT INTO spawned_processes VALUES ('echo', 0, 1, 2, 3, 'b');
INSERT INTO restart_budgets (owner, deaths, quarantined_until, quarantines, updated_at)
    VALUES ('echo#0', '[1,2]', 3, 4, 5);
INSERT INTO crashes (id, agent, replica, generation, reason, at, uptime_ms, tasks, log, signature)
    VALUES (zeroblob(16), 'echo', 0, 1, '{}', 2, 3, '[]', x'005b5d', 's');
INSERT INTO crash_signatures VALUES ('echo', 's', 1, 2, 2);
INSERT INTO workflows (id, name, state, definition, definition_hash, input, steps_left, created_at)
    VALUES (zeroblob(16), 'w', 'running', x'007b7d', 'h', x'007b7d', 1, 2);
INSERT INTO workflow_steps (workflow_key, name, position, definition, state, waiting_on)
    VALUES (1, 'count', 0, x'007b7d', 'open', 1);
INSERT INTO tasks (id, workflow_key, name, step, agent, queue, state, priority, rank, payload,
        max_attempts, session_id, lease_id, timeout_ms, run_at, created_at, progress_percent)
    VALUES (zeroblob(16), 1, 'count', 'count', 'echo', 'default', 'running', 5, 6, x'0031', 3,
        zeroblob(16), zeroblob(16), 9, 10, 11, 12.5);
INSERT INTO workflow_waits VALUES (1, 1, 'go', 0, 3);
INSERT INTO workflow_signals VALUES (1, 'go', x'0031', 2);
INSERT INTO schedules VALUES ('s', 'every 1h', 1, 0, NULL, NULL);
INSERT INTO schedule_runs VALUES (1, 's', 1, 'skipped', 'missed', NULL, NULL, 2);
INSERT INTO task_dependencies VALUES (1, 'count', 'split');
INSERT INTO task_attempts VALUES (1, 1, zeroblob(16), zeroblob(16), 'echo#0', 'running', NULL, 1, NULL, NULL,
    1, 2, 3, 4, 5, 6);
INSERT INTO spend VALUES ('echo', 1, 2, 3, 4, 5, 6, 7);
INSERT INTO queue_pauses VALUES ('default', 1, 2, NULL);
INSERT INTO queue_starts VALUES ('default', '', 1, 1, 1);
INSERT INTO idempotency_keys VALUES ('task', 'k', zeroblob(32), zeroblob(16), 1);
INSERT INTO messages (id, sender, recipient, type, content, created_at, delivered_at)
    VALUES (zeroblob(16), NULL, 'echo', 'custom', x'0031', 1, 2);
INSERT INTO health_records (name, component, status, message, at, duration_ms, details)
    VALUES ('system', 'system', 'healthy', 'm', 1, 2, '{"a":1}');
INSERT INTO health_rounds VALUES (1, 2, 'healthy', '{}');
INSERT INTO agent_metrics VALUES ('echo', 0, 1, 1.5, 2, 3, 4, 5, 6);
INSERT INTO system_metrics VALUES (0, 1, 0.5, 2, 3, 0.5, 7);
INSERT INTO recovery_runs (id, action, cause, outcome, message, started_at, attempt)
    VALUES (zeroblob(16), 'a', 'c', 'running', 'm', 1, 3);
INSERT INTO events VALUES (1, zeroblob(16), 'agent.ready', 'echo#0', 1, '{}');
