-- What agents say of their progress, and figures that came with health and recovery.
ALTER TABLE tasks ADD COLUMN progress_percent double precision;
ALTER TABLE tasks ADD COLUMN progress_message text;
ALTER TABLE tasks ADD COLUMN progress_at timestamptz;
ALTER TABLE crashes ADD COLUMN signature text;
ALTER TABLE messages ADD COLUMN delivered_at timestamptz;
ALTER TABLE health_records ADD COLUMN details jsonb NOT NULL DEFAULT '{}';
ALTER TABLE recovery_runs ADD COLUMN attempt integer NOT NULL DEFAULT 1;
ALTER TABLE system_metrics ADD COLUMN process_memory_bytes bigint NOT NULL DEFAULT 0;
