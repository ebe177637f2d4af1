//! The API, asked in process through its router, over a database of the test's own: on SQLite, or with
//! `OFFHOOK_TEST_ENGINE=postgres` on PostgreSQL. The modules mirror the API.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod accepting;
mod accounts;
mod agents;
mod app;
mod bootstrap;
mod calls;
mod carriers;
mod carriers_smpp;
mod carriers_telnyx;
mod carriers_twilio;
mod contact_cards;
mod contacts;
mod control;
mod conversations;
mod deliveries;
mod egress;
mod feedback;
mod guards;
mod limits;
mod location;
mod media;
mod messages;
mod model;
mod number_history;
mod numbers;
mod openapi;
mod opt_outs;
mod own_numbers;
mod purchases;
mod rate_limits;
mod registration;
mod renewals;
mod routing;
mod shaping;
mod sign_up;
mod sip_trunks;
mod tenancy;
mod usage;
mod verification;
mod webhooks;
