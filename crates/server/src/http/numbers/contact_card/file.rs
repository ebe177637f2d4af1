//! `GET /media/contact-cards/{file}`: a contact card as a file, for whoever was given its link.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::app::signed_urls::Signed;
use crate::app::{App, contact_card_links};
use crate::http::error::{ApiError, ErrorEnvelope};

/// A number's contact card as a vCard 3.0, as it is now: for whoever has a link, which shareContactCard makes. An Offhook
/// extension.
#[utoipa::path(
    get,
    path = "/media/contact-cards/{file}",
    operation_id = "getContactCardFile",
    tag = "Numbers",
    security(()),
    params(
        ("file" = String, Path, description = "The number's id and .vcf"),
        ("expires" = Option<String>, Query, description = "Until when the link holds"),
        ("signature" = Option<String>, Query, description = "The link's signature"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/vcard"),
        (status = 404, body = ErrorEnvelope, description = "The link is wrong or too old, or the card is gone"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    signed: Result<Query<Signed>, QueryRejection>,
) -> Result<Response, ApiError> {
    // One answer to all that is wrong: it tells nobody what there is.
    let gone = || ApiError::not_found("NOT_FOUND", "file");
    let signed = signed.map(|Query(signed)| signed).unwrap_or_default();
    let file = file.map(|Path(file)| file).unwrap_or_default();
    let card = contact_card_links::card(&app, &file, &signed).await?.ok_or_else(gone)?;
    let heads = [
        (header::CONTENT_TYPE, "text/vcard; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"contact.vcf\""),
        // The link is its holder's: no cache on the way keeps what is behind it.
        (header::CACHE_CONTROL, "private, max-age=0"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((heads, card).into_response())
}
