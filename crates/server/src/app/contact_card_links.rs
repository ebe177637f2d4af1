//! Links to contact cards. In: a number, or a link. Out: the link, or the card as a vCard 3.0, as it is now.

use std::time::Duration;

use offhook_domain::{Id, NumberId};
use offhook_store::StoreError;

use super::App;
use super::signed_urls::{Purpose, Signed};

/// How long a link holds: well above what a message may wait for its turn, with the carrier's own tries behind it.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
const FOLDER: &str = "/media/contact-cards/";

/// The link to a number's card, from now on.
#[must_use]
pub fn link_to(app: &App, number: &NumberId) -> String {
    app.signed_urls.sign(Purpose::ContactCard, &format!("{FOLDER}{number}.vcf"), app.now().plus(LIFE))
}

/// The card that a link leads to; `None` where the link is wrong or too old, leads elsewhere, or the card is gone.
///
/// # Errors
/// [`StoreError`].
pub async fn behind_link(app: &App, url: &str) -> Result<Option<String>, StoreError> {
    let Some((path, signed)) = app.signed_urls.of_ours(url) else { return Ok(None) };
    match path.strip_prefix(FOLDER) {
        Some(file) => card(app, file, &signed).await,
        None => Ok(None),
    }
}

/// The card that is served as `file`, to whoever has its signature; `None` as for [`behind_link`].
///
/// # Errors
/// [`StoreError`].
pub async fn card(app: &App, file: &str, signed: &Signed) -> Result<Option<String>, StoreError> {
    let Some(number) = file.strip_suffix(".vcf").and_then(|id| NumberId::parse(id).ok()) else { return Ok(None) };
    if !app.signed_urls.opens(Purpose::ContactCard, &format!("{FOLDER}{number}.vcf"), signed, app.now()) {
        return Ok(None);
    }
    let found = app.store.read::<_, StoreError>(async move |tx| tx.shown_contact_card(&number).await).await?;
    Ok(found.filter(|(_, card)| !card.is_blank()).map(|(number, card)| card.to_vcard(&number)))
}
