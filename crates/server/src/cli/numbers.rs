//! `offhook numbers import`: a file of the operator's own numbers into the stock of a carrier.

pub(crate) mod csv;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::carriers::named;
use super::{Failure, ask_operator, print};
use crate::app::operator::{OperatorCommand, OperatorReport};
use crate::config::carriers::Link;
use crate::config::{Config, Purpose};

/// Numbers of one transaction, and of one line through the control socket.
const AT_A_TIME: usize = 200;

#[derive(Debug, Args)]
pub struct Numbers {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Takes numbers into the stock of a carrier that sells none itself. Again for one that is there: its place is brought
    /// up to date.
    Import {
        /// CSV with a line of names first: number, and if you like country, city, state, zip, rate_center.
        file: PathBuf,
        /// The carrier they are reached by.
        #[arg(long)]
        carrier: String,
    },
}

/// Whether a carrier sells what is in our stock.
///
/// # Errors
/// It sells its own: what is imported for it could never be bought.
fn sells_ours(config: &Config, carrier: &str) -> Result<(), Failure> {
    match config.carriers.iter().find(|one| one.name == carrier).map(|one| &one.link) {
        Some(link @ (Link::Twilio(_) | Link::Telnyx(_))) => {
            let kind = link.kind();
            Err(format!("{carrier} is of the kind {kind}, which sells its own numbers: nothing is imported for it")
                .into())
        }
        Some(Link::Smpp(_) | Link::Sip(_)) | None => Ok(()),
    }
}

impl Numbers {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Action::Import { file, carrier } = self.action;
        let config = Config::from_process(Purpose::AsConfigured)?;
        named(&config, &carrier)?;
        sells_ours(&config, &carrier)?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let rows = csv::read(&text).map_err(|errors| format!("{}:\n  {}", file.display(), errors.join("\n  ")))?;
        let (mut all, mut left) = (0, Vec::new());
        for part in rows.chunks(AT_A_TIME) {
            let command = OperatorCommand::ImportNumbers { carrier: carrier.clone(), numbers: part.to_vec() };
            match ask_operator(&config, command).await? {
                OperatorReport::Imported { imported, elsewhere } => {
                    all += imported;
                    left.extend(elsewhere);
                }
                OperatorReport::Failed { reason } => {
                    return Err(format!("{reason} ({all} numbers are in stock; import the file again)").into());
                }
                _ => return Err("the server answered something else".into()),
            }
        }
        print(&format!("{all} numbers are in the stock of {carrier}."));
        for number in &left {
            eprintln!("offhook: {number} is in another carrier's stock and was left there");
        }
        Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
