DROP INDEX messages_waiting;
ALTER TABLE messages DROP COLUMN reason;
ALTER TABLE messages DROP COLUMN deaths;
ALTER TABLE messages DROP COLUMN state;
