//! `/v1/agents/{id}/webhook`: an endpoint of the agent's own, which gets its events instead of the account's.

pub mod delete;
pub mod deliveries;
pub mod get;
pub mod set;
pub mod test;
