//! The API against a model of it: random stories of two accounts, of which the model says at every step what each answer
//! must be and what each list must show.
//!
//! A story is a list of [`Step`](steps::Step)s. `steps` says what may happen, `orders` how it is asked for; `world`,
//! `refusals`, `effects` and `pass` are the model, which is pure; `judge` holds answers against it and `look` what can be
//! seen; `drive` does the steps; `whole` looks at everything in the end.
//!
//! `OFFHOOK_MODEL_CASES` says how many stories (32 unless told), `OFFHOOK_MODEL_STEPS` how long they may be. A story that
//! fails is made as short as it will go, printed, and its seed kept in `model/regressions.txt`: the next run begins with it.

mod drive;
mod effects;
mod found;
mod judge;
mod look;
mod orders;
mod pass;
mod refusals;
mod steps;
mod whole;
mod world;

use std::cell::Cell;

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use drive::Stage;
use steps::{Step, Story, story};
use world::{Agrees, Mismatch};

#[test]
fn any_story_ends_as_the_model_says() {
    let config = Config {
        cases: setting("OFFHOOK_MODEL_CASES", 32),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/api/model/regressions.txt"))),
        max_shrink_time: 10 * 60 * 1000,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let most = usize::try_from(setting("OFFHOOK_MODEL_STEPS", 60)).unwrap();
    // What fails by chance must fail often enough to be made shorter.
    let times = Cell::new(1);
    let told = TestRunner::new(config).run(&story(most), |Story(steps)| {
        (0..times.get()).try_for_each(|_| tell(&steps)).map_err(|Mismatch(why)| {
            times.set(if steps.iter().any(Step::is_chancy) { 5 } else { 1 });
            TestCaseError::fail(why)
        })
    });
    for (met, times) in judge::MET.lock().unwrap().iter() {
        println!("{times:6} {met}");
    }
    match told {
        Ok(()) => {}
        Err(TestError::Fail(why, Story(steps))) => {
            let (steps, why) = shortest(steps, why.to_string(), times.get());
            panic!("{why}\nThe story, as it can be told in `model/found.rs`:{:?}\n", Story(steps));
        }
        Err(error) => panic!("{error}"),
    }
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text}, and no number")))
}

/// A story that fails without any step that it can do without: shrinking tries to leave each out but once.
fn shortest(mut steps: Vec<Step>, mut why: String, times: u32) -> (Vec<Step>, String) {
    let mut place = 0;
    while place < steps.len() {
        let left_out = steps.remove(place);
        match (0..times).try_for_each(|_| tell(&steps)) {
            Ok(()) => {
                steps.insert(place, left_out);
                place += 1;
            }
            Err(Mismatch(reason)) => (place, why) = (0, reason),
        }
    }
    (steps, why)
}

/// Tells a story from the beginning, on a database of its own.
fn tell(steps: &[Step]) -> Agrees {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::open().await?;
        for (nth, step) in steps.iter().enumerate() {
            let performed = stage.perform(step).await;
            performed.map_err(|Mismatch(why)| Mismatch(format!("step {nth}, {step:?}:\n{why}")))?;
        }
        stage.check_the_whole().await?;
        stage.app.forget().await;
        Ok(())
    })
}
