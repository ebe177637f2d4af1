//! A call of ours, up to the commit: who calls whom is checked, and the call is kept as `queued`. Placing it is the
//! exchange's (`jobs/lead_calls.rs`).

use offhook_domain::agent::VoiceMode;
use offhook_domain::call::{CallDirection, CallStatus};
use offhook_domain::ledger::Book;
use offhook_domain::number::Number;
use offhook_domain::{AccountId, AgentId, CallId, E164, Id, Micros, NumberId, destinations};
use offhook_store::call_flow::NewCall;
use offhook_store::{StoreError, Tx};

use super::App;
use super::guards::{Guarding, SpendLimitReached};
use super::host_calls::LASTING;
use super::lead_call::CallOptions;
use super::send_message::SendRefused;

/// What a client wants.
#[derive(Debug, Clone)]
pub struct CallWanted {
    pub account: AccountId,
    pub agent: AgentId,
    pub to: E164,
    pub from: Option<NumberId>,
    pub options: CallOptions,
    /// The built-in model is to talk, whatever the agent has.
    pub hosted: bool,
    /// JSON.
    pub metadata: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CallRefused {
    #[error("agent not found")]
    NoSuchAgent,
    #[error("phone number not found")]
    NoSuchNumber,
    #[error("the agent has no number to call from: attach one or name fromNumberId")]
    AgentHasNoNumber,
    #[error("the number is attached to another agent")]
    NumberOfAnotherAgent,
    #[error("the number is released and can't call any more")]
    NumberReleased,
    #[error("the agent has no webhook that answers the call: set one for it or for the account")]
    NoWebhook,
    #[error("the built-in model is not available here yet: let a webhook answer (voiceMode webhook, no systemPrompt)")]
    HostedUnavailable,
    #[error("calls are switched off here ([voice] enabled)")]
    VoiceOff,
    #[error("{0} is an emergency, service or crisis line: agents may not call it")]
    ServiceLine(String),
    #[error("{0} is blocked here: it is dear, or in a country that is not called")]
    DestinationBlocked(String),
    #[error("toNumber is the calling number itself")]
    ToItself,
    #[error("the account has as many calls at a time as it may: {0}")]
    TooManyCalls(u32),
    #[error("the balance does not cover a call: {0} at least")]
    InsufficientBalance(Micros),
    #[error(transparent)]
    SpendLimitReached(#[from] SpendLimitReached),
}

/// Keeps a call that is to be placed.
///
/// # Errors
/// [`StoreError`]; inside, why it is refused, and then nothing was kept.
pub async fn place_call(
    app: &App,
    tx: &mut Tx,
    wanted: &CallWanted,
) -> Result<Result<CallId, CallRefused>, StoreError> {
    let from = match check(app, tx, wanted).await? {
        Ok(from) => from,
        Err(refused) => return Ok(Err(refused)),
    };
    let at = app.now();
    let id = CallId::generate(at);
    let options = wanted.options.kept();
    let call = NewCall {
        id: &id,
        agent_id: Some(&wanted.agent),
        number_id: Some(&from.id),
        phone_number: from.phone_number.as_str(),
        from: from.phone_number.as_str(),
        to: wanted.to.as_str(),
        direction: CallDirection::Outbound,
        status: CallStatus::Queued,
        at,
        voice_mode: VoiceMode::Webhook.as_str(),
        carrier: &from.carrier,
        metadata: wanted.metadata.as_deref(),
        options: options.as_deref(),
        node: &app.node,
        lasting: LASTING,
    };
    tx.of(&wanted.account).insert_call(&call).await?;
    Ok(Ok(id))
}

async fn check(app: &App, tx: &mut Tx, wanted: &CallWanted) -> Result<Result<Number, CallRefused>, StoreError> {
    if !app.config.voice.enabled {
        return Ok(Err(CallRefused::VoiceOff));
    }
    if let Err(refused) = check_destination(app, &wanted.to) {
        return Ok(Err(refused));
    }
    let mut scope = tx.of(&wanted.account);
    let Some(agent) = scope.agent(&wanted.agent).await? else { return Ok(Err(CallRefused::NoSuchAgent)) };
    let from = match &wanted.from {
        Some(id) => scope.number(id).await?.ok_or(CallRefused::NoSuchNumber),
        None => {
            let numbers = scope.numbers_of_agent(&agent.id).await?;
            numbers.into_iter().find(Number::is_active).ok_or(CallRefused::AgentHasNoNumber)
        }
    };
    let from = match from {
        Ok(number) if !number.is_active() => return Ok(Err(CallRefused::NumberReleased)),
        Ok(number) if number.agent_id.as_ref().is_some_and(|owner| *owner != agent.id) => {
            return Ok(Err(CallRefused::NumberOfAnotherAgent));
        }
        Ok(number) if number.phone_number == wanted.to => return Ok(Err(CallRefused::ToItself)),
        Ok(number) => number,
        Err(refused) => return Ok(Err(refused)),
    };
    if wanted.hosted || agent.profile.voice_mode == VoiceMode::Hosted {
        return Ok(Err(CallRefused::HostedUnavailable));
    }
    if scope.webhook_for(Some(&agent.id)).await?.is_none() {
        return Ok(Err(CallRefused::NoWebhook));
    }
    let most = app.config.limits.concurrent_calls;
    if scope.calls_alive().await? >= i64::from(most) {
        return Ok(Err(CallRefused::TooManyCalls(most)));
    }
    can_pay(app, tx, wanted).await.map(|paid| paid.map(|()| from))
}

/// A minute of it must be there, so that no call ends before it has begun.
async fn can_pay(app: &App, tx: &mut Tx, wanted: &CallWanted) -> Result<Result<(), CallRefused>, StoreError> {
    let prices = app.prices();
    let least = prices.voice_minute.max(prices.call_least);
    if least.is_zero() {
        return Ok(Ok(()));
    }
    if tx.of(&wanted.account).balance(Book::Wallet).await? < least {
        return Ok(Err(CallRefused::InsufficientBalance(least)));
    }
    let spent = Guarding::of(&app.config).may_spend(tx, &wanted.account, least, app.now()).await?;
    Ok(spent.map_err(CallRefused::from))
}

/// Whether a call may be handed over to what an agent has as its transfer number: a number, or a SIP address.
pub fn may_be_handed_to(app: &App, to: &str) -> bool {
    let user = to.split_once(':').map_or(to, |(_, rest)| rest.split(['@', ';']).next().unwrap_or_default());
    match E164::parse(user) {
        Ok(number) => check_destination(app, &number).is_ok(),
        Err(_) => !destinations::calls_for_help(user),
    }
}

fn check_destination(app: &App, to: &E164) -> Result<(), CallRefused> {
    if destinations::is_service_line(to.as_str()) {
        return Err(CallRefused::ServiceLine(to.to_string()));
    }
    match Guarding::of(&app.config).check_destination(to.as_str()) {
        Ok(()) => Ok(()),
        Err(SendRefused::ServiceLine(line)) => Err(CallRefused::ServiceLine(line)),
        Err(_) => Err(CallRefused::DestinationBlocked(to.to_string())),
    }
}
