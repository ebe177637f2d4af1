//! The message centre of the testkit as a process of its own: `smsc [receipts after so many milliseconds] [--quiet]`.
//!
//! Out, one JSON object a line: its port, and each submission as it stood there; with `--quiet` only the port and, every
//! second, how many were taken. In, one JSON object a line: a text to bring, `{"from", "to", "text", "parts"}`. It ends with
//! its input.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a stand-in for tests, and may stop where it stands"
)]

use std::io::Write as _;
use std::time::Duration;

use offhook_smpp::{Address, Coding, Fragment, Message, Udh, chunks, decode, esm_class, with_udh};
use offhook_testkit::smsc::{Receipts, Smsc};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quiet = arguments.iter().any(|argument| argument == "--quiet");
    let smsc = Smsc::start().await;
    if let Some(wait) = arguments.iter().find_map(|argument| argument.parse().ok()) {
        smsc.behave(|manners| manners.receipts = Receipts::Later(Duration::from_millis(wait)));
    }
    if quiet {
        smsc.forget();
    }
    say(&json!({"port": smsc.port()}));
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let (mut shown, mut reference) = (0, 0);
    loop {
        tokio::select! {
            line = input.next_line() => match line {
                Ok(Some(line)) => bring(&smsc, &serde_json::from_str(&line).unwrap(), &mut reference),
                _ => break,
            },
            () = tokio::time::sleep(Duration::from_secs(1)), if quiet => say(&json!({"taken": smsc.count()})),
            () = tokio::time::sleep(Duration::from_millis(10)), if !quiet => {
                if smsc.count() > shown {
                    let taken = smsc.taken_so_far();
                    taken[shown..].iter().for_each(|one| show(one.id, &one.message));
                    shown = taken.len();
                }
            }
        }
    }
}

fn say(what: &Value) {
    println!("{what}");
    std::io::stdout().flush().unwrap();
}

fn show(id: u64, message: &Message) {
    let octets = message.payload();
    let octets = if message.esm_class & esm_class::UDHI == 0 { octets } else { Udh::read(octets).text };
    let coding = if message.data_coding & 0x0C == 8 { Coding::Ucs2 } else { Coding::Gsm7 };
    let part = Fragment::of(message).map(|part| (part.number, part.total));
    say(&json!({
        "submitted": decode(octets, coding, 0),
        "id": id,
        "part": part,
        "from": message.source.digits,
        "to": message.destination.digits,
    }));
}

fn bring(smsc: &Smsc, what: &Value, reference: &mut u8) {
    let text = what["text"].as_str().unwrap();
    let coding = if Coding::Gsm7.has_all(text) { Coding::Gsm7 } else { Coding::Ucs2 };
    let parts = chunks(text, coding, 6);
    *reference = reference.wrapping_add(1);
    let total = u8::try_from(parts.len()).unwrap();
    // The last comes first: what is put together must not mind.
    for (number, part) in (1..=total).zip(parts).rev() {
        let (esm_class, short_message) = match total {
            1 => (0, part.octets),
            _ => (esm_class::UDHI, with_udh(*reference, total, number, &part.octets)),
        };
        let address = |key: &str| Address::new(1, 1, what[key].as_str().unwrap());
        let (source, destination, data_coding) =
            (address("from"), address("to"), if coding == Coding::Ucs2 { 8 } else { 0 });
        smsc.bring(Message { source, destination, esm_class, data_coding, short_message, ..Message::default() });
    }
}
