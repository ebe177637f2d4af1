//! `/v1/location`: where the device of a number was last seen, where its carrier can tell.

pub mod get;
pub mod refresh;
