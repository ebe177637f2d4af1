-- Numbers that the operator brought along, by carrier; and carriers from which nothing more is bought.

CREATE TABLE inventory (
    phone_number TEXT PRIMARY KEY,
    carrier TEXT NOT NULL,
    country TEXT NOT NULL,
    area_code TEXT NOT NULL,
    city TEXT,
    region TEXT,
    postal_code TEXT,
    rate_center TEXT,
    sold BIGINT NOT NULL,
    reference TEXT,
    sold_at BIGINT
) {clustered};
CREATE UNIQUE INDEX inventory_by_reference ON inventory (reference);
CREATE INDEX inventory_in_stock ON inventory (carrier, country, sold, area_code, phone_number);

CREATE TABLE carrier_drains (
    carrier TEXT PRIMARY KEY,
    drained_at BIGINT NOT NULL
) {clustered};
