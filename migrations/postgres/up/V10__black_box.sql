-- What a crash tells beside its log, how often each fault was seen, and since when an agent has its settings.
ALTER TABLE crashes ALTER COLUMN tasks TYPE jsonb USING to_jsonb(tasks);
ALTER TABLE crashes ADD COLUMN usage jsonb NOT NULL DEFAULT '{}';
ALTER TABLE crashes ADD COLUMN frames bytea;
ALTER TABLE crashes ADD COLUMN new_signature boolean NOT NULL DEFAULT false;
ALTER TABLE crashes ADD COLUMN config_hash text;
ALTER TABLE crashes ADD COLUMN config_since timestamptz;
ALTER TABLE crashes ADD COLUMN config_changed boolean NOT NULL DEFAULT false;
ALTER TABLE agents ADD COLUMN settings_hash text;
ALTER TABLE agents ADD COLUMN settings_since timestamptz;
ALTER TABLE agents ADD COLUMN overridden_at timestamptz;
CREATE TABLE crash_signatures (
    agent     text        NOT NULL,
    signature text        NOT NULL,
    count     bigint      NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (agent, signature)
);
