//! Ports for sound: an even one, and the odd one above it for its reports (RFC 3550 §11). In: a range. Out: two bound sockets,
//! to begin a stream with.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};

use mio::Waker;
use offhook_media::sdp::Agreed;
use offhook_media::session::Limits;

use super::recorder::Recorder;
use super::stream::{Stream, StreamOptions};
use super::thread::Command;

/// Where whichever ports are free are taken, so many are tried.
const TRIES: usize = 100;
/// What is sent in a burst must fit.
const BUFFER: usize = 128 * 1024;

/// All ports for calls are taken.
#[derive(Debug, thiserror::Error)]
#[error("no port is free for a call's sound: {0}")]
pub struct NoPort(std::io::Error);

impl NoPort {
    pub(super) fn without_threads() -> Self {
        Self(std::io::Error::other("the threads that pace sound have ended"))
    }
}

pub struct Ports {
    bind: IpAddr,
    range: Option<RangeInclusive<u16>>,
    /// Pairs tried so far: one that was just freed may still get a former call's packets.
    next: AtomicU16,
}

/// Two ports of a call.
pub struct Port {
    sound: UdpSocket,
    reports: UdpSocket,
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    recorder: Recorder,
    limits: Limits,
}

impl Ports {
    pub fn new(bind: IpAddr, range: Option<RangeInclusive<u16>>) -> Self {
        Self { bind, range, next: AtomicU16::new(0) }
    }

    pub fn take(
        &self,
        commands: mpsc::Sender<Command>,
        waker: Arc<Waker>,
        recorder: Recorder,
        limits: Limits,
    ) -> Result<Port, NoPort> {
        let (sound, reports) = self.bound()?;
        let address = sound.local_addr().map_err(NoPort)?;
        Ok(Port { sound, reports, address, commands, waker, recorder, limits })
    }

    fn bound(&self) -> Result<(UdpSocket, UdpSocket), NoPort> {
        let mut failed = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        for even in self.candidates() {
            match self.pair(even) {
                Ok(pair) => return Ok(pair),
                Err(error) => failed = error,
            }
        }
        Err(NoPort(failed))
    }

    /// Even ports to try; 0 for any.
    fn candidates(&self) -> Box<dyn Iterator<Item = u16>> {
        let Some(range) = self.range.clone() else { return Box::new(std::iter::repeat_n(0, TRIES)) };
        let first = range.start() + range.start() % 2;
        let pairs = ((u32::from(*range.end()) + 1).saturating_sub(u32::from(first)) / 2).max(1) as u16;
        let begin = self.next.fetch_add(1, Ordering::Relaxed);
        Box::new((0..pairs).map(move |n| first + 2 * (begin.wrapping_add(n) % pairs)))
    }

    fn pair(&self, even: u16) -> std::io::Result<(UdpSocket, UdpSocket)> {
        let sound = self.socket(even)?;
        let port = sound.local_addr()?.port();
        if port % 2 == 1 {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        Ok((sound, self.socket(port + 1)?))
    }

    fn socket(&self, port: u16) -> std::io::Result<UdpSocket> {
        let address = SocketAddr::new(self.bind, port);
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }
}

impl Port {
    /// Where sound is received; its reports come to the port above.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins with what was agreed.
    #[must_use]
    pub fn begin(self, agreed: &Agreed, options: StreamOptions) -> Stream {
        let Self { sound, reports, commands, waker, recorder, limits, .. } = self;
        Stream::begin(agreed, options, (sound, reports), commands, waker, recorder, limits)
    }
}
