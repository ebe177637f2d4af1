//! All trunks of this installation as one list: the operator's carriers that are reached by SIP, and every customer's.
//!
//! In: the configuration and the store. Out: the list as it is now, told anew whenever it changes, also by another node; and
//! the way of a call from a number. Never here: sockets, or placing a call.

mod door;
mod login;

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use offhook_carriers::SANDBOX;
use offhook_domain::call_routing::{self, CallRoute, TrunkOwner};
use offhook_domain::sip_trunk::{MediaEncryption, OriginationUri, SipTransport, SipTrunk, TransferCallerId, Transfers};
use offhook_domain::{AccountId, Id};
use offhook_store::{StoreError, Tx};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

pub use self::door::SipDoor;
pub use self::login::{Login, Password};
use super::App;
use crate::config::Config;
use crate::config::carriers::{Carrier, Link, Sip, SipRegistration};

/// A way for calls to come in and go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Trunk {
    /// A carrier's name, or the id of a customer's trunk: never the same.
    pub name: String,
    pub owner: TrunkOwner,
    /// Each of these lets calls in; none: only calls out.
    pub ways_in: Vec<WayIn>,
    /// Where calls go out; none: only calls in.
    pub targets: Vec<OriginationUri>,
    /// Who we say we are where they ask.
    pub login: Option<TrunkLogin>,
    /// Over what calls go out; none: as each target says.
    pub transport: Option<SipTransport>,
    pub srtp: MediaEncryption,
    pub registration: Option<SipRegistration>,
    /// What whoever is on the other side may have transferred.
    pub transfers: Transfers,
    pub transfer_caller_id: TransferCallerId,
}

/// What lets a call in: its network, where any is named, and its login, where one is. Never neither.
#[derive(Debug, Clone, PartialEq)]
pub struct WayIn {
    pub networks: Vec<IpNet>,
    pub login: Option<TrunkLogin>,
}

/// A name, and its proof.
#[derive(Clone)]
pub struct TrunkLogin {
    pub username: String,
    pub password: SecretString,
}

impl PartialEq for TrunkLogin {
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl fmt::Debug for TrunkLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrunkLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where a call of ours goes.
#[derive(Debug, Clone, PartialEq)]
pub enum WayOut {
    /// It never leaves this installation.
    Sandbox,
    /// Over these, the best first: at least one.
    Trunks(Vec<Trunk>),
    /// Nobody carries calls of this number.
    None,
}

/// The trunks that this node knows of.
pub struct KnownTrunks {
    all: watch::Sender<Arc<Vec<Trunk>>>,
}

impl Default for KnownTrunks {
    fn default() -> Self {
        Self { all: watch::Sender::new(Arc::default()) }
    }
}

impl KnownTrunks {
    /// As they are now.
    #[must_use]
    pub fn now(&self) -> Arc<Vec<Trunk>> {
        self.all.borrow().clone()
    }

    /// Told of every change. What is there already counts as seen.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Vec<Trunk>>> {
        self.all.subscribe()
    }

    /// The way of a call from a number of `account` that is at home with the carrier `home`.
    #[must_use]
    pub fn way_out(&self, home: &str, account: &AccountId) -> WayOut {
        let all = self.now();
        let candidates: Vec<_> = all.iter().map(Trunk::candidate).collect();
        match call_routing::route(home, SANDBOX, account, &candidates) {
            CallRoute::Sandbox => WayOut::Sandbox,
            CallRoute::None => WayOut::None,
            CallRoute::Trunks(names) => {
                let named = |name: &str| all.iter().find(|trunk| trunk.name == name).cloned();
                WayOut::Trunks(names.into_iter().filter_map(named).collect())
            }
        }
    }

    /// Whether a call that came over one of `trunks` may be for a number of `account` that is at home with `home`: a carrier
    /// brings calls for the numbers that are at home with it or that it carries for, a customer's system for its account's.
    #[must_use]
    pub fn may_bring(&self, trunks: &[String], home: &str, account: &AccountId) -> bool {
        let all = self.now();
        all.iter().filter(|trunk| trunks.contains(&trunk.name)).any(|trunk| match &trunk.owner {
            TrunkOwner::Carrier { name, carries_for, .. } => name == home || carries_for.iter().any(|one| one == home),
            TrunkOwner::Account(owner) => owner == account,
        })
    }

    fn learn(&self, trunks: Vec<Trunk>) {
        self.all.send_if_modified(|known| {
            let differs = **known != trunks;
            if differs {
                *known = Arc::new(trunks);
            }
            differs
        });
    }
}

/// Reads them all, and tells those who listen if anything is new.
///
/// # Errors
/// [`StoreError`].
pub async fn refresh(app: &App) -> Result<(), StoreError> {
    let sip = app.config.carriers.iter().filter_map(|carrier| match &carrier.link {
        // In a sandbox nothing reaches a real phone.
        Link::Sip(link) if !app.config.mode.sandbox => Some((carrier, link)),
        _ => None,
    });
    let names: Vec<String> = sip.clone().map(|(carrier, _)| carrier.name.clone()).collect();
    let find = async move |tx: &mut Tx| {
        let mut drained = Vec::with_capacity(names.len());
        for name in &names {
            drained.push(tx.is_drained(name).await?);
        }
        Ok::<_, StoreError>((drained, tx.all_sip_trunks().await?))
    };
    let (drained, customers) = app.store.read(find).await?;
    let carriers = sip.zip(drained).map(|((carrier, link), drained)| of_carrier(&app.config, carrier, link, drained));
    let customers = customers.into_iter().map(|trunk| of_customer(app, trunk));
    app.trunks.learn(carriers.chain(customers).collect());
    Ok(())
}

impl Trunk {
    fn candidate(&self) -> call_routing::Candidate<'_> {
        call_routing::Candidate { name: &self.name, owner: &self.owner, takes_calls: !self.targets.is_empty() }
    }
}

fn of_carrier(config: &Config, carrier: &Carrier, link: &Sip, is_drained: bool) -> Trunk {
    let login = |pair: &Option<(String, SecretString)>| {
        pair.clone().map(|(username, password)| TrunkLogin { username, password })
    };
    let (networks, inbound) = (link.networks.clone(), login(&link.inbound_login));
    let lets_in = !networks.is_empty() || inbound.is_some();
    Trunk {
        name: carrier.name.clone(),
        owner: TrunkOwner::Carrier {
            name: carrier.name.clone(),
            priority: carrier.terms.priority,
            carries_for: carrier.terms.carries_for.clone(),
            is_drained,
        },
        ways_in: lets_in.then_some(WayIn { networks, login: inbound }).into_iter().collect(),
        targets: link.targets.clone(),
        login: login(&link.login),
        transport: link.transport,
        srtp: link.srtp.unwrap_or(config.voice.media.srtp),
        registration: link.registration.clone(),
        // A carrier transfers nothing: who asks for it over its trunk is whoever called.
        transfers: Transfers::None,
        transfer_caller_id: TransferCallerId::Transferee,
    }
}

/// A customer's system proves itself by its network or by its login, either is enough.
fn of_customer(app: &App, trunk: SipTrunk) -> Trunk {
    let SipTrunk { id, account_id, transfers, transfer_caller_id, origination, allowed_ips, login, .. } = trunk;
    let password = app.sealer.open(&login.sealed_password);
    if let Err(error) = &password {
        tracing::error!(trunk = %id, %error, "the login of a SIP trunk can't be used");
    }
    let login = password.ok().map(|password| TrunkLogin { username: login.username, password: password.into() });
    let networks: Vec<IpNet> = allowed_ips.into_iter().map(|one| one.cidr).collect();
    let by_network = (!networks.is_empty()).then_some(WayIn { networks, login: None });
    let by_login = login.clone().map(|login| WayIn { networks: Vec::new(), login: Some(login) });
    Trunk {
        name: id.as_str().to_owned(),
        owner: TrunkOwner::Account(account_id),
        ways_in: by_network.into_iter().chain(by_login).collect(),
        targets: origination,
        login,
        transport: None,
        srtp: app.config.voice.media.srtp,
        registration: None,
        transfers,
        transfer_caller_id,
    }
}
