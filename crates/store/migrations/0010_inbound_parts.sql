-- What SMPP carriers must remember: texts that come in parts, and the ids of parts that were sent.

-- Parts of texts as they arrived, and of texts in one piece that they arrived (without their words): by the digest a text
-- is known again when it is brought twice.
CREATE TABLE inbound_parts (
    carrier TEXT NOT NULL,
    -- The id under which the platform gets the text.
    text_id TEXT NOT NULL,
    part BIGINT NOT NULL,
    total BIGINT NOT NULL,
    -- By what the parts of one text know each other.
    text_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    coding TEXT NOT NULL,
    -- Hexadecimal.
    octets TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier, text_id, part)
) {clustered};
CREATE INDEX inbound_parts_by_key ON inbound_parts (carrier, text_key, at);
CREATE INDEX inbound_parts_by_age ON inbound_parts (carrier, at);

-- Whoever adds a part to a text holds its row here, so that one of two who do so at the same time sees the other's.
CREATE TABLE inbound_texts (
    carrier TEXT NOT NULL,
    text_key TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier, text_key)
) {clustered};
CREATE INDEX inbound_texts_by_age ON inbound_texts (carrier, at);

-- The carriers' ids of the parts of messages, and what their receipts say.
CREATE TABLE sent_parts (
    carrier TEXT NOT NULL,
    part_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    -- The id under which the platform knows the whole message.
    whole_id TEXT NOT NULL,
    part BIGINT NOT NULL,
    total BIGINT NOT NULL,
    status TEXT,
    error_code TEXT,
    failure_reason TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier, part_id)
) {clustered};
CREATE INDEX sent_parts_by_message ON sent_parts (message_id, part);
CREATE INDEX sent_parts_by_age ON sent_parts (carrier, at);
