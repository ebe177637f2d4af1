//! `POST /v1/agents`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::agent::{Agent, AgentProfile};
use offhook_domain::{AgentId, Id};

use super::AgentView;
use super::profile::CreateAgent;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::once::{Once, Reply};

/// Creates an agent.
#[utoipa::path(
    post,
    path = "/v1/agents",
    operation_id = "createAgent",
    tag = "Agents",
    request_body = CreateAgent,
    responses(
        (status = 200, body = AgentView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateAgent>,
) -> Result<Response, ApiError> {
    let (now, account) = (app.now(), caller.account.clone());
    let mut agent = Agent {
        id: AgentId::generate(now),
        account_id: account.clone(),
        name: input.name,
        profile: AgentProfile::default(),
        created_at: now,
    };
    input.rest.apply(&mut agent)?;
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        scope.insert_agent(&agent).await?;
        Reply::ok(&super::show(&mut scope, agent.clone()).await?)
    })
    .await
}
