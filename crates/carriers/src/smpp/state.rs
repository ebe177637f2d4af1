//! How the connections of a carrier stand, for an operator to see.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use offhook_smpp::Mode;
use tokio::sync::watch;

/// How one connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    Connecting,
    Bound,
    Down { reason: String },
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// `transceiver`, `transmitter` or `receiver`.
    pub mode: &'static str,
    pub state: LinkState,
}

/// How they stand.
#[derive(Debug)]
pub struct LinkStates {
    all: Mutex<Vec<LinkStatus>>,
    /// Since when nothing can be submitted.
    cut_off: Mutex<Option<Instant>>,
    bound: watch::Sender<usize>,
}

impl LinkStates {
    pub fn new(modes: &[Mode]) -> Self {
        let down = |mode: &Mode| LinkStatus { mode: mode.as_str(), state: LinkState::Connecting };
        let cut_off = Mutex::new(Some(Instant::now()));
        Self { all: Mutex::new(modes.iter().map(down).collect()), cut_off, bound: watch::Sender::new(0) }
    }

    pub fn set(&self, place: usize, state: LinkState) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = all.get_mut(place) {
            one.state = state;
        }
        let submits = |one: &LinkStatus| one.state == LinkState::Bound && one.mode != Mode::Receiver.as_str();
        let mut cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        *cut_off = if all.iter().any(submits) { None } else { cut_off.or_else(|| Some(Instant::now())) };
        drop(cut_off);
        self.bound.send_replace(all.iter().filter(|one| one.state == LinkState::Bound).count());
    }

    /// Whether for so long no connection has been bound over which anything could be submitted.
    pub fn is_cut_off(&self, patience: Duration) -> bool {
        let cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cut_off.is_some_and(|since| since.elapsed() >= patience)
    }

    pub fn all(&self) -> Vec<LinkStatus> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all are bound.
    pub async fn all_bound(&self) {
        let count = self.all().len();
        // The sender is ours.
        drop(self.bound.subscribe().wait_for(|bound| *bound >= count).await);
    }
}
