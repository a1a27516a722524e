-- What agents spend: the sum of each window, and what each execution held and said. Money in millionths of a
-- dollar. Presumed is what nobody reported: reservations of tasks that said nothing, or were cut.
CREATE TABLE spend (
    agent           TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    cost_micros     INTEGER NOT NULL DEFAULT 0,
    input_tokens    INTEGER NOT NULL DEFAULT 0,
    output_tokens   INTEGER NOT NULL DEFAULT 0,
    presumed_micros INTEGER NOT NULL DEFAULT 0,
    presumed_tokens INTEGER NOT NULL DEFAULT 0,
    tasks           INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (agent, window_start)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_by_window ON spend (window_start);
ALTER TABLE task_attempts ADD COLUMN spend_window INTEGER;
ALTER TABLE task_attempts ADD COLUMN reserved_micros INTEGER;
ALTER TABLE task_attempts ADD COLUMN reserved_tokens INTEGER;
ALTER TABLE task_attempts ADD COLUMN cost_micros INTEGER;
ALTER TABLE task_attempts ADD COLUMN input_tokens INTEGER;
ALTER TABLE task_attempts ADD COLUMN output_tokens INTEGER;
