//! `DELETE /v1/sub-accounts/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AccountId, E164};
use offhook_store::{Scope, StoreError, Window};

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};
use crate::http::once::{Once, Reply};

/// How many of the numbers that stand in the way are named.
const NAMED: i64 = 10;

/// Closes a sub-account: its keys stop working and nothing can be done in it any more. What was written and paid stays in
/// the books and the log. It must have given up its numbers before, for they would cost on.
#[utoipa::path(
    delete,
    path = "/v1/sub-accounts/{id}",
    operation_id = "closeSubAccount",
    tag = "Sub-accounts",
    params(("id" = String, Path, description = "The sub-account's id")),
    responses(
        (status = 204, description = "Closed"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 404, body = ErrorEnvelope, description = "No such sub-account, or it was closed before"),
        (status = 409, body = ErrorEnvelope, description = "It still holds numbers, which the message names"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AccountId>,
) -> Result<Response, ApiError> {
    let (master, now) = (caller.account.clone(), app.now());
    let answer = once
        .write(&app, &caller, async move |tx| {
            let mut scope = tx.of(&master);
            if scope.close_sub_account(&id, now).await? {
                return Ok(Reply::no_content());
            }
            scope.sub_account(&id).await?.ok_or_else(AccountId::missing)?;
            Err(ApiError::conflict("CONFLICT", in_the_way(&mut tx.of(&id)).await?))
        })
        .await?;
    app.keys.invalidate_all();
    Ok(answer)
}

async fn in_the_way(sub_account: &mut Scope<'_>) -> Result<String, StoreError> {
    let numbers = sub_account.active_numbers(Window { limit: NAMED, offset: 0 }).await?;
    let named: Vec<&str> = numbers.items.iter().map(|number| E164::as_str(&number.phone_number)).collect();
    Ok(if named.is_empty() {
        "the sub-account is buying a number at this moment: try again in a minute".to_owned()
    } else {
        let more = if numbers.total > NAMED { format!(" and {} more", numbers.total - NAMED) } else { String::new() };
        format!("the sub-account still holds numbers, release them first: {}{more}", named.join(", "))
    })
}
