-- Campaigns: registrations with the US carriers, and what they limit.
--
-- A campaign is for the numbers of `account_id`; `submitted_by` handed it in and paid for it, which is its master where a
-- sub-account was made for it. The form is sealed: it has names, addresses and tax numbers in it.

CREATE TABLE campaigns (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    submitted_by TEXT NOT NULL,
    registration_type TEXT NOT NULL,
    class TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    sealed_form TEXT NOT NULL,
    fee BIGINT NOT NULL,
    carrier TEXT NOT NULL,
    -- When the carrier is asked for its decision; NULL where an operator decides.
    ask_at BIGINT,
    submitted_at BIGINT NOT NULL,
    decided_at BIGINT
) {clustered};
CREATE UNIQUE INDEX campaigns_by_account ON campaigns (account_id);
CREATE INDEX campaigns_by_submitter ON campaigns (submitted_by, id);
CREATE INDEX campaigns_by_status ON campaigns (status, id);
CREATE INDEX campaigns_to_ask ON campaigns (ask_at) WHERE ask_at IS NOT NULL;

-- How often an account handed something in since `since`.
CREATE TABLE registration_tries (
    account_id TEXT PRIMARY KEY,
    since BIGINT NOT NULL,
    tries BIGINT NOT NULL
) {clustered};

-- What was taken of a limit: of a number's, a campaign's, a carrier's. `next_at` is by the database's clock.
CREATE TABLE pacers (
    resource TEXT PRIMARY KEY,
    next_at BIGINT NOT NULL,
    day BIGINT NOT NULL,
    segments_used BIGINT NOT NULL
) {clustered};

-- Sending numbers whose messages wait until then: a day's segments are used up.
CREATE TABLE line_holds (
    line TEXT PRIMARY KEY,
    until BIGINT NOT NULL
) {clustered};

-- Since when a message is tried in vain, where it had to wait for its turn before.
ALTER TABLE send_jobs ADD COLUMN tried_since BIGINT;
