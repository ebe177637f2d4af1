//! Readers of this crate that take anything from outside, as the fuzz targets call them. In: what came. Out: whether it can
//! be read. Never here: what production calls.

use crate::app::operator::StockRow;
use crate::app::webhook_brain::parse::Parser;
use crate::cli;
use crate::http::extract::read_json;
use crate::http::messages::send::SendMessage;

/// The operator's file of numbers.
///
/// # Errors
/// What is wrong, line by line.
pub fn numbers_csv(text: &str) -> Result<Vec<StockRow>, Vec<String>> {
    cli::numbers::csv::read(text)
}

/// The body of `POST /v1/messages`.
///
/// # Errors
/// The status of the answer.
pub fn send_message(body: &[u8]) -> Result<(), u16> {
    read_json::<SendMessage>(body).map(drop).map_err(|refused| refused.status.as_u16())
}

/// What a webhook answers to a turn of a call, torn into pieces of a size: what is said, pressed and done, as text.
#[must_use]
pub fn webhook_answer(body: &[u8], size: usize) -> Vec<String> {
    let mut parser = Parser::default();
    let mut answers: Vec<_> = body.chunks(size.max(1)).flat_map(|piece| parser.push(piece)).collect();
    answers.extend(parser.finish());
    answers.iter().map(|answer| format!("{answer:?}")).collect()
}
