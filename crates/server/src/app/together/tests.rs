//! Who goes with whom, and who is told what.

use std::pin::pin;
use std::sync::PoisonError;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;

type Taken = Arc<Mutex<Vec<Batch<u32, String>>>>;

/// A gathering whose batches are written when the test says so.
fn gathering(most: usize) -> (Arc<Gathering<u32, String>>, Taken) {
    let taken = Taken::default();
    let place = taken.clone();
    (Gathering::new(most, move |batch| place.lock().unwrap_or_else(PoisonError::into_inner).push(batch)), taken)
}

/// Answers the batch being written, and tells what was in it.
fn write(taken: &Taken) -> Vec<u32> {
    let mut batch = taken.lock().unwrap().pop().expect("a batch is being written");
    assert!(taken.lock().unwrap().is_empty(), "one at a time");
    let items = batch.items.to_vec();
    items.iter().enumerate().for_each(|(n, item)| batch.answer(n, format!("done {item}")));
    items
}

fn begin<F: Future + Unpin>(future: &mut F) {
    assert!(future.now_or_never().is_none(), "not answered yet");
}

#[tokio::test]
async fn who_comes_alone_goes_alone_and_what_comes_meanwhile_goes_together() {
    let (together, taken) = gathering(10);
    let mut callers: Vec<_> = (0..4).map(|n| Box::pin(together.join(n))).collect();
    callers.iter_mut().for_each(begin);
    assert_eq!(write(&taken), [0]);
    assert_eq!(write(&taken), [1, 2, 3]);
    let answers = join_all(callers).await;
    assert_eq!(answers, ["done 0", "done 1", "done 2", "done 3"].map(|text| Ok(text.to_owned())));
    assert!(taken.lock().unwrap().is_empty());

    let mut later = Box::pin(together.join(9));
    begin(&mut later);
    assert_eq!(write(&taken), [9], "the gathering goes on after a rest");
}

#[tokio::test]
async fn at_most_so_many_go_together() {
    let (together, taken) = gathering(2);
    let mut callers: Vec<_> = (0..6).map(|n| Box::pin(together.join(n))).collect();
    callers.iter_mut().for_each(begin);
    let written: Vec<_> = (0..4).map(|_| write(&taken)).collect();
    assert_eq!(written, [vec![0], vec![1, 2], vec![3, 4], vec![5]]);
}

#[tokio::test]
async fn one_who_goes_away_before_his_turn_is_not_written() {
    let (together, taken) = gathering(10);
    let mut callers: Vec<_> = (0..4).map(|n| Box::pin(together.join(n))).collect();
    callers.iter_mut().for_each(begin);
    drop(callers.remove(2));
    assert_eq!(write(&taken), [0]);
    assert_eq!(write(&taken), [1, 3]);
}

#[tokio::test]
async fn one_who_goes_away_while_he_is_written_takes_nobody_with_him() {
    let (together, taken) = gathering(10);
    let mut callers: Vec<_> = (0..4).map(|n| Box::pin(together.join(n))).collect();
    callers.iter_mut().for_each(begin);
    drop(callers.remove(0));
    assert_eq!(write(&taken), [0]);
    drop(callers.remove(0));
    assert_eq!(write(&taken), [1, 2, 3]);
    assert_eq!(join_all(callers).await, ["done 2", "done 3"].map(|text| Ok(text.to_owned())));
}

#[tokio::test]
async fn a_batch_that_is_lost_is_told_so_and_the_next_goes() {
    let (together, taken) = gathering(10);
    let mut lost = pin!(together.join(0));
    let mut next = pin!(together.join(1));
    assert!(lost.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
    let batch = taken.lock().unwrap().pop();
    drop(batch);
    assert_eq!(lost.await, Err(Gone));
    assert_eq!(write(&taken), [1]);
    assert_eq!(next.await, Ok("done 1".to_owned()));
}
