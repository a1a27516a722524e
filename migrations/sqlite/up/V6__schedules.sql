-- How schedules stand, and what came of each instant at which one fell due.
CREATE TABLE schedules (
    name         TEXT    NOT NULL PRIMARY KEY,
    rule         TEXT    NOT NULL,         -- as written; another one begins anew
    considered   INTEGER NOT NULL,         -- up to here all was done or left out
    paused       INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    paused_until INTEGER,
    reason       TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule_runs (
    key         INTEGER PRIMARY KEY,
    schedule    TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('fired', 'waiting', 'skipped')),
    reason      TEXT    NOT NULL,          -- due, trigger, overlap, missed
    task_id     BLOB    CHECK (length(task_id) = 16),
    workflow_id BLOB    CHECK (length(workflow_id) = 16),
    at          INTEGER NOT NULL,
    UNIQUE (schedule, due_at)              -- an instant is decided once
) STRICT;
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, key);
CREATE INDEX schedule_runs_waiting ON schedule_runs (schedule, key) WHERE outcome = 'waiting';
