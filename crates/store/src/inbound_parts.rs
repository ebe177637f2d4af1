//! Texts that come in parts, until they are whole; and texts in one piece, until their carrier can't bring them again.
//!
//! In: what arrived. Out: which text it belongs to, and that text once it is whole. Never here: what octets mean.

use std::collections::{BTreeSet, HashMap};

use offhook_domain::Timestamp;

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;

/// Texts that are looked at together, at most.
const LOOKED_AT: i64 = 1_000;

statements! {
    OLD = "SELECT text_id FROM inbound_parts WHERE carrier = $1 AND at < $2 ORDER BY at LIMIT $3";
    PARTS = "SELECT text_key, text_id, part, total, digest, sender, receiver, coding, octets FROM inbound_parts
        WHERE carrier = $1 AND text_id = $2 ORDER BY part";
    FORGET_PIECES = "DELETE FROM inbound_parts WHERE carrier = $1 AND at < $2 AND total = 1";
    OF_PERSON = "SELECT carrier, text_id, text_key FROM inbound_parts WHERE receiver = $1 AND sender = $2 AND total > 1";
    FORGET_HEAD = "DELETE FROM inbound_texts WHERE carrier = $1 AND text_key = $2";
    FORGET_HEADS = "DELETE FROM inbound_texts WHERE carrier = $1 AND at < $2";
    HOLD = "INSERT INTO inbound_texts (carrier, text_key, at) VALUES ($1, $2, $3)
        ON CONFLICT (carrier, text_key) DO UPDATE SET at = excluded.at";
}

statements_for_many! {
    OF_KEY = {
        one: "SELECT text_key, text_id, part, total, digest, sender, receiver, coding, octets FROM inbound_parts
            WHERE carrier = $1 AND text_key = $2 ORDER BY at",
        all: "SELECT e.n, p.* FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (carrier, text_key, n)
            CROSS JOIN LATERAL (SELECT i.text_key, i.text_id, i.part, i.total, i.digest, i.sender, i.receiver,
                i.coding, i.octets FROM inbound_parts i
                WHERE i.carrier = e.carrier AND i.text_key = e.text_key ORDER BY i.at OFFSET 0) p",
    };
    KEEP = {
        one: "INSERT INTO inbound_parts (carrier, text_id, part, total, text_key, digest, sender, receiver, coding,
            octets, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        all: "INSERT INTO inbound_parts (carrier, text_id, part, total, text_key, digest, sender, receiver, coding,
            octets, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[],
                $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::BIGINT[]) ON CONFLICT DO NOTHING",
    };
    SETTLE = {
        one: "UPDATE inbound_parts SET digest = '!' || digest WHERE carrier = $1 AND text_id = $2 AND part = $3
            AND digest NOT LIKE '!%'",
        all: "UPDATE inbound_parts p SET digest = '!' || p.digest
            FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) AS e (carrier, text_id, part)
            WHERE p.carrier = e.carrier AND p.text_id = e.text_id AND p.part = e.part AND p.digest NOT LIKE '!%'",
    };
    FORGET = {
        one: "DELETE FROM inbound_parts WHERE carrier = $1 AND text_id = $2",
        all: "DELETE FROM inbound_parts p USING unnest($1::TEXT[], $2::TEXT[]) AS e (carrier, text_id)
            WHERE p.carrier = e.carrier AND p.text_id = e.text_id",
    };
}

/// Before the digest of a part that its peer can't bring again.
const SETTLED: char = '!';

/// A part of a text, or a text in one piece, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedPart {
    /// The id its text gets, where it is the first of it.
    pub id: String,
    pub text_key: String,
    /// Equal where everything is equal.
    pub digest: String,
    /// It is no repeat.
    pub fresh: bool,
    pub sender: String,
    pub receiver: String,
    pub total: u32,
    pub piece: TextPiece,
    pub at: Timestamp,
}

/// A part's own share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPiece {
    /// From 1 on.
    pub number: u32,
    pub coding: String,
    /// Hexadecimal.
    pub octets: String,
}

/// A text as far as its parts have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartedText {
    pub id: String,
    pub sender: String,
    pub receiver: String,
    pub total: u32,
    /// In order.
    pub pieces: Vec<TextPiece>,
}

impl PartedText {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.pieces.len() == self.total as usize
    }
}

/// A text with the digests of its parts.
struct Known {
    text: PartedText,
    digests: HashMap<u32, String>,
}

impl Known {
    fn add(&mut self, piece: TextPiece, digest: String) {
        self.digests.insert(piece.number, digest);
        self.text.pieces.push(piece);
        self.text.pieces.sort_by_key(|piece| piece.number);
    }
}

impl Tx {
    /// Keeps parts; of each, in order, the text it belongs to. A part is the same again where its text has it already, and
    /// another text's where that has another in its place, or is whole and can't be brought again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_arrived_parts(
        &mut self,
        carrier: &str,
        arrived: &[ArrivedPart],
    ) -> Result<Vec<PartedText>, StoreError> {
        // In one order for every transaction, so that two of them can't wait for each other (PostgreSQL).
        let held: BTreeSet<_> = arrived.iter().filter(|one| one.total > 1).map(|one| (&one.text_key, one.at)).collect();
        let held: std::collections::BTreeMap<_, _> = held.into_iter().collect();
        for (key, at) in held {
            self.run(HOLD, params![carrier, key, at]).await?;
        }
        let asked: BTreeSet<&String> =
            arrived.iter().filter(|one| !one.fresh || one.total > 1).map(|one| &one.text_key).collect();
        let found = self.rows_each(OF_KEY, asked.iter().map(|key| params![carrier, *key]).collect()).await?;
        let mut known: HashMap<String, Vec<Known>> = HashMap::new();
        for (key, rows) in asked.into_iter().zip(found) {
            known.insert(key.clone(), read_texts(rows)?);
        }
        let (mut fresh, mut texts) = (Vec::new(), Vec::with_capacity(arrived.len()));
        for one in arrived {
            let of_key = known.entry(one.text_key.clone()).or_default();
            let (text, is_new) = place(of_key, one);
            if is_new {
                fresh.push((text.id.clone(), one));
            }
            texts.push(text);
        }
        let each = fresh.iter().map(|(id, one)| {
            // The words of a text in one piece go on at once, and need not be kept here.
            let octets = if one.total > 1 { one.piece.octets.as_str() } else { "" };
            let (number, total) = (one.piece.number, one.total);
            let (key, digest, coding) = (&one.text_key, &one.digest, &one.piece.coding);
            params![carrier, id, number, total, key, digest, &one.sender, &one.receiver, coding, octets, one.at]
        });
        self.run_each(KEEP, each.collect()).await?;
        Ok(texts)
    }

    /// Notes that parts, by text and number, can't be brought again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle_parts(&mut self, carrier: &str, parts: &[(String, u32)]) -> Result<(), StoreError> {
        self.run_each(SETTLE, parts.iter().map(|(id, number)| params![carrier, id, *number]).collect()).await
    }

    /// Forgets texts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_texts(&mut self, carrier: &str, ids: &[String]) -> Result<(), StoreError> {
        self.run_each(FORGET, ids.iter().map(|id| params![carrier, id]).collect()).await
    }

    /// Forgets the parts of what somebody wrote to a number, with their words, whether their texts are whole or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_parts_of(&mut self, receiver: &str, sender: &str) -> Result<(), StoreError> {
        let mut found = BTreeSet::new();
        for mut row in self.rows(OF_PERSON, params![receiver, sender]).await? {
            let (carrier, id, key): (String, String, String) = (row.take()?, row.take()?, row.take()?);
            found.insert((carrier, key, id));
        }
        for (carrier, key, id) in found {
            // First the row that whoever adds a part holds, as he takes it first himself.
            self.run(FORGET_HEAD, params![&carrier, &key]).await?;
            self.forget_texts(&carrier, &[id]).await?;
        }
        Ok(())
    }

    /// Texts some part of which came before then and that are not whole. What is as old and whole is forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished_texts(&mut self, carrier: &str, before: Timestamp) -> Result<Vec<PartedText>, StoreError> {
        self.run(FORGET_PIECES, params![carrier, before]).await?;
        self.run(FORGET_HEADS, params![carrier, before]).await?;
        let mut ids = BTreeSet::new();
        for mut row in self.rows(OLD, params![carrier, before, LOOKED_AT]).await? {
            ids.insert(row.take::<String>()?);
        }
        let (mut unfinished, mut whole) = (Vec::new(), Vec::new());
        for id in ids {
            let rows = self.rows(PARTS, params![carrier, &id]).await?;
            for Known { text, .. } in read_texts(rows)? {
                if text.is_whole() { whole.push(text.id) } else { unfinished.push(text) }
            }
        }
        self.forget_texts(carrier, &whole).await?;
        Ok(unfinished)
    }
}

/// The text that a part belongs to, and whether the part is new to it.
fn place(of_key: &mut Vec<Known>, one: &ArrivedPart) -> (PartedText, bool) {
    let number = one.piece.number;
    let is_same = |known: &Known, digest: &str| match digest.strip_prefix(SETTLED) {
        Some(settled) => settled == one.digest && !known.text.is_whole(),
        None => digest == one.digest && !(one.fresh && known.text.is_whole()),
    };
    let fits = |known: &Known| known.digests.get(&number).is_none_or(|digest| is_same(known, digest));
    let at = of_key.iter().rposition(fits).unwrap_or_else(|| {
        let ArrivedPart { id, sender, receiver, total, .. } = one.clone();
        let text = PartedText { id, sender, receiver, total, pieces: Vec::new() };
        of_key.push(Known { text, digests: HashMap::new() });
        of_key.len() - 1
    });
    let known = &mut of_key[at];
    let is_new = !known.digests.contains_key(&number);
    if is_new {
        known.add(one.piece.clone(), one.digest.clone());
    }
    let mut text = known.text.clone();
    if text.total == 1 {
        // Its words were not kept.
        text.pieces = vec![one.piece.clone()];
    }
    (text, is_new)
}

/// The texts in rows, in the order of their first.
fn read_texts(rows: Vec<Row>) -> Result<Vec<Known>, StoreError> {
    let mut all: Vec<Known> = Vec::new();
    for mut row in rows {
        drop(row.take::<String>()?);
        let (id, number, total) = (row.take::<String>()?, row.take::<u32>()?, row.take::<u32>()?);
        let digest = row.take::<String>()?;
        let (sender, receiver) = (row.take()?, row.take()?);
        let piece = TextPiece { number, coding: row.take()?, octets: row.take()? };
        let at = all.iter().position(|known| known.text.id == id).unwrap_or_else(|| {
            let text = PartedText { id, sender, receiver, total, pieces: Vec::new() };
            all.push(Known { text, digests: HashMap::new() });
            all.len() - 1
        });
        all[at].add(piece, digest);
    }
    Ok(all)
}
