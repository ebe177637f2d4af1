//! What of a line's due deliveries is in memory, and which may go next: never two of a lane at once, in order within
//! a lane, the lanes in turn.
//!
//! In: pages of due deliveries, and what became of those that went. Out: the next to go, and where to read on. Never
//! here: I/O, and more than the window, however long the backlog is.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use offhook_domain::{DeliveryId, Timestamp};
use offhook_store::delivery_work::{DueDelivery, Place};

/// The most of one lane that are held in memory, so that a busy conversation leaves room for the others.
const LANE_WINDOW: usize = 128;
/// A delivery weighs one, and one more for every so many bytes of its body: memory is what is short, not their number.
const BYTES: usize = 8192;
/// What they are taken to weigh before the first is known.
const FIRST_GUESS: usize = 4;

/// Lanes whose head waits for its first repeat, and until when. Kept beyond the line's own life: what comes in the
/// meantime must not overtake.
#[derive(Debug, Clone, Default)]
pub struct HeldLanes(Arc<Mutex<HashMap<String, Timestamp>>>);

impl HeldLanes {
    /// Those that are over are forgotten on the way.
    pub fn hold(&self, lane: &str, until: Timestamp, now: Timestamp) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, until| *until > now);
        lanes.insert(lane.to_owned(), until);
    }

    /// Until when a delivery that is due at `due_at` has to wait for the head of its lane.
    fn until(&self, lane: &str, due_at: Timestamp) -> Option<Timestamp> {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(lane).copied().filter(|until| *until > due_at)
    }
}

/// What all deliveries weigh that a node has in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<AtomicUsize>);

impl Memory {
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A line's deliveries in memory.
pub struct Queue {
    memory: Memory,
    held: HeldLanes,
    /// Lanes of which something came while they were held: the store is to hold that too.
    overtaking: HashMap<String, Timestamp>,
    /// Everything read and not yet recorded, with its weight: a page read again must not bring it twice.
    known: HashMap<DeliveryId, usize>,
    weight: usize,
    /// Of one delivery, by the last page.
    average: usize,
    lanes: HashMap<String, Lane>,
    /// Lanes with something to send and nothing under way.
    ready: VecDeque<String>,
    waiting: usize,
    /// Where reading goes on.
    place: Place,
    /// Whether there may be due deliveries that are not in memory.
    unread: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<DueDelivery>,
    state: State,
    /// More of it than fits was passed over; nothing of it may come in before that is read.
    overflown: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    UnderWay,
    /// Its head failed, and the store does not know yet that the lane waits.
    Held,
}

impl Queue {
    pub fn new(memory: Memory, held: HeldLanes) -> Self {
        Self {
            memory,
            held,
            overtaking: HashMap::new(),
            known: HashMap::new(),
            weight: 0,
            average: FIRST_GUESS,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: 0,
            place: Place::START,
            unread: true,
        }
    }

    /// How many are in memory: waiting, under way, or not yet recorded.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// What they weigh.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many deliveries weigh so much, as far as one can tell.
    pub fn count_of(&self, weight: usize) -> usize {
        (weight / self.average).max(1)
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// Something may have come that was not seen.
    pub fn look_again(&mut self) {
        self.unread = true;
    }

    /// Begins to read a page: from where it is to begin.
    pub fn begin_page(&mut self) -> Place {
        self.unread = false;
        self.place
    }

    /// Takes in a page of at most `limit` deliveries that was read from where [`Self::begin_page`] said.
    pub fn admit(&mut self, page: Vec<DueDelivery>, limit: usize) {
        match page.last() {
            Some(last) if page.len() >= limit => {
                self.place = Place { due_at: last.due_at, at: last.at };
                self.unread = true;
            }
            // The end: what comes late, or falls due again, may stand before it.
            _ => self.place = Place::START,
        }
        let weight: usize = page.iter().map(weight).sum();
        self.average = weight.checked_div(page.len()).unwrap_or(self.average).max(1);
        for due in page {
            self.admit_one(due);
        }
    }

    fn admit_one(&mut self, due: DueDelivery) {
        if self.known.contains_key(&due.id) {
            return;
        }
        if due.attempts == 0
            && let Some(until) = self.held.until(&due.lane, due.due_at)
        {
            self.overtaking.insert(due.lane, until);
            return;
        }
        let lane = self.lanes.entry(due.lane.clone()).or_default();
        if lane.state == State::Held || lane.overflown {
            return;
        }
        if lane.waiting.len() >= LANE_WINDOW {
            lane.overflown = true;
            return;
        }
        if lane.state == State::Free && lane.waiting.is_empty() {
            self.ready.push_back(due.lane.clone());
        }
        let weight = weight(&due);
        self.known.insert(due.id.clone(), weight);
        self.weight += weight;
        self.memory.0.fetch_add(weight, Ordering::Relaxed);
        self.waiting += 1;
        lane.waiting.push_back(due);
    }

    /// Lanes to hold once more in the store, and until when.
    pub fn take_overtaking(&mut self) -> Vec<(String, Timestamp)> {
        self.overtaking.drain().collect()
    }

    /// The next to go. Its lane is busy until [`Self::free`] or [`Self::release`].
    pub fn next(&mut self) -> Option<DueDelivery> {
        let name = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&name)?;
        let due = lane.waiting.pop_front()?;
        lane.state = State::UnderWay;
        self.waiting -= 1;
        Some(due)
    }

    /// The delivery under way on a lane is over, and the next of the lane may go.
    pub fn free(&mut self, name: &str) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        lane.state = State::Free;
        if !lane.waiting.is_empty() {
            self.ready.push_back(name.to_owned());
            return;
        }
        if lane.overflown {
            self.place = Place::START;
            self.unread = true;
        }
        self.lanes.remove(name);
    }

    /// The delivery under way failed, and its lane waits until the store knows.
    pub fn hold(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.state = State::Held;
            let left = std::mem::take(&mut lane.waiting);
            self.waiting -= left.len();
            left.into_iter().for_each(|due| self.forget(&due.id));
        }
    }

    /// The store knows what became of a delivery.
    pub fn forget(&mut self, id: &DeliveryId) {
        if let Some(weight) = self.known.remove(id) {
            self.weight -= weight;
            self.memory.0.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    /// Leaves what waits to the store, to be read again when there is a place for it.
    pub fn drop_waiting(&mut self) {
        let mut dropped = Vec::with_capacity(self.waiting);
        self.lanes.retain(|_, lane| {
            dropped.extend(lane.waiting.drain(..).map(|due| due.id));
            lane.overflown = false;
            lane.state != State::Free
        });
        dropped.iter().for_each(|id| self.forget(id));
        self.ready.clear();
        self.waiting = 0;
        self.place = Place::START;
        self.unread = true;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

fn weight(due: &DueDelivery) -> usize {
    1 + due.body.len() / BYTES
}

#[cfg(test)]
mod tests {
    use offhook_domain::Id;
    use offhook_domain::webhook::EventType;

    use super::*;

    fn due(at: i64, lane: &str) -> DueDelivery {
        let time = Timestamp::from_micros(at);
        DueDelivery {
            id: DeliveryId::generate(time),
            lane: lane.to_owned(),
            event_type: EventType::Message,
            attempts: 0,
            due_at: time,
            at: time,
            body: at.to_string(),
        }
    }

    fn bodies(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.next().map(|due| due.body)).collect()
    }

    #[test]
    fn a_lane_has_one_under_way_and_keeps_its_order() {
        let mut queue = Queue::new(Memory::default(), HeldLanes::default());
        queue.admit(vec![due(1, "a"), due(2, "a"), due(3, "b"), due(4, "a")], 9);
        assert_eq!(bodies(&mut queue), ["1", "3"]);
        queue.free("a");
        assert_eq!(bodies(&mut queue), ["2"]);
        queue.free("b");
        assert_eq!(bodies(&mut queue), [""; 0]);
        queue.free("a");
        assert_eq!(bodies(&mut queue), ["4"]);
    }

    #[test]
    fn what_is_in_memory_is_not_taken_in_again() {
        let memory = Memory::default();
        let mut queue = Queue::new(memory.clone(), HeldLanes::default());
        let page = vec![due(1, "a"), due(2, "b")];
        queue.admit(page.clone(), 9);
        let sent = queue.next().unwrap();
        queue.free(&sent.lane);
        queue.admit(page.clone(), 9);
        assert_eq!(bodies(&mut queue), ["2"], "the first is not recorded yet");
        queue.forget(&sent.id);
        assert_eq!(memory.used(), 1);
        drop(queue);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_long_weighs_more_and_comes_in_smaller_pages() {
        let memory = Memory::default();
        let mut queue = Queue::new(memory.clone(), HeldLanes::default());
        assert_eq!(queue.count_of(256), 64, "nothing is known of them yet");
        let long = DueDelivery { body: "x".repeat(15 * BYTES), ..due(1, "a") };
        queue.admit(vec![long, DueDelivery { body: "x".repeat(15 * BYTES), ..due(2, "b") }], 9);
        assert_eq!((queue.len(), queue.weight(), memory.used(), queue.count_of(256)), (2, 32, 32, 16));
        queue.admit(vec![due(3, "c")], 9);
        assert_eq!((queue.weight(), queue.count_of(256)), (33, 256));
        let sent = queue.next().unwrap();
        queue.forget(&sent.id);
        assert_eq!((queue.weight(), memory.used()), (17, 17));
        drop(queue);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_held_lane_takes_nothing_in_until_the_store_knows() {
        let mut queue = Queue::new(Memory::default(), HeldLanes::default());
        queue.admit(vec![due(1, "a"), due(2, "a")], 9);
        let head = queue.next().unwrap();
        queue.hold("a");
        queue.admit(vec![due(2, "a"), due(3, "a")], 9);
        assert!(!queue.has_ready() && queue.waiting() == 0);
        queue.forget(&head.id);
        queue.free("a");
        queue.admit(vec![due(1, "a"), due(2, "a")], 9);
        assert_eq!(bodies(&mut queue), ["1"]);
    }

    #[test]
    fn what_comes_for_a_held_lane_does_not_overtake() {
        let held = HeldLanes::default();
        held.hold("a", Timestamp::from_micros(100), Timestamp::from_micros(10));
        let mut queue = Queue::new(Memory::default(), held);
        let head = DueDelivery { attempts: 1, ..due(1, "a") };
        queue.admit(vec![due(11, "a"), due(12, "b"), due(13, "a")], 9);
        assert_eq!(bodies(&mut queue), ["12"]);
        assert_eq!(queue.take_overtaking(), [("a".to_owned(), Timestamp::from_micros(100))]);
        queue.admit(vec![head, DueDelivery { due_at: Timestamp::from_micros(100), ..due(11, "a") }], 9);
        assert_eq!(bodies(&mut queue), ["1"]);
        assert_eq!(queue.take_overtaking(), []);
    }

    #[test]
    fn a_busy_lane_leaves_room_and_comes_back_in_order() {
        let mut queue = Queue::new(Memory::default(), HeldLanes::default());
        let page: Vec<_> = (1..=200).map(|at| due(at, "busy")).chain([due(201, "other")]).collect();
        queue.admit(page.clone(), 500);
        assert!(!queue.is_unread() || queue.begin_page() == Place::START);
        assert_eq!(bodies(&mut queue), ["1", "201"]);
        queue.admit(vec![due(202, "busy")], 500);
        let mut sent = vec![1];
        loop {
            let id = page[sent.len() - 1].id.clone();
            queue.forget(&id);
            queue.free("busy");
            if let Some(due) = queue.next() {
                sent.push(due.body.parse().unwrap());
            } else if sent.len() < 200 {
                assert!(queue.is_unread(), "what did not fit is to be read");
                assert_eq!(queue.begin_page(), Place::START);
                queue.admit(page[sent.len()..].to_vec(), 500);
                sent.extend(queue.next().map(|due| due.body.parse::<i64>().unwrap()));
            } else {
                break;
            }
        }
        assert_eq!(sent, (1..=200).collect::<Vec<_>>());
    }

    #[test]
    fn reading_goes_on_behind_a_full_page_and_starts_over_at_the_end() {
        let mut queue = Queue::new(Memory::default(), HeldLanes::default());
        assert_eq!(queue.begin_page(), Place::START);
        queue.admit(vec![due(1, "a"), due(2, "b")], 2);
        assert!(queue.is_unread());
        assert_eq!(queue.begin_page().at, Timestamp::from_micros(2));
        queue.admit(vec![due(3, "c")], 2);
        assert!(!queue.is_unread());
        queue.look_again();
        assert_eq!(queue.begin_page(), Place::START);
    }

    #[test]
    fn what_waits_can_be_left_to_the_store() {
        let memory = Memory::default();
        let mut queue = Queue::new(memory.clone(), HeldLanes::default());
        queue.admit((1..=9).map(|at| due(at, if at % 2 == 0 { "a" } else { "b" })).collect(), 20);
        let head = queue.next().unwrap();
        queue.drop_waiting();
        assert_eq!((queue.len(), memory.used(), queue.has_ready()), (1, 1, false));
        queue.forget(&head.id);
        queue.free(&head.lane);
        assert_eq!(queue.len(), 0);
    }
}
