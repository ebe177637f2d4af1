//! Recordings are written by a thread of their own: a disk may be slow, sound may not. In: pieces of sound with their places.
//! Out: files. What the disk can't follow is left out, and counted.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use offhook_media::recording::{Channel, Recording};
use tokio::sync::oneshot;

/// Pieces that may wait for the disk: some seconds of a thousand calls.
const WAITING: usize = 16 * 1024;

enum Piece {
    Begin { call: u64, file: PathBuf, rate: u32 },
    Add { call: u64, channel: Channel, place: u64, samples: Vec<i16> },
    Finish { call: u64, done: oneshot::Sender<bool> },
}

/// The way to the thread. Cheap to clone; it ends with the last of them.
#[derive(Clone)]
pub struct Recorder {
    pieces: SyncSender<Piece>,
    lost: Arc<AtomicU64>,
}

/// One call's recording.
pub struct Recorded {
    recorder: Recorder,
    call: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Recorder {
    pub fn start() -> std::io::Result<Self> {
        let (pieces, taken) = sync_channel(WAITING);
        std::thread::Builder::new().name("recordings".to_owned()).spawn(move || write(&taken))?;
        Ok(Self { pieces, lost: Arc::default() })
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub fn begin(&self, file: PathBuf, rate: u32) -> Recorded {
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        self.hand(Piece::Begin { call, file, rate });
        Recorded { recorder: self.clone(), call }
    }

    fn hand(&self, piece: Piece) {
        if self.pieces.try_send(piece).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Adds to one call's recording.
pub struct Writer {
    recorder: Recorder,
    call: u64,
}

impl Writer {
    /// Never waits: what finds no room is left out.
    pub fn add(&self, channel: Channel, place: u64, samples: Vec<i16>) {
        self.recorder.hand(Piece::Add { call: self.call, channel, place, samples });
    }
}

impl Recorded {
    pub fn writer(&self) -> Writer {
        Writer { recorder: self.recorder.clone(), call: self.call }
    }

    /// What is told when the file is whole: false where there is none.
    pub fn finish(self) -> oneshot::Receiver<bool> {
        let (done, told) = oneshot::channel();
        // However long the queue is: the file is to be whole.
        let (pieces, call) = (self.recorder.pieces.clone(), self.call);
        if let Err(std::sync::mpsc::TrySendError::Full(piece)) = pieces.try_send(Piece::Finish { call, done }) {
            std::thread::spawn(move || pieces.send(piece));
        }
        told
    }
}

fn write(pieces: &Receiver<Piece>) {
    let mut open: HashMap<u64, Recording<File>> = HashMap::new();
    while let Ok(piece) = pieces.recv() {
        match piece {
            Piece::Begin { call, file, rate } => {
                let begun = file
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| OpenOptions::new().write(true).create(true).truncate(true).open(&file))
                    .and_then(|opened| Recording::begin(opened, rate));
                match begun {
                    Ok(recording) => drop(open.insert(call, recording)),
                    Err(error) => tracing::error!(%error, file = %file.display(), "a call can't be recorded"),
                }
            }
            Piece::Add { call, channel, place, samples } => {
                let added = open.get_mut(&call).map(|recording| recording.add(channel, place, &samples));
                if let Some(Err(error)) = added {
                    tracing::error!(%error, "a recording breaks off");
                    open.remove(&call);
                }
            }
            Piece::Finish { call, done } => {
                let finished = open.remove(&call).map(Recording::finish);
                let _ = done.send(matches!(finished, Some(Ok(_))));
            }
        }
    }
}
