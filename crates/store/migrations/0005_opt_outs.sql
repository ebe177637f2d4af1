-- Opt-outs with their log, and what the guard rails count.

-- Whether a participant may be texted. `scope` is a number's id, or an account's id where all its numbers are meant; a
-- campaign's may come beside them. A row stays when the participant is back: `opted_out_at` is NULL then.
CREATE TABLE opt_outs (
    scope TEXT NOT NULL,
    participant TEXT NOT NULL,
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    -- NULL where all numbers of the account are meant.
    number_id TEXT,
    opted_out_at BIGINT,
    -- How it came to be as it is: the word and its message, or the key of who said so.
    keyword TEXT,
    message_id TEXT,
    -- The last answer to HELP.
    helped_at BIGINT,
    PRIMARY KEY (scope, participant)
) {clustered};
CREATE UNIQUE INDEX opt_outs_by_id ON opt_outs (id);
CREATE INDEX opt_outs_by_account ON opt_outs (account_id, id);
CREATE INDEX opt_outs_by_participant ON opt_outs (account_id, participant, id);

-- Who said what when: only ever added to.
CREATE TABLE opt_out_log (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    number_id TEXT,
    participant TEXT NOT NULL,
    action TEXT NOT NULL,
    -- Whether that changed anything.
    changed BIGINT NOT NULL,
    keyword TEXT,
    message_id TEXT,
    -- The key of who said so for the participant, and the proof that was given.
    key_id TEXT,
    note TEXT,
    at BIGINT NOT NULL
) {clustered};
CREATE INDEX opt_out_log_by_account ON opt_out_log (account_id, id);
CREATE INDEX opt_out_log_by_participant ON opt_out_log (account_id, participant, id);

-- An account's own words for its answers. NULL where the installation's hold.
CREATE TABLE opt_out_answers (
    account_id TEXT PRIMARY KEY,
    opted_out TEXT,
    opted_in TEXT,
    help TEXT
) {clustered};

-- An answer to STOP goes out although its receiver is opted out.
ALTER TABLE send_jobs ADD COLUMN exempt BIGINT NOT NULL DEFAULT 0;

-- What an account ordered for a day (days since 1970 UTC), in micro-dollars.
CREATE TABLE spend_days (
    account_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    PRIMARY KEY (account_id, day)
) {clustered};
CREATE INDEX spend_days_by_day ON spend_days (day);

-- Messages of an account to one destination in the running minute and hour, both counted from 1970 UTC.
CREATE TABLE destination_counts (
    account_id TEXT NOT NULL,
    participant TEXT NOT NULL,
    minute BIGINT NOT NULL,
    in_minute BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    in_hour BIGINT NOT NULL,
    PRIMARY KEY (account_id, participant)
) {clustered};
CREATE INDEX destination_counts_by_hour ON destination_counts (hour);

-- How fast the two sides of a conversation answer each other: answers of ours since `since`.
CREATE TABLE exchanges (
    number_id TEXT NOT NULL,
    participant TEXT NOT NULL,
    answers BIGINT NOT NULL,
    since BIGINT NOT NULL,
    last_direction TEXT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (number_id, participant)
) {clustered};
CREATE INDEX exchanges_by_age ON exchanges (last_at);
