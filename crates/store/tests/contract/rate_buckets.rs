//! Buckets of tokens: never more out of one than were in it, whoever takes.

use std::time::Duration;

use offhook_domain::Timestamp;
use offhook_store::rate_buckets::{Rate, Taken};
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

/// Ten at once, and one every 100 ms.
const RATE: Rate = Rate { interval: Duration::from_millis(100), burst: 10 };
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

on_both_engines!(a_bucket_is_emptied_at_once_and_fills_slowly, async |store| {
    assert_eq!(take(&store, 4, 0).await, Taken::Tokens(4));
    assert_eq!(take(&store, 9, 0).await, Taken::Tokens(6), "what is left of it");
    assert_eq!(take(&store, 1, 0).await, Taken::NoneFor(Duration::from_millis(100)));
    assert_eq!(take(&store, 1, 40).await, Taken::NoneFor(Duration::from_millis(60)));
    assert_eq!(take(&store, 3, 250).await, Taken::Tokens(2));
    assert_eq!(take(&store, 99, 60_000).await, Taken::Tokens(10), "no more than it holds");
});

on_both_engines!(many_who_take_at_once_get_what_there_is, async |store| {
    let mut takers = JoinSet::new();
    for wanted in [1, 2, 3].repeat(20) {
        let store = store.clone();
        takers.spawn(async move { take(&store, wanted, 0).await });
    }
    let taken: u32 = takers.join_all().await.into_iter().map(count).sum();
    // Whoever lost a race went away with nothing, and left it.
    let left = count(take(&store, RATE.burst, 0).await);
    assert_eq!(taken + left, RATE.burst);
});

on_both_engines!(no_span_of_time_gives_more_than_the_bucket_and_what_came_into_it, async |store| {
    let mut dice = Dice(7);
    let (mut at, mut taken) = (0, Vec::new());
    for _ in 0..200 {
        at += dice.throw(180);
        let wanted = u32::try_from(dice.throw(5) + 1).unwrap();
        taken.push((at, count(take(&store, wanted, at).await)));
    }
    for (first, (from, _)) in taken.iter().enumerate() {
        let mut sum = 0;
        for (to, tokens) in &taken[first..] {
            sum += u64::from(*tokens);
            let most = u64::from(RATE.burst) + (to - from) / 100 + 1;
            assert!(sum <= most, "{sum} from {from} ms to {to} ms");
        }
    }
});

on_both_engines!(a_bucket_that_is_forgotten_is_full, async |store| {
    assert_eq!(take(&store, 10, 0).await, Taken::Tokens(10));
    let prune = async |tx: &mut Tx| tx.prune_rate_buckets(START.plus(Duration::from_secs(2))).await;
    store.write::<_, StoreError>(prune).await.unwrap();
    assert_eq!(take(&store, 10, 2_000).await, Taken::Tokens(10));
});

async fn take(store: &Store, wanted: u32, at_millis: u64) -> Taken {
    let now = START.plus(Duration::from_millis(at_millis));
    let take = async move |tx: &mut Tx| tx.take_tokens("key reads", RATE, wanted, now).await;
    store.write::<_, StoreError>(take).await.unwrap()
}

fn count(taken: Taken) -> u32 {
    match taken {
        Taken::Tokens(count) => count,
        Taken::NoneFor(_) => 0,
    }
}

/// The same throws in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
