//! `/sandbox/calls`: calls that handsets of the sandbox make.

pub mod act;
pub mod create;
pub mod events;
pub mod get;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::sandbox_calls::handsets::{HandsetCall, Heard};
use crate::http::error::ApiError;

/// A handset's call, and what it heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandsetCallView {
    id: String,
    from: String,
    to: String,
    over: bool,
    /// In order: `ringing`, `answered`, `says`, `said`, `hushed`, `pressed`, `transferred`, `refused`, `ended`.
    #[schema(value_type = Vec<Object>)]
    heard: Vec<Heard>,
}

impl HandsetCallView {
    fn of(call: &HandsetCall) -> Self {
        Self {
            id: call.id.clone(),
            from: call.from.to_string(),
            to: call.to.to_string(),
            over: call.is_over(),
            heard: call.heard(0),
        }
    }
}

/// The call with this id.
fn find(app: &App, id: &str) -> Result<Arc<HandsetCall>, ApiError> {
    app.handset_calls.get(id).ok_or_else(|| ApiError::not_found("CALL_NOT_FOUND", "call"))
}
