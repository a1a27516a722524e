DROP INDEX tasks_dead;
DROP INDEX tasks_expiring;
DROP INDEX tasks_unique;
DROP INDEX tasks_running;
DROP INDEX tasks_queued_by_role;
DROP INDEX tasks_queued_by_agent;
DROP INDEX tasks_queued_by_queue;
CREATE INDEX tasks_queued_by_queue ON tasks (queue, rank)
    WHERE state = 'queued' AND agent IS NULL AND role IS NULL;
CREATE INDEX tasks_queued_by_agent ON tasks (agent, rank)
    WHERE state = 'queued' AND agent IS NOT NULL;
CREATE INDEX tasks_queued_by_role ON tasks (role, rank)
    WHERE state = 'queued' AND role IS NOT NULL;
CREATE INDEX tasks_running ON tasks (session_id) WHERE state = 'running';
DROP INDEX queue_starts_by_age;
DROP TABLE queue_starts;
DROP TABLE queue_pauses;
ALTER TABLE task_attempts DROP COLUMN stale_result;
ALTER TABLE tasks DROP COLUMN expires_at;
ALTER TABLE tasks DROP COLUMN total_until;
ALTER TABLE tasks DROP COLUMN total_timeout_ms;
ALTER TABLE tasks DROP COLUMN waiting_timeout_ms;
ALTER TABLE tasks DROP COLUMN unique_key;
ALTER TABLE tasks DROP COLUMN concurrency_key;
