//! Telephones by the thousand, on one thread: they call over SIP, talk and listen, and hang up.
//!
//! In: how many, how fast, for how long. Out: how long setting up took, how punctual what they heard was, and how soon they were
//! answered when they had finished. All of them share two sockets: the server tells its calls apart by its own ports.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::latency::Latencies;

const SIP: Token = Token(0);
const SOUND: Token = Token(1);
const FRAME: Duration = Duration::from_millis(20);
/// G.711 at 8 kHz.
const OCTETS: usize = 160;
const SILENCE: u8 = 0xff;
/// What is not answered for so long, is not answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the callers do.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// In all.
    pub calls: usize,
    /// At a time, at most.
    pub at_once: usize,
    /// A second, at most.
    pub rate: f64,
    /// From the answer on; none: until all are up and `span` is over.
    pub held: Option<Duration>,
    /// For how long it is measured when all are up.
    pub span: Duration,
    /// Whether they talk, and are talked to; else they send nothing.
    pub talks: bool,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Heard {
    pub answered: usize,
    pub unanswered: usize,
    /// From the INVITE to its 200.
    pub set_up: Latencies,
    /// Packets that came while it was measured, and how many of them came so much after their time.
    pub packets: u64,
    pub late_5: u64,
    pub late_20: u64,
    pub latest: Duration,
    /// Numbers that never came, of those that were due.
    pub missing: u64,
    /// From when the agent's server was asked to the first sound of the answer.
    pub replies: Latencies,
    /// How late this program itself was to send, at worst.
    pub behind: Duration,
}

/// What others see of the fleet while it works.
#[derive(Debug, Default)]
pub struct Watch {
    /// All are up, and it is measured.
    pub measuring: AtomicBool,
    pub answered: AtomicU64,
    pub over: AtomicU64,
    /// When the agent's server was asked for each caller, in nanoseconds since `Phones::zero`, plus one.
    asked: Vec<AtomicU64>,
}

/// A fleet of callers of one number.
pub struct Phones {
    sip: UdpSocket,
    sound: UdpSocket,
    server: SocketAddr,
    number: String,
    talk: Arc<Vec<u8>>,
    zero: Instant,
    /// Which order it is: no two calls are the same.
    round: usize,
    pub watch: Arc<Watch>,
}

struct Call {
    invited: Instant,
    state: State,
    to_tag: String,
    remote: Option<SocketAddr>,
    answered: Option<Instant>,
    sequence: u16,
    place: usize,
    ear: Ear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Calling,
    Up,
    Leaving,
    Over,
}

/// What one caller hears.
#[derive(Default)]
struct Ear {
    /// When the packet with time 0 would have come at the earliest, by all that came.
    earliest: Option<Instant>,
    first_time: u32,
    first: Option<u16>,
    last: u16,
    packets: u64,
}

impl Phones {
    /// `most` callers, each of whom talks `talk` (G.711 µ) over and over.
    pub fn open(server: SocketAddr, number: &str, most: usize, talk: Vec<u8>) -> Self {
        let watch = Watch { asked: (0..most).map(|_| AtomicU64::new(0)).collect(), ..Watch::default() };
        Self {
            sip: UdpSocket::from_std(bound()),
            sound: UdpSocket::from_std(bound()),
            server,
            number: number.to_owned(),
            talk: Arc::new(talk),
            zero: Instant::now(),
            round: 0,
            watch: Arc::new(watch),
        }
    }

    /// For the agent's server: it was asked what to say to a caller.
    pub fn asking(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let (watch, zero) = (self.watch.clone(), self.zero);
        move |caller: &str| {
            let Some(n) = caller.strip_prefix("+1415").and_then(|n| n.parse::<usize>().ok()) else { return };
            if let Some(asked) = watch.asked.get(n - FIRST) {
                let now = u64::try_from(zero.elapsed().as_nanos()).unwrap();
                asked.store(now + 1, Ordering::Relaxed);
            }
        }
    }

    /// Until all calls are over.
    pub fn run(&mut self, order: Order) -> Heard {
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut self.sip, SIP, Interest::READABLE).unwrap();
        poll.registry().register(&mut self.sound, SOUND, Interest::READABLE).unwrap();
        self.watch.answered.store(0, Ordering::Relaxed);
        self.watch.over.store(0, Ordering::Relaxed);
        self.round += 1;
        Shift::new(self, order).work(poll)
    }
}

const FIRST: usize = 2_000_000;

fn bound() -> StdSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    drop(socket.set_recv_buffer_size(8 << 20));
    drop(socket.set_send_buffer_size(8 << 20));
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.into()
}

/// One order at work.
struct Shift<'a> {
    phones: &'a mut Phones,
    order: Order,
    calls: Vec<Call>,
    /// By the server's port.
    by_port: HashMap<u16, usize>,
    /// Who talks next, and when: in the order of their times.
    due: VecDeque<(Instant, usize)>,
    /// Who hangs up, and when.
    leave: VecDeque<(Instant, usize)>,
    /// The first that may still be without an answer.
    waiting: usize,
    open: usize,
    began: Instant,
    measured: Option<Instant>,
    heard: Heard,
    buffer: Vec<u8>,
}

impl<'a> Shift<'a> {
    fn new(phones: &'a mut Phones, order: Order) -> Self {
        Self {
            phones,
            order,
            calls: Vec::new(),
            by_port: HashMap::new(),
            due: VecDeque::new(),
            leave: VecDeque::new(),
            waiting: 0,
            open: 0,
            began: Instant::now(),
            measured: None,
            heard: Heard::default(),
            buffer: vec![0; 4096],
        }
    }

    fn work(mut self, mut poll: Poll) -> Heard {
        let mut events = Events::with_capacity(16);
        loop {
            poll.poll(&mut events, Some(Duration::from_micros(500))).unwrap();
            self.hear();
            self.signal();
            self.talk();
            self.place();
            self.give_up();
            if self.measure() || self.heard.answered + self.heard.unanswered == self.order.calls && self.open == 0 {
                break;
            }
        }
        self.end();
        poll.registry().deregister(&mut self.phones.sip).unwrap();
        poll.registry().deregister(&mut self.phones.sound).unwrap();
        self.heard
    }

    fn place(&mut self) {
        let allowed = (self.began.elapsed().as_secs_f64() * self.order.rate) as usize;
        while self.calls.len() < self.order.calls.min(allowed + 1) && self.open < self.order.at_once {
            let n = self.calls.len();
            let port = self.phones.sound.local_addr().unwrap().port();
            let body = format!(
                "v=0\r\no=- {n} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
                 a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
            );
            let more = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let invite = self.request("INVITE", n, 1, "", &more);
            self.send(&invite);
            self.calls.push(Call {
                invited: Instant::now(),
                state: State::Calling,
                to_tag: String::new(),
                remote: None,
                answered: None,
                sequence: 0,
                // Each is somewhere else in what they say.
                place: n * 7_919 * OCTETS % self.phones.talk.len().max(1) / OCTETS * OCTETS,
                ear: Ear::default(),
            });
            self.open += 1;
        }
    }

    fn request(&self, method: &str, n: usize, number: u32, to_tag: &str, more: &str) -> String {
        let (server, to, round) = (self.phones.server, &self.phones.number, self.phones.round);
        let ours = self.phones.sip.local_addr().unwrap();
        let caller = (FIRST + n) % 10_000_000;
        format!(
            "{method} sip:{to}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bK{round}x{n}{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:+1415{caller:07}@{ours}>;tag=f{n}x{round}\r\nTo: <sip:{to}@{server}>{to_tag}\r\nCall-ID: {n}x{round}@{ours}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:us@{ours}>\r\n{more}"
        )
    }

    fn send(&self, message: &str) {
        self.phones.sip.send_to(message.as_bytes(), self.phones.server).unwrap();
    }

    fn signal(&mut self) {
        while let Ok((length, _)) = self.phones.sip.recv_from(&mut self.buffer) {
            let message = String::from_utf8_lossy(&self.buffer[..length]).into_owned();
            let known = header(&message, "Call-ID").and_then(|id| id.split('@').next()?.split_once('x'));
            let known = known.filter(|(_, round)| *round == self.phones.round.to_string());
            let Some(n) = known.and_then(|(n, _)| n.parse::<usize>().ok()).filter(|n| *n < self.calls.len()) else {
                continue;
            };
            let sequence = header(&message, "CSeq").unwrap_or_default().to_owned();
            match message.strip_prefix("SIP/2.0 ").map(|rest| &rest[..3]) {
                None => self.asked(n, &message, &sequence),
                Some("200") if sequence.ends_with("INVITE") => self.answered(n, &message),
                Some(status) if sequence.ends_with("INVITE") && status >= "300" => self.refused(n, &message),
                Some(status) if sequence.ends_with("BYE") && status >= "200" => self.over(n),
                Some(_) => {}
            }
        }
    }

    /// They ask something of us: it is granted.
    fn asked(&mut self, n: usize, message: &str, sequence: &str) {
        if sequence.ends_with("ACK") {
            return;
        }
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for line in message.lines().take_while(|line| !line.is_empty()) {
            if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
                answer += line;
                answer += "\r\n";
            }
        }
        self.send(&(answer + "Content-Length: 0\r\n\r\n"));
        if sequence.ends_with("BYE") {
            self.over(n);
        }
    }

    fn answered(&mut self, n: usize, message: &str) {
        let tag =
            header(message, "To").and_then(|to| to.find(";tag=").map(|at| to[at..].to_owned())).unwrap_or_default();
        let ack = self.request("ACK", n, 1, &tag, "Content-Length: 0\r\n\r\n");
        self.send(&ack);
        let now = Instant::now();
        let call = &mut self.calls[n];
        if call.state != State::Calling {
            return;
        }
        let port = message.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok());
        let Some(port) = port else { return };
        (call.state, call.to_tag, call.answered) = (State::Up, tag, Some(now));
        call.remote = Some(SocketAddr::new(self.phones.server.ip(), port));
        self.by_port.insert(port, n);
        self.heard.answered += 1;
        self.heard.set_up.add(now - call.invited);
        self.phones.watch.answered.fetch_add(1, Ordering::Relaxed);
        if self.order.talks {
            self.due.push_back((now, n));
        }
        if let Some(held) = self.order.held {
            self.leave.push_back((now + held, n));
        }
    }

    fn refused(&mut self, n: usize, message: &str) {
        let tag =
            header(message, "To").and_then(|to| to.find(";tag=").map(|at| to[at..].to_owned())).unwrap_or_default();
        let ack = self.request("ACK", n, 1, &tag, "Content-Length: 0\r\n\r\n");
        self.send(&ack);
        if self.calls[n].state == State::Calling {
            if self.heard.unanswered == 0 {
                println!("a call was refused: {}", message.lines().next().unwrap_or_default());
            }
            self.heard.unanswered += 1;
            self.over(n);
        }
    }

    fn over(&mut self, n: usize) {
        let call = &mut self.calls[n];
        if call.state == State::Over {
            return;
        }
        call.state = State::Over;
        if let Some(remote) = call.remote
            && self.by_port.get(&remote.port()) == Some(&n)
        {
            self.by_port.remove(&remote.port());
        }
        call.ear = Ear::default();
        self.open -= 1;
        self.phones.watch.over.fetch_add(1, Ordering::Relaxed);
    }

    fn hang_up(&mut self, n: usize) {
        if self.calls[n].state != State::Up {
            return;
        }
        self.calls[n].state = State::Leaving;
        let tag = self.calls[n].to_tag.clone();
        let bye = self.request("BYE", n, 2, &tag, "Content-Length: 0\r\n\r\n");
        self.send(&bye);
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        while let Some((_, n)) = self.leave.front().copied().filter(|(at, _)| *at <= now) {
            self.leave.pop_front();
            self.hang_up(n);
        }
        while let Some(call) = self.calls.get(self.waiting) {
            if call.state == State::Calling {
                if now - call.invited < PATIENCE {
                    break;
                }
                self.heard.unanswered += 1;
                self.over(self.waiting);
            }
            self.waiting += 1;
        }
    }

    /// 20 ms of each whose time has come.
    fn talk(&mut self) {
        let now = Instant::now();
        let mut packet = [0; 12 + OCTETS];
        while let Some((at, n)) = self.due.front().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_front();
            if self.measured.is_some() {
                self.heard.behind = self.heard.behind.max(now - at);
            }
            let call = &mut self.calls[n];
            let (State::Up | State::Leaving, Some(remote)) = (call.state, call.remote) else { continue };
            packet[0] = 0x80;
            packet[2..4].copy_from_slice(&call.sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(call.sequence) * OCTETS as u32).to_be_bytes());
            packet[8..12].copy_from_slice(&(n as u32).to_be_bytes());
            let said = self.phones.talk.get(call.place..call.place + OCTETS);
            packet[12..].copy_from_slice(said.unwrap_or(&[SILENCE; OCTETS]));
            call.place = (call.place + OCTETS) % self.phones.talk.len().max(1);
            call.sequence = call.sequence.wrapping_add(1);
            // What finds no room is lost, as on any network.
            let _ = self.phones.sound.send_to(&packet, remote);
            let next = at + FRAME;
            let place = self.due.iter().rposition(|(other, _)| *other <= next).map_or(0, |place| place + 1);
            self.due.insert(place, (next, n));
        }
    }

    fn hear(&mut self) {
        while let Ok((length, from)) = self.phones.sound.recv_from(&mut self.buffer) {
            let Some(n) = self.by_port.get(&from.port()).copied() else { continue };
            if length < 12 {
                continue;
            }
            let now = Instant::now();
            let packet = &self.buffer[..length];
            if let Some(late) = self.calls[n].ear.hear(packet, now, self.measured.is_some())
                && self.measured.is_some()
            {
                self.heard.packets += 1;
                self.heard.late_5 += u64::from(late > Duration::from_millis(5));
                self.heard.late_20 += u64::from(late > FRAME);
                self.heard.latest = self.heard.latest.max(late);
            }
            self.reply(n, length, now);
        }
    }

    /// Whether this is the first sound of an answer.
    fn reply(&mut self, n: usize, length: usize, now: Instant) {
        let Some(asked) = self.phones.watch.asked.get(n) else { return };
        let at = asked.load(Ordering::Relaxed);
        // Louder than a whisper: µ-law counts down from silence.
        if at > 0 && self.buffer[12..length].iter().any(|octet| !octet & 0x7f > 0x40) {
            asked.store(0, Ordering::Relaxed);
            self.heard.replies.add((now - self.phones.zero).saturating_sub(Duration::from_nanos(at - 1)));
        }
    }

    /// Whether all was measured.
    fn measure(&mut self) -> bool {
        if self.order.held.is_some() {
            return false;
        }
        let all = self.heard.answered + self.heard.unanswered == self.order.calls;
        if self.measured.is_none() && all {
            self.measured = Some(Instant::now());
            self.phones.watch.measuring.store(true, Ordering::Relaxed);
        }
        self.measured.is_some_and(|since| since.elapsed() >= self.order.span)
    }

    fn end(&mut self) {
        self.phones.watch.measuring.store(false, Ordering::Relaxed);
        self.heard.missing = self.calls.iter().map(|call| call.ear.missing()).sum();
        self.measured = None;
        let mut n = 0;
        let until = Instant::now() + PATIENCE;
        while self.open > 0 && Instant::now() < until {
            // Not all at once.
            for _ in 0..4 {
                if n < self.calls.len() {
                    self.hang_up(n);
                    n += 1;
                }
            }
            self.hear();
            self.signal();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Ear {
    /// How much later than it should a packet of sound came; `None` for what is no sound.
    fn hear(&mut self, packet: &[u8], now: Instant, counts: bool) -> Option<Duration> {
        if packet[1] & 0x7f != 0 {
            return None;
        }
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        if self.earliest.is_none() {
            self.first_time = time;
        }
        let since = Duration::from_micros(u64::from(time.wrapping_sub(self.first_time)) * 125);
        let would = now.checked_sub(since)?;
        let earliest = self.earliest.map_or(would, |known| known.min(would));
        self.earliest = Some(earliest);
        if counts {
            self.first.get_or_insert(number);
            (self.last, self.packets) = (number, self.packets + 1);
        }
        Some(would - earliest)
    }

    fn missing(&self) -> u64 {
        let Some(first) = self.first else { return 0 };
        (u64::from(self.last.wrapping_sub(first)) + 1).saturating_sub(self.packets)
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
