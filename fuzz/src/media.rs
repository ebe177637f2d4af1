//! What comes to a call's media: descriptions, and datagrams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::FRAME;
use offhook_media::codec::Codec;
use offhook_media::sdp::{Ability, Agreed, Direction, Negotiation, Security};
use offhook_media::session::{Identity, Limits, Session};
use offhook_media::srtp::keys::MasterKey;
use offhook_media::srtp::{Opener, Sealer, Suite};

/// A description is refused, or answered with one that answers each of its lines and that the other side can read.
pub fn sdp(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for security in [Security::Never, Security::IfOffered, Security::Always] {
        let mut ours = negotiation(security, 1);
        if let Ok((answer, _)) = ours.answer(&text, Direction::SendRecv) {
            let lines = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
            assert_eq!(lines(&answer), lines(&text.replace('\r', "\n")), "{answer}");
            let mut again = negotiation(security, 2);
            again.offer(Direction::SendRecv);
            let _ = again.answered(&answer);
        }
        ours.offer(Direction::SendRecv);
        let _ = ours.answered(&text);
    }
}

/// The first octet chooses a codec and whether packets are sealed; then datagrams, each behind its length. No length is
/// 20 ms.
pub fn session(bytes: &[u8]) {
    let [options, rest @ ..] = bytes else { return };
    let codec = Codec::ALL[usize::from(options & 3)];
    let security = if options & 4 == 0 { Security::Never } else { Security::Always };
    let Some([ours, theirs]) = agreed(codec, security) else { return };
    let mut at = Instant::now();
    let identity = || Identity { ssrc: 1, sequence: 65_000, timestamp: 0, name: "fuzzed".to_owned() };
    let mut session = Session::new(&ours, identity(), Limits::default(), at);
    let mut sealer = theirs.sealed.as_ref().map(|sealed| Sealer::new(sealed.suite, &sealed.ours));
    let from = SocketAddr::from(([192, 0, 2, 2], 4000));
    let mut rest = rest;
    while let [length, more @ ..] = rest {
        let (datagram, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        if *length == 0 {
            at += FRAME;
            let heard = session.tick(None, at).heard.len();
            assert!(heard == 160 || heard == 320);
            continue;
        }
        let mut datagram = datagram.to_vec();
        // What is inside a seal is to be reached as well.
        match &mut sealer {
            Some(sealer) if datagram.get(1).is_some_and(|kind| (192..224).contains(kind)) => {
                sealer.seal_report(&mut datagram);
            }
            Some(sealer) => sealer.seal(&mut datagram),
            None => {}
        }
        let _ = session.receive(&mut datagram, from, at);
        at += Duration::from_millis(3);
    }
    let opinion = session.quality().opinion;
    assert!((1.0..4.6).contains(&opinion), "{opinion}");
}

/// Nothing opens that was not sealed; and what is sealed opens as it was.
pub fn srtp(bytes: &[u8]) {
    let key = MasterKey::new([7; 30]);
    for suite in Suite::ALL {
        let mut opener = Opener::new(suite, &key);
        assert!(opener.open(&mut bytes.to_vec()).is_err());
        assert!(opener.open_report(&mut bytes.to_vec()).is_err());
        let mut sealer = Sealer::new(suite, &key);
        let mut sealed = bytes.to_vec();
        sealer.seal(&mut sealed);
        if sealed.len() > bytes.len() {
            assert_eq!(opener.open(&mut sealed), Ok(bytes.len()));
            assert_eq!(&sealed[..bytes.len()], bytes);
        }
    }
}

fn negotiation(security: Security, host: u8) -> Negotiation {
    let ability = Ability { codecs: Codec::ALL.to_vec(), comfort_noise: true, security };
    let local = SocketAddr::from(([192, 0, 2, host], 4000));
    Negotiation::new(ability, local, u64::from(host), MasterKey::new([host; 30]))
}

fn agreed(codec: Codec, security: Security) -> Option<[Agreed; 2]> {
    let ability = Ability { codecs: vec![codec], comfort_noise: true, security };
    let at = |host: u8| SocketAddr::from(([192, 0, 2, host], 4000));
    let mut ours = Negotiation::new(ability.clone(), at(1), 1, MasterKey::new([1; 30]));
    let mut theirs = Negotiation::new(ability, at(2), 2, MasterKey::new([2; 30]));
    let answer = theirs.answer(&ours.offer(Direction::SendRecv), Direction::SendRecv).ok()?.0;
    Some([ours.answered(&answer).ok()?.clone(), theirs.agreed()?.clone()])
}
