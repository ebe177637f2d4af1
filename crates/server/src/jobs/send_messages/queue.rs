//! What of a number's waiting messages is in memory: of each conversation the one under way and a few behind it. A
//! conversation with a long backlog takes no more room than any other, so it holds up nobody else's.
//!
//! In: what a look into the store found, and what became of the messages that went. Out: what to look for next. Never
//! here: I/O.
//!
//! A look takes the oldest of what is due. Where much of that is behind what is here already, further ones of the same
//! conversations would be all it finds: it goes from conversation to conversation instead, in turn.

use std::collections::{HashMap, HashSet, VecDeque};

use offhook_domain::{ConversationId, MessageId};
use offhook_store::send_jobs::Waiting;

/// The most conversations of one number that have a message under way.
pub const CONVERSATIONS: usize = 256;
/// The most messages of one conversation that are in memory behind the one under way.
const BEHIND: usize = 8;
/// A conversation that has more in the store is read again when so few are left of it here.
const LOW: usize = BEHIND / 2;
/// How many of those are read again in one look.
const REFILLS: usize = 16;
/// How many conversations one look passes where it goes from one to the next.
const TURNS: usize = 64;

/// The most messages of one conversation that a look is to bring: one to go and those behind it.
pub const OF_ONE: usize = 1 + BEHIND;

/// A number's messages in memory.
#[derive(Default)]
pub struct Queue {
    /// Those with a message under way.
    conversations: HashMap<ConversationId, Conversation>,
    looking: Looking,
    /// Where going from conversation to conversation goes on.
    turn: String,
}

#[derive(Default)]
struct Conversation {
    /// Unclaimed, in order, nothing left out.
    behind: VecDeque<Waiting>,
    /// The store may have more of it than is here.
    has_more: bool,
}

/// What there is to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Looking {
    /// Nothing came since all was seen.
    Nothing,
    #[default]
    Oldest,
    /// Conversations in turn, until the end of their order is reached so many times.
    InTurn { ends: u8 },
}

/// What to read from the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Conversations of which to read what is behind those in memory.
    pub again: Vec<Again>,
    pub page: Page,
    /// Conversations whose heads may not be claimed: one of theirs is under way.
    pub busy: HashSet<ConversationId>,
    /// The most heads to claim.
    pub room: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    pub conversation: ConversationId,
    /// So many of them are known.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Page {
    #[default]
    Nothing,
    /// The oldest messages of all.
    Oldest { limit: usize },
    /// [`OF_ONE`] messages of each of the idle conversations behind this one.
    InTurn { after: String, limit: usize },
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Found {
    /// The first messages of their conversations, claimed.
    pub heads: Vec<Waiting>,
    /// Each conversation's in order, behind the head or the one under way.
    pub behind: Vec<Waiting>,
    /// Conversations that were passed, or read again, and whether there may be more of them.
    pub read: Vec<(ConversationId, bool)>,
    /// Whether there may be more behind the page.
    pub page_is_full: bool,
    /// The last conversation that was passed in turn.
    pub last: Option<ConversationId>,
    /// A campaign limits the line, so nothing was claimed.
    pub is_limited: bool,
}

impl Queue {
    /// Something may have come that was not seen.
    pub fn look_again(&mut self) {
        self.looking = if self.is_crowded() { self.in_turn() } else { Looking::Oldest };
    }

    /// What to look for now, if anything. Without `hurry` it waits until there is some room, so that one look does
    /// for many messages.
    pub fn next_look(&self, hurry: bool) -> Option<Look> {
        let room = CONVERSATIONS - self.conversations.len().min(CONVERSATIONS);
        let enough = if hurry { 1 } else { CONVERSATIONS / 2 };
        let page = match self.looking {
            Looking::Nothing => Page::Nothing,
            _ if room < enough => Page::Nothing,
            Looking::Oldest => Page::Oldest { limit: room + 2 * self.waiting() },
            Looking::InTurn { .. } => Page::InTurn { after: self.turn.clone(), limit: room.min(TURNS) },
        };
        let low = |one: &Conversation| one.has_more && one.behind.len() <= LOW;
        let again = self.conversations.iter().filter(|(_, one)| low(one)).take(REFILLS);
        let again: Vec<_> =
            again.map(|(id, one)| Again { conversation: id.clone(), limit: one.behind.len() + BEHIND }).collect();
        if again.is_empty() && page == Page::Nothing {
            return None;
        }
        Some(Look { again, page, busy: self.conversations.keys().cloned().collect(), room })
    }

    /// Takes in what a look found.
    pub fn admit(&mut self, page: &Page, found: Found) {
        for head in &found.heads {
            self.conversations.insert(head.conversation_id.clone(), Conversation::default());
        }
        for (id, has_more) in &found.read {
            if let Some(one) = self.conversations.get_mut(id) {
                one.has_more = *has_more;
            }
        }
        self.line_up(found.behind);
        self.looking = match (page, self.looking) {
            (Page::Oldest { .. }, _) if !found.page_is_full => Looking::Nothing,
            (Page::Oldest { .. }, _) if self.is_crowded() => self.in_turn(),
            (Page::InTurn { .. }, Looking::InTurn { ends }) if !found.page_is_full => match ends {
                0 | 1 => Looking::Nothing,
                more => Looking::InTurn { ends: more - 1 },
            },
            (_, looking) => looking,
        };
        if matches!(page, Page::InTurn { .. }) {
            self.turn = found.last.filter(|_| found.page_is_full).map_or_else(String::new, |last| last.to_string());
        }
    }

    /// Puts messages behind those of their conversations, as far as they fit.
    fn line_up(&mut self, messages: Vec<Waiting>) {
        let known = self.conversations.values().flat_map(|one| &one.behind);
        let mut known: HashSet<MessageId> = known.map(|job| job.message_id.clone()).collect();
        for job in messages {
            let Some(one) = self.conversations.get_mut(&job.conversation_id) else { continue };
            if known.contains(&job.message_id) {
                continue;
            }
            if one.behind.len() < BEHIND {
                known.insert(job.message_id.clone());
                one.behind.push_back(job);
            } else {
                one.has_more = true;
            }
        }
    }

    /// Goes on from where it stopped, so the end of the order is not the end of what there is.
    fn in_turn(&self) -> Looking {
        Looking::InTurn { ends: 1 + u8::from(!self.turn.is_empty()) }
    }

    /// Whether the oldest messages are those that are here, or behind them.
    fn is_crowded(&self) -> bool {
        self.waiting() > CONVERSATIONS || self.conversations.values().any(|one| one.has_more)
    }

    /// The message behind the one under way in its conversation.
    pub fn behind(&self, conversation: &ConversationId) -> Option<&Waiting> {
        self.conversations.get(conversation)?.behind.front()
    }

    /// The message under way in a conversation is over. The one behind it, where `is_claimed` says that it may go.
    pub fn move_up(
        &mut self,
        conversation: ConversationId,
        is_claimed: impl Fn(&MessageId) -> bool,
    ) -> Option<Waiting> {
        let mut one = self.conversations.remove(&conversation)?;
        if one.behind.front().is_some_and(|next| is_claimed(&next.message_id)) {
            let next = one.behind.pop_front();
            self.conversations.insert(conversation, one);
            return next;
        }
        // They wait with the one that was put back, or came meanwhile.
        if one.has_more || !one.behind.is_empty() {
            self.look_again();
        }
        None
    }

    /// Messages in memory that are not under way.
    fn waiting(&self) -> usize {
        self.conversations.values().map(|one| one.behind.len()).sum()
    }
}

#[cfg(test)]
mod tests;
