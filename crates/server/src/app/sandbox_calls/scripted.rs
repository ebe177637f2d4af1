//! Handsets that do by themselves what their number says. In: a call. Out: what such a handset does. The table is documented
//! in the sandbox guide; change both together.

use std::time::Duration;

use offhook_voice::line::LineEnd;
use offhook_voice::text_line::{TextPeer, Told};
use tokio::time::{sleep, timeout};

/// How a handset takes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A person who says a few things and then goodbye.
    Person,
    Busy,
    /// It rings, and nobody comes.
    NoAnswer,
    Rejects,
    NoSuchNumber,
    Unreachable,
    HangsUpAtOnce,
    /// Takes messages after a tone.
    Voicemail,
    /// Wants to know who calls, and puts a person on then.
    Screener,
    /// A menu: 1 and 2 lead somewhere, 0 to a person.
    Menu,
    /// Speaks into whatever is said.
    Interrupts,
    /// Answers, and never says a word.
    Silent,
}

const RINGING: Duration = Duration::from_millis(300);
/// Nobody lets it ring for longer than this in the sandbox.
const RINGS_AT_MOST: Duration = Duration::from_secs(20);
/// A person who hears nothing for so long says goodbye.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long after a sentence, who listens speaks.
const PAUSE: Duration = Duration::from_millis(400);
/// Who takes a call and is not greeted within so long, speaks first.
const GREETING: Duration = Duration::from_millis(700);
const PERSON: [&str; 3] = ["Yes, that is me.", "That sounds good.", "Thank you, goodbye."];

/// The table: `+1500555` and four digits.
#[must_use]
pub fn manner_of(number: &str) -> Manner {
    match number.strip_prefix("+1500555") {
        Some("0101") => Manner::Busy,
        Some("0102") => Manner::NoAnswer,
        Some("0103") => Manner::Rejects,
        Some("0104") => Manner::NoSuchNumber,
        Some("0105") => Manner::Unreachable,
        Some("0106") => Manner::HangsUpAtOnce,
        Some("0107") => Manner::Voicemail,
        Some("0108") => Manner::Screener,
        Some("0109") => Manner::Menu,
        Some("0110") => Manner::Interrupts,
        Some("0111") => Manner::Silent,
        _ => Manner::Person,
    }
}

/// Takes a call, until it is over.
pub async fn answer(manner: Manner, mut peer: TextPeer) {
    let fails = match manner {
        Manner::Busy => Some(LineEnd::Busy),
        Manner::Rejects => Some(LineEnd::Rejected),
        Manner::NoSuchNumber => Some(LineEnd::Unknown),
        Manner::Unreachable => Some(LineEnd::Unreachable(503)),
        _ => None,
    };
    if let Some(end) = fails {
        return peer.end(end);
    }
    peer.ring();
    let rings = if manner == Manner::NoAnswer { RINGS_AT_MOST } else { RINGING };
    if ended_within(&mut peer, rings).await {
        return;
    }
    if manner == Manner::NoAnswer {
        return peer.end(LineEnd::NoAnswer);
    }
    peer.answer();
    match manner {
        Manner::HangsUpAtOnce => {}
        Manner::Voicemail => voicemail(&mut peer).await,
        Manner::Screener => {
            peer.types("Please state your name and the reason for your call.");
            if heard(&mut peer).await.is_some() {
                converse(&mut peer, &["Hi, I am here now."]).await;
            }
        }
        Manner::Menu => menu(&mut peer).await,
        Manner::Interrupts => interrupt(&mut peer).await,
        Manner::Silent => while peer.next().await.is_some() {},
        _ => {
            let greeted = heard_within(&mut peer, GREETING).await;
            if greeted.is_none() {
                peer.types("Hello?");
                if heard(&mut peer).await.is_none() {
                    return peer.end(LineEnd::TheyHungUp);
                }
            }
            converse(&mut peer, &PERSON).await;
        }
    }
    peer.end(LineEnd::TheyHungUp);
}

/// Says its lines, each once the other side has had its say.
async fn converse(peer: &mut TextPeer, lines: &[&str]) {
    for line in lines {
        peer.types(line);
        if heard(peer).await.is_none() {
            return;
        }
    }
}

async fn voicemail(peer: &mut TextPeer) {
    peer.types("You have reached my voicemail. Please leave a message after the tone.");
    // As long as somebody speaks.
    while heard(peer).await.is_some() {}
}

async fn menu(peer: &mut TextPeer) {
    loop {
        peer.types("For sales press 1, for support press 2, for a person press 0.");
        match pressed(peer).await.and_then(|keys| keys.chars().next()) {
            Some('1') => peer.types("This is sales. We are closed today."),
            Some('2') => peer.types("This is support. Your ticket is number 4 7."),
            Some('0') => return converse(peer, &["Hello, this is a person."]).await,
            Some(_) => {
                peer.types("That is no choice.");
                continue;
            }
            None => return,
        }
        if heard(peer).await.is_none() {
            return;
        }
    }
}

async fn interrupt(peer: &mut TextPeer) {
    peer.types("Hello?");
    for _ in 0..3 {
        loop {
            match timeout(PATIENCE, peer.next()).await {
                Ok(Some(Told::Says(_))) => break,
                Ok(Some(Told::HungUp | Told::Transferred(_)) | None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
        sleep(PAUSE).await;
        peer.types("Wait, wait, let me say something.");
    }
    let _ = heard(peer).await;
}

/// What the other side said until it paused; `None` when it hung up, or said nothing for long.
async fn heard(peer: &mut TextPeer) -> Option<String> {
    heard_within(peer, PATIENCE).await
}

/// As [`heard`], if it begins within so long.
async fn heard_within(peer: &mut TextPeer, mut patience: Duration) -> Option<String> {
    let mut all = String::new();
    loop {
        match timeout(patience, peer.next()).await {
            Ok(Some(Told::Says(text))) => {
                all.push_str(&text);
                patience = PATIENCE;
            }
            Ok(Some(Told::Said)) => patience = PAUSE,
            Ok(Some(Told::HungUp | Told::Transferred(_)) | None) => return None,
            Ok(Some(_)) => {}
            Err(_) => return (!all.is_empty()).then_some(all),
        }
    }
}

/// The keys that the other side pressed.
async fn pressed(peer: &mut TextPeer) -> Option<String> {
    loop {
        match timeout(PATIENCE, peer.next()).await {
            Ok(Some(Told::Pressed(keys))) => return Some(keys),
            Ok(Some(Told::HungUp | Told::Transferred(_)) | None) | Err(_) => return None,
            Ok(Some(_)) => {}
        }
    }
}

/// Whether the other side gave up.
async fn ended_within(peer: &mut TextPeer, span: Duration) -> bool {
    let ended = async {
        loop {
            match peer.next().await {
                Some(Told::HungUp) | None => return,
                Some(_) => {}
            }
        }
    };
    timeout(span, ended).await.is_ok()
}
