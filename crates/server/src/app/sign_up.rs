//! The first half of a sign-up: somebody names an address, and a code goes there by mail.
//!
//! In: an address and a name for the agent. Out: a sign-up that waits for its code. Its mail is a row of the same
//! transaction, which `jobs::send_mails` sends behind the commit.

use std::net::IpAddr;

use offhook_domain::{Id, Timestamp, VerificationId};
use offhook_store::mails::Mail;
use offhook_store::sign_ups::{SignUp, SignUpState};
use offhook_store::{StoreError, Tx};

use super::App;
use super::codes::{self, LIFE, Limit, TRIES, TooMany};

const SUBJECT: &str = "Your sign-up code";

/// A sign-up that waits for its code.
#[derive(Debug)]
pub struct Asked {
    pub id: VerificationId,
    pub email: String,
    pub expires_at: Timestamp,
}

/// Why no code was sent.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("{0} has an account already")]
    HasAccount(String),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One spelling for one mailbox: without space around it, and in lower case.
#[must_use]
pub fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Begins a sign-up.
///
/// # Errors
/// [`SignUpError`].
pub async fn sign_up(app: &App, email: &str, agent_name: String, from: Option<IpAddr>) -> Result<Asked, SignUpError> {
    let (now, code, email) = (app.now(), codes::generate(), normalised(email));
    let id = VerificationId::generate(now);
    let sign_up = SignUp {
        code_hash: app.sealer.hash_code(id.as_str(), &code),
        id,
        email,
        agent_name,
        tries: 0,
        state: SignUpState::Open,
        expires_at: now.plus(LIFE),
        answer: None,
    };
    let asked = Asked { id: sign_up.id.clone(), email: sign_up.email.clone(), expires_at: sign_up.expires_at };
    let limits = limits(app, &sign_up.email, from);
    let by_mail = app.config.mail.smtp_url.is_some();
    let mail = by_mail.then(|| mail(app, &sign_up, &code, now));
    let kept = async move |tx: &mut Tx| {
        if let Err(too_many) = codes::count(tx, &limits, now).await? {
            return Ok(Some(too_many.into()));
        }
        if tx.has_email(&sign_up.email).await? {
            return Ok(Some(SignUpError::HasAccount(sign_up.email.clone())));
        }
        tx.insert_sign_up(&sign_up, now).await?;
        if let Some(mail) = &mail {
            tx.insert_mail(mail).await?;
        }
        Ok::<_, StoreError>(None)
    };
    if let Some(refused) = app.store.write(kept).await? {
        return Err(refused);
    }
    if by_mail {
        app.wakes.mails.notify_one();
    } else if app.config.mode.sandbox {
        // The one place where a code is logged: nobody outside can come to a sandbox's account this way, for there is no
        // mail server to send it by.
        tracing::info!(verification.id = %asked.id, code, "a sign-up's code, which would be mailed if mail.smtp_url were set");
    }
    Ok(asked)
}

fn mail(app: &App, sign_up: &SignUp, code: &str, now: Timestamp) -> Mail {
    let body = format!(
        "{code} is your code. Enter it within {} minutes; it can be entered {TRIES} times at most.\n\n\
         Whoever asked for it wants to open an account with this address. If that was not you, do nothing.\n",
        LIFE.as_secs() / 60
    );
    Mail {
        id: sign_up.id.clone(),
        recipient: sign_up.email.clone(),
        subject: SUBJECT.to_owned(),
        body: app.sealer.seal(&body),
        due_at: now,
        tries: 0,
        give_up_at: sign_up.expires_at,
    }
}

fn limits(app: &App, email: &str, from: Option<IpAddr>) -> Vec<Limit> {
    let settings = &app.config.sign_up;
    let mut limits = vec![Limit::of_all("sign-ups", settings.per_hour)];
    if let Some(from) = from {
        let from = from.to_string();
        limits.push(Limit::of("sign-ups from your network", &from, settings.per_ip_per_hour, &app.sealer));
    }
    limits.push(Limit::of("sign-ups with this address", email, settings.per_address_per_hour, &app.sealer));
    limits
}
