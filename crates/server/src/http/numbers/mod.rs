//! `/v1/numbers`: what an account holds.

pub mod calls;
pub mod contact_card;
pub mod messages;
