//! `/v1/conversations/{id}/background`: the picture behind a conversation, which only iMessage has.

pub mod delete;
pub mod set;
