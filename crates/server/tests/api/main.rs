//! The API, asked in process through its router, over a database of the test's own: on SQLite, or with
//! `OFFHOOK_TEST_ENGINE=postgres` on PostgreSQL. The modules mirror the API.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod accepting;
mod accounts;
mod agents;
mod app;
mod bootstrap;
mod carriers;
mod contacts;
mod control;
mod conversations;
mod deliveries;
mod egress;
mod feedback;
mod guards;
mod limits;
mod location;
mod messages;
mod model;
mod number_history;
mod numbers;
mod openapi;
mod opt_outs;
mod purchases;
mod rate_limits;
mod registration;
mod renewals;
mod shaping;
mod sign_up;
mod tenancy;
mod usage;
mod verification;
mod webhooks;
