-- What workflows wait for from outside, and which steps undo others.

-- The open waits; a row goes when its task waits no more.
CREATE TABLE workflow_waits (
    task_key     bigint      NOT NULL PRIMARY KEY REFERENCES tasks (key) ON DELETE CASCADE,
    workflow_key bigint      NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    signal       text        NOT NULL,
    approval     boolean     NOT NULL,
    until        timestamptz NOT NULL
);
CREATE INDEX workflow_waits_by_workflow ON workflow_waits (workflow_key, signal);
CREATE INDEX workflow_waits_by_end ON workflow_waits (until);

-- What was said, once for each signal; kept until its task is ready for it.
CREATE TABLE workflow_signals (
    workflow_key bigint      NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    signal       text        NOT NULL,
    payload      bytea       NOT NULL, -- sealed
    at           timestamptz NOT NULL,
    PRIMARY KEY (workflow_key, signal)
);

-- The step that this one undoes; it runs for nothing else.
ALTER TABLE workflow_steps ADD COLUMN undoes text;
