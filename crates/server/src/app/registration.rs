//! Registrations with the US carriers: handed in, decided on. Doors: the API, the carriers, the operator's command.
//!
//! In: a sealed form. Out: what became of it. Never here: what the form must be, which is the API's.

use std::collections::BTreeSet;
use std::time::Duration;

use offhook_carriers::{Registration, SANDBOX, Verdict};
use offhook_domain::campaign::{CampaignClass, CampaignStatus, Decision, OutboundSms, RegistrationType};
use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::{AccountId, CampaignId, Clock, Country, Id, Micros, Timestamp};
use offhook_store::audit_log::{Actor, AuditLine};
use offhook_store::campaigns::{Campaign, Standing};
use offhook_store::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::App;
use super::carriers::seller;
use super::guards::{Guarding, SpendLimitReached};
use crate::config::Config;

/// A carrier that has not decided yet, or can't say, is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How many registrations carriers are asked about in one round.
const IN_A_ROUND: i64 = 20;
/// The most that an operator is shown of one status.
const MOST_LISTED: i64 = 200;

/// What is handed in.
pub struct Entry {
    pub registered: RegistrationType,
    pub sealed_form: String,
    /// Whether an account is to be made for it.
    pub create_sub_account: bool,
    /// What that account is to be called.
    pub name: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the sub-account is closed")]
    AccountClosed,
    #[error("a registration is being looked at: wait until it is decided on")]
    Pending,
    #[error("registration_type can't be changed while the registration is being looked at")]
    TypeWhilePending,
    #[error("this account is registered already; PATCH /v1/register changes what can still be changed")]
    Approved,
    #[error("the balance does not cover the fee of {fee}")]
    InsufficientBalance { fee: Micros },
    #[error(transparent)]
    SpendLimit(#[from] SpendLimitReached),
    #[error("nothing is registered")]
    Nothing,
}

type Handed = Result<(Campaign, Micros), Refused>;

/// Hands a registration in, or a rejected one again; with what it costs now.
///
/// # Errors
/// [`StoreError`].
pub async fn submit(app: &App, tx: &mut Tx, account: &AccountId, entry: Entry) -> Result<Handed, StoreError> {
    if !tx.of(account).lock_open_account().await? {
        return Ok(Err(Refused::AccountClosed));
    }
    match tx.of(account).campaign().await? {
        Some(last) if last.status == CampaignStatus::Pending => return Ok(Err(Refused::Pending)),
        Some(last) if last.status.may_be_resubmitted() && last.submitted_by == *account => {
            return resubmit(app, tx, account, &last, entry).await;
        }
        _ => {}
    }
    let create = entry.create_sub_account;
    if !create && tx.of(account).own_campaign().await?.is_some() {
        return Ok(Err(Refused::Approved));
    }
    let now = app.now();
    let holder = if create { AccountId::generate(now) } else { account.clone() };
    if create {
        let name = entry.name.as_deref().unwrap_or("registered");
        tx.of(account).create_sub_account(&holder, name, now).await?;
    }
    let (carrier, ask_at) = who_decides(app, tx, now).await?;
    let fee = fee_of(app, entry.registered);
    let campaign = Campaign {
        id: CampaignId::generate(now),
        account_id: holder,
        submitted_by: account.clone(),
        registration_type: entry.registered,
        class: entry.registered.class(),
        status: CampaignStatus::Pending,
        reason: None,
        sealed_form: entry.sealed_form,
        fee,
        carrier,
        ask_at,
        submitted_at: now,
        decided_at: None,
    };
    tx.of(account).insert_campaign(&campaign).await?;
    charge(app, tx, account, &campaign, fee).await
}

/// Hands a rejected registration in again. What was paid for it counts.
async fn resubmit(
    app: &App,
    tx: &mut Tx,
    account: &AccountId,
    last: &Campaign,
    entry: Entry,
) -> Result<Handed, StoreError> {
    let now = app.now();
    let (carrier, ask_at) = who_decides(app, tx, now).await?;
    let fee = Micros((fee_of(app, entry.registered).0 - last.fee.0).max(0));
    let campaign = Campaign {
        registration_type: entry.registered,
        class: entry.registered.class(),
        status: CampaignStatus::Pending,
        reason: None,
        sealed_form: entry.sealed_form,
        carrier,
        ask_at,
        submitted_at: now,
        decided_at: None,
        ..last.clone()
    };
    if !tx.of(account).resubmit_campaign(&campaign, fee).await? {
        return Err(tx.met_another("the registration was handed in meanwhile"));
    }
    charge(app, tx, account, &campaign, fee).await
}

/// Changes a registration: a rejected one is handed in again, an approved one keeps its approval, and one that is being
/// looked at is looked at as it is by then.
///
/// # Errors
/// [`StoreError`].
pub async fn change(
    app: &App,
    tx: &mut Tx,
    account: &AccountId,
    id: &CampaignId,
    entry: Entry,
) -> Result<Handed, StoreError> {
    if !tx.of(account).lock_open_account().await? {
        return Ok(Err(Refused::AccountClosed));
    }
    match tx.of(account).campaign().await? {
        Some(last) if last.id != *id || last.submitted_by != *account => Ok(Err(Refused::Nothing)),
        None => Ok(Err(Refused::Nothing)),
        Some(last) => match last.status {
            CampaignStatus::Pending if entry.registered != last.registration_type => Ok(Err(Refused::TypeWhilePending)),
            CampaignStatus::Rejected => resubmit(app, tx, account, &last, entry).await,
            CampaignStatus::Pending | CampaignStatus::Approved => {
                if !tx.of(account).amend_campaign(id, &entry.sealed_form).await? {
                    return Err(tx.met_another("the registration was changed meanwhile"));
                }
                Ok(Ok((last, Micros::ZERO)))
            }
        },
    }
}

/// Takes the fee, which counts towards the day's spending. Refused, the transaction must be given up.
async fn charge(
    app: &App,
    tx: &mut Tx,
    account: &AccountId,
    campaign: &Campaign,
    fee: Micros,
) -> Result<Handed, StoreError> {
    if let Err(reached) = Guarding::of(&app.config).spend(tx, account, fee, campaign.submitted_at).await? {
        return Ok(Err(reached.into()));
    }
    let (kind, reference, at) = (EntryKind::Registration, campaign.id.to_string(), campaign.submitted_at);
    if tx.of(account).post_covered(&Posting { kind, amount: fee, reference, at }).await? {
        Ok(Ok((campaign.clone(), fee)))
    } else {
        Ok(Err(Refused::InsufficientBalance { fee }))
    }
}

fn fee_of(app: &App, registered: RegistrationType) -> Micros {
    let prices = app.config.prices();
    Micros(match registered {
        RegistrationType::SoleProprietor | RegistrationType::StandardBrand => prices.registration_micros,
        RegistrationType::HighVolume => prices.registration_high_volume_micros,
    })
}

/// The carrier that numbers are bought from, and when it is asked first; nobody where there is none.
async fn who_decides(app: &App, tx: &mut Tx, now: Timestamp) -> Result<(String, Option<Timestamp>), StoreError> {
    let seller = seller(tx, &app.carriers, Country::US).await?;
    Ok(match seller {
        Some(carrier) if carrier.name() == SANDBOX => {
            (SANDBOX.to_owned(), Some(now.plus(app.config.registration.sandbox_decides_after)))
        }
        Some(carrier) => (carrier.name().to_owned(), Some(now)),
        None => (String::new(), None),
    })
}

/// Asks carriers about the registrations that they have to decide on. Safe on every node at once: a decision counts once.
///
/// # Errors
/// [`StoreError`].
pub async fn ask_carriers(app: &App) -> Result<(), StoreError> {
    let now = app.now();
    let open = app.store.read::<_, StoreError>(async move |tx| tx.campaigns_to_ask(now, IN_A_ROUND).await).await?;
    for campaign in open {
        let verdict = ask(app, &campaign).await;
        let at = app.now();
        let keep = async move |tx: &mut Tx| match &verdict {
            Verdict::Decided(decision) => tx.decide_campaign(&campaign, decision, at).await.map(drop),
            Verdict::NotYet => tx.ask_on_campaign(&campaign.id, Some(at.plus(ASK_AGAIN))).await,
            Verdict::ForAnOperator => tx.ask_on_campaign(&campaign.id, None).await,
        };
        app.store.write::<_, StoreError>(keep).await?;
    }
    Ok(())
}

async fn ask(app: &App, campaign: &Campaign) -> Verdict {
    let Some(carrier) = app.carriers.named(&campaign.carrier) else { return Verdict::ForAnOperator };
    let form = app.sealer.open(&campaign.sealed_form).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some(form) = form else {
        tracing::error!(campaign = %campaign.id, "the form of a registration can't be opened; an operator has to decide");
        return Verdict::ForAnOperator;
    };
    let registration = Registration { reference: campaign.id.clone(), registered: campaign.registration_type, form };
    carrier.decide(&registration).await.unwrap_or_else(|error| {
        tracing::warn!(campaign = %campaign.id, %error, "the carrier could not be asked about a registration");
        Verdict::NotYet
    })
}

/// Whether a carrier's number of a country may send only under an approved registration.
fn needs_registration(config: &Config, carrier: &str, country: &str) -> bool {
    let rule = &config.registration;
    let is_live = carrier != SANDBOX && !config.mode.sandbox;
    let is_asked = if is_live { rule.required } else { rule.required_in_sandbox };
    is_asked && country == "US"
}

/// What a carrier's number of a country may send, by how its account stands.
#[must_use]
pub fn outbound_sms(config: &Config, carrier: &str, country: &str, standing: Option<&Standing>) -> OutboundSms {
    if needs_registration(config, carrier, country) {
        OutboundSms::by(standing.map(|standing| standing.status))
    } else {
        OutboundSms::Enabled
    }
}

/// What an operator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "campaigns", rename_all = "snake_case")]
pub enum CampaignCommand {
    /// Those that are open, or all of them.
    List {
        all: bool,
    },
    /// Approves one; `class` where it is not the usual one of what was registered.
    Approve {
        id: CampaignId,
        class: Option<String>,
    },
    Reject {
        id: CampaignId,
        reason: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum CampaignReport {
    Listed { campaigns: Vec<ListedCampaign> },
    Decided { id: CampaignId, status: String },
    Failed { reason: String },
}

/// A registration as the operator sees it. The form stays sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedCampaign {
    pub id: CampaignId,
    pub account: AccountId,
    pub registered: String,
    pub class: String,
    pub status: String,
    pub submitted_at: String,
}

/// Carries out a command.
pub async fn run(store: &Store, clock: &dyn Clock, command: CampaignCommand) -> CampaignReport {
    let now = clock.now();
    let done = store.write(async move |tx: &mut Tx| match &command {
        CampaignCommand::List { all } => list(tx, *all).await,
        CampaignCommand::Approve { id, class } => decide(tx, id, Ok(class.as_deref()), now).await,
        CampaignCommand::Reject { id, reason } => decide(tx, id, Err(reason), now).await,
    });
    done.await.unwrap_or_else(|error: StoreError| CampaignReport::Failed { reason: error.to_string() })
}

async fn list(tx: &mut Tx, all: bool) -> Result<CampaignReport, StoreError> {
    use CampaignStatus::{Approved, Pending, Rejected};
    let wanted: &[CampaignStatus] = if all { &[Pending, Approved, Rejected] } else { &[Pending] };
    let mut campaigns = Vec::new();
    for status in wanted {
        let found = tx.campaigns_in(*status, MOST_LISTED).await?;
        campaigns.extend(found.into_iter().map(|campaign| ListedCampaign {
            id: campaign.id,
            account: campaign.account_id,
            registered: campaign.registration_type.as_str().to_owned(),
            class: campaign.class.as_str().to_owned(),
            status: campaign.status.as_str().to_owned(),
            submitted_at: campaign.submitted_at.to_string(),
        }));
    }
    Ok(CampaignReport::Listed { campaigns })
}

/// `Ok` approves, as of a class; `Err` rejects, for a reason.
async fn decide(
    tx: &mut Tx,
    id: &CampaignId,
    verdict: Result<Option<&str>, &String>,
    now: Timestamp,
) -> Result<CampaignReport, StoreError> {
    let failed = |reason: String| Ok(CampaignReport::Failed { reason });
    let Some(campaign) = tx.campaign_by_id(id).await? else { return failed(format!("there is no registration {id}")) };
    let registered = campaign.registration_type;
    let decision = match verdict {
        Err(reason) => Decision::Rejected(reason.clone()),
        Ok(None) => Decision::Approved(registered.class()),
        Ok(Some(class)) => match CampaignClass::parse(class).filter(|class| class.suits(registered)) {
            Some(class) => Decision::Approved(class),
            None => {
                let suits = CampaignClass::ALL.into_iter().filter(|class| class.suits(registered));
                let names: Vec<_> = suits.map(CampaignClass::as_str).collect();
                return failed(format!("a {} can be approved as: {}", registered.as_str(), names.join(", ")));
            }
        },
    };
    if !tx.decide_campaign(&campaign, &decision, now).await? {
        return failed(format!("{id} is {} and not pending", campaign.status.as_str()));
    }
    let (action, target) = match &decision {
        Decision::Approved(class) => ("approveRegistration", format!("{id} as {}", class.as_str())),
        Decision::Rejected(reason) => ("rejectRegistration", format!("{id}: {reason}")),
    };
    // For whose numbers it is, and who handed it in.
    let told = BTreeSet::from([&campaign.account_id, &campaign.submitted_by]);
    for account in told {
        tx.of(account).audit(&AuditLine::of(Actor::CommandLine, action, &target, now)).await?;
    }
    let status = if verdict.is_ok() { CampaignStatus::Approved } else { CampaignStatus::Rejected };
    Ok(CampaignReport::Decided { id: id.clone(), status: status.as_str().to_owned() })
}
