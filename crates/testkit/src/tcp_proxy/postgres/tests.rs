//! The framing, byte by byte, and the place of a cut, without a server. With a real one: the store's contract tests and
//! the server's fault tests.

use super::super::{Cut, Cutting, End, Judge, Message, Protocol, Verdict};
use super::{FirstStatement, Place, PostgresWire, Seen, cut_transaction};

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

fn untyped(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&length[..], &code.to_be_bytes(), body].concat()
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

fn bind(name: &str, parameter: &str) -> Vec<u8> {
    message(b'B', &[b"\0", name.as_bytes(), b"\0\0\0", parameter.as_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

#[test]
fn messages_are_told_apart_from_the_start_on() {
    let mut wire = PostgresWire::default();
    let said: Vec<(End, Vec<u8>, &str, i64)> = vec![
        (End::Client, untyped(80_877_103, b""), "", 1),
        (End::Server, b"N".to_vec(), "", -1),
        (End::Client, untyped(196_608, b"user\0postgres\0\0"), "", 1),
        (End::Server, message(b'R', &[0, 0, 0, 0]), "", 0),
        (End::Server, message(b'Z', b"I"), "", -1),
        (End::Client, parse("s1", "SELECT $1"), "SELECT $1", 0),
        (End::Client, message(b'D', b"Ss1\0"), "", 0),
        (End::Client, sync(), "", 1),
        (End::Client, query("BEGIN"), "BEGIN", 1),
        (End::Client, bind("s1", "x"), "SELECT $1", 0),
        (End::Client, bind("s2", "x"), "", 0),
        (End::Client, message(b'E', b"\0\0\0\0\0"), "", 0),
    ];
    for (sender, bytes, words, owed) in said {
        for part in 0..bytes.len() {
            assert_eq!(wire.length(sender, &bytes[..part]), None, "{words}");
        }
        let with_more = [&bytes[..], b"more"].concat();
        assert_eq!(wire.length(sender, &with_more), Some(bytes.len()), "{words}");
        assert_eq!(wire.read(sender, &bytes), (words.to_owned(), owed));
    }
}

/// Two connections take turns; on the second is the transaction that is meant.
fn verdicts(place: Place) -> (Vec<Verdict>, Seen) {
    let cutting = Cutting { how: Cut::Reset, kept_back: 0, answered: true, away: false };
    let is_it = |first: &FirstStatement<'_>| first.sql.starts_with("INSERT") && first.is_given("key");
    let (mut judge, seen) = cut_transaction(is_it, place, cutting);
    let mut wires = [PostgresWire::default(), PostgresWire::default()];
    for wire in &mut wires {
        wire.read(End::Client, &untyped(196_608, b"\0"));
        wire.read(End::Client, &parse("s1", "INSERT INTO t VALUES ($1)"));
    }
    let said = [
        (1, query("BEGIN")),
        (2, query("BEGIN")),
        (1, bind("s1", "another")),
        (2, bind("s1", "the key")),
        (2, sync()),
        (1, query("COMMIT")),
        (2, query("COMMIT")),
        (2, query("BEGIN")),
        (2, bind("s1", "the key")),
    ];
    let mut verdicts = Vec::new();
    for (connection, bytes) in said {
        verdicts.push(judge_one(&mut judge, connection, &mut wires[connection - 1], &bytes));
    }
    (verdicts, seen)
}

fn judge_one(judge: &mut impl Judge, connection: usize, wire: &mut PostgresWire, bytes: &[u8]) -> Verdict {
    let (text, _) = wire.read(End::Client, bytes);
    judge(&Message { connection, sender: End::Client, number: 1, before: 0, bytes, text: &text })
}

#[test]
fn a_transaction_is_cut_where_told() {
    let (begin, first, sync_length, commit) =
        (query("BEGIN").len(), bind("s1", "the key").len(), sync().len(), query("COMMIT").len());
    let hold = [Verdict::Hold, Verdict::Hold, Verdict::Pass];
    // The message at which the verdict falls, and how much of what came up to its end is kept back.
    let expected = [
        (Place::Before(1), 3, begin + first),
        (Place::After(1), 3, first),
        (Place::Before(2), 3, first),
        (Place::After(2), 3, 0),
        (Place::Before(3), 4, sync_length),
        (Place::After(3), 4, 0),
        (Place::Before(4), 6, commit),
        (Place::After(4), 6, 0),
    ];
    for (place, at, kept_back) in expected {
        let (verdicts, seen) = verdicts(place);
        assert_eq!(verdicts[..3], hold);
        let cuts: Vec<_> = verdicts
            .iter()
            .enumerate()
            .filter_map(
                |(i, verdict)| if let Verdict::Cut(cutting) = verdict { Some((i, cutting.kept_back)) } else { None },
            )
            .collect();
        assert_eq!(cuts, [(at, kept_back)], "{place:?}");
        let (Place::Before(nth) | Place::After(nth)) = place;
        assert!(seen.is_cut());
        assert_eq!(seen.messages(), nth);
    }
}

#[test]
fn a_place_behind_its_end_is_never_reached() {
    let (verdicts, seen) = verdicts(Place::Before(5));
    assert!(!seen.is_cut() && !verdicts.iter().any(|verdict| matches!(verdict, Verdict::Cut(_))));
    assert_eq!(seen.messages(), 4, "of the longest that is it");
}
