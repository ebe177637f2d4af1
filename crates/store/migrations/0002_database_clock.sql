-- The one clock that all nodes of a database share. Leases end by it: nodes' own clocks may differ by more than a lease.
--
-- {now} becomes the engine's own time of day, in microseconds since 1970 UTC, as of the moment it is asked.

CREATE VIEW database_clock (now) AS SELECT {now};
