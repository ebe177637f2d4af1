-- Sign-ups by mail, checks of phone numbers by text, and what customers tell us.

-- A sign-up is open until its code is entered, then buying while the carrier is asked, then done. The account exists
-- from `done` on; until then its id is only reserved here.
CREATE TABLE sign_ups (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- While buying: what is asked of the carrier, since when, and until when it is the buyer's alone.
    purchase_id TEXT,
    carrier TEXT,
    phone_number TEXT,
    asked_at BIGINT,
    settle_after BIGINT,
    -- The answer, sealed: whoever lost it gets it again for the same code.
    answer TEXT
) {clustered};
CREATE INDEX sign_ups_by_end ON sign_ups (expires_at);
CREATE INDEX sign_ups_buying ON sign_ups (settle_after) WHERE state = 'buying';

-- Whose address is whose: one account each.
CREATE TABLE account_emails (
    email TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    source TEXT,
    created_at BIGINT NOT NULL
) {clustered};

-- Mails to be sent. The text is sealed, for it holds a code; a row is gone once its mail is.
CREATE TABLE mails (
    id TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    give_up_at BIGINT NOT NULL
) {clustered};
CREATE INDEX mails_due ON mails (due_at);

CREATE TABLE verifications (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    verified_at BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) {clustered};
CREATE INDEX verifications_by_end ON verifications (expires_at);

CREATE TABLE feedback (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    category TEXT NOT NULL,
    note TEXT NOT NULL,
    request_id TEXT,
    url TEXT,
    tags TEXT,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX feedback_by_account ON feedback (account_id, id);
