//! Time, always passed in: [`Timestamp`] is what is stored, [`Clock`] is who tells it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Microseconds since the Unix epoch, UTC. Written as RFC 3339 with `Z` and six decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Text that is not an RFC 3339 date-time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z")]
pub struct NotATimestamp;

pub const HOUR_MICROS: i64 = 3_600_000_000;
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

impl Timestamp {
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Start of the UTC hour this lies in.
    #[must_use]
    pub const fn hour_start(self) -> Self {
        Self(self.0 - self.0.rem_euclid(HOUR_MICROS))
    }

    /// # Errors
    /// [`NotATimestamp`] unless `text` is an RFC 3339 date-time with an offset, between the years 0001 and 9999.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        // jiff takes more than RFC 3339 does (a zone in brackets, a missing `T`); the contract does not.
        let plain = text.len() >= 20 && text.as_bytes()[10].eq_ignore_ascii_case(&b'T') && !text.contains('[');
        if !plain {
            return Err(NotATimestamp);
        }
        let text = without_excess_digits(text);
        match text.parse::<jiff::Timestamp>() {
            Ok(parsed) => Ok(Self(parsed.as_microsecond())),
            // The last hours of the year 9999 are RFC 3339, but past what jiff can hold.
            Err(_) if is_last_day(&text) => Ok(Self(jiff::Timestamp::MAX.as_microsecond())),
            Err(_) => Err(NotATimestamp),
        }
    }

    /// The same instant for calendar arithmetic. Instants outside jiff's range become its limits.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    #[must_use]
    pub fn from_jiff(at: jiff::Timestamp) -> Self {
        Self(at.as_microsecond())
    }
}

/// RFC 3339 sets no limit to the digits of a fraction; nine are all that is kept, and read.
fn without_excess_digits(text: &str) -> String {
    let Some((head, tail)) = text.split_once('.') else { return text.to_owned() };
    let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
    format!("{head}.{}{}", &tail[..digits.min(9)], &tail[digits..])
}

fn is_last_day(text: &str) -> bool {
    // The same instant a year earlier tells whether the rest is well formed.
    text.starts_with("9999-12-3") && text.replacen("9999", "9998", 1).parse::<jiff::Timestamp>().is_ok()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Tells the time for everything that is stored.
pub trait Clock: Send + Sync {
    /// Never the same twice from one clock: stored times order what they stamp.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, made strictly increasing within the process.
#[derive(Debug, Default)]
pub struct SystemClock {
    last: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let wall = wall_micros();
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = wall.max(last + 1);
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Timestamp(next),
                Err(seen) => last = seen,
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn wall_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_tells_the_same_time_twice() {
        let clock = SystemClock::default();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now > last);
            last = now;
        }
    }

    #[test]
    fn text_and_back_keeps_the_microsecond() {
        let at = Timestamp::from_micros(1_764_000_000_123_456);
        assert_eq!(at.to_string(), "2025-11-24T16:00:00.123456Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        assert_eq!(Timestamp::parse("2025-11-24T17:00:00.123456+01:00"), Ok(at));
    }

    #[test]
    fn the_end_of_time_and_long_fractions_are_rfc_3339_too() {
        assert!(Timestamp::parse("9999-12-31T23:59:59Z").is_ok());
        assert_eq!(Timestamp::parse("9999-12-32T23:59:59Z"), Err(NotATimestamp));
        let long = Timestamp::parse("2026-01-01T00:00:00.123456789123Z");
        assert_eq!(long, Timestamp::parse("2026-01-01T00:00:00.123456Z"));
        assert!(long.is_ok());
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00Z[UTC]",
        ] {
            assert_eq!(Timestamp::parse(text), Err(NotATimestamp), "{text}");
        }
    }
}
