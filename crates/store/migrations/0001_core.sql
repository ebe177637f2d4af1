-- The core: accounts and their money, numbers, agents, messages, events, work under way.
--
-- One text for both engines. Ids and lists are TEXT, times BIGINT microseconds since 1970 UTC, money BIGINT
-- micro-dollars, flags BIGINT 0/1. {clustered} becomes WITHOUT ROWID on SQLite and nothing on PostgreSQL.

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) {clustered};

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    numbers_held BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
) {clustered};

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
) {clustered};
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
CREATE INDEX api_keys_by_account ON api_keys (account_id, id);

-- Double entry: every line moves an amount from one book of an account to another; `books` holds the sums.
CREATE TABLE books (
    account_id TEXT NOT NULL,
    book TEXT NOT NULL,
    balance BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, book)
) {clustered};
CREATE TABLE ledger_entries (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_book TEXT NOT NULL,
    to_book TEXT NOT NULL,
    amount BIGINT NOT NULL,
    reference TEXT NOT NULL,
    at BIGINT NOT NULL
) {clustered};
CREATE INDEX ledger_entries_by_account ON ledger_entries (account_id, id);

CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX agents_by_account ON agents (account_id, id);

CREATE TABLE numbers (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    country TEXT NOT NULL,
    status TEXT NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT,
    carrier TEXT NOT NULL,
    external_id TEXT,
    expires_at BIGINT,
    purchased_at BIGINT NOT NULL,
    renews_at BIGINT NOT NULL,
    unpaid_since BIGINT,
    released_at BIGINT
) {clustered};
CREATE INDEX numbers_by_account ON numbers (account_id, status, id);
CREATE INDEX numbers_by_phone ON numbers (account_id, phone_number);
CREATE UNIQUE INDEX numbers_active ON numbers (phone_number) WHERE status = 'active';
CREATE INDEX numbers_by_agent ON numbers (agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX numbers_renewing ON numbers (renews_at) WHERE status = 'active';
CREATE INDEX numbers_unpaid ON numbers (unpaid_since) WHERE status = 'active' AND unpaid_since IS NOT NULL;
CREATE INDEX numbers_expiring ON numbers (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;

CREATE TABLE contact_cards (
    number_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    display_name TEXT,
    avatar_url TEXT
) {clustered};

-- The saga of buying: reserved → (unconfirmed →) stored | undone. The id is our reference at the carrier.
CREATE TABLE purchases (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    state TEXT NOT NULL,
    carrier TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    country TEXT NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT,
    external_id TEXT,
    expires_at BIGINT,
    price BIGINT NOT NULL,
    number_id TEXT,
    -- The Idempotency-Key of the request, answered also when a crash cut the request off.
    once_key TEXT,
    -- Nobody but its buyer touches it before then.
    settle_after BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX purchases_open ON purchases (settle_after) WHERE state IN ('reserved', 'unconfirmed');
CREATE INDEX purchases_open_by_phone ON purchases (phone_number) WHERE state IN ('reserved', 'unconfirmed');
CREATE INDEX purchases_by_number ON purchases (number_id) WHERE number_id IS NOT NULL;

-- Numbers given up that the carrier has yet to take back.
CREATE TABLE carrier_releases (
    number_id TEXT PRIMARY KEY,
    carrier TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    -- The purchase it was bought under, where it is known: only that sale is given back.
    reference TEXT,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0
) {clustered};
CREATE INDEX carrier_releases_due ON carrier_releases (due_at);
CREATE INDEX carrier_releases_by_phone ON carrier_releases (phone_number);

CREATE TABLE contacts (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    notes TEXT,
    -- Name and number in lower case, for the search.
    searchable TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX contacts_by_number ON contacts (account_id, phone_number);
CREATE INDEX contacts_by_account ON contacts (account_id, id);

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    number_id TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    participant TEXT NOT NULL,
    agent_id TEXT,
    channel TEXT NOT NULL,
    group_name TEXT,
    metadata TEXT,
    last_message_at BIGINT NOT NULL,
    last_message_preview TEXT NOT NULL,
    message_count BIGINT NOT NULL DEFAULT 0,
    -- A message waiting for its next try holds the ones behind it until then.
    send_held_until BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX conversations_by_participant ON conversations (number_id, participant);
CREATE INDEX conversations_by_account ON conversations (account_id, last_message_at, id);
CREATE INDEX conversations_by_agent ON conversations (agent_id, last_message_at, id) WHERE agent_id IS NOT NULL;

CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    number_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,
    media_urls TEXT,
    segments BIGINT NOT NULL,
    price BIGINT NOT NULL,
    error_code TEXT,
    failure_reason TEXT,
    carrier TEXT NOT NULL,
    carrier_message_id TEXT,
    at BIGINT NOT NULL,
    delivered_at BIGINT
) {clustered};
CREATE UNIQUE INDEX messages_by_number ON messages (number_id, at);
CREATE INDEX messages_by_conversation ON messages (conversation_id, at);
CREATE UNIQUE INDEX messages_at_carrier ON messages (carrier_message_id, carrier, direction)
    WHERE carrier_message_id IS NOT NULL;

-- Messages to hand to a carrier. A line is one sending number; one node at a time works on it. `epoch` is the
-- lease under which the message was claimed: claimed under a lease that is over, its outcome is unknown.
CREATE TABLE send_jobs (
    message_id TEXT PRIMARY KEY,
    line TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    epoch BIGINT
) {clustered};
CREATE INDEX send_jobs_waiting ON send_jobs (line, due_at, at) WHERE epoch IS NULL;
CREATE INDEX send_jobs_claimed ON send_jobs (line, epoch) WHERE epoch IS NOT NULL;
CREATE INDEX send_jobs_by_conversation ON send_jobs (line, conversation_id, at);

-- Receipts that came before the answer to their own send.
CREATE TABLE early_receipts (
    carrier TEXT NOT NULL,
    carrier_message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Our own id, where the carrier hands it back.
    message_id TEXT,
    error_code TEXT,
    failure_reason TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier, carrier_message_id, status)
) {clustered};
CREATE INDEX early_receipts_by_message ON early_receipts (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX early_receipts_by_age ON early_receipts (at);

-- agent_key is the agent's id, or empty for the account's own webhook.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    url TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    status TEXT NOT NULL,
    context_limit BIGINT NOT NULL,
    timeout_seconds BIGINT NOT NULL,
    events TEXT NOT NULL,
    external_id TEXT,
    created_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX webhooks_by_owner ON webhooks (account_id, agent_key);

-- The serialised body of an event: the bytes every attempt signs and sends.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    body TEXT NOT NULL
) {clustered};

-- The log of deliveries and, where pending, the work of delivering. `lane` is what order is kept in: the
-- conversation or the call.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    channel TEXT NOT NULL,
    message_id TEXT,
    lane TEXT NOT NULL,
    status TEXT NOT NULL,
    at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    http_status BIGINT,
    error TEXT,
    response_body TEXT,
    response_ms BIGINT,
    last_attempt_at BIGINT,
    delivered_at BIGINT
) {clustered};
CREATE INDEX deliveries_by_account ON deliveries (account_id, at, agent_key, status, event_type);
CREATE INDEX deliveries_by_agent ON deliveries (account_id, agent_key, at);
CREATE INDEX deliveries_pending ON deliveries (webhook_id, due_at, at) WHERE status = 'pending';
-- A lane is held as a whole when its first event fails.
CREATE INDEX deliveries_pending_by_lane ON deliveries (webhook_id, lane, due_at) WHERE status = 'pending';

-- Who works on what. `epoch` grows with every change of hands, so that the former holder's writes can be told.
CREATE TABLE leases (
    resource TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until BIGINT NOT NULL,
    epoch BIGINT NOT NULL
) {clustered};
CREATE INDEX leases_by_end ON leases (until);

-- What an account did, by the hour. `shard` spreads the writers on PostgreSQL; readers sum over it.
CREATE TABLE usage_hours (
    account_id TEXT NOT NULL,
    hour BIGINT NOT NULL,
    number_id TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    shard BIGINT NOT NULL,
    messages_in BIGINT NOT NULL DEFAULT 0,
    messages_out BIGINT NOT NULL DEFAULT 0,
    segments BIGINT NOT NULL DEFAULT 0,
    webhooks BIGINT NOT NULL DEFAULT 0,
    webhooks_succeeded BIGINT NOT NULL DEFAULT 0,
    webhooks_failed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, hour, number_id, agent_key, shard)
) {clustered};

CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- NULL while the first request is under way.
    status BIGINT,
    body TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
) {clustered};
CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_id TEXT,
    number_id TEXT,
    phone_number TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    end_reason TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    last_transcript_snippet TEXT,
    recording_path TEXT
) {clustered};
CREATE INDEX calls_by_number ON calls (number_id, id);
CREATE INDEX calls_by_agent ON calls (agent_id, id);

-- The sandbox carrier's own world: what it sold, what is in the air, what handsets hold.
CREATE TABLE sandbox_numbers (
    phone_number TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    sold_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX sandbox_numbers_by_reference ON sandbox_numbers (reference);
CREATE TABLE sandbox_air (
    id TEXT PRIMARY KEY,
    due_at BIGINT NOT NULL,
    payload TEXT NOT NULL
) {clustered};
CREATE INDEX sandbox_air_due ON sandbox_air (due_at, id);
CREATE TABLE sandbox_messages (
    id TEXT PRIMARY KEY,
    handset TEXT NOT NULL,
    direction TEXT NOT NULL,
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    body TEXT NOT NULL,
    media_urls TEXT,
    at BIGINT NOT NULL
) {clustered};
CREATE INDEX sandbox_messages_by_handset ON sandbox_messages (handset, at);
