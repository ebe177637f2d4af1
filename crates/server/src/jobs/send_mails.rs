//! Sends the mails that were written with a transaction, once it is committed, again and again until they are of no use.
//!
//! Any node may send any of them: each is claimed first. A mail may arrive twice where an answer is lost, never not at all
//! while its server can be reached.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use offhook_domain::Id;
use offhook_store::mails::Mail;
use offhook_store::{StoreError, Tx};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::app::App;

type Smtp = AsyncSmtpTransport<Tokio1Executor>;

/// How often the worker looks for itself.
const LOOK: Duration = Duration::from_secs(5);
const AT_A_TIME: i64 = 20;
/// How long the server may take for one command.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one mail may take in all.
const WHOLE: Duration = Duration::from_secs(30);
/// Whoever has claimed a mail has this long for it.
const CLAIM: Duration = Duration::from_secs(60);
/// The wait after the first try, which doubles with every other.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs until asked to stop. Without a mail server there is nothing to do.
///
/// # Errors
/// Never: what fails is logged and done again.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    let Some(smtp) = transport(&app) else {
        stop.cancelled().await;
        return Ok(());
    };
    while !stop.is_cancelled() {
        match round(&app, &smtp).await {
            // There may be more of it.
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "mails could not be looked at; it goes on in a moment"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.wakes.mails.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(())
}

fn transport(app: &App) -> Option<Smtp> {
    let url = app.config.mail.smtp_url.as_ref()?;
    // The configuration was checked with it.
    Some(Smtp::from_url(url.expose_secret()).ok()?.timeout(Some(PATIENCE)).build())
}

/// Sends what is due; tells how many mails came to their end.
async fn round(app: &App, smtp: &Smtp) -> Result<usize, StoreError> {
    let now = app.now();
    let due = app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.mails_due(now, AT_A_TIME).await).await?;
    let each = futures_util::future::join_all(due.into_iter().map(|mail| claim_and_send(app, smtp, mail))).await;
    Ok(each.into_iter().collect::<Result<Vec<bool>, _>>()?.into_iter().filter(|ended| *ended).count())
}

async fn claim_and_send(app: &App, smtp: &Smtp, mail: Mail) -> Result<bool, StoreError> {
    let (claimed, until) = (mail.clone(), app.now().plus(CLAIM));
    if !app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.claim_mail(&claimed, until).await).await? {
        return Ok(false);
    }
    if mail.give_up_at <= app.now() {
        tracing::warn!(mail.id = %mail.id, mail.tries, "a mail could not be sent in time and is given up");
        return forget(app, &mail).await;
    }
    match send(app, smtp, &mail).await {
        Ok(()) => forget(app, &mail).await,
        Err(NotSent::ForGood(why)) => {
            tracing::warn!(mail.id = %mail.id, why, "a mail was refused and is given up");
            forget(app, &mail).await
        }
        Err(NotSent::ForNow(why)) => {
            tracing::warn!(mail.id = %mail.id, mail.tries, why, "a mail could not be sent; it is tried again");
            let wait = FIRST_WAIT.saturating_mul(1 << mail.tries.min(10)).min(LONGEST_WAIT);
            let (id, later) = (mail.id.clone(), app.now().plus(wait));
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.defer_mail(&id, later).await).await?;
            Ok(false)
        }
    }
}

async fn forget(app: &App, mail: &Mail) -> Result<bool, StoreError> {
    let id = mail.id.clone();
    app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.forget_mail(&id).await).await?;
    Ok(true)
}

/// Why a mail was not sent. What the server said is told without the address it may repeat.
enum NotSent {
    ForGood(String),
    ForNow(String),
}

async fn send(app: &App, smtp: &Smtp, mail: &Mail) -> Result<(), NotSent> {
    let message = write(app, mail).map_err(|why| NotSent::ForGood(why.to_owned()))?;
    match tokio::time::timeout(WHOLE, smtp.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(NotSent::ForGood(told(&error))),
        Ok(Err(error)) => Err(NotSent::ForNow(told(&error))),
        Err(_) => Err(NotSent::ForNow("the server took too long".to_owned())),
    }
}

fn write(app: &App, mail: &Mail) -> Result<Message, &'static str> {
    let from: Mailbox = app.config.mail.from.parse().map_err(|_| "mail.from is no address")?;
    let to: Mailbox = mail.recipient.parse().map_err(|_| "the address can't be written to")?;
    let body = app.sealer.open(&mail.body).map_err(|_| "the mail was sealed with another key")?;
    let domain = from.email.domain().to_owned();
    let message = Message::builder()
        .from(from)
        .to(to)
        .subject(&mail.subject)
        // The same at every try, so that a mail that came twice can be told.
        .message_id(Some(format!("<{}@{domain}>", mail.id.as_str())))
        .header(ContentType::TEXT_PLAIN);
    message.body(body).map_err(|_| "the mail can't be written")
}

fn told(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("the server said {code}"),
        None if error.is_timeout() => "the server took too long".to_owned(),
        None if error.is_tls() => "no secure connection to the server".to_owned(),
        None => "the server can't be reached, or is not understood".to_owned(),
    }
}
