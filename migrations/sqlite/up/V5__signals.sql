-- What workflows wait for from outside, and which steps undo others.

-- The open waits; a row goes when its task waits no more.
CREATE TABLE workflow_waits (
    task_key     INTEGER NOT NULL PRIMARY KEY REFERENCES tasks (key) ON DELETE CASCADE,
    workflow_key INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    signal       TEXT    NOT NULL,
    approval     INTEGER NOT NULL CHECK (approval IN (0, 1)),
    until        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_waits_by_workflow ON workflow_waits (workflow_key, signal);
CREATE INDEX workflow_waits_by_end ON workflow_waits (until);

-- What was said, once for each signal; kept until its task is ready for it.
CREATE TABLE workflow_signals (
    workflow_key INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    signal       TEXT    NOT NULL,
    payload      BLOB    NOT NULL,         -- sealed
    at           INTEGER NOT NULL,
    PRIMARY KEY (workflow_key, signal)
) STRICT, WITHOUT ROWID;

-- The step that this one undoes; it runs for nothing else.
ALTER TABLE workflow_steps ADD COLUMN undoes TEXT;
