//! `offhook carriers`: which there are, what is wrong with each, and none that more is bought from.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offhook_carriers::Finding;
use offhook_carriers::smpp::{self, TriedBind};
use offhook_voice::signalling::Pinged;
use tokio::time::{Duration, timeout};

use super::{Failure, ask_operator, print};
use crate::app::networks::sip::ping::ping;
use crate::app::operator::{CarrierCondition, CarrierState, Links, OperatorCommand, OperatorReport};
use crate::config::carriers::{Link, Sip, Smpp};
use crate::config::{Config, Purpose};
use crate::control;
use crate::startup;

/// A carrier that has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct Carriers {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the carriers in the order in which they are asked.
    List,
    /// Asks each carrier whether it lets us in, and whether it will bring us what comes.
    Check {
        /// This one only.
        name: Option<String>,
        /// Puts right what can be: has numbers and profiles call this server.
        #[arg(long)]
        repair: bool,
    },
    /// Has no more numbers bought from a carrier. Those that it has go on to work.
    Drain {
        name: String,
        /// Has numbers bought from it again.
        #[arg(long)]
        undo: bool,
    },
}

impl Carriers {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::from_process(Purpose::AsConfigured)?;
        drop(rustls::crypto::ring::default_provider().install_default());
        match self.action {
            Action::List => list(&config).await,
            Action::Check { name, repair } => check(&config, name.as_deref(), repair).await,
            Action::Drain { name, undo } => {
                named(&config, &name)?;
                let command = OperatorCommand::DrainCarrier { carrier: name.clone(), drained: !undo };
                match ask_operator(&config, command).await? {
                    OperatorReport::Failed { reason } => return Err(reason.into()),
                    _ if undo => print(&format!("Numbers are bought from {name} again.")),
                    _ => print(&format!("No more numbers are bought from {name}; those it has go on to work.")),
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn list(config: &Config) -> Result<ExitCode, Failure> {
    if config.carriers.is_empty() {
        print("No carriers are configured: see `offhook config`.");
        return Ok(ExitCode::SUCCESS);
    }
    let carriers = config.carriers.iter().map(|carrier| carrier.name.clone()).collect();
    let states = states(config, carriers).await?;
    for (carrier, CarrierState { drained, numbers, sold, health, links }) in config.carriers.iter().zip(states) {
        let countries: Vec<&str> = carrier.countries.iter().map(|country| country.as_str()).collect();
        let countries = if countries.is_empty() { "all countries".to_owned() } else { countries.join(", ") };
        let stock = if numbers == 0 { String::new() } else { format!("  {numbers} own numbers, {sold} sold") };
        let state = if drained { "  drained" } else { "" };
        let health = match health {
            None | Some(CarrierCondition::Well) => "",
            Some(CarrierCondition::Trial) => "  takes no messages, is tried with the next",
            Some(CarrierCondition::Ill) => "  takes no messages",
        };
        let links = links.map(|Links { bound, all, .. }| format!("  bound {bound} of {all}")).unwrap_or_default();
        let carries = match carrier.terms.carries_for.as_slice() {
            [] => String::new(),
            names => format!("  carries for {}", names.join(", ")),
        };
        let (name, kind, priority) = (&carrier.name, carrier.link.kind(), carrier.terms.priority);
        print(&format!("{name}  {kind}  priority {priority}  {countries}{carries}{stock}{links}{state}{health}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// How carriers stand; by the running server, who knows more, where it can be asked.
async fn states(config: &Config, carriers: Vec<String>) -> Result<Vec<CarrierState>, Failure> {
    let command = OperatorCommand::CarrierStates { carriers };
    let report = match control::ask(&config.storage.data_dir, &command).await {
        Ok(report) => report,
        Err(_) => ask_operator(config, command).await?,
    };
    match report {
        OperatorReport::States { states } => Ok(states),
        OperatorReport::Failed { reason } => Err(reason.into()),
        _ => Err("the server answered something else".into()),
    }
}

/// Every carrier is asked, whatever is found; any that is wrong makes it a failure.
async fn check(config: &Config, name: Option<&str>, repair: bool) -> Result<ExitCode, Failure> {
    if let Some(name) = name {
        named(config, name)?;
    }
    let mut good = true;
    for carrier in config.carriers.iter().filter(|carrier| name.is_none_or(|name| name == carrier.name)) {
        print(&format!("{} ({})", carrier.name, carrier.link.kind()));
        let connected = match &carrier.link {
            Link::Twilio(link) => startup::connect_twilio(config, &carrier.name, link).map(Some),
            Link::Telnyx(link) => startup::connect_telnyx(config, &carrier.name, link).map(Some),
            Link::Smpp(_) | Link::Sip(_) => Ok(None),
        };
        let checking = async {
            match (connected.map_err(|error| error.to_string())?, &carrier.link) {
                (Some(connected), _) => connected.check(repair).await.map_err(|error| error.to_string()),
                (None, Link::Sip(link)) => check_sip(config, &carrier.name, link).await,
                (None, Link::Smpp(link)) => check_smpp(config, &carrier.name, link).await,
                (None, _) => Ok(Vec::new()),
            }
        };
        let found = timeout(PATIENCE, checking).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        for finding in found.unwrap_or_else(|error| vec![Finding::Bad(error)]) {
            match finding {
                Finding::Good(text) => print(&format!("  ok   {text}")),
                Finding::Bad(text) => {
                    good = false;
                    print(&format!("  BAD  {text}"));
                }
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether it is bound, or can be, and whether it has numbers. A bind of our own is not tried while all of the running server's
/// stand: a message centre may allow no more, and the server's are what counts.
async fn check_smpp(config: &Config, name: &str, link: &Smpp) -> Result<Vec<Finding>, String> {
    let states = states(config, vec![name.to_owned()]).await.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let links = states.iter().find_map(|state| state.links.clone());
    let is_bound = links.as_ref().is_some_and(|links| links.bound == links.all);
    if let Some(Links { bound, all, why_not }) = links {
        let told = why_not.map(|why| format!(": {why}")).unwrap_or_default();
        let told = format!("the running server has {bound} of {all} binds{told}");
        found.push(if is_bound { Finding::Good(told) } else { Finding::Bad(told) });
    }
    if !is_bound {
        let settings = startup::smpp_settings(name, link).map_err(|error| error.to_string())?;
        found.extend(smpp::try_binds(&settings).await.into_iter().map(|tried| told(link, tried)));
    }
    found.extend(states.iter().map(|state| own_numbers(name, state)));
    Ok(found)
}

/// Whether anybody is at its addresses, and whether it has numbers.
#[allow(clippy::disallowed_methods, reason = "the operator's own addresses, of which nothing is asked here")]
async fn check_sip(config: &Config, name: &str, link: &Sip) -> Result<Vec<Finding>, String> {
    let registrar = link.registration.iter().map(|registration| &registration.registrar);
    let mut found = Vec::new();
    for pinged in ping(config, name, link).await.map_err(|error| error.to_string())? {
        found.push(match pinged {
            Pinged { uri, remote: Some(at), status: Some(status) } => {
                Finding::Good(format!("{uri} is at {} and answers (OPTIONS: {status})", at.ip()))
            }
            Pinged { uri, remote: Some(at), status: None } => {
                Finding::Bad(format!("{uri} is at {} and does not answer", at.ip()))
            }
            Pinged { uri, remote: None, .. } => Finding::Bad(format!("{uri}: its host is not found")),
        });
    }
    for address in registrar {
        let host = (address.host().to_owned(), address.port().unwrap_or(5060));
        let uri = address.as_str();
        found.push(match tokio::net::lookup_host(host).await.map(|mut all| all.next()) {
            Ok(Some(first)) => Finding::Good(format!("{uri} is at {}", first.ip())),
            Ok(None) => Finding::Bad(format!("{uri}: its host has no address")),
            Err(error) => Finding::Bad(format!("{uri}: its host is not found: {error}")),
        });
    }
    let states = states(config, vec![name.to_owned()]).await.map_err(|error| error.to_string())?;
    found.extend(states.iter().map(|state| own_numbers(name, state)));
    Ok(found)
}

fn own_numbers(name: &str, state: &CarrierState) -> Finding {
    match state.numbers {
        0 => Finding::Bad(format!("no numbers: `offhook numbers import FILE --carrier {name}` takes yours")),
        all => Finding::Good(format!("{all} numbers of your own, {} of them sold", state.sold)),
    }
}

fn told(link: &Smpp, TriedBind { mode, bound }: TriedBind) -> Finding {
    let (address, tls) = (&link.address, if link.tls { " with TLS" } else { "" });
    match bound {
        // It is the peer's own text.
        Ok(peer) => Finding::Good(format!("{address}{tls} lets us in as {mode}, and calls itself {peer:?}")),
        Err(why) => Finding::Bad(format!("{address}{tls} does not let us in as {mode}: {why}")),
    }
}

/// # Errors
/// There is none of this name.
pub(super) fn named(config: &Config, name: &str) -> Result<(), Failure> {
    if config.carriers.iter().any(|carrier| carrier.name == name) {
        return Ok(());
    }
    let known: Vec<&str> = config.carriers.iter().map(|carrier| carrier.name.as_str()).collect();
    Err(format!("no carrier is called {name}; there are: {}", known.join(", ")).into())
}
