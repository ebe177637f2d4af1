-- Files that go with messages. Each is fetched once from where it is, kept, and served under links of our own.

CREATE TABLE media (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    -- Which one of its message's.
    position BIGINT NOT NULL,
    direction TEXT NOT NULL,
    -- Where it is to be fetched, and whose server that is, where a carrier brought it. Gone once it is fetched.
    source_url TEXT,
    carrier TEXT NOT NULL,
    -- waiting, stored or failed
    state TEXT NOT NULL,
    content_type TEXT,
    size BIGINT,
    -- The object it is kept in.
    object TEXT,
    error_code TEXT,
    failure_reason TEXT,
    created_at BIGINT NOT NULL,
    fetched_at BIGINT
) {clustered};
CREATE INDEX media_of_message ON media (message_id, position);

-- What is to be fetched. A claim puts `due_at` to its own end and counts an attempt, by which its object is named: an attempt
-- that was cut off can't write into what a later one keeps.
CREATE TABLE media_jobs (
    media_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- Those of them that came to nothing because of whoever has the file.
    failures BIGINT NOT NULL DEFAULT 0
) {clustered};
CREATE INDEX media_jobs_due ON media_jobs (account_id, due_at);

-- Objects that are to be deleted; they may not be there at all.
CREATE TABLE media_removals (
    object TEXT PRIMARY KEY,
    due_at BIGINT NOT NULL
) {clustered};
CREATE INDEX media_removals_due ON media_removals (due_at);
