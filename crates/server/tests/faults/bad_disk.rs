//! A disk that fails: it can't be written, or it was remounted read-only, or it loses what it took, which shows only at
//! the sync. SQLite only.
//!
//! A preloaded library ([`bad_disk.c`](bad_disk.c)) gives the server the errors of such a disk; what it wrote before,
//! and did not sync, is there after a crash, as it may be with a real one.

use std::path::PathBuf;
use std::process::Command;

use crate::cast::Cast;
use crate::database::Database;
use crate::from_environment;
use crate::ledger_of_deeds::Deeds;
use crate::load::{Load, Manners};
use crate::process::{Launch, Offhook};
use crate::reckoning::{Lateness, reckon};
use crate::waiting::{answers, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_can_not_be_written_is_lived_with() {
    live_through("w").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turned_read_only_is_lived_with() {
    live_through("r").await;
}

/// What was written and not synced may be there after a crash: that it did not happen must not be said of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_can_not_be_synced_is_lived_with() {
    live_through("s").await;
}

/// The disk fails in some way under load, the process dies, and the disk is well again.
async fn live_through(failure: &str) {
    let database = Database::sqlite();
    let disk = BadDisk::under(&database);
    let launch = Launch { settings: disk.settings(), ..Launch::default() };
    let mut offhook = Offhook::launch(&database, launch).await;
    let client = offhook.client();
    let cast = Cast::of_plain_numbers(&client, 3).await;
    let deeds = Deeds::default();

    for _ in 0..rounds() {
        let load = Load::start(vec![client.clone()], &cast, &deeds, Manners::Anything);
        let done = deeds.count_done();
        wait_until("there is something to lose", || deeds.count_done() > done + 200).await;
        disk.fails(failure);
        answers(&client, "/readyz", 503).await;
        answers(&client, "/v1/conversations", 200).await;
        disk.is_well();
        answers(&client, "/readyz", 200).await;
        let done = deeds.count_done();
        wait_until("it goes on by itself", || deeds.count_done() > done + 50).await;
        disk.fails(failure);
        answers(&client, "/readyz", 503).await;
        offhook.kill().await;
        load.stop().await;
        disk.is_well();
        database.let_time_pass().await;
        offhook.restart().await;
    }
    let load = Load::start(vec![client.clone()], &cast, &deeds, Manners::Fails);
    let done = deeds.count_done();
    wait_until("changes are accepted again", || deeds.count_done() > done + 50).await;
    load.stop().await;
    offhook.kill().await;
    database.let_time_pass().await;
    offhook.restart().await;
    reckon(&mut [offhook], &database, &cast, &deeds, Lateness::Never).await;
}

fn rounds() -> usize {
    from_environment("OFFHOOK_FAULT_ROUNDS").map_or(2, |rounds: usize| rounds.div_ceil(5))
}

struct BadDisk {
    library: PathBuf,
    control: PathBuf,
}

impl BadDisk {
    /// Compiles the library, with the compiler that SQLite needs as well.
    fn under(database: &Database) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/bad_disk.c");
        let (library, control) = (database.folder().join("bad_disk.so"), database.folder().join("bad_disk"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        let output = compiler.output().expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let disk = Self { library, control };
        disk.is_well();
        disk
    }

    fn settings(&self) -> Vec<(String, String)> {
        let text = |path: &PathBuf| path.display().to_string();
        vec![("LD_PRELOAD".to_owned(), text(&self.library)), ("BAD_DISK".to_owned(), text(&self.control))]
    }

    fn fails(&self, how: &str) {
        std::fs::write(&self.control, how).unwrap();
    }

    fn is_well(&self) {
        std::fs::write(&self.control, "").unwrap();
    }
}
