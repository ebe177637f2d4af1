//! Speech services that do as the test says, and what becomes of a caller's words and the agent's when they fail or stall.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod deepgram;
mod openai;

use std::time::Duration;

use offhook_voice::speech::{Listening, Patience, Understood, Wishes};

pub const RATE: u32 = 8_000;

/// Long enough for what comes, and short enough to wait for what does not.
pub const BRIEF: Patience = Patience {
    connect: Duration::from_millis(150),
    first: Duration::from_millis(150),
    gap: Duration::from_millis(150),
};

pub fn wishes() -> Wishes {
    Wishes { language: "en-US".to_owned(), voice: None, speed: 1.0, accurate: false }
}

/// As the server does at its start.
pub fn with_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// So many samples, each of which tells its place.
pub fn sound(from: i16, count: i16) -> Vec<i16> {
    (from..from + count).collect()
}

/// Somebody says that much.
pub fn says(listening: &mut dyn Listening, samples: &[i16]) {
    listening.speech_began();
    listening.hear(samples, RATE);
    listening.speech_ended();
}

pub async fn next(listening: &mut dyn Listening) -> Understood {
    tokio::time::timeout(Duration::from_secs(20), listening.next()).await.expect("told in time")
}
