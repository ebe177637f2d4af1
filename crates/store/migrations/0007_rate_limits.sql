-- How much of a rate is used up: the moment at which a bucket is full again, as all nodes know it.

CREATE TABLE rate_buckets (
    resource TEXT PRIMARY KEY,
    full_at BIGINT NOT NULL
) {clustered};
CREATE INDEX rate_buckets_by_age ON rate_buckets (full_at);
