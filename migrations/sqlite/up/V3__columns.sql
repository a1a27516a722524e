-- What agents say of their progress, and figures that came with health and recovery.
ALTER TABLE tasks ADD COLUMN progress_percent REAL;
ALTER TABLE tasks ADD COLUMN progress_message TEXT;
ALTER TABLE tasks ADD COLUMN progress_at INTEGER;
ALTER TABLE crashes ADD COLUMN signature TEXT;
ALTER TABLE messages ADD COLUMN delivered_at INTEGER;
ALTER TABLE health_records ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE recovery_runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE system_metrics ADD COLUMN process_memory_bytes INTEGER NOT NULL DEFAULT 0;
