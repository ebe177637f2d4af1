//! Shaping: when a message may go where the carriers take only so many a second, and only so many segments a day.
//!
//! In: limits, what was taken of them so far, and the time. Out: slots, each a moment at which one message may go, and
//! whether a day has room. No two slots of one limit are nearer to each other than its rate allows, however many take
//! them. A slot that is not used is lost: nothing saves up, so nothing bursts. Never here: who waits, the store, a clock.

mod gates;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::time::Timestamp;
pub use gates::Gates;

/// How far ahead of its slot a message may be claimed.
pub const HORIZON: i64 = 200_000;
/// How far ahead slots are taken: what a crash leaves unused delays others by no more. Whoever has one far ahead keeps his
/// turn among many takers, as in a queue.
pub const AHEAD: i64 = 30_000_000;
/// Of a fast rate a taker gets what goes in this time, though the slots are further ahead than [`HORIZON`]...
const CHUNK: i64 = 100_000;
/// ... and fewer, the further ahead they are: one at a time from here on, so that all takers get alike.
const CROWDED: i64 = 1_000_000;
/// A wide limit gives a slot only where the narrow ones are ready within this: else they would waste its time.
const WASTE: i64 = 5_000;

/// A rate and a daily cap; either may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// Microseconds between messages; zero where there is no rate.
    pub interval: i64,
    pub segments_per_day: Option<i64>,
}

impl Limit {
    /// `thousandths` of messages a second, zero for no rate. Rounded so that the rate is never more than that.
    #[must_use]
    pub const fn new(thousandths: i64, segments_per_day: Option<i64>) -> Self {
        let interval = if thousandths > 0 { (1_000_000_000 + thousandths - 1) / thousandths } else { 0 };
        Self { interval, segments_per_day }
    }

    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.interval == 0 && self.segments_per_day.is_none()
    }
}

/// What was taken of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// The next slot is not before this, in microseconds.
    pub next_at: i64,
    /// The carrier's day that `segments_used` is of.
    pub day: i64,
    pub segments_used: i64,
}

/// What one taker got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reserved {
    /// In order.
    pub slots: Vec<i64>,
    /// Where it wants more: when to come again.
    pub again_at: Option<i64>,
}

/// Takes up to `want` slots that suit all limits. The narrowest (a number's) stands first, the widest (a carrier's) last.
pub fn reserve(paces: &mut [(Limit, Pace)], now: i64, want: usize) -> Reserved {
    let mut reserved = Reserved::default();
    let quota = quota(paces, now);
    while reserved.slots.len() < want {
        let slot = next_slot(paces, now);
        reserved.again_at = if slot > now + AHEAD {
            Some(slot - AHEAD)
        } else if slot > now + HORIZON && reserved.slots.len() >= quota {
            Some(slot - HORIZON)
        } else {
            wasteful(paces, now)
        };
        if reserved.again_at.is_some() {
            break;
        }
        for (limit, pace) in paces.iter_mut().filter(|(limit, _)| limit.interval > 0) {
            pace.next_at = slot + limit.interval;
        }
        reserved.slots.push(slot);
    }
    reserved
}

fn next_slot(paces: &[(Limit, Pace)], now: i64) -> i64 {
    paces.iter().filter(|(limit, _)| limit.interval > 0).map(|(_, pace)| pace.next_at).fold(now, i64::max)
}

/// How many slots a taker may have although they are far ahead.
fn quota(paces: &[(Limit, Pace)], now: i64) -> usize {
    let slowest = paces.iter().map(|(limit, _)| limit.interval).max().unwrap_or(0);
    let crowd = (next_slot(paces, now) - now - HORIZON).clamp(0, CROWDED);
    let fast = if slowest == 0 { i64::MAX } else { CHUNK / slowest };
    usize::try_from(fast.saturating_mul(CROWDED - crowd) / CROWDED).unwrap_or(0).max(1)
}

/// When to come again, where a narrow limit is ready so much later than a wider one that the wider's time would go by.
fn wasteful(paces: &[(Limit, Pace)], now: i64) -> Option<i64> {
    let mut narrow = now;
    for (_, pace) in paces.iter().filter(|(limit, _)| limit.interval > 0) {
        let ready = pace.next_at.max(now);
        if narrow > ready + WASTE {
            return Some(narrow);
        }
        narrow = narrow.max(ready);
    }
    None
}

/// Counts segments on the carrier's day `today`, where all caps have room for them; false and nothing counted where not.
pub fn count(paces: &mut [(Limit, Pace)], today: i64, segments: i64) -> bool {
    // A node whose clock is behind must not begin an old day again.
    let used = |pace: &Pace| if pace.day >= today { pace.segments_used } else { 0 };
    let has_room = |(limit, pace): &(Limit, Pace)| match limit.segments_per_day {
        // What is more than a whole day's goes on a day of its own: else it would never go.
        Some(cap) => used(pace) + segments <= cap || used(pace) == 0,
        None => true,
    };
    if !paces.iter().all(has_room) {
        return false;
    }
    for (_, pace) in paces.iter_mut() {
        pace.segments_used = used(pace) + segments;
        pace.day = pace.day.max(today);
    }
    true
}

/// The days of the carriers, which end at their midnight and not at ours.
#[derive(Debug, Clone)]
pub struct CarrierDays {
    zone: TimeZone,
}

impl CarrierDays {
    /// By the name of a time zone, such as `America/Los_Angeles`; `None` where there is none of that name.
    #[must_use]
    pub fn of(zone: &str) -> Option<Self> {
        TimeZone::get(zone).ok().map(|zone| Self { zone })
    }

    /// From midnight to midnight, UTC.
    #[must_use]
    pub const fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// The day that a moment lies in: the first one ever is 1970-01-01, which is 0.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> i64 {
        self.date(at).duration_since(Date::constant(1970, 1, 1)).as_hours() / 24
    }

    fn date(&self, at: Timestamp) -> Date {
        at.to_jiff().to_zoned_datetime(self.zone.clone()).date()
    }

    /// When the day of a moment is over.
    #[must_use]
    pub fn midnight(&self, at: Timestamp) -> Timestamp {
        let next = self.date(at).tomorrow().and_then(|next| next.to_zoned_datetime(self.zone.clone()));
        next.map_or(at, |next| Timestamp::from_jiff(next.timestamp()))
    }
}

/// When a message may be expected to go that has so many before it, of one segment each. Whole days where the cap is
/// used up before. An estimate: it knows nothing of retries, and of others on the same limit only what they have taken.
#[must_use]
pub fn estimate(limit: Limit, pace: Pace, days: &CarrierDays, now: Timestamp, before: i64) -> Timestamp {
    let mut start = now.max(Timestamp::from_micros(pace.next_at.min(now.as_micros() + AHEAD)));
    let mut before = before;
    if let Some(cap) = limit.segments_per_day.filter(|cap| *cap > 0) {
        let used = if pace.day >= days.day(now) { pace.segments_used } else { 0 };
        let mut room = (cap - used).max(0);
        while before >= room {
            before -= room;
            room = cap;
            start = days.midnight(start);
        }
    }
    Timestamp::from_micros(start.as_micros().saturating_add(before.saturating_mul(limit.interval)))
}

#[cfg(test)]
mod tests;
