//! Session timers (RFC 4028): a call whose other side has silently gone must end. One side refreshes at half the interval;
//! the other hangs up when no refresh comes.

use std::time::{Duration, Instant};

use crate::message::{HeaderName, Headers, SessionExpires, refresher::Refresher};

/// What we want and what we put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// What we propose.
    pub interval: Duration,
    /// Less is refused with 422. The RFC allows no less than 90 s.
    pub least: Duration,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1800), least: Duration::from_secs(90) }
    }
}

/// The other side wants to be refreshed more often than we put up with: 422, with this in Min-SE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBrief(pub Duration);

/// A running timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    interval: Duration,
    we_refresh: bool,
    /// When we refresh, or hang up.
    at: Instant,
}

impl SessionPolicy {
    /// Puts the proposal on an INVITE or UPDATE of ours.
    pub fn propose(&self, headers: &mut Headers, refresher: Option<Refresher>) {
        let proposal = SessionExpires { interval: self.interval.max(self.least), refresher };
        headers.set(HeaderName::SessionExpires, proposal.to_string());
        headers.set(HeaderName::MinSe, self.least.as_secs().to_string());
    }

    /// The timer that a 2xx to our request agrees on; none where the other side knows no timers.
    #[must_use]
    pub fn agreed(&self, response: &Headers, now: Instant) -> Option<SessionTimer> {
        let expires = response.session_expires().ok().flatten()?;
        // Whoever leaves it open is a proxy's answer; then it is on us (§7.2).
        Some(SessionTimer::start(expires.interval, expires.refresher != Some(Refresher::Uas), now))
    }

    /// The timer that a request of theirs leads to. What it says goes on our 2xx.
    ///
    /// # Errors
    /// [`TooBrief`]: answer 422.
    pub fn answer(&self, request: &Headers, now: Instant) -> Result<SessionTimer, TooBrief> {
        let knows = request.lists(&HeaderName::Supported, "timer");
        let least = request.seconds(&HeaderName::MinSe).ok().flatten().unwrap_or_default();
        let asked = request.session_expires().ok().flatten();
        let interval = match asked {
            // Whoever does not know timers can't be told 422 (§9): a proxy asked, and we refresh.
            Some(asked) if asked.interval < self.least && knows => return Err(TooBrief(self.least)),
            Some(asked) => asked.interval.max(self.least),
            None => self.interval.max(self.least).max(least),
        };
        let theirs = match asked.and_then(|asked| asked.refresher) {
            _ if !knows => false,
            Some(refresher) => refresher == Refresher::Uac,
            None => asked.is_some(),
        };
        Ok(SessionTimer::start(interval, !theirs, now))
    }
}

impl SessionTimer {
    fn start(interval: Duration, we_refresh: bool, now: Instant) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        let wait = if we_refresh { interval / 2 } else { interval - (interval / 3).min(Duration::from_secs(32)) };
        Self { interval, we_refresh, at: now + wait }
    }

    /// When it is time.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.at
    }

    /// Whether it is time to refresh; otherwise, to hang up.
    #[must_use]
    pub fn we_refresh(&self) -> bool {
        self.we_refresh
    }

    /// A refresh is on its way; when the interval is over without one, the call is too.
    pub fn wait_for_refresh(&mut self, now: Instant) {
        self.at = now + self.interval / 2;
        self.we_refresh = false;
    }

    /// It was not possible now, or was refused by somebody who is therefore still there: once more, a little later.
    pub fn look_again(&mut self, now: Instant) {
        self.we_refresh = true;
        self.at = now + (self.interval / 16).min(Duration::from_secs(30));
    }

    /// As a request of ours says it.
    #[must_use]
    pub fn refresher_as_uac(&self) -> Refresher {
        if self.we_refresh { Refresher::Uac } else { Refresher::Uas }
    }

    /// As our 2xx to their request says it.
    pub fn put_on_answer(&self, headers: &mut Headers) {
        let refresher = if self.we_refresh { Refresher::Uas } else { Refresher::Uac };
        let said = SessionExpires { interval: self.interval, refresher: Some(refresher) };
        headers.set(HeaderName::SessionExpires, said.to_string());
        if !self.we_refresh {
            headers.push(HeaderName::Require, "timer");
        }
    }

    /// The interval as it stands, for a refresh.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.clone(), *value);
        }
        headers
    }

    fn answered(fields: &[(HeaderName, &str)]) -> Result<(u64, bool), TooBrief> {
        let timer = SessionPolicy::default().answer(&headers(fields), Instant::now())?;
        Ok((timer.interval.as_secs(), timer.we_refresh))
    }

    const TIMER: (HeaderName, &str) = (HeaderName::Supported, "100rel, timer");

    #[test]
    fn who_refreshes_is_settled_as_table_2_says() {
        assert_eq!(answered(&[]), Ok((1800, true)), "no timers there: we do it alone");
        assert_eq!(answered(&[TIMER]), Ok((1800, true)), "not asked for: it is our idea");
        assert_eq!(answered(&[TIMER, (HeaderName::SessionExpires, "600")]), Ok((600, false)));
        assert_eq!(answered(&[TIMER, (HeaderName::SessionExpires, "600;refresher=uac")]), Ok((600, false)));
        assert_eq!(answered(&[TIMER, (HeaderName::SessionExpires, "600;refresher=uas")]), Ok((600, true)));
        assert_eq!(answered(&[(HeaderName::SessionExpires, "600")]), Ok((600, true)), "a proxy asked");
        assert_eq!(answered(&[TIMER, (HeaderName::MinSe, "3600")]), Ok((3600, true)));
    }

    #[test]
    fn too_brief_an_interval_is_refused_only_to_those_who_understand() {
        assert_eq!(answered(&[TIMER, (HeaderName::SessionExpires, "60")]), Err(TooBrief(Duration::from_secs(90))));
        assert_eq!(answered(&[(HeaderName::SessionExpires, "60")]), Ok((90, true)));
    }

    #[test]
    fn a_refresher_acts_at_half_time_and_the_other_hangs_up_before_the_end() {
        let now = Instant::now();
        let policy = SessionPolicy::default();
        let ours = policy.agreed(&headers(&[(HeaderName::SessionExpires, "600;refresher=uac")]), now).unwrap();
        assert_eq!((ours.we_refresh(), ours.deadline() - now), (true, Duration::from_secs(300)));
        let theirs = policy.agreed(&headers(&[(HeaderName::SessionExpires, "600;refresher=uas")]), now).unwrap();
        assert_eq!((theirs.we_refresh(), theirs.deadline() - now), (false, Duration::from_secs(568)));
        let brief = policy.agreed(&headers(&[(HeaderName::SessionExpires, "90;refresher=uas")]), now).unwrap();
        assert_eq!(brief.deadline() - now, Duration::from_secs(60));
        assert_eq!(policy.agreed(&Headers::default(), now), None);
    }
}
