use proptest::prelude::*;

use super::*;

/// A call whose caller and brain do as the test says.
struct Call {
    taking: TurnTaking,
    now: Duration,
    done: Vec<Action>,
}

impl Call {
    fn with(sensitivity: f64) -> Self {
        let manners = Manners {
            interruption_sensitivity: sensitivity,
            longest_silence: Duration::from_secs(600),
            apology: "Sorry, say that again?".to_owned(),
        };
        Self { taking: TurnTaking::new(manners), now: Duration::ZERO, done: Vec::new() }
    }

    fn usual() -> Self {
        Self::with(0.8)
    }

    fn hears(&mut self, input: Input) -> &mut Self {
        self.taking.handle(input, self.now);
        while let Some(action) = self.taking.next_action() {
            self.done.push(action);
        }
        self
    }

    /// Time goes by, with every deadline in it kept.
    fn after(&mut self, millis: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.taking.deadline().filter(|at| *at <= end) {
            // A deadline that is over comes at once, and must not come again and again.
            let before = (self.now, self.taking.deadline());
            self.now = self.now.max(at);
            self.hears(Input::Woken);
            if before == (self.now, self.taking.deadline()) {
                break;
            }
        }
        self.now = end;
        self
    }

    fn caller_says(&mut self, words: &str) -> &mut Self {
        self.hears(Input::SpeechBegan).after(600);
        self.hears(Input::SpeechEnded).after(50);
        self.hears(Input::Words { text: words.to_owned(), confidence: 0.9 })
    }

    fn brain_says(&mut self, text: &str) -> &mut Self {
        let turn = self.taking.turn;
        self.hears(Input::Answer(turn, Answer::Text(text.to_owned())))
    }

    fn brain_ends(&mut self, after: After) -> &mut Self {
        let turn = self.taking.turn;
        self.hears(Input::Answer(turn, Answer::Ended(after)))
    }

    /// Plays what is to be spoken, to its end.
    fn plays_all(&mut self) -> &mut Self {
        for action in self.done.clone() {
            if let Action::Speak { sentence, .. } = action {
                self.hears(Input::Played(sentence));
            }
        }
        self
    }

    fn asked(&self) -> Vec<&str> {
        self.done
            .iter()
            .filter_map(|action| if let Action::Ask { words, .. } = action { Some(&**words) } else { None })
            .collect()
    }

    fn spoken(&self) -> Vec<&str> {
        self.done
            .iter()
            .filter_map(|action| if let Action::Speak { text, .. } = action { Some(&**text) } else { None })
            .collect()
    }

    fn transcript(&self) -> Vec<(Role, &str)> {
        let turn = |action| {
            if let &Action::Keep(Turn { role, ref content, .. }) = action { Some((role, &**content)) } else { None }
        };
        self.done.iter().filter_map(turn).collect()
    }
}

#[test]
fn a_question_is_asked_once_it_is_over_and_the_answer_is_spoken_as_it_comes() {
    let mut call = Call::usual();
    call.caller_says("Is my order ready?").after(2_000);
    assert_eq!(call.asked(), ["Is my order ready?"]);
    call.brain_says("It is. You can ").brain_says("come by. ");
    assert_eq!(call.spoken(), ["It is.", "You can come by."]);
    call.brain_ends(After::Listen).plays_all();
    assert_eq!(call.transcript(), [(Role::User, "Is my order ready?"), (Role::Agent, "It is. You can come by.")]);
}

#[test]
fn the_greeting_is_spoken_unasked() {
    let mut call = Call::usual();
    call.hears(Input::Greet("Hello, this is Ada.".to_owned())).plays_all();
    assert_eq!(call.transcript(), [(Role::Agent, "Hello, this is Ada.")]);
    assert!(call.asked().is_empty());
}

#[test]
fn a_pause_in_a_sentence_is_waited_out() {
    let mut call = Call::usual();
    call.caller_says("I would like two pizzas and").after(700);
    assert!(call.asked().is_empty());
    call.caller_says("a salad, please.").after(2_000);
    assert_eq!(call.asked(), ["I would like two pizzas and a salad, please."]);
}

#[test]
fn who_interrupts_is_listened_to_and_the_transcript_keeps_what_was_heard() {
    let mut call = Call::usual();
    call.caller_says("What do you have?").after(1_000);
    call.brain_says("We have pizza. We have pasta with cream. And much more. ");
    let turn = call.taking.turn;
    let sentence = |number| SentenceId { turn, number };
    call.hears(Input::Played(sentence(0)));
    let (so_far, whole) = (Duration::from_millis(800), Duration::from_millis(2_000));
    call.hears(Input::Playing { sentence: sentence(1), so_far, whole });
    call.hears(Input::SpeechBegan).after(400);
    assert!(call.done.ends_with(&[
        Action::Drop(turn),
        Action::Hush,
        Action::Keep(Turn { role: Role::Agent, content: "We have pizza. We have".to_owned(), confidence: None, turn }),
    ]));
    call.hears(Input::SpeechEnded)
        .hears(Input::Words { text: "Just a pizza.".to_owned(), confidence: 0.8 })
        .after(1_000);
    assert_eq!(call.asked(), ["What do you have?", "Just a pizza."]);
}

#[test]
fn who_says_mhm_does_not_interrupt() {
    let mut call = Call::usual();
    call.caller_says("Tell me.").after(1_000).brain_says("It began long ago. ");
    call.hears(Input::SpeechBegan).hears(Input::Partial("mhm".to_owned())).after(600).hears(Input::SpeechEnded);
    assert!(!call.done.contains(&Action::Hush));
}

#[test]
fn at_sensitivity_zero_nobody_interrupts_and_their_words_are_answered_afterwards() {
    let mut call = Call::with(0.0);
    call.caller_says("Hello?").after(1_000).brain_says("Please listen to the whole of it. ");
    call.caller_says("I want to cancel.").after(5_000);
    assert_eq!(call.asked(), ["Hello?"]);
    call.brain_ends(After::Listen).plays_all().after(2_000);
    assert_eq!(call.asked(), ["Hello?", "I want to cancel."]);
}

#[test]
fn who_goes_on_while_the_brain_thinks_has_not_finished() {
    let mut call = Call::usual();
    call.caller_says("Book a table.").after(1_000);
    let turn = call.taking.turn;
    call.caller_says("For four people.").after(1_000);
    assert!(call.done.contains(&Action::Drop(turn)));
    assert!(!call.done.contains(&Action::Hush), "nothing was being said");
    assert_eq!(call.asked(), ["Book a table.", "For four people."]);
    // What the first answer still brings is for nobody.
    call.hears(Input::Answer(turn, Answer::Text("For how many? ".to_owned())));
    assert!(call.spoken().is_empty());
}

#[test]
fn the_agent_hangs_up_when_its_last_words_were_heard() {
    let mut call = Call::usual();
    call.caller_says("Bye.").after(1_000).brain_says("Goodbye.").brain_ends(After::Hangup);
    assert!(!call.done.contains(&Action::End(Ending::AgentHungUp)));
    call.plays_all();
    assert_eq!(call.done.last(), Some(&Action::End(Ending::AgentHungUp)));
}

#[test]
fn a_transfer_without_a_word_comes_at_once() {
    let mut call = Call::usual();
    call.caller_says("A human, please.").after(1_000).brain_ends(After::Transfer);
    assert_eq!(call.done.last(), Some(&Action::End(Ending::Transferred)));
}

#[test]
fn digits_are_pressed_after_what_stands_before_them() {
    let mut call = Call::usual();
    call.caller_says("Press one.").after(1_000).brain_says("One moment");
    let turn = call.taking.turn;
    call.hears(Input::Answer(turn, Answer::Digits("1".to_owned())));
    let [.., Action::Speak { text, .. }, Action::Press(digits)] = &call.done[..] else { panic!("{:?}", call.done) };
    assert_eq!((&**text, &**digits), ("One moment", "1"));
}

#[test]
fn who_was_not_understood_is_asked_to_say_it_again() {
    let mut call = Call::usual();
    call.hears(Input::SpeechBegan).after(600);
    call.hears(Input::SpeechEnded).after(100);
    call.hears(Input::Misheard);
    assert_eq!(call.spoken(), ["Sorry, say that again?"]);
    call.plays_all();
    call.caller_says("Two pizzas, please.").after(2_000);
    assert_eq!(call.asked(), ["Two pizzas, please."]);
}

#[test]
fn who_is_not_understood_while_they_speak_may_finish_first() {
    let mut call = Call::usual();
    call.hears(Input::SpeechBegan).after(100);
    call.hears(Input::Misheard).after(800);
    assert!(call.spoken().is_empty());
    call.hears(Input::SpeechEnded).after(1_000);
    assert_eq!(call.spoken(), ["Sorry, say that again?"]);
}

#[test]
fn who_was_understood_in_part_is_answered() {
    let mut call = Call::usual();
    call.caller_says("I would like").after(100);
    call.hears(Input::SpeechBegan).after(300);
    call.hears(Input::SpeechEnded).hears(Input::Misheard).after(3_000);
    assert!(call.spoken().is_empty());
    assert_eq!(call.asked(), ["I would like"]);
}

#[test]
fn a_sentence_that_can_not_be_spoken_is_apologised_for_once_and_was_not_heard() {
    let mut call = Call::usual();
    call.caller_says("Is my order ready?").after(2_000);
    call.brain_says("It is. It is on the shelf. ").brain_ends(After::Listen);
    let turn = call.taking.turn;
    call.hears(Input::Played(SentenceId { turn, number: 0 }));
    call.hears(Input::Unspoken(SentenceId { turn, number: 1 }));
    assert_eq!(call.spoken(), ["It is.", "It is on the shelf.", "Sorry, say that again?"]);
    // Nor can the apology.
    call.hears(Input::Unspoken(SentenceId { turn, number: 2 }));
    assert_eq!(call.transcript(), [(Role::User, "Is my order ready?"), (Role::Agent, "It is.")]);
    call.caller_says("Hello?").after(2_000);
    assert_eq!(call.asked(), ["Is my order ready?", "Hello?"]);
}

#[test]
fn a_farewell_that_can_not_be_spoken_ends_the_call() {
    let mut call = Call::usual();
    call.caller_says("Thank you, bye.").after(2_000);
    call.brain_says("Goodbye. ").brain_ends(After::Hangup);
    let turn = call.taking.turn;
    call.hears(Input::Unspoken(SentenceId { turn, number: 0 }));
    assert_eq!(call.spoken(), ["Goodbye."]);
    assert!(call.done.contains(&Action::End(Ending::AgentHungUp)));
}

#[test]
fn a_brain_that_fails_is_apologised_for_and_the_call_goes_on() {
    let mut call = Call::usual();
    call.caller_says("Hello?").after(1_000);
    let turn = call.taking.turn;
    call.hears(Input::Answer(turn, Answer::Failed));
    assert_eq!(call.spoken(), ["Sorry, say that again?"]);
    call.plays_all().caller_says("Hello?").after(1_000);
    assert_eq!(call.asked(), ["Hello?", "Hello?"]);
}

#[test]
fn a_brain_that_breaks_off_has_said_what_it_said() {
    let mut call = Call::usual();
    call.caller_says("Hello?").after(1_000).brain_says("Hello. How may I");
    let turn = call.taking.turn;
    call.hears(Input::Answer(turn, Answer::Failed));
    assert_eq!(call.spoken(), ["Hello.", "How may I"]);
}

#[test]
fn an_answer_of_nothing_is_silence_for_that_turn() {
    let mut call = Call::usual();
    call.caller_says("Hm.").after(1_000).brain_ends(After::Listen);
    assert!(call.spoken().is_empty());
    call.caller_says("Are you there?").after(1_000);
    assert_eq!(call.asked(), ["Hm.", "Are you there?"]);
}

#[test]
fn a_call_in_which_nobody_speaks_ends() {
    let mut call = Call::usual();
    call.caller_says("Hello?").after(1_000).brain_says("Hello.").brain_ends(After::Listen).plays_all();
    call.after(599_000);
    assert!(!call.done.contains(&Action::End(Ending::Silence)));
    call.after(2_000);
    assert_eq!(call.done.last(), Some(&Action::End(Ending::Silence)));
}

#[test]
fn a_brain_that_thinks_for_long_is_no_silence() {
    let mut call = Call::usual();
    call.caller_says("Hello?").after(1_000_000);
    assert!(!call.done.contains(&Action::End(Ending::Silence)));
}

#[test]
fn a_cough_is_no_turn() {
    let mut call = Call::usual();
    call.hears(Input::SpeechBegan).after(300).hears(Input::SpeechEnded).after(10_000);
    assert!(call.asked().is_empty());
}

#[test]
fn who_types_is_answered_at_once_and_may_interrupt() {
    let mut call = Call::usual();
    call.hears(Input::Typed("hi".to_owned())).brain_says("Hello. And so on. ");
    call.hears(Input::Typed("stop".to_owned()));
    assert_eq!(call.asked(), ["hi", "stop"]);
    assert!(call.done.contains(&Action::Hush));
}

#[test]
fn a_call_that_ends_keeps_what_was_said_last() {
    let mut call = Call::usual();
    call.caller_says("I will call ag");
    call.taking.finish();
    call.hears(Input::Woken);
    assert_eq!(call.transcript(), [(Role::User, "I will call ag")]);
}

fn inputs() -> impl Strategy<Value = Input> {
    let sentence = (0_u64..8, 0_usize..4).prop_map(|(turn, number)| SentenceId { turn, number });
    let answer = prop_oneof![
        "[a-z .]{0,20}".prop_map(Answer::Text),
        Just(Answer::ChunkEnded),
        Just(Answer::Digits("1".to_owned())),
        Just(Answer::Ended(After::Listen)),
        Just(Answer::Failed),
    ];
    prop_oneof![
        4 => Just(Input::SpeechBegan),
        4 => Just(Input::SpeechEnded),
        3 => "[a-z]{0,6}".prop_map(Input::Partial),
        3 => "[a-z ]{0,9}".prop_map(|text| Input::Words { text, confidence: 0.5 }),
        1 => "[a-z]{0,6}".prop_map(Input::Typed),
        1 => "[a-z]{0,6}".prop_map(Input::Greet),
        6 => (1_u64..8, answer).prop_map(|(turn, answer)| Input::Answer(turn, answer)),
        3 => sentence.prop_map(Input::Played),
        3 => Just(Input::Woken),
    ]
}

proptest! {
    /// Whatever comes in whatever order: no turn is asked twice, none is answered after it was dropped, every word of the
    /// caller's is in the transcript once, and a deadline that is kept does not stand still.
    #[test]
    fn the_rules_hold_whatever_happens(steps in proptest::collection::vec((inputs(), 0_u64..900), 0..60)) {
        let mut call = Call::usual();
        let mut said: Vec<String> = Vec::new();
        for (input, millis) in steps {
            if let Input::Words { text, .. } | Input::Typed(text) = &input {
                said.extend(text.split_whitespace().map(str::to_owned));
            }
            call.hears(input).after(millis);
        }
        call.taking.finish();
        while let Some(action) = call.taking.next_action() {
            call.done.push(action);
        }
        let mut asked = 0;
        let mut dropped = 0;
        for action in &call.done {
            match action {
                Action::Ask { turn, .. } => {
                    prop_assert!(*turn > asked);
                    asked = *turn;
                }
                Action::Drop(turn) => dropped = *turn,
                Action::Speak { sentence, .. } => prop_assert!(sentence.turn > dropped),
                _ => {}
            }
        }
        let kept: Vec<&str> = call.transcript().into_iter().filter(|(role, _)| *role == Role::User)
            .flat_map(|(_, text)| text.split_whitespace()).collect();
        let mut missing = said.iter();
        for word in &kept {
            // Partial words may stand between; none is doubled.
            if missing.clone().any(|one| one == word) {
                missing.by_ref().find(|one| *one == word);
            }
        }
        prop_assert!(said.iter().all(|word| kept.contains(&word.as_str())), "{said:?} in {kept:?}");
    }
}
