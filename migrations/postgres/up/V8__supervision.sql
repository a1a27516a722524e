-- Replicas that an operator stopped by index, and what a restart of the daemon must not forgive.
ALTER TABLE agents ADD COLUMN stopped_replicas jsonb NOT NULL DEFAULT '[]';
ALTER TABLE restart_budgets ADD COLUMN slow_loop jsonb;
ALTER TABLE restart_budgets ADD COLUMN on_trial boolean NOT NULL DEFAULT false;
