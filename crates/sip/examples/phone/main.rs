//! A phone without a voice, to try the stack against others (`tests/sipp/run.sh`).
//!
//! `phone answer 127.0.0.1:5070` takes all calls; what the called user is named decides how (`busy`, `ring`, …).
//! `phone call 127.0.0.1:5070 udp 127.0.0.1:5060[,127.0.0.1:5061] 10 [how]` places ten calls, and tells how they went.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_sip::digest::Credentials;
use offhook_sip::endpoint::{CallId, CallOrder, Config, Endpoint, Event, Strangers, Target};
use offhook_sip::message::{NameAddr, Uri};
use offhook_sip::{Flow, Transport};

mod sockets;

use sockets::{Arrived, Sockets};

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["answer", at] => Phone::at(at.parse()?).await?.run(0).await,
        ["call", at, transport, to, count, ref how @ ..] => {
            let mut phone = Phone::at(at.parse()?).await?;
            let transport = if transport == "tcp" { Transport::Tcp } else { Transport::Udp };
            let to = to.split(',').map(str::parse).collect::<Result<Vec<SocketAddr>, _>>()?;
            let count: usize = count.parse()?;
            for _ in 0..count {
                phone.place(transport, &to, how.first().copied().unwrap_or("plain"))?;
            }
            phone.run(count).await
        }
        _ => Err("phone answer AT | phone call AT TRANSPORT TO COUNT [HOW]".into()),
    }
}

struct Phone {
    endpoint: Endpoint,
    sockets: Sockets,
    at: SocketAddr,
    how: HashMap<CallId, String>,
    hang_up_at: Vec<(Instant, CallId)>,
    done: HashMap<String, usize>,
}

impl Phone {
    async fn at(at: SocketAddr) -> Outcome<Self> {
        let config = Config {
            listeners: vec![(Transport::Udp, at), (Transport::Tcp, at)],
            strangers: Strangers::Welcome,
            pace: offhook_sip::endpoint::Pace { burst: 1_000_000, per_second: 1_000_000 },
            ..Config::default()
        };
        let sockets = Sockets::bind(at).await?;
        let endpoint = Endpoint::new(config, rand::random(), Instant::now());
        let (how, hang_up_at, done) = (HashMap::new(), Vec::new(), HashMap::new());
        Ok(Self { endpoint, sockets, at, how, hang_up_at, done })
    }

    fn place(&mut self, transport: Transport, to: &[SocketAddr], how: &str) -> Outcome<()> {
        let targets = to.iter().zip(1..).map(|(to, priority)| {
            let flow = Flow { transport, local: self.at, remote: *to };
            Ok(Target { uri: Uri::parse(&format!("sip:service@{to}"))?, flow, priority, weight: 1 })
        });
        let order = CallOrder {
            targets: targets.collect::<Outcome<_>>()?,
            from: NameAddr::new(Uri::parse(&format!("sip:agent@{}", self.at))?),
            to: NameAddr::new(Uri::parse(&format!("sip:service@{}", to[0]))?),
            offer: SDP.into(),
            credentials: Some(Credentials { username: "agent".to_owned(), password: "secret".to_owned() }),
            headers: Vec::new(),
            ring_for: Duration::from_secs(if how == "cancel" { 1 } else { 30 }),
        };
        let call = self.endpoint.place_call(order, Instant::now())?;
        self.how.insert(call, how.to_owned());
        Ok(())
    }

    /// Until so many calls are over; 0 means for ever.
    async fn run(mut self, count: usize) -> Outcome<()> {
        let mut last = None;
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.on_event(event)?;
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                self.sockets.send(transmit).await;
            }
            // A little longer, so that what was said last is answered.
            let over = count > 0 && self.done.values().sum::<usize>() == count;
            let end = over.then(|| *last.get_or_insert_with(|| Instant::now() + Duration::from_millis(500)));
            if end.is_some_and(|end| end <= Instant::now()) {
                break;
            }
            let ours = self.hang_up_at.first().map(|(at, _)| *at);
            let next = [self.endpoint.poll_timeout(), ours, end].into_iter().flatten().min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(60));
            tokio::select! {
                biased;
                arrived = self.sockets.arrived.recv() => self.on_arrived(arrived.ok_or("no sockets")?),
                () = tokio::time::sleep_until(next.into()) => self.on_time(),
            }
        }
        let mut done: Vec<String> = self.done.iter().map(|(how, count)| format!("{how}={count}")).collect();
        done.sort();
        #[expect(clippy::print_stdout, reason = "this is what it is asked for")]
        {
            println!("{}", done.join(" "));
        }
        Ok(())
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.endpoint.handle_timeout(now);
        while let Some(&(at, call)) = self.hang_up_at.first() {
            if at > now {
                break;
            }
            self.hang_up_at.remove(0);
            let _ = self.endpoint.hang_up(call, now);
        }
    }

    fn on_arrived(&mut self, arrived: Arrived) {
        let now = Instant::now();
        match arrived {
            Arrived::Datagram(flow, bytes) => self.endpoint.receive(flow, &bytes, now),
            Arrived::Bytes(flow, bytes) => self.endpoint.receive_stream(flow, &bytes, now),
            Arrived::Stream(flow, stream) => {
                self.sockets.open(flow, Some(stream));
            }
            Arrived::Closed(flow) => {
                self.sockets.closed(flow);
                self.endpoint.flow_failed(flow, now);
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Outcome<()> {
        let now = Instant::now();
        let soon = now + Duration::from_millis(100);
        match event {
            Event::Incoming { call, invite, .. } => match invite.uri.callee().unwrap_or_default().as_str() {
                "busy" => self.endpoint.reject(call, 486, now)?,
                "broken" => self.endpoint.reject(call, 503, now)?,
                "ring" => self.endpoint.ring(call, 180, None, now)?,
                _ => {
                    self.endpoint.ring(call, 180, None, now)?;
                    self.endpoint.accept(call, SDP.into(), now)?;
                }
            },
            Event::Offer { call, .. } => self.endpoint.answer_offer(call, SDP.into(), now)?,
            Event::Referred { call, .. } => {
                self.endpoint.accept_referral(call, now)?;
                self.endpoint.report_referral(call, 200, now)?;
            }
            Event::Answered { call, .. } => match self.how.get(&call).map(String::as_str) {
                Some("hold") => self.endpoint.offer(call, SDP.replace("t=0 0", "t=0 0\r\na=sendonly").into(), now)?,
                Some("transfer") => self.endpoint.transfer(call, &Uri::parse("sip:other@127.0.0.1")?, now)?,
                Some("wait") => {}
                _ => self.hang_up_at.push((soon, call)),
            },
            Event::OfferAnswered { call, .. } | Event::Transfer { call, is_final: true, .. } => {
                self.hang_up_at.push((soon, call));
            }
            Event::Failed { call, status, .. } if self.how.contains_key(&call) => self.count(&status.to_string()),
            Event::Ended { call, why } if self.how.contains_key(&call) => self.count(&format!("{why:?}")),
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, how: &str) {
        *self.done.entry(how.to_owned()).or_default() += 1;
    }
}
