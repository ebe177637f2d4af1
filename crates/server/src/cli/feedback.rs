//! `offhook feedback`: what customers told of the platform, from the database itself or through the running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offhook_domain::{FeedbackId, Id};

use super::{Failure, carry_out, print};
use crate::app::opinions::{self, FeedbackCommand, FeedbackReport, MOST, Opinion};
use crate::config::{Config, Purpose};

#[derive(Debug, Args)]
pub struct Feedback {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists what was told, the newest first.
    List {
        /// How much of it.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
        limit: u32,
        /// What was told before this one: the last id of the list so far.
        #[arg(long, value_parser = FeedbackId::parse)]
        before: Option<FeedbackId>,
    },
}

impl Feedback {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::from_process(Purpose::AsConfigured)?;
        let Action::List { limit, before } = self.action;
        let command = FeedbackCommand::List { before, limit };
        Ok(show(carry_out(&config, command, opinions::run).await?))
    }
}

fn show(report: FeedbackReport) -> ExitCode {
    match report {
        FeedbackReport::Listed { opinions } => opinions.iter().for_each(|one| print(&written(one))),
        FeedbackReport::Failed { reason } => {
            eprintln!("offhook: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A line of what it is, and below it what was said.
fn written(opinion: &Opinion) -> String {
    let Opinion { id, account, category, note, request_id, url, tags, created_at } = opinion;
    let mut text = format!("{id}  {account}  {created_at}  {}", harmless(category));
    for tag in tags {
        text.extend(["  #", &harmless(tag)]);
    }
    for about in [request_id, url].into_iter().flatten() {
        text.extend(["  ", &harmless(about)]);
    }
    for line in note.lines() {
        text.extend(["\n    ", &harmless(line)]);
    }
    text
}

/// A customer's words must not steer the operator's terminal, or turn what stands beside them around.
fn harmless(text: &str) -> String {
    let steers = |one: char| {
        one.is_control() || matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|one| if steers(one) { char::REPLACEMENT_CHARACTER } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shown_and_steer_nothing() {
        let opinion = Opinion {
            id: FeedbackId::parse("fb_06ck3v0w2e8zg1m8t4q7x5n9ra").unwrap(),
            account: Id::parse("acct_06ck3v0w2e8zg1m8t4q7x5n9ra").unwrap(),
            category: "bug".to_owned(),
            note: "It rang\r\n\u{1b}[2Jtwice, \u{202e}née.".to_owned(),
            request_id: Some("req_1".to_owned()),
            url: None,
            tags: vec!["bell".to_owned()],
            created_at: "2026-11-25T13:00:00Z".to_owned(),
        };
        let shown = "fb_06ck3v0w2e8zg1m8t4q7x5n9ra  acct_06ck3v0w2e8zg1m8t4q7x5n9ra  2026-11-25T13:00:00Z  bug  #bell  req_1\n    \
            It rang\n    \u{fffd}[2Jtwice, \u{fffd}née.";
        assert_eq!(written(&opinion), shown);
    }
}
