-- Sub-accounts, and what an account sets for itself.
--
-- A sub-account is an account whose master pays. NULL where the installation's setting holds.

ALTER TABLE accounts ADD COLUMN parent_id TEXT;
ALTER TABLE accounts ADD COLUMN closed_at BIGINT;
ALTER TABLE accounts ADD COLUMN retention_days BIGINT;
ALTER TABLE accounts ADD COLUMN daily_spend_limit BIGINT;
CREATE INDEX accounts_by_parent ON accounts (parent_id, id) WHERE parent_id IS NOT NULL;
