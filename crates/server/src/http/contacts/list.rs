//! `GET /v1/contacts`

use axum::Json;
use axum::extract::State;
use offhook_store::{Tx, Window};
use utoipa::IntoParams;

use super::ContactView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::page::Listed;
use crate::http::values::{Number, Text};

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContactsQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 50)]
    limit: Number<1, 200>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    offset: Number<0, 1_000_000_000>,
    /// Only contacts whose name or number has this in it, in capitals or not.
    #[param(inline, nullable = false)]
    search: Option<Text<0, 200>>,
}

impl Input for ContactsQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.or("limit", Number(50)),
            offset: fields.or("offset", Number(0)),
            search: fields.optional("search"),
        })
    }
}

/// The account's contacts, the newest first.
#[utoipa::path(
    get,
    path = "/v1/contacts",
    operation_id = "listContacts",
    tag = "Contacts",
    params(ContactsQuery),
    responses(
        (status = 200, body = Listed<ContactView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit, offset or search is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ContactsQuery>,
) -> Result<Json<Listed<ContactView>>, ApiError> {
    let window = Window { limit: query.limit.0, offset: query.offset.0 };
    let search = query.search.map(|text| text.0);
    let find = async move |tx: &mut Tx| tx.of(&caller.account).contacts(search.as_deref(), window).await;
    let page = app.store.read(find).await?;
    Ok(Json(Listed::of(page, window, ContactView::of)))
}
