//! `GET /v1/calls/{id}/transcript/stream`

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use offhook_domain::call::{Call, SpokenTurn};
use offhook_domain::{AccountId, CallId, TurnId};
use offhook_store::StoreError;
use serde_json::json;
use tokio::time::Instant;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is said in a call as it is said, as server-sent events: `connected`, then every turn so far, then each `turn` as it
/// comes, last `ended`. Also of a call that is over.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/transcript/stream",
    operation_id = "streamCallTranscript",
    tag = "Calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such call"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller, PathId(id): PathId<CallId>) -> Result<Response, ApiError> {
    let mut following =
        Following { app, account: caller.account, call: id, last: None, ready: VecDeque::new(), over: false };
    following.look().await?.ok_or_else(CallId::missing)?;
    let connected = event("connected", &json!({"callId": following.call}));
    following.ready.push_front(connected);
    let events = unfold(following, |mut following| async move {
        let next = following.next().await?;
        Some((Ok::<_, Infallible>(next), following))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Ok(Sse::new(events).keep_alive(heartbeat).into_response())
}

/// A reader of one call.
struct Following {
    app: App,
    account: AccountId,
    call: CallId,
    /// The last turn that was told.
    last: Option<TurnId>,
    ready: VecDeque<Event>,
    over: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            super::news(&self.app, Instant::now() + HEARTBEAT).await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "a transcript could not be looked at; it is again in a moment");
            }
        }
    }

    /// Puts what is new into the queue; nothing where there is no such call any more.
    async fn look(&mut self) -> Result<Option<()>, StoreError> {
        let found = super::so_far(&self.app, &self.account, &self.call, self.last.as_ref()).await?;
        let Some((call, turns)) = found else {
            self.over = true;
            return Ok(None);
        };
        for turn in turns {
            self.last = Some(turn.id.clone());
            self.ready.push_back(turn_event(&turn));
        }
        if call.status.is_over() {
            self.over = true;
            self.ready.push_back(ended_event(&call));
        }
        Ok(Some(()))
    }
}

fn turn_event(turn: &SpokenTurn) -> Event {
    event(
        "turn",
        &json!({
            "id": turn.id,
            "role": turn.speaker.as_str(),
            "content": turn.content,
            "confidence": turn.confidence,
            "createdAt": turn.at,
        }),
    )
}

fn ended_event(call: &Call) -> Event {
    event(
        "ended",
        &json!({
            "callId": call.id,
            "status": call.status,
            "endReason": call.end_reason,
            "durationSeconds": call.duration_seconds(),
        }),
    )
}

fn event(name: &str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}
