//! What an operator does to carriers and to the stock of numbers. Doors: the command line, directly or through the control
//! socket.

use offhook_carriers::smpp::{LinkState, LinkStatus};
use offhook_domain::circuit::Health;
use offhook_domain::{Clock, Country, E164};
use offhook_store::inventory::StockNumber;
use offhook_store::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::App;

/// What an operator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum OperatorCommand {
    /// Has nothing more bought from a carrier, or has things bought from it again.
    DrainCarrier { carrier: String, drained: bool },
    /// How carriers stand.
    CarrierStates { carriers: Vec<String> },
    /// Takes numbers into a carrier's stock.
    ImportNumbers { carrier: String, numbers: Vec<StockRow> },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum OperatorReport {
    Done,
    /// Of each carrier, in the order asked.
    States {
        states: Vec<CarrierState>,
    },
    /// Those that are in another carrier's stock were left there.
    Imported {
        imported: usize,
        elsewhere: Vec<E164>,
    },
    Failed {
        reason: String,
    },
}

/// How a carrier stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierState {
    pub drained: bool,
    /// Numbers in its stock, and how many of them are sold.
    pub numbers: i64,
    pub sold: i64,
    /// How it is, which only the running server knows.
    #[serde(default)]
    pub health: Option<CarrierCondition>,
    /// Its connections, where it has any, which only the running server knows.
    #[serde(default)]
    pub links: Option<Links>,
}

/// How a carrier's own connections stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    pub bound: usize,
    pub all: usize,
    /// Why one of them is not.
    pub why_not: Option<String>,
}

impl Links {
    /// `None` where there are none.
    fn of(links: &[LinkStatus]) -> Option<Self> {
        let why_not = links.iter().find_map(|link| match &link.state {
            LinkState::Bound => None,
            LinkState::Connecting => Some(format!("the {} is connecting", link.mode)),
            LinkState::Down { reason } => Some(format!("the {}: {reason}", link.mode)),
        });
        let bound = links.iter().filter(|link| link.state == LinkState::Bound).count();
        (!links.is_empty()).then_some(Self { bound, all: links.len(), why_not })
    }
}

/// Whether a carrier takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarrierCondition {
    Well,
    Trial,
    Ill,
}

impl From<Health> for CarrierCondition {
    fn from(health: Health) -> Self {
        match health {
            Health::Well => Self::Well,
            Health::Trial => Self::Trial,
            Health::Ill => Self::Ill,
        }
    }
}

/// A number to take into stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRow {
    pub number: E164,
    pub country: String,
    pub city: Option<String>,
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub rate_center: Option<String>,
}

/// As [`run`], by the server itself.
pub async fn run_here(app: &App, command: OperatorCommand) -> OperatorReport {
    let asked = match &command {
        OperatorCommand::CarrierStates { carriers } => carriers.clone(),
        _ => Vec::new(),
    };
    let mut report = run(&app.store, &*app.clock, command).await;
    if let OperatorReport::States { states } = &mut report {
        for (carrier, state) in asked.iter().zip(states) {
            state.health = Some(app.health.of(carrier, app.now()).into());
            state.links = app.carriers.named(carrier).and_then(|carrier| Links::of(&carrier.links()));
        }
    }
    report
}

/// Does it.
pub async fn run(store: &Store, clock: &dyn Clock, command: OperatorCommand) -> OperatorReport {
    let done = match command {
        OperatorCommand::DrainCarrier { carrier, drained } => {
            let now = clock.now();
            let drain = async move |tx: &mut Tx| match drained {
                true => tx.drain_carrier(&carrier, now).await,
                false => tx.resume_carrier(&carrier).await,
            };
            store.write::<_, StoreError>(drain).await.map(|()| OperatorReport::Done)
        }
        OperatorCommand::CarrierStates { carriers } => states(store, carriers).await,
        OperatorCommand::ImportNumbers { carrier, numbers } => import(store, &carrier, numbers).await,
    };
    done.unwrap_or_else(|error| OperatorReport::Failed { reason: error.to_string() })
}

async fn states(store: &Store, carriers: Vec<String>) -> Result<OperatorReport, StoreError> {
    let look = async move |tx: &mut Tx| {
        let mut states = Vec::with_capacity(carriers.len());
        for carrier in &carriers {
            let drained = tx.is_drained(carrier).await?;
            let (numbers, sold) = tx.count_stock(carrier).await?;
            states.push(CarrierState { drained, numbers, sold, health: None, links: None });
        }
        Ok(OperatorReport::States { states })
    };
    store.read(look).await
}

/// All of them in one transaction.
async fn import(store: &Store, carrier: &str, rows: Vec<StockRow>) -> Result<OperatorReport, StoreError> {
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let Ok(country) = Country::parse(&row.country) else {
            return Ok(OperatorReport::Failed { reason: format!("{} is no country", row.country) });
        };
        numbers.push(StockNumber {
            phone_number: row.number,
            carrier: carrier.to_owned(),
            country,
            city: row.city,
            region: row.region,
            postal_code: row.postal_code,
            rate_center: row.rate_center,
        });
    }
    // In one order for every transaction, so that two of them can't wait for each other (PostgreSQL).
    numbers.sort_by(|a, b| a.phone_number.cmp(&b.phone_number));
    let keep = async move |tx: &mut Tx| {
        let mut elsewhere = Vec::new();
        for number in &numbers {
            if !tx.import_number(number).await? {
                elsewhere.push(number.phone_number.clone());
            }
        }
        Ok(OperatorReport::Imported { imported: numbers.len() - elsewhere.len(), elsewhere })
    };
    store.write(keep).await
}
