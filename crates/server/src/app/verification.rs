//! Whose a phone number is: a code is texted there, and entered by whoever has the phone.
//!
//! The text goes the way of every message, at its price. The code is kept as a hash; where messages are shown it is masked
//! (`one_time_code`).

use offhook_domain::phone::LineType;
use offhook_domain::{AccountId, Destination, E164, Id, NumberId, Timestamp, VerificationId, one_time_code};
use offhook_store::numbers::NumberSought;
use offhook_store::{StoreError, Tx};
use serde::Serialize;

use super::accepting::{Answer, Wanted};
use super::codes::{self, LIFE, Limit, TRIES, TooMany};
use super::send_message::Order;
use super::{App, codes::generate};
use crate::http::error::ApiError;
use crate::http::once::{Once, Reply};

/// A code on its way.
#[derive(Debug, Clone, Serialize)]
pub struct SentCode {
    pub verification_id: VerificationId,
    pub expires_at: Timestamp,
}

/// What came of entering a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    pub verified: bool,
    pub tries_left: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum SendCodeError {
    #[error("the account has no number to send a code from: get one first")]
    NoNumber,
    #[error("{0} is a premium number: no code is sent there")]
    Premium(E164),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The message was not accepted, or the request can't be made under its key.
    #[error("not sent")]
    Refused(ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ApiError> for SendCodeError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CheckCodeError {
    #[error("verification not found")]
    NoSuchVerification,
    #[error("the code has expired: have another one sent")]
    Expired,
    #[error("the code has been used: have another one sent")]
    Used,
}

/// Texts a code. The row is kept before the message is accepted: a code that arrives can always be entered.
///
/// # Errors
/// [`SendCodeError`].
pub async fn send_code(app: &App, account: AccountId, to: E164, once: &Once) -> Result<Answer, SendCodeError> {
    if to.line_type() == LineType::Premium {
        return Err(SendCodeError::Premium(to));
    }
    let (now, code) = (app.now(), generate());
    let sent = SentCode { verification_id: VerificationId::generate(now), expires_at: now.plus(LIFE) };
    let number = match keep(app, &account, &to, &code, &sent, once).await? {
        Kept::Fresh(number) => number,
        Kept::Before(reply) => return Ok(Answer::Replayed(reply)),
    };
    let order = Order {
        account,
        agent: None,
        sender: NumberSought::Id(number),
        to: Destination::Phone(to),
        body: one_time_code::text(&code),
        media_urls: Vec::new(),
    };
    let show = Box::new(move |_: &_| Reply::ok(&sent));
    Ok(app.accepting.accept(Wanted { app: app.clone(), order, once: once.clone(), show }).await?)
}

enum Kept {
    /// The number to send from.
    Fresh(NumberId),
    Before(Reply),
}

async fn keep(
    app: &App,
    account: &AccountId,
    to: &E164,
    code: &str,
    sent: &SentCode,
    once: &Once,
) -> Result<Kept, SendCodeError> {
    let (account, once, sent, now) = (account.clone(), once.clone(), sent.clone(), app.now());
    let hash = app.sealer.hash_code(sent.verification_id.as_str(), code);
    let settings = &app.config.verification;
    let limits = [
        Limit::of("codes of this account", account.as_str(), settings.per_account_per_hour, &app.sealer),
        Limit::of("codes for this number", to.as_str(), settings.per_destination_per_hour, &app.sealer),
    ];
    let kept = async move |tx: &mut Tx| {
        if let Some(reply) = once.look(tx, &account, now).await? {
            return Ok(Ok(Kept::Before(reply)));
        }
        let Some(number) = tx.of(&account).first_number().await? else { return Ok(Err(SendCodeError::NoNumber)) };
        // Counted also where the message is refused behind this: whoever has no money must not find out for free how many
        // are left.
        if let Err(too_many) = codes::count(tx, &limits, now).await? {
            return Ok(Err(too_many.into()));
        }
        tx.of(&account).insert_verification(&sent.verification_id, &hash, now, sent.expires_at).await?;
        Ok::<_, SendCodeError>(Ok(Kept::Fresh(number)))
    };
    app.store.write(kept).await?
}

/// Checks a code within the caller's transaction. A try is taken before the code is looked at, so that however many are
/// entered at once, no more than five are looked at, and one of them is right at most.
///
/// # Errors
/// [`StoreError`]; the transaction must then be given up.
pub async fn check_code(
    app: &App,
    tx: &mut Tx,
    account: &AccountId,
    id: &VerificationId,
    code: &str,
) -> Result<Result<Checked, CheckCodeError>, StoreError> {
    let now = app.now();
    let mut scope = tx.of(account);
    let has_try = scope.try_verification(id, TRIES, now).await?;
    let Some(found) = scope.verification(id).await? else { return Ok(Err(CheckCodeError::NoSuchVerification)) };
    if found.verified_at.is_some() {
        return Ok(Err(CheckCodeError::Used));
    }
    if found.expires_at <= now {
        return Ok(Err(CheckCodeError::Expired));
    }
    let verified = has_try && app.sealer.is_code(id.as_str(), code, &found.code_hash);
    if verified {
        scope.verified(id, now).await?;
    }
    Ok(Ok(Checked { verified, tries_left: TRIES - found.tries }))
}
