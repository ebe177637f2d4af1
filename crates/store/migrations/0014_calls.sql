-- Calls that are led here: how far each is, who leads it, what was said, and what happened when.

ALTER TABLE calls ADD COLUMN answered_at BIGINT;
-- webhook or hosted: who answers, and so what it costs.
ALTER TABLE calls ADD COLUMN voice_mode TEXT NOT NULL DEFAULT 'webhook';
-- What it goes over: the sandbox's network, a trunk.
ALTER TABLE calls ADD COLUMN carrier TEXT NOT NULL DEFAULT '';
-- The node that leads it, and until when that is believed without hearing of it.
ALTER TABLE calls ADD COLUMN node TEXT;
ALTER TABLE calls ADD COLUMN alive_until BIGINT;
-- Somebody wants it to end; its node looks.
ALTER TABLE calls ADD COLUMN end_requested_at BIGINT;
ALTER TABLE calls ADD COLUMN metadata TEXT;
-- What this call has otherwise than its agent, as JSON.
ALTER TABLE calls ADD COLUMN options TEXT;
ALTER TABLE calls ADD COLUMN price BIGINT NOT NULL DEFAULT 0;
-- Whether an account has its calls recorded; NULL: as is configured.
ALTER TABLE accounts ADD COLUMN records_calls BIGINT;
-- Until when that is paid for.
ALTER TABLE accounts ADD COLUMN recording_paid_until BIGINT;
CREATE INDEX calls_by_account ON calls (account_id, id);
-- The few that are not over.
CREATE INDEX calls_alive ON calls (alive_until) WHERE alive_until IS NOT NULL;
CREATE INDEX calls_alive_by_node ON calls (node) WHERE alive_until IS NOT NULL;
CREATE INDEX calls_alive_by_account ON calls (account_id) WHERE alive_until IS NOT NULL;

CREATE TABLE call_turns (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    -- user or agent
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    confidence DOUBLE PRECISION,
    at BIGINT NOT NULL
) {clustered};
CREATE INDEX call_turns_of_call ON call_turns (call_id, id);

CREATE TABLE call_marks (
    call_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    -- Microseconds since the call began.
    since BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- JSON.
    detail TEXT,
    PRIMARY KEY (call_id, place)
) {clustered};

ALTER TABLE usage_hours ADD COLUMN calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN call_seconds BIGINT NOT NULL DEFAULT 0;
