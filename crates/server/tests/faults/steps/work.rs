//! Work behind a commit whose transaction is cut: the claim of a message, the record of what its carrier said, the record
//! of an event's delivery. A short absence of the database delays it, and neither loses nor repeats it.

use std::time::{Duration, Instant};

use offhook_testkit::tcp_proxy::postgres::{FirstStatement, Seen};

use super::{DONE_WITHIN, Stage, Step, steps};
use crate::database::count;

/// Connections that are refused before the database is there again.
const REFUSED: usize = 2;

/// Some work: what causes it, by which transaction it is done, and a query that counts 1 when it is.
struct Work {
    cause: Cause,
    is_it: fn(&FirstStatement<'_>) -> bool,
    done: &'static str,
}

enum Cause {
    /// A text of ours.
    Send,
    /// A text to us.
    Receive,
}

const SENT: &str = "SELECT COUNT(*) FROM messages WHERE body = $1 AND status IN ('sent', 'delivered')";
const TOLD: &str = "SELECT COUNT(*) FROM messages m JOIN deliveries d ON d.message_id = m.id
    WHERE m.body = $1 AND d.status = 'success'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_claimed_and_sent_once_whatever_is_cut() {
    // It confirms the lease of the line.
    let is_it = |first: &FirstStatement<'_>| first.sql.starts_with("UPDATE leases SET until = until");
    Work { cause: Cause::Send, is_it, done: SENT }.is_done_under_cuts().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_carrier_said_is_kept_once_whatever_is_cut() {
    let is_it = |first: &FirstStatement<'_>| first.sql.starts_with("DELETE FROM send_jobs");
    Work { cause: Cause::Send, is_it, done: SENT }.is_done_under_cuts().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delivery_of_an_event_is_recorded_once_whatever_is_cut() {
    let is_it = |first: &FirstStatement<'_>| first.sql.starts_with("UPDATE deliveries SET status");
    Work { cause: Cause::Receive, is_it, done: TOLD }.is_done_under_cuts().await;
}

impl Work {
    async fn is_done_under_cuts(&self) {
        let stage = Stage::set().await;
        let messages = stage.measure(self.is_it, async |body: String| self.do_all(&stage, &body).await).await;
        let (all, mut cut) = (steps(messages), 0);
        for step in &all {
            let body = format!("{step:?}");
            self.do_all(&stage, &format!("before {body}")).await;
            let seen = stage.arm(*step, self.is_it);
            // What causes it may be held up by what is cut behind it.
            tokio::join!(self.begin(&stage, &body), self.cut(&stage, *step, &seen, &body));
            stage.wait_for_count(1, self.done, &body).await;
            cut += usize::from(seen.is_cut());
        }
        println!("{messages} messages, {cut} of {} cuts", all.len());
        // A transaction is longer where a receipt is there already, or its connection does not know a statement.
        assert!(cut * 2 >= all.len(), "{cut} of {} cuts", all.len());
        stage.end().await;
    }

    async fn do_all(&self, stage: &Stage, body: &str) {
        self.begin(stage, body).await;
        stage.wait_for_count(1, self.done, body).await;
    }

    async fn begin(&self, stage: &Stage, body: &str) {
        match self.cause {
            // The cut of what came before may meet it.
            Cause::Send => while !stage.send(body, Some(body)).await.unwrap().is_success() {},
            Cause::Receive => drop(stage.text(body).await.unwrap().ok()),
        }
    }

    /// Waits until the connection is cut, or the work done with fewer messages than that takes.
    async fn cut(&self, stage: &Stage, step: Step, seen: &Seen, body: &str) {
        let deadline = Instant::now() + DONE_WITHIN;
        while !seen.is_cut() && count(&stage.store, self.done, body).await == 0 {
            assert!(Instant::now() < deadline, "neither cut nor done: {step:?}\n{}", stage.offhook.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if step.away && seen.is_cut() {
            stage.proxy.wait_for_refused(REFUSED).await;
        }
        stage.disarm().await;
    }
}
