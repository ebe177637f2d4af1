//! A recorded caller, as fast as the machine goes: `speech/two_sentences.ul`, 8 kHz µ-law made with flite 2.2 (voice slt) over
//! a little noise. "I would like to book a table, please." is heard from 0.82 s to 2.90 s, "For four people." from 4.06 s to 5.06 s.

use std::time::Duration;

use offhook_voice::turn::speech::{Change, Rate, SpeechDetector};
use offhook_voice::turn::taking::{Action, Input, Manners, TurnTaking};

const RECORDED: &[u8] = include_bytes!("speech/two_sentences.ul");
const FRAME: usize = 160;

/// ITU-T G.711.
fn from_ulaw(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((i16::from(bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7);
    if bits & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

fn frames() -> impl Iterator<Item = Vec<i16>> {
    RECORDED.chunks(FRAME).map(|frame| frame.iter().map(|byte| from_ulaw(*byte)).collect())
}

#[test]
fn both_sentences_are_found_and_the_pause_between_them() {
    let mut detector = SpeechDetector::new(Rate::Khz8);
    let mut heard = Vec::new();
    for frame in frames() {
        detector.listen(&frame, |change| heard.push(change));
    }
    // Speech may be taken to pause within a sentence, but not where there is none.
    let [Change::Began(first), .., Change::Ended(last)] = heard[..] else { panic!("{heard:?}") };
    let near = |at: Duration, millis: u64| at.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(150);
    assert!(near(first, 820), "{heard:?}");
    assert!(near(last, 5_060), "{heard:?}");
    let pause = heard.windows(2).find_map(|pair| match pair {
        [Change::Ended(from), Change::Began(to)] if *to - *from > Duration::from_millis(600) => Some((*from, *to)),
        _ => None,
    });
    let (from, to) = pause.unwrap();
    assert!(near(from, 2_900) && near(to, 4_060), "{heard:?}");
}

#[test]
fn a_recorded_caller_is_asked_for_two_turns_each_soon_after_it_was_said() {
    let manners = Manners {
        interruption_sensitivity: 0.8,
        longest_silence: Duration::from_secs(60),
        apology: "Sorry?".to_owned(),
    };
    let (mut detector, mut taking) = (SpeechDetector::new(Rate::Khz8), TurnTaking::new(manners));
    // What a transcriber brings, a little after each pause.
    let mut words =
        [(3_100, "I would like to book a table, please."), (5_300, "For four people.")].into_iter().peekable();
    let mut asked = Vec::new();
    for (n, frame) in frames().enumerate() {
        let now = Duration::from_millis(20) * (u32::try_from(n).unwrap() + 1);
        let mut changes = Vec::new();
        detector.listen(&frame, |change| changes.push(change));
        for change in changes {
            let input = if matches!(change, Change::Began(_)) { Input::SpeechBegan } else { Input::SpeechEnded };
            taking.handle(input, now);
        }
        if let Some((_, text)) = words.next_if(|(at, _)| now >= Duration::from_millis(*at)) {
            taking.handle(Input::Words { text: text.to_owned(), confidence: 0.9 }, now);
        }
        taking.handle(Input::Woken, now);
        while let Some(action) = taking.next_action() {
            if let Action::Ask { words, .. } = action {
                asked.push((words, now));
            }
        }
    }
    let texts: Vec<&str> = asked.iter().map(|(words, _)| &**words).collect();
    assert_eq!(texts, ["I would like to book a table, please.", "For four people."]);
    let waited = asked[0].1 - Duration::from_millis(2_900);
    assert!(waited < Duration::from_millis(700), "{waited:?}");
}
