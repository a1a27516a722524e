ALTER TABLE workflow_steps DROP COLUMN undoes;
DROP TABLE workflow_signals;
DROP TABLE workflow_waits;
