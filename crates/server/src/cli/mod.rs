//! The command line: `offhook serve | dev | phone | listen | keys | carriers | numbers | campaigns | feedback |
//! migrate | openapi | config`.

mod campaigns;
mod carriers;
mod dev;
mod feedback;
mod keys;
mod listen;
pub(crate) mod numbers;
mod phone;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use offhook_domain::SystemClock;
use offhook_store::{OpenSqliteError, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::operator::{OperatorCommand, OperatorReport};
use crate::config::{Config, Purpose};
use crate::lifecycle::Lifecycle;
use crate::startup::StartupError;
use crate::{app, control, http, serve, startup, telemetry};

/// A phone platform for AI agents that you run yourself.
#[derive(Debug, Parser)]
#[command(name = "offhook", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server as configured.
    Serve,
    /// Runs the server in sandbox mode and shows how to begin.
    Dev,
    /// A phone of the sandbox network: text a number, read what came.
    Phone(phone::Phone),
    /// Has events sent to this terminal, and prints them with their signatures checked.
    Listen(listen::Listen),
    /// Makes, lists and revokes API keys.
    Keys(keys::Keys),
    /// Lists and checks carriers, and has nothing more bought from one.
    Carriers(carriers::Carriers),
    /// Takes the operator's own numbers into stock.
    Numbers(numbers::Numbers),
    /// Lists and decides on registrations with the US carriers.
    Campaigns(campaigns::Campaigns),
    /// Lists what customers told of the platform.
    Feedback(feedback::Feedback),
    /// Brings the database's schema up to date, and ends.
    Migrate,
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the configuration's manual: every key with its default.
    Config,
}

/// What a command may end with. Each is shown as it stands.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let reads_terminal = matches!(cli.command, Command::Phone(_));
    let outcome = runtime.block_on(run(cli.command));
    if reads_terminal {
        // A read of the terminal can't be taken back: who was hung up on would have to press Enter.
        runtime.shutdown_background();
    }
    match outcome {
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("offhook: {failure}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve => run_server(Purpose::AsConfigured).await,
        Command::Dev => run_server(Purpose::Dev).await,
        Command::Phone(phone) => phone.run().await,
        Command::Listen(listen) => listen.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Carriers(carriers) => carriers.run().await,
        Command::Numbers(numbers) => numbers.run().await,
        Command::Campaigns(campaigns) => campaigns.run().await,
        Command::Feedback(feedback) => feedback.run().await,
        Command::Migrate => {
            startup::open_store(&Config::from_process(Purpose::AsConfigured)?).await?;
            print("The database is up to date.");
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print(&http::document().to_pretty_json()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Config => {
            print(crate::config::MANUAL);
            print(crate::config::MANUAL_OF_CARRIERS);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Has a command carried out on the database, or by the running server where that has the file.
async fn carry_out<C: Serialize, R: DeserializeOwned>(
    config: &Config,
    command: C,
    run: impl AsyncFnOnce(&Store, C) -> R,
) -> Result<R, Failure> {
    match startup::open_store(config).await {
        Ok(store) => Ok(run(&store, command).await),
        Err(StartupError::Sqlite(OpenSqliteError::InUse { .. })) => {
            let asked = control::ask(&config.storage.data_dir, &command).await;
            Ok(asked.map_err(|error| {
                format!("the server that has the database does not answer on its control socket: {error}")
            })?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn run_server(purpose: Purpose) -> Result<ExitCode, Failure> {
    let config = Config::from_process(purpose)?;
    let telemetry = telemetry::start(&config.logs, &config.telemetry)?;
    let life = Lifecycle::new(config.server.drain);
    let address = config.server.listen;
    let app = startup::open(config).await?;
    // Bound before anything is bought or sold: a taken port must not cost a first start.
    let listener = serve::bind(address).await.map_err(|error| format!("can't listen on {address}: {error}"))?;
    let bound = listener.local_addr()?;
    app.signed_urls.listen_at(&app.config, bound);
    let started = app::bootstrap::run(&app).await?;
    serve::start_workers(&app, &life);
    tracing::info!(%bound, "listening");
    if purpose == Purpose::Dev {
        dev::greet(&app.config.public_url(bound), &started);
    } else if started.key_made
        && let Some(key) = &started.api_key
    {
        print(&format!("API key  {key}  (made by this first start; not shown again)"));
    }
    let stopped = serve::run(app, listener, life).await;
    telemetry.shut_down().await;
    Ok(stopped.exit_code())
}

/// The command line's own voice; logs go to standard error. Somebody who stops listening (`offhook config | head`) has
/// seen enough, which is no error.
fn print(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Does what an operator asks, as [`carry_out`] does.
///
/// # Errors
/// The store can't be opened, or the server does not answer.
async fn ask_operator(config: &Config, command: OperatorCommand) -> Result<OperatorReport, Failure> {
    let run = async |store: &Store, command| app::operator::run(store, &SystemClock::default(), command).await;
    carry_out(config, command, run).await
}

/// A client for a person's own command.
///
/// # Errors
/// There are no root certificates on this machine.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "to a server of the person's own choice")]
fn http_client() -> Result<reqwest::Client, Failure> {
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build()?)
}

/// The body of an answer, or the server's own words where it refuses.
async fn read_json(response: reqwest::Response) -> Result<serde_json::Value, Failure> {
    let status = response.status();
    let body: serde_json::Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let message = body["error"]["message"].as_str().unwrap_or("the server gave no reason");
    Err(format!("{status}: {message}").into())
}
