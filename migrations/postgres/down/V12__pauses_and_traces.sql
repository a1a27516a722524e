-- The versions before know no end of a pause: who is paused stays so until an operator resumes it.
ALTER TABLE workflows DROP COLUMN traceparent;
ALTER TABLE tasks DROP COLUMN traceparent;
ALTER TABLE agents DROP COLUMN paused_until;
