-- The versions before know neither waits nor undoing: a workflow that waits, undoes, or could have
-- to undo, would stand still for ever or run its undoing as work. It is cancelled, and says why.
CREATE TEMP TABLE stranded AS
    SELECT workflows.key AS key FROM workflows
    WHERE workflows.finished_at IS NULL AND (workflows.state = 'compensating'
        OR EXISTS (SELECT 1 FROM tasks WHERE tasks.workflow_key = workflows.key AND tasks.state = 'waiting')
        OR EXISTS (SELECT 1 FROM workflow_steps WHERE workflow_steps.workflow_key = workflows.key
            AND workflow_steps.undoes IS NOT NULL));
UPDATE task_attempts SET outcome = 'cancelled',
        finished_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000
    WHERE outcome = 'running' AND task_key IN (SELECT tasks.key FROM tasks
        WHERE tasks.workflow_key IN (SELECT key FROM stranded));
UPDATE tasks SET state = 'cancelled', reason = 'schema_down', lease_id = NULL, session_id = NULL,
        instance = NULL, expires_at = NULL,
        finished_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000
    WHERE finished_at IS NULL AND workflow_key IN (SELECT key FROM stranded);
UPDATE workflow_steps SET state = 'cancelled'
    WHERE state IN ('waiting', 'open') AND workflow_key IN (SELECT key FROM stranded);
UPDATE workflows SET state = 'cancelled', steps_left = 0,
        finished_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000,
        error = CAST(char(0) || '{"code":"schema_down","message":"it waits or undoes, which the version of the schema that the database went back to does not know","retryable":false}' AS BLOB)
    WHERE key IN (SELECT key FROM stranded);
DROP TABLE stranded;

ALTER TABLE workflow_steps DROP COLUMN undoes;
DROP TABLE workflow_signals;
DROP TABLE workflow_waits;
