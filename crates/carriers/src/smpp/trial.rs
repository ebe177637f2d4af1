//! Binding once, to see whether the message centre lets us in.
//!
//! In: settings. Out: whom it is that let us in, or what was in the way. It takes leave at once: what is brought meanwhile is turned
//! away for the moment, so that it comes again to whoever stays. Never here: messages.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use offhook_smpp::{Broken, Esme, Event, Mode, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::settings::SmppSettings;
use super::wire;

/// How long the answer to our leave is waited for.
const LEAVE: Duration = Duration::from_secs(2);

/// One bind that was tried.
#[derive(Debug)]
pub struct TriedBind {
    /// `transceiver`, `transmitter` or `receiver`.
    pub mode: &'static str,
    /// What the message centre calls itself.
    pub bound: Result<String, NotBound>,
}

/// Why a bind can't be had.
#[derive(Debug, thiserror::Error)]
pub enum NotBound {
    #[error("no connection: {0}")]
    Unreachable(io::Error),
    #[error("the connection broke before the bind was answered: {0}")]
    Cut(#[from] io::Error),
    #[error("the peer closed the connection and did not answer the bind")]
    Closed,
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Binds once in each mode of the settings, at the same time.
pub async fn try_binds(settings: &SmppSettings) -> Vec<TriedBind> {
    let one_of_each = SmppSettings { connections: 1, ..settings.clone() };
    let tried = one_of_each.modes().into_iter().map(async |mode| {
        let mut bound = None;
        let ended = try_bind(&one_of_each, mode, &mut bound).await;
        let bound = bound.ok_or_else(|| ended.err().unwrap_or(NotBound::Closed));
        TriedBind { mode: mode.as_str(), bound }
    });
    join_all(tried).await
}

/// However it ends, it was bound where `bound` is set.
async fn try_bind(settings: &SmppSettings, mode: Mode, bound: &mut Option<String>) -> Result<(), NotBound> {
    let connected = timeout(settings.response_timeout, wire::connect(settings)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (mut reading, mut writing) = tokio::io::split(connected.map_err(NotBound::Unreachable)?);
    let mut esme = Esme::new(settings.session(mode), Instant::now());
    let (mut bytes, mut given_up) = (Vec::new(), None);
    loop {
        while let Some(event) = esme.next_event() {
            match event {
                Event::Bound { system_id } => {
                    *bound = Some(system_id);
                    esme.unbind(Instant::now());
                    given_up = Some(Instant::now() + LEAVE);
                }
                Event::Arrived { request, .. } => esme.answer(request, Status::RX_T_APPN),
                Event::Unbound => return Ok(()),
                _ => {}
            }
        }
        // It is little: where the peer does not read, the bind was not answered either.
        let due = esme.next_deadline();
        let due = given_up.map_or(due, |at| due.min(at));
        let written = timeout(due.saturating_duration_since(Instant::now()), put(&mut writing, esme.output())).await;
        match written {
            Ok(written) => esme.wrote(written?),
            Err(_) => return Err(Broken::BindUnanswered.into()),
        }
        tokio::select! {
            read = reading.read_buf(&mut bytes) => {
                if read? == 0 {
                    return Err(NotBound::Closed);
                }
                let received = esme.receive(&bytes, Instant::now());
                bytes.clear();
                received?;
            }
            () = tokio::time::sleep_until(due.into()) => {
                if given_up.is_some_and(|at| at <= Instant::now()) {
                    return Ok(());
                }
                esme.tick(Instant::now())?;
            }
        }
    }
}

async fn put(writing: &mut (impl AsyncWriteExt + Unpin), octets: &[u8]) -> io::Result<usize> {
    writing.write_all(octets).await?;
    writing.flush().await?;
    Ok(octets.len())
}
