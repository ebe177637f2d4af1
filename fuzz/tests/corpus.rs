//! Every target over its corpus, and over mutations of it for a moment. What was ever found stands in the corpus.
//!
//! `OFFHOOK_FUZZ_SEED` repeats a run, `OFFHOOK_FUZZ_MILLIS` makes its bursts longer.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offhook_fuzz::{TARGETS, Target};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What means something to one of the parsers.
const WORDS: [&[u8]; 24] = [
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
    b"\0\0\0\x10",
    b"\0\x02\0\0",
    b"\x1b",
    b"\x05\0\x03",
    b"\x06\x08\x04",
    b"id:",
    b"stat:",
    b" err:",
    b"\"",
    b"\\u0000",
    b"{",
    b"]",
    b",",
    b"\r\n",
    b"&",
    b"=%",
    b"+1415",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x98\x80",
];

/// Mutations of each corpus that are tried, however long they take.
const LEAST: u64 = 10;

#[test]
fn no_target_minds_its_corpus() {
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 3, "{} has a corpus of {}", target.name, corpus.len());
        for (path, bytes) in corpus {
            assert!(catch_unwind(|| (target.run)(&bytes)).is_ok(), "{} fails on {}", target.name, path.display());
        }
        (target.run)(b"");
    }
}

#[test]
fn no_target_minds_mutations_of_its_corpus() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("OFFHOOK_FUZZ_SEED").unwrap_or_else(rand::random);
    let burst = Duration::from_millis(number("OFFHOOK_FUZZ_MILLIS").unwrap_or(300));
    for target in TARGETS {
        let seeds: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
        let (mut random, began) = (StdRng::seed_from_u64(seed), Instant::now());
        let mut tried = 0_u64;
        // Some on a machine that has other things to do, too.
        while began.elapsed() < burst || tried < LEAST {
            let bytes = mutated(&seeds, &mut random);
            let survived = catch_unwind(|| (target.run)(&bytes)).is_ok();
            assert!(
                survived,
                "{} fails on {:?}; OFFHOOK_FUZZ_SEED={seed}",
                target.name,
                bytes.escape_ascii().to_string()
            );
            tried += 1;
        }
    }
}

/// The files of a target's corpus.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut all: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect();
    all.sort();
    all
}

/// One of the corpus with a few changes.
fn mutated(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let end = random.random_range(at..=bytes.len().min(at + 32));
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 => drop(bytes.splice(at..end, WORDS[random.random_range(0..WORDS.len())].iter().copied())),
            _ => {
                let other = &corpus[random.random_range(0..corpus.len())];
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
    bytes.truncate(8 * 1024);
    bytes
}
