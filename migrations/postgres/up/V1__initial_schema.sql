-- The tables, as under sqlite, in this database's types. "sealed" columns hold what users wrote:
-- their first byte is the format (0: plain JSON), they are never queried inside.

CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    node       text        NOT NULL,
    term       bigint      NOT NULL UNIQUE,
    pid        bigint      NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);

CREATE TABLE agents (
    name           text        PRIMARY KEY,
    kind           text        NOT NULL CHECK (kind IN ('actor', 'process', 'http')),
    desired        text        CHECK (desired IN ('running', 'stopped', 'paused')),
    replicas       integer     CHECK (replicas >= 0),
    config_hash    text        NOT NULL,
    generation     bigint      NOT NULL DEFAULT 0,
    restarts_total bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);

-- Processes that stand, or stood when the daemon was killed.
CREATE TABLE spawned_processes (
    agent       text    NOT NULL,
    replica     integer NOT NULL,
    generation  bigint  NOT NULL,
    pid         bigint  NOT NULL,
    start_ticks bigint  NOT NULL,
    boot_id     text    NOT NULL,
    PRIMARY KEY (agent, replica, generation)
);

-- Deaths that count against an intensity: `echo#0`, or `@group`.
CREATE TABLE restart_budgets (
    owner             text          PRIMARY KEY,
    deaths            timestamptz[] NOT NULL DEFAULT '{}',
    quarantined_until timestamptz,
    quarantines       integer       NOT NULL DEFAULT 0,
    updated_at        timestamptz   NOT NULL
);

CREATE TABLE crashes (
    key        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid        NOT NULL UNIQUE,
    agent      text        NOT NULL,
    replica    integer     NOT NULL,
    generation bigint      NOT NULL,
    reason     jsonb       NOT NULL,
    at         timestamptz NOT NULL,
    uptime_ms  bigint      NOT NULL,
    tasks      uuid[]      NOT NULL,
    log        bytea       NOT NULL -- sealed list of lines
);

CREATE TABLE workflows (
    key             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              uuid        NOT NULL UNIQUE,
    name            text        NOT NULL,
    description     text,
    state           text        NOT NULL CHECK (state IN
        ('pending', 'running', 'compensating', 'completed', 'failed', 'cancelled')),
    definition      bytea       NOT NULL, -- sealed
    definition_hash text        NOT NULL,
    input           bytea       NOT NULL, -- sealed
    output          bytea, -- sealed
    error           bytea, -- sealed
    labels          jsonb       NOT NULL DEFAULT '{}',
    steps_left      bigint      NOT NULL, -- steps that have not ended
    created_at      timestamptz NOT NULL,
    started_at      timestamptz,
    finished_at     timestamptz
);

CREATE TABLE tasks (
    key              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               uuid        NOT NULL UNIQUE,
    workflow_key     bigint      REFERENCES workflows (key) ON DELETE CASCADE,
    name             text        NOT NULL, -- `count[3]` for an item of a for_each
    step             text, -- its task in the workflow's definition: `count`
    item             bigint, -- its place in the for_each, from 0
    agent            text, -- the agent it is for, or
    role             text, -- the role, or neither: whatever takes from the queue
    queue            text        NOT NULL,
    state            text        NOT NULL CHECK (state IN ('blocked', 'scheduled', 'queued', 'running',
        'waiting', 'retrying', 'succeeded', 'failed', 'cancelled', 'timed_out', 'dead')),
    reason           text, -- why it stands where it does: exhausted, poison, upstream
    priority         smallint    NOT NULL CHECK (priority BETWEEN 1 AND 9),
    rank             bigint      NOT NULL, -- ready_at - priority * step; the smallest goes first
    payload          bytea       NOT NULL, -- sealed
    result           bytea, -- sealed
    error            bytea, -- sealed
    attempt          integer     NOT NULL DEFAULT 0,
    max_attempts     integer     NOT NULL,
    crash_attempts   integer     NOT NULL DEFAULT 0,
    interruptions    integer     NOT NULL DEFAULT 0,
    alone            boolean     NOT NULL DEFAULT false,
    session_id       uuid,
    lease_id         uuid,
    instance         text, -- the replica that holds it: `echo#0`
    cancel_requested boolean     NOT NULL DEFAULT false,
    timeout_ms       bigint      NOT NULL,
    labels           jsonb       NOT NULL DEFAULT '{}',
    run_at           timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    CHECK (agent IS NULL OR role IS NULL),
    CHECK (state <> 'running' OR (lease_id IS NOT NULL AND session_id IS NOT NULL))
);

-- One row for each task of a workflow's definition; a `for_each` has many tasks.
CREATE TABLE workflow_steps (
    workflow_key bigint  NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    name         text    NOT NULL,
    position     integer NOT NULL,
    definition   bytea   NOT NULL, -- sealed
    state        text    NOT NULL CHECK (state IN
        ('waiting', 'open', 'succeeded', 'failed', 'cancelled')),
    waiting_on   bigint  NOT NULL, -- steps that must still succeed before it opens
    items_left   bigint  NOT NULL DEFAULT 0,
    items_failed bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (workflow_key, name)
);

-- Who waits for whom among the steps.
CREATE TABLE task_dependencies (
    workflow_key bigint NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
    step         text   NOT NULL,
    depends_on   text   NOT NULL,
    PRIMARY KEY (workflow_key, step, depends_on)
);

-- One row for each execution.
CREATE TABLE task_attempts (
    task_key    bigint      NOT NULL REFERENCES tasks (key) ON DELETE CASCADE,
    attempt     integer     NOT NULL,
    lease_id    uuid        NOT NULL,
    session_id  uuid        NOT NULL,
    instance    text,
    outcome     text        NOT NULL CHECK (outcome IN ('running', 'succeeded', 'failed', 'timed_out',
        'interrupted', 'crashed', 'cancelled', 'stale')),
    error       bytea, -- sealed
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (task_key, attempt)
);

CREATE TABLE idempotency_keys (
    scope      text        NOT NULL, -- task, workflow, …
    key        text        NOT NULL,
    digest     bytea       NOT NULL CHECK (octet_length(digest) = 32),
    resource   uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE TABLE messages (
    key        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid        NOT NULL UNIQUE,
    sender     text, -- an agent; absent: an operator
    recipient  text        NOT NULL,
    type       text        NOT NULL,
    content    bytea       NOT NULL, -- sealed
    created_at timestamptz NOT NULL
);

-- One row when a check's level changes.
CREATE TABLE health_records (
    key         bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text             NOT NULL,
    component   text             NOT NULL,
    status      text             NOT NULL CHECK (status IN ('healthy', 'warning', 'critical', 'unknown')),
    message     text             NOT NULL,
    value       double precision,
    threshold   double precision,
    at          timestamptz      NOT NULL,
    duration_ms bigint           NOT NULL
);

-- One compact row for each round of checks.
CREATE TABLE health_rounds (
    key      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    status   text        NOT NULL CHECK (status IN ('healthy', 'warning', 'critical', 'unknown')),
    statuses jsonb       NOT NULL -- check's name to level
);

-- resolution_s 0: as sampled; 60: the mean of one minute.
CREATE TABLE agent_metrics (
    agent          text             NOT NULL,
    resolution_s   integer          NOT NULL CHECK (resolution_s IN (0, 60)),
    at             timestamptz      NOT NULL,
    cpu_seconds    double precision NOT NULL,
    memory_bytes   bigint           NOT NULL,
    queue_depth    bigint           NOT NULL,
    running        bigint           NOT NULL,
    errors_total   bigint           NOT NULL,
    restarts_total bigint           NOT NULL,
    PRIMARY KEY (agent, resolution_s, at)
);

CREATE TABLE system_metrics (
    resolution_s       integer          NOT NULL CHECK (resolution_s IN (0, 60)),
    at                 timestamptz      NOT NULL,
    cpu_ratio          double precision NOT NULL,
    memory_used_bytes  bigint           NOT NULL,
    memory_limit_bytes bigint           NOT NULL,
    disk_used_ratio    double precision NOT NULL,
    PRIMARY KEY (resolution_s, at)
);

CREATE TABLE recovery_runs (
    key         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE,
    action      text        NOT NULL,
    cause       text        NOT NULL,
    outcome     text        NOT NULL CHECK (outcome IN
        ('running', 'succeeded', 'failed', 'suppressed', 'observed')),
    message     text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz
);

-- The journal. Readers stop below the oldest transaction in progress.
CREATE TABLE events (
    seq     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      uuid        NOT NULL,
    type    text        NOT NULL,
    subject text        NOT NULL,
    at      timestamptz NOT NULL,
    data    jsonb       NOT NULL
);
