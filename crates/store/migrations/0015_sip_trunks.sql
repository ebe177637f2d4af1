-- SIP trunks of customers. Origination addresses and allowed networks are JSON arrays; the password is sealed.

CREATE TABLE sip_trunks (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    transfers TEXT NOT NULL,
    transfer_caller_id TEXT NOT NULL,
    origination TEXT NOT NULL,
    allowed_ips TEXT NOT NULL,
    username TEXT NOT NULL,
    sealed_password TEXT NOT NULL,
    password_last4 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX sip_trunks_by_username ON sip_trunks (username);
CREATE INDEX sip_trunks_by_account ON sip_trunks (account_id, id);

-- Moves with every change of any of them, so that every node sees that there was one without reading them all.
CREATE TABLE sip_trunk_changes (
    only_one BIGINT PRIMARY KEY,
    changes BIGINT NOT NULL
) {clustered};
INSERT INTO sip_trunk_changes (only_one, changes) VALUES (1, 0);
