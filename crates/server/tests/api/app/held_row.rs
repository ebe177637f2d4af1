//! A row that another transaction holds, on PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use offhook_store::engine::IntoValue;
use offhook_store::{Sql, Store, StoreError, Tx};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::database::Database;

const HOLD: Sql = Sql("UPDATE conversations SET message_count = message_count WHERE participant = $1");
/// Else the server would take the transaction for a paused node's.
const BUSY: Sql = Sql("SELECT CAST(pg_sleep(0.02) AS TEXT)");

pub struct HeldRow {
    let_go: Arc<AtomicBool>,
    holder: JoinSet<()>,
}

impl HeldRow {
    pub async fn of_conversation(database: &Database, participant: &str) -> Self {
        let let_go = Arc::new(AtomicBool::new(false));
        let mut holder = JoinSet::new();
        let Some(store) = database.open_another().await else { return Self { let_go, holder } };
        let (held, until, participant) = (Arc::new(Notify::new()), let_go.clone(), participant.to_owned());
        let holding = held.clone();
        holder.spawn(async move { hold(&store, participant, holding, until).await });
        held.notified().await;
        Self { let_go, holder }
    }

    /// Whether it holds anything.
    pub fn is_real(&self) -> bool {
        !self.holder.is_empty()
    }

    pub async fn let_go(self) {
        self.let_go.store(true, Ordering::Relaxed);
        self.holder.join_all().await;
    }
}

async fn hold(store: &Store, participant: String, held: Arc<Notify>, until: Arc<AtomicBool>) {
    let work = async move |tx: &mut Tx| {
        let rows = tx.change(HOLD, [participant.as_str().into_value()]).await?;
        assert_eq!(rows, 1, "there is such a conversation");
        held.notify_one();
        while !until.load(Ordering::Relaxed) {
            tx.rows(BUSY, []).await?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(work).await.unwrap();
}
