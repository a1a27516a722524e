ALTER TABLE restart_budgets DROP COLUMN on_trial;
ALTER TABLE restart_budgets DROP COLUMN slow_loop;
ALTER TABLE agents DROP COLUMN stopped_replicas;
