//! `GET /sandbox/calls/{id}/events`

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;

use super::find;
use crate::app::App;
use crate::app::sandbox_calls::handsets::{HandsetCall, Heard};
use crate::http::error::{ApiError, ErrorEnvelope};

/// What a handset hears of its call, as server-sent events: all that it heard, and then what comes.
#[utoipa::path(
    get,
    path = "/sandbox/calls/{id}/events",
    operation_id = "sandboxCallEvents",
    tag = "Sandbox",
    security(()),
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(State(app): State<App>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let events = unfold((find(&app, &id)?, 0, VecDeque::new()), next);
    let heartbeat = KeepAlive::new().interval(Duration::from_secs(15)).text("heartbeat");
    Ok(Sse::new(events).keep_alive(heartbeat).into_response())
}

type Following = (Arc<HandsetCall>, usize, VecDeque<Heard>);

async fn next((call, mut place, mut ready): Following) -> Option<(Result<Event, Infallible>, Following)> {
    if ready.is_empty() {
        ready.extend(call.next(place).await);
    }
    let heard = ready.pop_front()?;
    place = heard.place + 1;
    let event = Event::default().event(heard.kind).data(serde_json::to_string(&heard).unwrap_or_default());
    Some((Ok(event), (call, place, ready)))
}
