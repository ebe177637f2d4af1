//! `offhook keys`: on the database itself, or through the running server where that has the file.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offhook_domain::{AccountId, ApiKeyId, Id, SystemClock};
use offhook_store::Store;

use super::{Failure, carry_out, print};
use crate::app::api_keys::{self, KeyCommand, KeyReport, ListedKey};
use crate::config::{Config, Purpose};

#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
    /// The account; the first one where none is named. Accounts are made by the first start, by sign-up, and, below one of
    /// them, by `POST /v1/sub-accounts`; `GET /v1/account` tells a key its own.
    #[arg(long, global = true, value_parser = parse_id::<AccountId>)]
    account: Option<AccountId>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key and shows it this once.
    Create {
        /// What it is for.
        #[arg(long, default_value = "made on the command line")]
        name: String,
        /// What it may do, of read, messages, calls, numbers and admin: `--scopes read,messages`. Everything without this.
        #[arg(long)]
        scopes: Option<String>,
        /// A live key, `sk_live_…`; without this the mode of the installation decides.
        #[arg(long)]
        live: bool,
    },
    /// Lists keys, revoked ones too.
    List,
    /// Stops a key from working. Other nodes notice within a second.
    Revoke {
        #[arg(value_parser = parse_id::<ApiKeyId>)]
        id: ApiKeyId,
    },
}

fn parse_id<I: Id>(text: &str) -> Result<I, String> {
    I::parse(text).map_err(|error| error.to_string())
}

impl Keys {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::from_process(Purpose::AsConfigured)?;
        let account = self.account;
        let command = match self.action {
            Action::Create { name, scopes, live } => {
                KeyCommand::Create { name, scopes, account, sandbox: !live && !is_live(&config) }
            }
            Action::List => KeyCommand::List { account },
            Action::Revoke { id } => KeyCommand::Revoke { id, account },
        };
        let run = async |store: &Store, command| api_keys::run(store, &SystemClock::default(), command).await;
        Ok(show(carry_out(&config, command, run).await?))
    }
}

/// `offhook dev` runs in sandbox mode whatever is configured, so only an explicit live set-up makes live keys.
fn is_live(config: &Config) -> bool {
    !config.mode.sandbox && std::env::var_os("OFFHOOK_CONFIG").is_some()
}

fn show(report: KeyReport) -> ExitCode {
    match report {
        KeyReport::Created { id, account, secret } => {
            print(&format!("{secret}\n\nKey {id} of account {account}. It is shown this once; only its hash is kept."));
        }
        KeyReport::Listed { keys } => {
            for key in keys {
                let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
                let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
                let ListedKey { id, hint, created_at, scopes, name, .. } = key;
                print(&format!("{id}  {hint}  {created_at}  {state}  {scopes}  {used}  {name}"));
            }
        }
        KeyReport::Revoked { id } => print(&format!("{id} is revoked.")),
        KeyReport::Failed { reason } => {
            eprintln!("offhook: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
