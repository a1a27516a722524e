-- Limits of queues and of keys, pauses, uniqueness, timeouts of waiting and of a whole life.
ALTER TABLE tasks ADD COLUMN concurrency_key text;     -- shares the limits of its queue's keys
ALTER TABLE tasks ADD COLUMN unique_key text;
ALTER TABLE tasks ADD COLUMN waiting_timeout_ms bigint;
ALTER TABLE tasks ADD COLUMN total_timeout_ms bigint;
ALTER TABLE tasks ADD COLUMN total_until timestamptz;  -- the end of its whole life
ALTER TABLE tasks ADD COLUMN expires_at timestamptz;   -- when it times out where it stands now
ALTER TABLE task_attempts ADD COLUMN stale_result bytea; -- sealed; what came after its end

CREATE TABLE queue_pauses (
    queue     text    NOT NULL PRIMARY KEY,
    paused_at timestamptz NOT NULL,
    until     timestamptz,
    reason    text
);

-- Starts of tasks in queues with a rate limit, for as long as its period; key '': the queue itself.
CREATE TABLE queue_starts (
    queue    text    NOT NULL,
    key      text    NOT NULL,
    at       timestamptz NOT NULL,
    task_key bigint NOT NULL,
    attempt  integer NOT NULL,
    PRIMARY KEY (queue, key, at, task_key, attempt)
);
CREATE INDEX queue_starts_by_age ON queue_starts (at);

DROP INDEX tasks_queued_by_queue;
DROP INDEX tasks_queued_by_agent;
DROP INDEX tasks_queued_by_role;
DROP INDEX tasks_running;
CREATE INDEX tasks_queued_by_queue ON tasks (queue, rank, concurrency_key)
    WHERE state = 'queued' AND agent IS NULL AND role IS NULL;
CREATE INDEX tasks_queued_by_agent ON tasks (agent, rank, concurrency_key)
    WHERE state = 'queued' AND agent IS NOT NULL;
CREATE INDEX tasks_queued_by_role ON tasks (role, rank, concurrency_key)
    WHERE state = 'queued' AND role IS NOT NULL;
-- What a session holds, and what of it counts against a queue's or a key's limit.
CREATE INDEX tasks_running ON tasks (queue, concurrency_key, session_id) WHERE state = 'running';
-- The last task with a key of uniqueness.
CREATE INDEX tasks_unique ON tasks (unique_key, key) WHERE unique_key IS NOT NULL;
-- What times out.
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE expires_at IS NOT NULL;
-- Dead letters, the newest task last.
CREATE INDEX tasks_dead ON tasks (key) WHERE state = 'dead';
