//! PostgreSQL's protocol (version 3, without TLS), as far as a proxy must know it; and cuts at a chosen message of a
//! chosen transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Cutting, End, Judge, Message, Protocol, Verdict};

const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
/// What a client may send in place of a start-up: requests for TLS and for GSS encryption, answered by one byte.
const NEGOTIATIONS: [u32; 2] = [80_877_103, 80_877_104];

/// One connection.
#[derive(Debug, Default)]
pub struct PostgresWire {
    /// The start-up message has come: from here on messages have a type.
    started: bool,
    /// Answers of one byte that are due.
    single_bytes: usize,
    /// The text of each prepared statement.
    statements: HashMap<Vec<u8>, String>,
}

impl Protocol for PostgresWire {
    fn length(&self, sender: End, bytes: &[u8]) -> Option<usize> {
        if sender == End::Server && self.single_bytes > 0 {
            return (!bytes.is_empty()).then_some(1);
        }
        let typed = usize::from(sender == End::Server || self.started);
        let length = bytes.get(typed..typed + 4)?;
        let whole = typed + u32::from_be_bytes(length.try_into().ok()?) as usize;
        (bytes.len() >= whole).then_some(whole)
    }

    /// The words are the SQL of `Query`, `Parse` and `Bind`.
    fn read(&mut self, sender: End, message: &[u8]) -> (String, i64) {
        match sender {
            End::Client if !self.started => (String::new(), self.start(message)),
            End::Client => self.read_typed(message),
            End::Server if self.single_bytes > 0 => {
                self.single_bytes -= 1;
                (String::new(), -1)
            }
            // ReadyForQuery ends the answer to everything up to one Sync or Query.
            End::Server => (String::new(), if message[0] == b'Z' { -1 } else { 0 }),
        }
    }
}

impl PostgresWire {
    fn start(&mut self, message: &[u8]) -> i64 {
        let code = message.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
        if code.is_some_and(|code| NEGOTIATIONS.contains(&code)) {
            self.single_bytes += 1;
        } else {
            self.started = true;
        }
        1
    }

    fn read_typed(&mut self, message: &[u8]) -> (String, i64) {
        let body = &message[5..];
        match message[0] {
            b'Q' => (text(body).0, 1),
            b'S' | b'F' => (String::new(), 1),
            b'P' => {
                let (name, rest) = split(body);
                let sql = text(rest).0;
                self.statements.insert(name.to_vec(), sql.clone());
                (sql, 0)
            }
            b'B' => {
                let (_portal, rest) = split(body);
                (self.statements.get(split(rest).0).cloned().unwrap_or_default(), 0)
            }
            _ => (String::new(), 0),
        }
    }
}

/// Up to the first zero byte, and what is behind it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

fn text(bytes: &[u8]) -> (String, &[u8]) {
    let (text, rest) = split(bytes);
    (String::from_utf8_lossy(text).into_owned(), rest)
}

/// The first statement of a transaction, by which it is recognised: its SQL, and the message that binds its parameters.
#[derive(Debug, Clone, Copy)]
pub struct FirstStatement<'a> {
    pub sql: &'a str,
    pub bind: &'a [u8],
}

impl FirstStatement<'_> {
    /// Whether a text is among its parameters.
    #[must_use]
    pub fn is_given(&self, parameter: &str) -> bool {
        self.bind.windows(parameter.len()).any(|window| window == parameter.as_bytes())
    }
}

/// Which message of a transaction, counted from BEGIN (1) to COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Before(usize),
    After(usize),
}

/// What has been seen so far of the transactions that are meant.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    messages: Arc<AtomicUsize>,
    cut: Arc<AtomicBool>,
}

impl Seen {
    /// How many messages the longest had, BEGIN and COMMIT included.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Whether one came to the place where it was to be cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Cuts the connection of the first transaction that `is_it` recognises and that comes so far, at one of its messages.
/// Judges clients that send BEGIN together with the first statement, and prepare that before.
pub fn cut_transaction(
    is_it: impl Fn(&FirstStatement<'_>) -> bool + Send + 'static,
    place: Place,
    cutting: Cutting,
) -> (impl Judge, Seen) {
    let seen = Seen::default();
    let mut judging =
        Judging { is_it, place, cutting, begun: HashMap::new(), count: 0, found: None, seen: seen.clone() };
    (move |message: &Message<'_>| judging.judge(message), seen)
}

struct Judging<F> {
    is_it: F,
    place: Place,
    cutting: Cutting,
    /// The length of the BEGIN that is on hold, by connection.
    begun: HashMap<usize, usize>,
    /// The connection of the transaction under way that is meant, and how many of its messages came.
    found: Option<usize>,
    count: usize,
    seen: Seen,
}

impl<F: Fn(&FirstStatement<'_>) -> bool> Judging<F> {
    fn judge(&mut self, message: &Message<'_>) -> Verdict {
        if message.sender == End::Server || self.seen.is_cut() {
            return Verdict::Pass;
        }
        let is_query = |sql: &str| message.bytes[0] == b'Q' && message.text == sql;
        match self.found {
            Some(connection) if connection == message.connection => {
                let over = is_query(COMMIT) || is_query(ROLLBACK);
                self.found = self.found.filter(|_| !over);
                self.next(message.bytes.len(), 0)
            }
            Some(_) => Verdict::Pass,
            None if message.bytes[0] == b'Q' && message.text.starts_with(BEGIN) => {
                self.begun.insert(message.connection, message.bytes.len());
                Verdict::Hold
            }
            None => match self.begun.remove(&message.connection) {
                Some(begin) if (self.is_it)(&FirstStatement { sql: message.text, bind: message.bytes }) => {
                    (self.found, self.count) = (Some(message.connection), 0);
                    match self.next(begin, message.bytes.len()) {
                        Verdict::Pass => self.next(message.bytes.len(), 0),
                        cut => cut,
                    }
                }
                _ => Verdict::Pass,
            },
        }
    }

    /// The next message of the transaction, of this length, with so many bytes behind it that are judged with it.
    fn next(&mut self, length: usize, behind: usize) -> Verdict {
        self.count += 1;
        self.seen.messages.fetch_max(self.count, Ordering::Relaxed);
        let kept_back = match self.place {
            Place::Before(nth) if nth == self.count => behind + length,
            Place::After(nth) if nth == self.count => behind,
            _ => return Verdict::Pass,
        };
        self.seen.cut.store(true, Ordering::Relaxed);
        Verdict::Cut(Cutting { kept_back, ..self.cutting })
    }
}

#[cfg(test)]
mod tests;
