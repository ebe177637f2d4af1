//! The media of one call, as a machine without sockets or clock: it joins RTP, SRTP, jitter buffer, codec and digits.
//!
//! In: datagrams as they come ([`Session::receive`]), what the agent says and the time, each 20 ms ([`Session::tick`]),
//! and what SDP agreed on. Out, each 20 ms: what to send and where to, what the caller says, and keys. One that is late
//! with its ticks makes up for them, since their number is the call's time.

mod hearing;
mod latch;
pub mod quality;
mod speaking;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::FRAME;
use crate::dtmf::{Digit, Key};
use crate::rtp::Kind;
use crate::rtp::rtcp::{self, Report, ReportClock, Told};
use crate::sdp::{Agreed, Direction};
use crate::srtp::{Opener, Refused, Sealer};
use hearing::Hearing;
use latch::Latch;
use quality::Quality;
use speaking::Speaking;

/// What distinguishes our stream from others. All of it is to be random.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Our stream.
    pub ssrc: u32,
    /// The number of its first packet.
    pub sequence: u16,
    /// The time of its first sample.
    pub timestamp: u32,
    /// Our name in reports.
    pub name: String,
}

/// What a call bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The jitter buffer never holds sound up for longer.
    pub longest_delay: Duration,
    /// Nothing is heard for so long, though something should: the other side is gone.
    pub time_out: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { longest_delay: Duration::from_millis(240), time_out: Duration::from_secs(30) }
    }
}

/// The media of one call.
pub struct Session {
    start: Instant,
    limits: Limits,
    name: String,
    speaking: Speaking,
    hearing: Hearing,
    latch: Latch,
    opener: Option<Opener>,
    sealer: Option<Sealer>,
    agreed: Agreed,
    reports: Reports,
    last_heard: Instant,
    timed_out: bool,
    ticks: u64,
    /// What keys did since the last tick, and what they did before it.
    keys: Vec<Key>,
    told_keys: Vec<Key>,
}

/// What goes to and fro beside the sound.
struct Reports {
    next: Instant,
    interval: Duration,
    told: Told,
    /// Their clock as they told it, and when.
    their_clock: Option<(u32, Instant)>,
    datagram: Vec<u8>,
}

/// Why a datagram was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Neither RTP nor RTCP, or a payload type that was not agreed on.
    #[error("not a packet of this call")]
    Foreign,
    /// It came from where the call's sound doesn't come from.
    #[error("from another address")]
    Elsewhere,
    /// Its seal is wrong, or it came twice.
    #[error(transparent)]
    Unsealed(#[from] Refused),
    /// Of a stream that is not believed yet.
    #[error("of another stream")]
    Stranger,
}

/// What 20 ms bring.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Which frame of the call it is, from 0: both sides' sound has its place by it.
    pub frame: u64,
    /// What the caller says.
    pub heard: &'a [i16],
    /// Samples of it in a second. Changes only with the codec.
    pub rate: u32,
    /// A packet to send now.
    pub packet: Option<(&'a [u8], SocketAddr)>,
    /// A report to send now.
    pub report: Option<(&'a [u8], SocketAddr)>,
    /// What keys did. Tones in the sound are only told as pressed.
    pub keys: &'a [Key],
    /// The other side is gone. Told once, until something is heard again.
    pub timed_out: bool,
    /// The other side has said that its stream ends.
    pub bye: bool,
}

impl Session {
    /// Begins with what was agreed.
    #[must_use]
    pub fn new(agreed: &Agreed, identity: Identity, limits: Limits, at: Instant) -> Self {
        // Reports are spread between 4 and 6 seconds, so that calls that begin together don't all report at once.
        let interval = Duration::from_millis(4000 + u64::from(identity.ssrc % 2000));
        Self {
            start: at,
            limits,
            speaking: Speaking::new(agreed, &identity),
            name: identity.name,
            hearing: Hearing::new(agreed, limits.longest_delay),
            latch: Latch::new(agreed.remote, agreed.remote_reports),
            opener: agreed.sealed.as_ref().map(|sealed| Opener::new(sealed.suite, &sealed.theirs)),
            sealer: agreed.sealed.as_ref().map(|sealed| Sealer::new(sealed.suite, &sealed.ours)),
            agreed: agreed.clone(),
            reports: Reports {
                next: at + interval,
                interval,
                told: Told::default(),
                their_clock: None,
                datagram: Vec::new(),
            },
            last_heard: at,
            timed_out: false,
            ticks: 0,
            keys: Vec::new(),
            told_keys: Vec::new(),
        }
    }

    /// Something else was agreed on: a codec, an address, hold, keys.
    pub fn renegotiate(&mut self, agreed: &Agreed, at: Instant) {
        if agreed.remote.is_some() && agreed.remote != self.agreed.remote {
            self.latch = Latch::new(agreed.remote, agreed.remote_reports);
        }
        self.reseal(agreed);
        self.speaking.renegotiate(agreed);
        self.hearing.renegotiate(agreed);
        self.agreed = agreed.clone();
        self.last_heard = at;
        self.timed_out = false;
    }

    /// A key that stays goes on counting, whatever else changes: no number may ever be sealed twice with it.
    fn reseal(&mut self, agreed: &Agreed) {
        let before = self.agreed.sealed.as_ref();
        let Some(sealed) = &agreed.sealed else {
            (self.opener, self.sealer) = (None, None);
            return;
        };
        match &mut self.sealer {
            Some(sealer) if before.is_some_and(|before| before.ours == sealed.ours) => sealer.set_suite(sealed.suite),
            sealer => *sealer = Some(Sealer::new(sealed.suite, &sealed.ours)),
        }
        match &mut self.opener {
            Some(opener) if before.is_some_and(|before| before.theirs == sealed.theirs) => {
                opener.set_suite(sealed.suite);
            }
            opener => *opener = Some(Opener::new(sealed.suite, &sealed.theirs)),
        }
    }

    /// Samples in a second of what the agent is to say.
    #[must_use]
    pub const fn spoken_rate(&self) -> u32 {
        self.agreed.codec.sample_rate()
    }

    /// Presses a key, as the call's digits are sent, once those before it are done.
    pub fn press(&mut self, digit: Digit, held: Duration) {
        self.speaking.press(digit, held);
    }

    /// Takes a datagram that came to the sound's port or the reports'. It may be changed: it is opened in place.
    ///
    /// # Errors
    /// It is of no use, and why; nothing needs to be done about it.
    pub fn receive(&mut self, datagram: &mut [u8], from: SocketAddr, at: Instant) -> Result<(), Ignored> {
        match Kind::of(datagram) {
            Kind::Rtp => self.receive_sound(datagram, from, at),
            Kind::Rtcp => self.receive_report(datagram, from, at),
            Kind::Other => Err(Ignored::Foreign),
        }
    }

    fn receive_sound(&mut self, datagram: &mut [u8], from: SocketAddr, at: Instant) -> Result<(), Ignored> {
        let length = match &mut self.opener {
            Some(opener) => opener.open(datagram)?,
            None => datagram.len(),
        };
        let packet = self.hearing.parse(&datagram[..length]).ok_or(Ignored::Foreign)?;
        if !self.latch.admits(from, self.opener.is_some(), at) {
            return Err(Ignored::Elsewhere);
        }
        self.last_heard = at;
        self.timed_out = false;
        self.hearing.hear(&packet, at, &mut self.keys)
    }

    fn receive_report(&mut self, datagram: &mut [u8], from: SocketAddr, at: Instant) -> Result<(), Ignored> {
        let length = match &mut self.opener {
            Some(opener) => opener.open_report(datagram)?,
            None => datagram.len(),
        };
        if !self.latch.admits_report(from, self.opener.is_some()) {
            return Err(Ignored::Elsewhere);
        }
        let told = rtcp::read(&datagram[..length], self.speaking.outgoing().ssrc(), ReportClock::since(self.start), at);
        if let Some(clock) = told.clock {
            self.reports.their_clock = Some((clock, at));
        }
        self.reports.told.hears = told.hears.or(self.reports.told.hears);
        self.reports.told.bye |= told.bye;
        Ok(())
    }

    /// 20 ms go by. `said` is a frame of what the agent says, at [`spoken_rate`](Self::spoken_rate); none is silence.
    /// `at` is when the tick was due, also where it comes late: several late ones at one time would look like a sender
    /// who has fallen behind.
    pub fn tick(&mut self, said: Option<&[i16]>, at: Instant) -> Tick<'_> {
        let frame = self.ticks;
        self.ticks += 1;
        self.hearing.tick(at, &mut self.keys);
        std::mem::swap(&mut self.keys, &mut self.told_keys);
        self.keys.clear();
        let to = self.latch.sound();
        let spoken = self.speaking.tick(said, to.is_some(), self.sealer.as_mut());
        let reported = self.latch.reports().filter(|_| at >= self.reports.next);
        if reported.is_some() {
            self.reports.next = at + self.reports.interval;
            self.write_report(false, at);
        }
        let silent = at.saturating_duration_since(self.last_heard) > self.limits.time_out;
        // On hold there may be music, or nothing.
        let timed_out = silent && !self.timed_out && self.agreed.direction == Direction::SendRecv;
        self.timed_out |= timed_out;
        Tick {
            frame,
            heard: self.hearing.frame(),
            rate: self.hearing.rate(),
            packet: if spoken { to.map(|to| (self.speaking.datagram(), to)) } else { None },
            report: reported.map(|to| (self.reports.datagram.as_slice(), to)),
            keys: &self.told_keys,
            timed_out,
            bye: std::mem::take(&mut self.reports.told.bye),
        }
    }

    /// The call ends: the last report, which says so.
    pub fn close(&mut self, at: Instant) -> Option<(&[u8], SocketAddr)> {
        let to = self.latch.reports()?;
        self.write_report(true, at);
        Some((self.reports.datagram.as_slice(), to))
    }

    /// How well the call is heard, so far.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.hearing.quality(self.reports.told.hears, self.speaking.outgoing().sent().0)
    }

    /// How long the call is, by its frames.
    #[must_use]
    pub fn length(&self) -> Duration {
        FRAME * u32::try_from(self.ticks).unwrap_or(u32::MAX)
    }

    fn write_report(&mut self, bye: bool, at: Instant) {
        let report = Report {
            outgoing: self.speaking.outgoing(),
            reception: self.hearing.report(),
            their_clock: self.reports.their_clock,
            name: &self.name,
            bye,
        };
        rtcp::write(&report, ReportClock::since(self.start), at, &mut self.reports.datagram);
        if let Some(sealer) = &mut self.sealer {
            sealer.seal_report(&mut self.reports.datagram);
        }
    }
}
