//! What comes to a SIP socket: one message, a stream of them, and a whole conversation with an endpoint.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{Config, Endpoint, Event, Strangers};
use offhook_sip::message::{Framer, Framing, Message, parse};
use offhook_sip::{Flow, Transport};

/// What is read is written so that it reads the same.
pub fn message(bytes: &[u8]) {
    if let Ok(message) = parse(bytes) {
        let written = message.to_bytes();
        assert_eq!(parse(&written).as_ref(), Ok(&message), "{}", String::from_utf8_lossy(&written));
        if let Message::Request(request) = message {
            let _ = parse(&request.respond(486).to_bytes());
        }
    }
}

/// A stream has the same frames, wherever it is torn.
pub fn stream(bytes: &[u8]) {
    let frames = |size: usize| {
        let (mut framer, mut frames) = (Framer::default(), Vec::new());
        for piece in bytes.chunks(size.max(1)) {
            framer.push(piece);
            loop {
                match framer.next_frame() {
                    Framing::Unfinished => break,
                    Framing::Broken(..) => return frames,
                    frame => frames.push(format!("{frame:?}")),
                }
            }
        }
        frames
    };
    let whole = frames(bytes.len());
    assert_eq!(frames(1), whole);
    assert_eq!(frames(7), whole);
}

/// Datagrams, each behind its length of two octets. Whatever comes, the endpoint answers calls and takes what follows, and
/// in the end nothing is left of it.
pub fn endpoint(bytes: &[u8]) {
    let mut now = Instant::now();
    let address = |host: u8| SocketAddr::from(([192, 0, 2, host], 5060));
    let flow = Flow { transport: Transport::Udp, local: address(1), remote: address(2) };
    let config =
        Config { listeners: vec![(Transport::Udp, address(1))], strangers: Strangers::Welcome, ..Config::default() };
    let mut endpoint = Endpoint::new(config, [7; 32], now);
    let mut rest = bytes;
    while let [high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (datagram, more) = more.split_at(length);
        rest = more;
        endpoint.receive(flow, datagram, now);
        settle(&mut endpoint, now);
        now += Duration::from_millis(40);
    }
    // Longer than any call may ring and any timer runs.
    for _ in 0..1000 {
        let Some(at) = endpoint.poll_timeout() else { break };
        now = now.max(at);
        endpoint.handle_timeout(now);
        settle(&mut endpoint, now);
    }
    assert!(endpoint.calls() == 0 || endpoint.poll_timeout().is_some(), "a call that nothing ends");
}

fn settle(endpoint: &mut Endpoint, now: Instant) {
    while let Some(event) = endpoint.poll_event() {
        // What is no longer in the state for it is refused, which is as good.
        match event {
            Event::Incoming { call, .. } => {
                let _ = endpoint.ring(call, 180, None, now);
                let _ = endpoint.accept(call, b"v=0\r\n".to_vec(), now);
            }
            Event::Offer { call, .. } => drop(endpoint.answer_offer(call, b"v=0\r\n".to_vec(), now)),
            Event::Referred { call, .. } => drop(endpoint.accept_referral(call, now)),
            _ => {}
        }
    }
    while let Some(transmit) = endpoint.poll_transmit() {
        // The answer to what can't be read repeats it.
        let is_refusal = transmit.bytes.starts_with(b"SIP/2.0 4") || transmit.bytes.starts_with(b"SIP/2.0 5");
        let readable = is_refusal || parse(&transmit.bytes).is_ok();
        assert!(readable, "we send what we don't read: {}", String::from_utf8_lossy(&transmit.bytes));
    }
}
