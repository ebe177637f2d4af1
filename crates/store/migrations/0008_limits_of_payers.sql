-- Whose key set a day's limit: of a sub-account, only who pays may change what who pays has set.
ALTER TABLE accounts ADD COLUMN daily_spend_limit_by TEXT;
