-- Until when an agent is paused, and the trace that asked for a task or a workflow.
ALTER TABLE agents ADD COLUMN paused_until timestamptz;
ALTER TABLE tasks ADD COLUMN traceparent text;
ALTER TABLE workflows ADD COLUMN traceparent text;
