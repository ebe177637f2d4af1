//! The calls of this node. In: calls that come and calls that are placed, each with its line. Out: each is led by one task
//! until it is over; any can be told to end, and a stop ends all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offhook_domain::CallId;
use offhook_domain::call::EndReason;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::{Origin, Stop, run_call};
use crate::host::{Arrival, CallHost, Job};
use crate::line::{Line, LineEvent, LineOrder, Refusal};

/// Where calls are led. Cheap to clone.
#[derive(Clone)]
pub struct Exchange {
    parts: Arc<Parts>,
}

struct Parts {
    host: Arc<dyn CallHost>,
    calls: Mutex<HashMap<CallId, watch::Sender<Option<EndReason>>>>,
    tasks: TaskTracker,
    /// No further calls are taken.
    draining: CancellationToken,
}

impl Exchange {
    #[must_use]
    pub fn new(host: Arc<dyn CallHost>) -> Self {
        let parts =
            Parts { host, calls: Mutex::default(), tasks: TaskTracker::new(), draining: CancellationToken::new() };
        Self { parts: Arc::new(parts) }
    }

    /// Somebody calls: it is led if the platform wants it.
    pub fn take(&self, arrival: Arrival, line: Box<dyn Line>) {
        let exchange = self.clone();
        self.parts.tasks.spawn(async move {
            let mut line = line;
            if exchange.parts.draining.is_cancelled() {
                return refuse(line, Refusal::Broken).await;
            }
            match exchange.parts.host.arrives(arrival).await {
                Ok(job) => {
                    line.order(LineOrder::Ring);
                    let listed = exchange.list(&job.plan.call);
                    exchange.lead(job, Origin::Theirs, line, listed).await;
                }
                Err(why) => refuse(line, why).await,
            }
        });
    }

    /// A call of ours, which the platform has kept already.
    pub fn place(&self, job: Job, line: Box<dyn Line>) {
        let exchange = self.clone();
        // It can be told to end from now on.
        let listed = self.list(&job.plan.call);
        self.parts.tasks.spawn(async move { exchange.lead(job, Origin::Ours, line, listed).await });
    }

    async fn lead(&self, job: Job, origin: Origin, line: Box<dyn Line>, listed: (Listed, Stop)) {
        let (_listed, stop) = listed;
        run_call(job, origin, line, self.parts.host.clone(), stop).await;
    }

    fn list(&self, call: &CallId) -> (Listed, Stop) {
        let (end, stop) = watch::channel(None);
        self.calls(|calls| calls.insert(call.clone(), end));
        (Listed { exchange: self.clone(), call: call.clone() }, stop)
    }

    /// Tells a call to end; false where this node has no such call.
    pub fn end(&self, call: &CallId, reason: EndReason) -> bool {
        self.calls(|calls| calls.get(call).is_some_and(|end| end.send(Some(reason)).is_ok()))
    }

    /// The calls that are led here.
    #[must_use]
    pub fn calls_here(&self) -> Vec<CallId> {
        self.calls(|calls| calls.keys().cloned().collect())
    }

    /// Takes no further calls, lets those that stand go on for a while, and ends the rest. Returns when all are over.
    pub async fn drain(&self, patience: Duration) {
        self.parts.draining.cancel();
        self.parts.tasks.close();
        if tokio::time::timeout(patience, self.parts.tasks.wait()).await.is_err() {
            for call in self.calls_here() {
                self.end(&call, EndReason::Shutdown);
            }
            self.parts.tasks.wait().await;
        }
    }

    fn calls<T>(&self, look: impl FnOnce(&mut HashMap<CallId, watch::Sender<Option<EndReason>>>) -> T) -> T {
        look(&mut self.parts.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whatever happens to a call's task, its name is taken off the list.
struct Listed {
    exchange: Exchange,
    call: CallId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.exchange.calls(|calls| calls.remove(&self.call));
    }
}

async fn refuse(mut line: Box<dyn Line>, why: Refusal) {
    line.order(LineOrder::Refuse(why));
    let over = async { while !matches!(line.next().await, LineEvent::Over(_)) {} };
    let _ = tokio::time::timeout(Duration::from_secs(5), over).await;
}
