//! The API against a model of it: random stories of two accounts, of which the model says at every step what each answer
//! must be and what each list must show.
//!
//! A story is a list of [`Step`](steps::Step)s. `steps` says what may happen, `draw` how often, `orders` how it is asked
//! for. `world` and what it does in `refusals`, `effects`, `speech` and `pass` is the model, which is pure; `judge` holds
//! answers against it, and `compare` what can be seen. `drive` does the steps, with `outside` for what is past the API and
//! `work` for the workers; `look` reads all lists, and `whole` everything in the end.
//!
//! `OFFHOOK_MODEL_CASES` says how many stories (32 unless told), `OFFHOOK_MODEL_STEPS` how long they may be. A story that
//! fails is made as short as it will go, printed, and its seed kept in `model/regressions.txt`: the next run begins with it.

mod compare;
mod draw;
mod drive;
mod effects;
mod found;
mod judge;
mod look;
mod orders;
mod outside;
mod pass;
mod refusals;
mod speech;
mod steps;
mod whole;
mod work;
mod world;

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use draw::story;
use drive::Stage;
use steps::{Step, Story};
use world::Mismatch;

/// For making a story that fails shorter, twice.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

#[test]
fn any_story_ends_as_the_model_says() {
    let config = Config {
        cases: setting("OFFHOOK_MODEL_CASES", 32),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/api/model/regressions.txt"))),
        max_shrink_time: u32::try_from(PATIENCE.as_millis()).unwrap(),
        max_shrink_iters: u32::MAX,
        ..Config::default()
    };
    let most = usize::try_from(setting("OFFHOOK_MODEL_STEPS", 60)).unwrap();
    // What fails by chance must fail often enough to be made shorter.
    let times = Cell::new(1);
    let told = TestRunner::new(config).run(&story(most), |Story(steps)| {
        (0..times.get()).try_for_each(|_| tell(&steps)).map_err(|failed| {
            times.set(if steps.iter().any(Step::is_chancy) { 5 } else { 1 });
            TestCaseError::fail(failed.to_string())
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

/// A story that fails without the steps that it can do without: shrinking tries to leave each out but once. For a while.
fn shortest(mut steps: Vec<Step>, mut why: String, times: u32) -> (Vec<Step>, String) {
    let began = Instant::now();
    let mut before = usize::MAX;
    while steps.len() < before {
        before = steps.len();
        let mut place = 0;
        while place < steps.len() && began.elapsed() < PATIENCE {
            let left_out = steps.remove(place);
            match (0..times).try_for_each(|_| tell(&steps)) {
                Ok(()) => {
                    steps.insert(place, left_out);
                    place += 1;
                }
                Err(failed) => {
                    why = failed.to_string();
                    // What comes behind the step that failed has no part in it.
                    steps.truncate(failed.step + 1);
                }
            }
        }
    }
    (steps, why)
}

/// How a story failed: at which step, or behind the last.
#[derive(Debug, thiserror::Error)]
#[error("step {step}, {what}:\n{why}")]
struct Failed {
    step: usize,
    what: String,
    why: String,
}

/// Tells a story from the beginning, on a database of its own.
fn tell(steps: &[Step]) -> Result<(), Failed> {
    let failed = |step: usize, Mismatch(why): Mismatch| {
        let what = steps.get(step).map_or_else(|| "the end".to_owned(), |step| format!("{step:?}"));
        Failed { step, what, why }
    };
    Runtime::new().unwrap().block_on(async {
        let mut stage = Stage::open().await.map_err(|why| failed(0, why))?;
        for (nth, step) in steps.iter().enumerate() {
            stage.perform(step).await.map_err(|why| failed(nth, why))?;
        }
        stage.check_the_whole().await.map_err(|why| failed(steps.len(), why))?;
        stage.app.forget().await;
        Ok(())
    })
}
