//! What is kept, and how: transactions on SQLite or PostgreSQL, and the queries by aggregate.
//!
//! In: domain values. Out: domain values. Never here: HTTP, carriers, decisions that belong to the domain.

pub mod accounts;
pub mod agents;
pub mod audit_log;
pub mod call_flow;
pub mod calls;
pub mod campaigns;
pub mod carrier_releases;
pub mod contact_cards;
pub mod contacts;
pub mod conversations;
pub mod deliveries;
pub mod delivery_work;
pub mod engine;
mod error;
pub mod feedback;
pub mod guards;
pub mod idempotency;
pub mod inbound_parts;
pub mod inventory;
pub mod leases;
pub mod ledger;
pub mod mails;
pub mod media;
pub mod message_flow;
pub mod messages;
mod migrate;
pub mod numbers;
pub mod opt_outs;
pub mod outcomes;
pub mod pacers;
pub mod payers;
pub mod privacy;
pub mod purchases;
pub mod rate_buckets;
pub mod renewals;
pub mod sandbox_world;
mod scope;
pub mod send_jobs;
pub mod sent_parts;
pub mod sign_ups;
pub mod sip_trunks;
pub mod sub_accounts;
mod sums;
pub mod usage;
pub mod verifications;
pub mod webhooks;

pub use engine::{Engine, OpenSqliteError, Sql, SqlMany, Store, Tx};
pub use error::StoreError;
pub use migrate::migrate;
pub use scope::{Page, Scope, Window};

/// Every statement that an engine is given, for the tests that PREPARE and EXPLAIN them.
#[must_use]
pub fn every_statement(engine: Engine) -> Vec<Sql> {
    let for_many = [
        agents::STATEMENTS_FOR_MANY,
        call_flow::STATEMENTS_FOR_MANY,
        campaigns::STATEMENTS_FOR_MANY,
        deliveries::STATEMENTS_FOR_MANY,
        delivery_work::STATEMENTS_FOR_MANY,
        inbound_parts::STATEMENTS_FOR_MANY,
        guards::STATEMENTS_FOR_MANY,
        ledger::STATEMENTS_FOR_MANY,
        message_flow::STATEMENTS_FOR_MANY,
        numbers::STATEMENTS_FOR_MANY,
        outcomes::STATEMENTS_FOR_MANY,
        payers::STATEMENTS_FOR_MANY,
        privacy::STATEMENTS_FOR_MANY,
        leases::STATEMENTS_FOR_MANY,
        pacers::STATEMENTS_FOR_MANY,
        sandbox_world::STATEMENTS_FOR_MANY,
        send_jobs::STATEMENTS_FOR_MANY,
        sent_parts::STATEMENTS_FOR_MANY,
        webhooks::STATEMENTS_FOR_MANY,
    ];
    let texts = |many: SqlMany| match engine {
        Engine::Sqlite => vec![many.one],
        Engine::Postgres => vec![many.one, many.all],
    };
    let mut all = for_one();
    all.extend(for_many.concat().into_iter().flat_map(texts));
    all
}

fn for_one() -> Vec<Sql> {
    [
        accounts::STATEMENTS,
        agents::STATEMENTS,
        audit_log::STATEMENTS,
        call_flow::STATEMENTS,
        calls::STATEMENTS,
        campaigns::STATEMENTS,
        carrier_releases::STATEMENTS,
        contact_cards::STATEMENTS,
        contacts::STATEMENTS,
        conversations::STATEMENTS,
        deliveries::STATEMENTS,
        delivery_work::STATEMENTS,
        guards::STATEMENTS,
        feedback::STATEMENTS,
        idempotency::STATEMENTS,
        inventory::STATEMENTS,
        inbound_parts::STATEMENTS,
        leases::STATEMENTS,
        rate_buckets::STATEMENTS,
        ledger::STATEMENTS,
        mails::STATEMENTS,
        media::STATEMENTS,
        messages::STATEMENTS,
        numbers::STATEMENTS,
        opt_outs::STATEMENTS,
        outcomes::STATEMENTS,
        privacy::STATEMENTS,
        pacers::STATEMENTS,
        purchases::STATEMENTS,
        renewals::STATEMENTS,
        sandbox_world::STATEMENTS,
        send_jobs::STATEMENTS,
        sent_parts::STATEMENTS,
        sub_accounts::STATEMENTS,
        sign_ups::STATEMENTS,
        sip_trunks::STATEMENTS,
        sums::STATEMENTS,
        usage::STATEMENTS,
        verifications::STATEMENTS,
        webhooks::STATEMENTS,
    ]
    .concat()
}
