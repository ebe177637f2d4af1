-- Sub-accounts, and what an account sets for itself.
--
-- A sub-account is an account whose master pays. NULL where the installation's setting holds.

ALTER TABLE accounts ADD COLUMN parent_id TEXT;
ALTER TABLE accounts ADD COLUMN closed_at BIGINT;
ALTER TABLE accounts ADD COLUMN retention_days BIGINT;
ALTER TABLE accounts ADD COLUMN daily_spend_limit BIGINT;
CREATE INDEX accounts_by_parent ON accounts (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX accounts_retaining ON accounts (id) WHERE retention_days IS NOT NULL;

-- What a key may do, and when it was last seen: to the minute, and from where.
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read,messages,calls,numbers,admin';
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_from TEXT;

-- The books are the payer's; this names the sub-account whose doing a line was.
ALTER TABLE ledger_entries ADD COLUMN on_behalf_of TEXT;

-- Who did what. A line is written before the act, and its outcome once, behind it; nothing else is ever changed.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    -- key, command_line or system
    actor TEXT NOT NULL,
    key_id TEXT,
    remote_address TEXT,
    action TEXT NOT NULL,
    target TEXT,
    request_id TEXT,
    -- The answer's status; NULL while the act is under way, or where a crash cut it off.
    status BIGINT,
    -- 1 where it had been done before, under the same Idempotency-Key.
    replayed BIGINT NOT NULL DEFAULT 0,
    at BIGINT NOT NULL
) {clustered};
CREATE INDEX audit_log_by_account ON audit_log (account_id, id);
