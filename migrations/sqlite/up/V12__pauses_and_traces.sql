-- Until when an agent is paused, and the trace that asked for a task or a workflow.
ALTER TABLE agents ADD COLUMN paused_until INTEGER;
ALTER TABLE tasks ADD COLUMN traceparent TEXT;
ALTER TABLE workflows ADD COLUMN traceparent TEXT;
