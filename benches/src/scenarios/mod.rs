//! What is measured, one scenario a file, and in which order.

mod accept;
mod calls;
mod filled;
mod inbound;
mod life;
mod numbers;
mod shaped;
mod smpp;
mod soak;
mod webhooks;

use std::fmt;

use crate::postgres::Cluster;
use crate::server::{Data, POSTGRES, SQLITE};
use crate::table::Table;

/// What scenarios share.
pub struct Bench {
    pub table: Table,
    /// Started when it is first needed.
    pub cluster: Option<Cluster>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Accept,
    Inbound,
    Webhooks,
    Numbers,
    Life,
    Shaped,
    Smpp,
    Calls,
    Filled,
    Soak,
}

const SCENARIOS: [(&str, Scenario); 10] = [
    ("accept", Scenario::Accept),
    ("inbound", Scenario::Inbound),
    ("webhooks", Scenario::Webhooks),
    ("numbers", Scenario::Numbers),
    ("life", Scenario::Life),
    ("shaped", Scenario::Shaped),
    ("smpp", Scenario::Smpp),
    ("calls", Scenario::Calls),
    ("filled", Scenario::Filled),
    ("soak", Scenario::Soak),
];
const ENGINES: [(&str, Engine); 2] = [("sqlite", Engine::Sqlite), ("postgres", Engine::Postgres)];

/// A scenario on an engine.
#[derive(Debug, Clone, Copy)]
pub struct Step(Scenario, Engine);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {:?}", self.0, self.1)
    }
}

/// The steps that the arguments name; `None` where one is neither a scenario nor an engine.
pub fn plan(arguments: &[String]) -> Option<Vec<Step>> {
    let (mut engines, mut scenarios) = (Vec::new(), Vec::new());
    for argument in arguments {
        let engine = ENGINES.iter().find(|(name, _)| name == argument);
        let scenario = SCENARIOS.iter().find(|(name, _)| name == argument);
        engines.extend(engine.map(|(_, engine)| *engine));
        scenarios.extend(scenario.map(|(_, scenario)| *scenario));
        engine.map(|_| ()).or(scenario.map(|_| ()))?;
    }
    if engines.is_empty() {
        engines = ENGINES.map(|(_, engine)| engine).to_vec();
    }
    if scenarios.is_empty() {
        scenarios = SCENARIOS.map(|(_, scenario)| scenario).to_vec();
        scenarios.retain(|scenario| !matches!(scenario, Scenario::Filled | Scenario::Soak));
    }
    Some(scenarios.iter().flat_map(|scenario| engines.iter().map(|engine| Step(*scenario, *engine))).collect())
}

pub async fn run(bench: &mut Bench, Step(scenario, engine): Step) {
    let data = bench.data(engine).await;
    match scenario {
        Scenario::Accept => accept::run(&mut bench.table, &data, "").await,
        Scenario::Inbound => inbound::run(&mut bench.table, &data, "").await,
        Scenario::Webhooks => webhooks::run(&mut bench.table, &data, "").await,
        Scenario::Numbers => numbers::run(&mut bench.table, &data, "").await,
        Scenario::Life => life::run(&mut bench.table, &data).await,
        Scenario::Shaped => shaped::run(&mut bench.table, &data).await,
        Scenario::Smpp => smpp::run(&mut bench.table, &data).await,
        Scenario::Calls => calls::run(&mut bench.table, &data).await,
        Scenario::Filled => filled::run(&mut bench.table, &data).await,
        Scenario::Soak => soak::run(&mut bench.table, &data).await,
    }
}

/// What can only be said when all is measured.
pub fn conclude(bench: &mut Bench) {
    for store in [SQLITE, POSTGRES] {
        filled::compare(&mut bench.table, store);
    }
}

impl Bench {
    async fn data(&mut self, engine: Engine) -> Data {
        match engine {
            Engine::Sqlite => Data::sqlite().await,
            Engine::Postgres => Data::postgres(self.cluster.get_or_insert_with(Cluster::start)).await,
        }
    }
}
