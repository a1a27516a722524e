ALTER TABLE system_metrics DROP COLUMN process_memory_bytes;
ALTER TABLE recovery_runs DROP COLUMN attempt;
ALTER TABLE health_records DROP COLUMN details;
ALTER TABLE messages DROP COLUMN delivered_at;
ALTER TABLE crashes DROP COLUMN signature;
ALTER TABLE tasks DROP COLUMN progress_at;
ALTER TABLE tasks DROP COLUMN progress_message;
ALTER TABLE tasks DROP COLUMN progress_percent;
