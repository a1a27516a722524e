-- Messages are delivered once at least: where each stands, and whose death it may have caused.
ALTER TABLE messages ADD COLUMN state text NOT NULL DEFAULT 'waiting'
    CHECK (state IN ('waiting', 'delivered', 'undeliverable'));
ALTER TABLE messages ADD COLUMN deaths integer NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN reason text;
UPDATE messages SET state = 'delivered' WHERE delivered_at IS NOT NULL;
-- What waits, in order for each pair.
CREATE INDEX messages_waiting ON messages (recipient, sender, key) WHERE state = 'waiting';
