//! `offhook campaigns`: registrations that an operator decides on, on the database itself or through the running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offhook_domain::{CampaignId, Id, SystemClock};
use offhook_store::Store;

use super::{Failure, carry_out, print};
use crate::app::registration::{self, CampaignCommand, CampaignReport};
use crate::config::{Config, Purpose};

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
        let run = async |store: &Store, command| registration::run(store, &SystemClock::default(), command).await;
        Ok(show(carry_out(&config, command, run).await?))
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
