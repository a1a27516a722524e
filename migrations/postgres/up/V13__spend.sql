-- What agents spend: the sum of each window, and what each execution held and said. Money in millionths of a
-- dollar. Presumed is what nobody reported: reservations of tasks that said nothing, or were cut.
CREATE TABLE spend (
    agent           text        NOT NULL,
    window_start    timestamptz NOT NULL,
    cost_micros     bigint      NOT NULL DEFAULT 0,
    input_tokens    bigint      NOT NULL DEFAULT 0,
    output_tokens   bigint      NOT NULL DEFAULT 0,
    presumed_micros bigint      NOT NULL DEFAULT 0,
    presumed_tokens bigint      NOT NULL DEFAULT 0,
    tasks           bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (agent, window_start)
);
CREATE INDEX spend_by_window ON spend (window_start);
ALTER TABLE task_attempts ADD COLUMN spend_window timestamptz;
ALTER TABLE task_attempts ADD COLUMN reserved_micros bigint;
ALTER TABLE task_attempts ADD COLUMN reserved_tokens bigint;
ALTER TABLE task_attempts ADD COLUMN cost_micros bigint;
ALTER TABLE task_attempts ADD COLUMN input_tokens bigint;
ALTER TABLE task_attempts ADD COLUMN output_tokens bigint;
