//! `offhook campaigns`: registrations that an operator decides on, on the database itself or through the running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offhook_domain::{CampaignId, Id, SystemClock};
use offhook_store::OpenSqliteError;

use super::{Failure, print};
use crate::app::registration::{self, CampaignCommand, CampaignReport};
use crate::config::{Config, Purpose};
use crate::control;
use crate::startup::{self, StartupError};

#[derive(Debug, Args)]
pub struct Campaigns {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists registrations that are not decided on.
    List {
        /// Decided ones too.
        #[arg(long)]
        all: bool,
    },
    /// Approves a registration: from now on its account's US numbers can send.
    Approve {
        #[arg(value_parser = CampaignId::parse)]
        id: CampaignId,
        /// Of high volume, how far the carriers trust it: low_trust, standard_trust, high_trust or highest_trust.
        #[arg(long)]
        class: Option<String>,
    },
    /// Rejects a registration.
    Reject {
        #[arg(value_parser = CampaignId::parse)]
        id: CampaignId,
        /// Why, in words for the customer.
        #[arg(long)]
        reason: String,
    },
}

impl Campaigns {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::from_process(Purpose::AsConfigured)?;
        let command = match self.action {
            Action::List { all } => CampaignCommand::List { all },
            Action::Approve { id, class } => CampaignCommand::Approve { id, class },
            Action::Reject { id, reason } => CampaignCommand::Reject { id, reason },
        };
        let report = match startup::open_store(&config).await {
            Ok(store) => registration::run(&store, &SystemClock::default(), command).await,
            Err(StartupError::Sqlite(OpenSqliteError::InUse { .. })) => {
                control::ask(&config.storage.data_dir, &command).await.map_err(|error| {
                    format!("the server that has the database does not answer on its control socket: {error}")
                })?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(show(report))
    }
}

fn show(report: CampaignReport) -> ExitCode {
    match report {
        CampaignReport::Listed { campaigns } => {
            for one in campaigns {
                let (id, account, at) = (one.id, one.account, one.submitted_at);
                print(&format!("{id}  {account}  {}  {}  {}  {at}", one.status, one.registered, one.class));
            }
        }
        CampaignReport::Decided { id, status } => print(&format!("{id} is {status}.")),
        CampaignReport::Failed { reason } => {
            eprintln!("offhook: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
