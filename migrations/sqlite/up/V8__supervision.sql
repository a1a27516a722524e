-- Replicas that an operator stopped by index, and what a restart of the daemon must not forgive.
ALTER TABLE agents ADD COLUMN stopped_replicas TEXT NOT NULL DEFAULT '[]';
ALTER TABLE restart_budgets ADD COLUMN slow_loop TEXT;
ALTER TABLE restart_budgets ADD COLUMN on_trial INTEGER NOT NULL DEFAULT 0;
