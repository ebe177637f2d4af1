//! The sandbox network's memory: the numbers it sold, what is in the air, what virtual handsets hold.
//!
//! It belongs to no account: a real network would keep it elsewhere.

use offhook_domain::message::Direction;
use offhook_domain::{E164, PurchaseId, Timestamp};

use crate::engine::{IntoValue, Row, Tx, Value, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::{Page, Window};

/// How many numbers one look-up asks about.
const ASKED: usize = 20;

statements! {
    SELL = "INSERT INTO sandbox_numbers (phone_number, reference, sold_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    SOLD_TO = "SELECT 1 FROM sandbox_numbers WHERE phone_number = $1 AND reference = $2";
    SOLD_UNDER = "SELECT phone_number FROM sandbox_numbers WHERE reference = $1";
    SOLD_AMONG = "SELECT phone_number FROM sandbox_numbers WHERE phone_number IN
        ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    TAKE_BACK = "DELETE FROM sandbox_numbers WHERE phone_number = $1";
    TAKE_BACK_SALE = "DELETE FROM sandbox_numbers WHERE phone_number = $1 AND reference = $2";
    TEXTS = "SELECT id, handset, direction, sender, receiver, body, media_urls, at FROM sandbox_messages
        WHERE handset = $1 ORDER BY at DESC, id DESC LIMIT $2 OFFSET $3";
    COUNT_TEXTS = "SELECT COUNT(*) FROM sandbox_messages WHERE handset = $1";
    DUE = "SELECT id, due_at, payload FROM sandbox_air WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2";
    NEXT_DUE = "SELECT due_at FROM sandbox_air ORDER BY due_at LIMIT 1";
}

statements_for_many! {
    KEEP_TEXT = {
        one: "INSERT INTO sandbox_messages (id, handset, direction, sender, receiver, body, media_urls, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        all: "INSERT INTO sandbox_messages (id, handset, direction, sender, receiver, body, media_urls, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
                $8::BIGINT[]) ON CONFLICT DO NOTHING",
    };
    PUT_IN_AIR = {
        one: "INSERT INTO sandbox_air (id, due_at, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        all: "INSERT INTO sandbox_air (id, due_at, payload)
            SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[]) ON CONFLICT DO NOTHING",
    };
    LAND = {
        one: "DELETE FROM sandbox_air WHERE id = $1",
        all: "DELETE FROM sandbox_air a USING unnest($1::TEXT[]) AS e (id) WHERE a.id = e.id",
    };
    PUT_OFF = {
        one: "UPDATE sandbox_air SET due_at = $1 WHERE id = $2",
        all: "UPDATE sandbox_air a SET due_at = e.due_at FROM unnest($1::BIGINT[], $2::TEXT[]) AS e (due_at, id)
            WHERE a.id = e.id",
    };
}

/// A text as a virtual handset holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandsetText {
    pub id: String,
    /// Whose it is: the receiver where it is inbound, the sender where it is outbound.
    pub handset: String,
    /// As the handset sees it.
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
    pub at: Timestamp,
}

/// Something on its way to the platform, as a text only the sandbox reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Airborne {
    pub id: String,
    pub due_at: Timestamp,
    pub payload: String,
}

impl Tx {
    /// Sells a number unless it is sold; true when it is the buyer's now, also when it was before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sell_sandbox_number(
        &mut self,
        number: &E164,
        reference: &PurchaseId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.change(SELL, params![number, reference, at]).await? == 1 {
            return Ok(true);
        }
        Ok(self.row(SOLD_TO, params![number, reference]).await?.is_some())
    }

    /// The number sold under a reference.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sandbox_number_sold_under(&mut self, reference: &PurchaseId) -> Result<Option<E164>, StoreError> {
        self.row(SOLD_UNDER, params![reference]).await?.map(|mut row| row.take()).transpose()
    }

    /// Those of `numbers` that are sold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sandbox_numbers_sold_among(&mut self, numbers: &[E164]) -> Result<Vec<E164>, StoreError> {
        let mut sold = Vec::new();
        for asked in numbers.chunks(ASKED) {
            // A short chunk is filled up with its last number, which finds nothing twice.
            let values: [Value; ASKED] = std::array::from_fn(|i| asked[i.min(asked.len() - 1)].into_value());
            for mut row in self.rows(SOLD_AMONG, values).await? {
                sold.push(row.take()?);
            }
        }
        Ok(sold)
    }

    /// Takes a number back, sold or not; with a reference only where it was sold under that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_back_sandbox_number(
        &mut self,
        number: &E164,
        reference: Option<&PurchaseId>,
    ) -> Result<(), StoreError> {
        match reference {
            Some(reference) => self.run(TAKE_BACK_SALE, params![number, reference]).await,
            None => self.run(TAKE_BACK, params![number]).await,
        }
    }

    /// Puts texts into handsets. One that holds a text with that id keeps it as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_handset_texts(&mut self, texts: &[HandsetText]) -> Result<(), StoreError> {
        let each = texts.iter().map(|HandsetText { id, handset, direction, from, to, body, media_urls, at }| {
            params![id, handset, direction.as_str(), from, to, body, media_urls.as_slice(), *at]
        });
        self.run_each(KEEP_TEXT, each.collect()).await
    }

    /// What a handset holds, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn handset_texts(&mut self, handset: &str, window: Window) -> Result<Page<HandsetText>, StoreError> {
        let rows = self.rows(TEXTS, params![handset, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read_text).collect::<Result<_, _>>()?;
        let total = self.one(COUNT_TEXTS, params![handset]).await?.take()?;
        Ok(Page { items, total })
    }

    /// Sends things on their way. What is in the air under such an id already stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_in_air(&mut self, things: &[Airborne]) -> Result<(), StoreError> {
        let each = things.iter().map(|thing| params![&thing.id, thing.due_at, &thing.payload]);
        self.run_each(PUT_IN_AIR, each.collect()).await
    }

    /// What should have arrived by `now`, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn air_due(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Airborne>, StoreError> {
        let rows = self.rows(DUE, params![now, limit]).await?;
        let read = |mut row: Row| Ok(Airborne { id: row.take()?, due_at: row.take()?, payload: row.take()? });
        rows.into_iter().map(read).collect()
    }

    /// When the next thing arrives.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_air_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.row(NEXT_DUE, []).await?.map(|mut row| row.take()).transpose()
    }

    /// Takes what arrived out of the air.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn land(&mut self, ids: &[String]) -> Result<(), StoreError> {
        self.run_each(LAND, ids.iter().map(|id| params![id]).collect()).await
    }

    /// Leaves things in the air, to be brought at another time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off(&mut self, ids: &[String], until: Timestamp) -> Result<(), StoreError> {
        self.run_each(PUT_OFF, ids.iter().map(|id| params![until, id]).collect()).await
    }
}

fn read_text(mut row: Row) -> Result<HandsetText, StoreError> {
    Ok(HandsetText {
        id: row.take()?,
        handset: row.take()?,
        direction: read_direction(&row.take::<String>()?)?,
        from: row.take()?,
        to: row.take()?,
        body: row.take()?,
        media_urls: row.take()?,
        at: row.take()?,
    })
}

fn read_direction(text: &str) -> Result<Direction, StoreError> {
    match text {
        "inbound" => Ok(Direction::Inbound),
        "outbound" => Ok(Direction::Outbound),
        other => Err(StoreError::Corrupt(format!("direction {other}"))),
    }
}
