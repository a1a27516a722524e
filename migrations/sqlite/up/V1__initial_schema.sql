-- The tables. Ids are version 7 UUIDs as 16 bytes, instants are microseconds since 1970-01-01 UTC,
-- states are words with a CHECK. "sealed" columns hold what users wrote: their first byte is the
-- format (0: plain JSON), they are never queried inside.

CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    node       TEXT    NOT NULL,
    term       INTEGER NOT NULL UNIQUE,
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    name           TEXT    NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL CHECK (kind IN ('actor', 'process', 'http')),
    desired        TEXT    CHECK (desired IN ('running', 'stopped', 'paused')),
    replicas       INTEGER CHECK (replicas >= 0),
    config_hash    TEXT    NOT NULL,
    generation     INTEGER NOT NULL DEFAULT 0,
    restarts_total INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Processes that stand, or stood when the daemon was killed.
CREATE TABLE spawned_processes (
    agent       TEXT    NOT NULL,
    replica     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    pid         INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    boot_id     TEXT    NOT NULL,
    PRIMARY KEY (agent, replica, generation)
) STRICT, WITHOUT ROWID;

-- Deaths that count against an intensity: `echo#0`, or `@group`.
CREATE TABLE restart_budgets (
    owner             TEXT    NOT NULL PRIMARY KEY,
    deaths            TEXT    NOT NULL DEFAULT '[]',
    quarantined_until INTEGER,
    quarantines       INTEGER NOT NULL DEFAULT 0,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE crashes (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    agent      TEXT    NOT NULL,
    replica    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    reason     TEXT    NOT NULL,           -- JSON
    at         INTEGER NOT NULL,
    uptime_ms  INTEGER NOT NULL,
    tasks      TEXT    NOT NULL,           -- JSON list of task ids
    log        BLOB    NOT NULL            -- sealed list of lines
) STRICT;

CREATE TABLE workflows (
    key             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    name            TEXT    NOT NULL,
    description     TEXT,
    state           TEXT    NOT NULL CHECK (state IN
        ('pending', 'running', 'compensating', 'completed', 'failed', 'cancelled')),
    definition      BLOB    NOT NULL,      -- sealed
    definition_hash TEXT    NOT NULL,
    input           BLOB    NOT NULL,      -- sealed
    output          BLOB,                  -- sealed
    error           BLOB,                  -- sealed
    labels          TEXT    NOT NULL DEFAULT '{}',
    steps_left      INTEGER NOT NULL,      -- steps that have not ended
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER
) STRICT;

CREATE TABLE tasks (
    key              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    workflow_key     INTEGER REFERENCES workflows (key) ON DELETE CASCADE,
    name             TEXT    NOT NULL,     -- `count[3]` for an item of a for_each
    step             TEXT,                 -- its task in the workflow's definition: `count`
    item             INTEGER,              -- its place in the for_each, from 0
    agent            TEXT,                 -- the agent it is for, or
    role             TEXT,                 -- the role, or neither: whatever takes from the queue
    queue            TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('blocked', 'scheduled', 'queued', 'running',
        'waiting', 'retrying', 'succeeded', 'failed', 'cancelled', 'timed_out', 'dead')),
    reason           TEXT,                 -- why it stands where it does: exhausted, poison, upstream
    priority         INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 9),
    rank             INTEGER NOT NULL,     -- ready_at - priority * step; the smallest goes first
    payload          BLOB    NOT NULL,     -- sealed
    result           BLOB,                 -- sealed
    error            BLOB,                 -- sealed
    attempt          INTEGER NOT NULL DEFAULT 0,
    max_attempts     INTEGER NOT NULL,
    crash_attempts   INTEGER NOT NULL DEFAULT 0,
    interruptions    INTEGER NOT NULL DEFAULT 0,
    alone            INTEGER NOT NULL DEFAULT 0 CHECK (alone IN (0, 1)),
    session_id       BLOB    CHECK (length(session_id) = 16),
    lease_id         BLOB    CHECK (length(lease_id) = 16),
    instance         TEXT,                 -- the replica that holds it: `echo#0`
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    timeout_ms       INTEGER NOT NULL,
    labels           TEXT    NOT NULL DEFAULT '{}',
    run_at           INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    CHECK (agent IS NULL OR role IS NULL),
    CHECK (state <> 'running' OR (lease_id IS NOT NULL AND session_id IS NOT NULL))
) STRICT;

-- One row for each task of a workflow's definition; a `for_each` has many tasks.
CREATE TABLE workflow_steps (
    workflow_key INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    definition   BLOB    NOT NULL,         -- sealed
    state        TEXT    NOT NULL CHECK (state IN
        ('waiting', 'open', 'succeeded', 'failed', 'cancelled')),
    waiting_on   INTEGER NOT NULL,         -- steps that must still succeed before it opens
    items_left   INTEGER NOT NULL DEFAULT 0,
    items_failed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workflow_key, name)
) STRICT, WITHOUT ROWID;

-- Who waits for whom among the steps.
CREATE TABLE task_dependencies (
    workflow_key INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    step         TEXT    NOT NULL,
    depends_on   TEXT    NOT NULL,
    PRIMARY KEY (workflow_key, step, depends_on)
) STRICT, WITHOUT ROWID;

-- One row for each execution.
CREATE TABLE task_attempts (
    task_key    INTEGER NOT NULL REFERENCES tasks (key) ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    lease_id    BLOB    NOT NULL CHECK (length(lease_id) = 16),
    session_id  BLOB    NOT NULL CHECK (length(session_id) = 16),
    instance    TEXT,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('running', 'succeeded', 'failed', 'timed_out',
        'interrupted', 'crashed', 'cancelled', 'stale')),
    error       BLOB,                      -- sealed
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (task_key, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    scope      TEXT    NOT NULL,           -- task, workflow, …
    key        TEXT    NOT NULL,
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    resource   BLOB    NOT NULL CHECK (length(resource) = 16),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    sender     TEXT,                       -- an agent; absent: an operator
    recipient  TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    content    BLOB    NOT NULL,           -- sealed
    created_at INTEGER NOT NULL
) STRICT;

-- One row when a check's level changes.
CREATE TABLE health_records (
    key         INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    component   TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('healthy', 'warning', 'critical', 'unknown')),
    message     TEXT    NOT NULL,
    value       REAL,
    threshold   REAL,
    at          INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL
) STRICT;

-- One compact row for each round of checks.
CREATE TABLE health_rounds (
    key      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    status   TEXT    NOT NULL CHECK (status IN ('healthy', 'warning', 'critical', 'unknown')),
    statuses TEXT    NOT NULL              -- JSON: check's name to level
) STRICT;

-- resolution_s 0: as sampled; 60: the mean of one minute.
CREATE TABLE agent_metrics (
    agent          TEXT    NOT NULL,
    resolution_s   INTEGER NOT NULL CHECK (resolution_s IN (0, 60)),
    at             INTEGER NOT NULL,
    cpu_seconds    REAL    NOT NULL,
    memory_bytes   INTEGER NOT NULL,
    queue_depth    INTEGER NOT NULL,
    running        INTEGER NOT NULL,
    errors_total   INTEGER NOT NULL,
    restarts_total INTEGER NOT NULL,
    PRIMARY KEY (agent, resolution_s, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE system_metrics (
    resolution_s       INTEGER NOT NULL CHECK (resolution_s IN (0, 60)),
    at                 INTEGER NOT NULL,
    cpu_ratio          REAL    NOT NULL,
    memory_used_bytes  INTEGER NOT NULL,
    memory_limit_bytes INTEGER NOT NULL,
    disk_used_ratio    REAL    NOT NULL,
    PRIMARY KEY (resolution_s, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_runs (
    key         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    action      TEXT    NOT NULL,
    cause       TEXT    NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN
        ('running', 'succeeded', 'failed', 'suppressed', 'observed')),
    message     TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

-- The journal.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    id      BLOB    NOT NULL CHECK (length(id) = 16),
    type    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    data    TEXT    NOT NULL               -- JSON
) STRICT;
