ALTER TABLE task_attempts DROP COLUMN output_tokens;
ALTER TABLE task_attempts DROP COLUMN input_tokens;
ALTER TABLE task_attempts DROP COLUMN cost_micros;
ALTER TABLE task_attempts DROP COLUMN reserved_tokens;
ALTER TABLE task_attempts DROP COLUMN reserved_micros;
ALTER TABLE task_attempts DROP COLUMN spend_window;
DROP TABLE spend;
