-- What a crash tells beside its log, how often each fault was seen, and since when an agent has its settings.
ALTER TABLE crashes ADD COLUMN usage TEXT NOT NULL DEFAULT '{}';
ALTER TABLE crashes ADD COLUMN frames BLOB;
ALTER TABLE crashes ADD COLUMN new_signature INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crashes ADD COLUMN config_hash TEXT;
ALTER TABLE crashes ADD COLUMN config_since INTEGER;
ALTER TABLE crashes ADD COLUMN config_changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN settings_hash TEXT;
ALTER TABLE agents ADD COLUMN settings_since INTEGER;
ALTER TABLE agents ADD COLUMN overridden_at INTEGER;
CREATE TABLE crash_signatures (
    agent     TEXT    NOT NULL,
    signature TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    PRIMARY KEY (agent, signature)
) STRICT, WITHOUT ROWID;
