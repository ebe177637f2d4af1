//! SQLite's write-ahead log: it does not grow without end, however busy the readers are, and what it grew by while
//! somebody held on to an old snapshot is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offhook_store::engine::IntoValue;
use offhook_store::{Store, StoreError, Tx};

use crate::engines::Database;
use crate::fixtures::PUT;

/// What one transaction writes.
const KILOBYTES: usize = 64;
const MEGABYTE: u64 = 1 << 20;
/// Ten times what makes it start over.
const TOO_MUCH: u64 = 320 * MEGABYTE;
const WITHIN: Duration = Duration::from_secs(30);

/// Each reads for a moment, but there is always one that reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_readers_do_not_make_it_grow_for_ever() {
    let database = Database::sqlite();
    let store = database.open_migrated().await;
    let reading = Arc::new(AtomicBool::new(true));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (file, reading) = (database.file(), reading.clone());
            std::thread::spawn(move || {
                let outsider = rusqlite::Connection::open(file).unwrap();
                while reading.load(Ordering::Relaxed) {
                    outsider.execute_batch("BEGIN").unwrap();
                    seen(&outsider);
                    std::thread::sleep(Duration::from_millis(20));
                    outsider.execute_batch("COMMIT").unwrap();
                }
            })
        })
        .collect();
    let (mut longest, mut n) = (0, 0);
    while size_of_log(&database) >= longest {
        longest = size_of_log(&database);
        assert!(longest < TOO_MUCH, "{} MB", longest / MEGABYTE);
        write(&store, n).await;
        n += 1;
    }
    reading.store(false, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_grew_by_behind_an_old_snapshot_is_given_back() {
    let database = Database::sqlite();
    let store = database.open_migrated().await;
    write(&store, 0).await;
    let outsider = rusqlite::Connection::open(database.file()).unwrap();
    outsider.execute_batch("BEGIN").unwrap();
    assert_eq!(seen(&outsider), 1);
    for n in 1..=700 {
        write(&store, n).await;
    }
    assert!(size_of_log(&database) > 40 * MEGABYTE, "{}", size_of_log(&database));
    assert_eq!(seen(&outsider), 1, "the snapshot stays what it is");
    outsider.execute_batch("COMMIT").unwrap();

    let deadline = Instant::now() + WITHIN;
    let mut n = 701;
    while size_of_log(&database) > 20 * MEGABYTE {
        assert!(Instant::now() < deadline, "{} MB", size_of_log(&database) / MEGABYTE);
        write(&store, n).await;
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen(&outsider), n as i64);
}

fn seen(outsider: &rusqlite::Connection) -> i64 {
    outsider.query_row("SELECT COUNT(*) FROM settings", [], |row| row.get(0)).unwrap()
}

fn size_of_log(database: &Database) -> u64 {
    std::fs::metadata(database.file().with_extension("db-wal")).unwrap().len()
}

async fn write(store: &Store, n: usize) {
    let value = "x".repeat(KILOBYTES * 1024);
    let work = async move |tx: &mut Tx| tx.run(PUT, [n.to_string().into_value(), value.clone().into_value()]).await;
    store.write::<_, StoreError>(work).await.unwrap();
}
