//! The queue against a store in memory: what is looked for, what is taken in, and in which order it goes.

use std::collections::BTreeMap;

use offhook_domain::{Id, Timestamp};

use super::*;

/// A number's waiting messages as the store has them: by the time they came.
#[derive(Default)]
struct Backlog {
    waiting: BTreeMap<i64, Waiting>,
    conversations: BTreeMap<&'static str, ConversationId>,
    came: i64,
    looks: usize,
}

impl Backlog {
    fn came(&mut self, conversation: &'static str, count: usize) {
        for _ in 0..count {
            self.came += 1;
            let at = Timestamp::from_micros(self.came);
            let id = self.conversations.entry(conversation).or_insert_with(|| ConversationId::generate(at)).clone();
            let job = Waiting {
                message_id: MessageId::generate(at),
                conversation_id: id,
                at,
                attempts: 0,
                from: String::new(),
                to: conversation.to_owned(),
                body: String::new(),
                media_urls: Vec::new(),
                carrier: String::new(),
                number_active: true,
                segments: 1,
                tried_since: None,
                campaign: None,
                opted_out: false,
            };
            self.waiting.insert(self.came, job);
        }
    }

    fn of(&self, conversation: &ConversationId, limit: usize) -> Vec<Waiting> {
        self.waiting.values().filter(|job| job.conversation_id == *conversation).take(limit).cloned().collect()
    }

    /// What a look would find, its heads claimed.
    fn find(&mut self, look: &Look) -> Found {
        self.looks += 1;
        let mut found = Found::default();
        for again in &look.again {
            let more = self.of(&again.conversation, again.limit);
            found.read.push((again.conversation.clone(), more.len() >= again.limit));
            found.behind.extend(more);
        }
        let mut waiting = Vec::new();
        match &look.page {
            Page::Nothing => {}
            Page::Oldest { limit } => {
                waiting.extend(self.waiting.values().take(*limit).cloned());
                found.page_is_full = waiting.len() >= *limit;
            }
            Page::InTurn { after, limit } => {
                let mut ids: Vec<_> = self.waiting.values().map(|job| job.conversation_id.clone()).collect();
                ids.sort();
                ids.dedup();
                ids.retain(|id| id.as_str() > after.as_str());
                ids.truncate(*limit);
                found.page_is_full = ids.len() >= *limit;
                found.read.extend(ids.iter().filter(|id| look.busy.contains(*id)).map(|id| (id.clone(), true)));
                for id in ids.iter().filter(|id| !look.busy.contains(*id)) {
                    let of_one = self.of(id, OF_ONE);
                    found.read.push((id.clone(), of_one.len() >= OF_ONE));
                    waiting.extend(of_one);
                }
                found.last = ids.pop();
            }
        }
        let mut taken = look.busy.clone();
        for job in waiting {
            if taken.insert(job.conversation_id.clone()) {
                if found.heads.len() < look.room {
                    self.waiting.remove(&job.at.as_micros());
                    found.heads.push(job);
                }
            } else {
                found.behind.push(job);
            }
        }
        found
    }

    /// Looks as long as there is something to look for; what may go.
    fn look(&mut self, queue: &mut Queue) -> Vec<Waiting> {
        let mut ready = Vec::new();
        for _ in 0..1000 {
            let Some(look) = queue.next_look(true) else { return ready };
            let found = self.find(&look);
            ready.extend(found.heads.iter().cloned());
            queue.admit(&look.page, found);
        }
        panic!("it looks for ever");
    }

    /// A message went; the one behind it, claimed.
    fn went(&mut self, queue: &mut Queue, job: Waiting) -> Option<Waiting> {
        let next = queue.behind(&job.conversation_id).map(|next| next.at.as_micros());
        let claimed = next.and_then(|at| self.waiting.remove(&at)).map(|job| job.message_id);
        queue.move_up(job.conversation_id, |id| claimed.as_ref() == Some(id))
    }
}

fn receivers(jobs: &[Waiting]) -> Vec<&str> {
    jobs.iter().map(|job| job.to.as_str()).collect()
}

#[test]
fn the_first_of_each_conversation_goes_and_those_behind_follow_in_order() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    for name in ["a", "b", "a", "a"] {
        backlog.came(name, 1);
    }
    let mut ready = backlog.look(&mut queue);
    assert_eq!(receivers(&ready), ["a", "b"]);
    let (b, a) = (ready.pop().unwrap(), ready.pop().unwrap());
    assert!(backlog.went(&mut queue, b).is_none());
    let second = backlog.went(&mut queue, a).unwrap();
    let third = backlog.went(&mut queue, second.clone()).unwrap();
    assert!(second.at < third.at);
    assert!(backlog.went(&mut queue, third).is_none());
    assert!(backlog.look(&mut queue).is_empty() && queue.conversations.is_empty());
}

#[test]
fn a_conversation_of_thousands_holds_up_no_other() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    backlog.came("busy", 100_000);
    backlog.came("quiet", 2);
    assert_eq!(receivers(&backlog.look(&mut queue)), ["busy", "quiet"]);
    assert!(queue.waiting() <= 2 * BEHIND, "{} in memory", queue.waiting());
    backlog.came("late", 1);
    queue.look_again();
    let looks = backlog.looks;
    assert_eq!(receivers(&backlog.look(&mut queue)), ["late"]);
    assert!(backlog.looks - looks <= 3, "{} looks", backlog.looks - looks);
}

#[test]
fn many_busy_conversations_hold_up_no_other() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    let names: Vec<&'static str> = (0..200).map(|n| &*format!("busy {n}").leak()).collect();
    for name in &names {
        backlog.came(name, 50);
    }
    backlog.came("quiet", 1);
    let ready = backlog.look(&mut queue);
    assert!(receivers(&ready).contains(&"quiet"), "{:?}", receivers(&ready));
    assert_eq!(ready.len(), 201);
}

#[test]
fn a_long_conversation_goes_in_order_and_without_a_pause() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    backlog.came("busy", 1000);
    let mut under_way = backlog.look(&mut queue).pop().unwrap();
    for at in 1..=1000 {
        assert_eq!(under_way.at, Timestamp::from_micros(at));
        match backlog.went(&mut queue, under_way) {
            Some(next) => under_way = next,
            None => {
                assert_eq!(at, 1000, "it paused");
                return;
            }
        }
        assert!(backlog.look(&mut queue).is_empty());
    }
}

#[test]
fn more_conversations_than_fit_come_as_others_go() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    for n in 0..1000 {
        backlog.came(format!("one {n}").leak(), 1);
    }
    let mut went = 0;
    let mut ready = backlog.look(&mut queue);
    assert_eq!(ready.len(), CONVERSATIONS);
    while let Some(job) = ready.pop() {
        went += 1;
        assert!(backlog.went(&mut queue, job).is_none());
        ready.extend(backlog.look(&mut queue));
    }
    assert_eq!(went, 1000);
}

#[test]
fn without_hurry_a_look_waits_for_room() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    for n in 0..300 {
        backlog.came(format!("one {n}").leak(), 1);
    }
    let mut ready = backlog.look(&mut queue);
    for room in 1..=CONVERSATIONS / 2 {
        assert!(queue.next_look(false).is_none());
        backlog.went(&mut queue, ready.pop().unwrap());
        assert_eq!(queue.next_look(true).unwrap().room, room);
    }
    assert!(queue.next_look(false).is_some());
}

#[test]
fn what_came_while_the_last_one_was_settled_is_looked_for() {
    let (mut backlog, mut queue) = (Backlog::default(), Queue::default());
    backlog.came("a", 1);
    let first = backlog.look(&mut queue).pop().unwrap();
    backlog.came("a", 1);
    queue.look_again();
    assert!(backlog.look(&mut queue).is_empty(), "one of the conversation is under way");
    // The outcome of the first was on its way to the store already, without a next.
    assert!(queue.move_up(first.conversation_id, |_| false).is_none());
    assert_eq!(receivers(&backlog.look(&mut queue)), ["a"]);
}
