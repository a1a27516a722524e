-- What is claimed: each queued task stands in exactly one of the first three.
CREATE INDEX tasks_queued_by_queue ON tasks (queue, rank)
    WHERE state = 'queued' AND agent IS NULL AND role IS NULL;
CREATE INDEX tasks_queued_by_agent ON tasks (agent, rank)
    WHERE state = 'queued' AND agent IS NOT NULL;
CREATE INDEX tasks_queued_by_role ON tasks (role, rank)
    WHERE state = 'queued' AND role IS NOT NULL;
-- What falls due.
CREATE INDEX tasks_due ON tasks (run_at) WHERE state IN ('scheduled', 'retrying');
-- What a session holds.
CREATE INDEX tasks_running ON tasks (session_id) WHERE state = 'running';
-- A workflow's tasks, by their place in its definition.
CREATE INDEX tasks_by_workflow ON tasks (workflow_key, step, item) WHERE workflow_key IS NOT NULL;
-- The steps that wait for a step.
CREATE INDEX task_dependencies_by_upstream ON task_dependencies (workflow_key, depends_on);
-- What retention removes.
CREATE INDEX tasks_finished ON tasks (state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX workflows_unfinished ON workflows (state) WHERE finished_at IS NULL;
CREATE INDEX workflows_finished ON workflows (state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX crashes_by_agent ON crashes (agent, at);
CREATE INDEX messages_by_recipient ON messages (recipient, key);
CREATE INDEX health_records_by_name ON health_records (name, key);
CREATE INDEX recovery_runs_by_action ON recovery_runs (action, key);
CREATE INDEX events_by_subject ON events (subject, seq);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
CREATE INDEX agent_metrics_by_age ON agent_metrics (resolution_s, at);
