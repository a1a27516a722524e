-- How schedules stand, and what came of each instant at which one fell due.
CREATE TABLE schedules (
    name         text        NOT NULL PRIMARY KEY,
    rule         text        NOT NULL, -- as written; another one begins anew
    considered   timestamptz NOT NULL, -- up to here all was done or left out
    paused       boolean     NOT NULL DEFAULT false,
    paused_until timestamptz,
    reason       text
);

CREATE TABLE schedule_runs (
    key         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schedule    text        NOT NULL,
    due_at      timestamptz NOT NULL,
    outcome     text        NOT NULL CHECK (outcome IN ('fired', 'waiting', 'skipped')),
    reason      text        NOT NULL, -- due, trigger, overlap, missed
    task_id     uuid,
    workflow_id uuid,
    at          timestamptz NOT NULL,
    UNIQUE (schedule, due_at)          -- an instant is decided once
);
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, key);
CREATE INDEX schedule_runs_waiting ON schedule_runs (schedule, key) WHERE outcome = 'waiting';
