//! The carrier for development: it delivers to an inbox in memory, where engineers and tests read what a person would have
//! got, and, if so configured, to the console.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use mesh::Clock;

use crate::carrier::{Carrier, Delivering, Message, Outcome};

/// How many messages the inbox holds; the oldest make room.
pub(crate) const CAPACITY: usize = 1000;

/// The latest messages. Clones are one inbox.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The number of the last entry; the first is 1.
    last: u64,
}

/// A message in the inbox.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Counts up with every message, and so names a place in the inbox.
    pub(crate) number: u64,
    pub(crate) message: Message,
    pub(crate) at: SystemTime,
}

impl Inbox {
    fn put(&self, message: Message, at: SystemTime) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.last += 1;
        let number = shelf.last;
        if shelf.entries.len() == CAPACITY {
            shelf.entries.pop_front();
        }
        shelf.entries.push_back(Entry { number, message, at });
    }

    /// The newest `most` messages older than number `before`, newest first, to `destination` if one is named.
    pub(crate) fn list(&self, destination: Option<&str>, before: u64, most: usize) -> Vec<Entry> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Entry| {
            entry.number < before && destination.is_none_or(|text| entry.message.destination.expose() == text)
        };
        shelf.entries.iter().rev().filter(wanted).take(most).cloned().collect()
    }
}

/// Puts every message into an [`Inbox`], and writes it to the console if it has one.
pub(crate) struct DevelopmentCarrier {
    inbox: Inbox,
    clock: Clock,
    console: Option<Mutex<Box<dyn Write + Send>>>,
}

impl DevelopmentCarrier {
    pub(crate) fn new(inbox: Inbox, clock: Clock, console: Option<Box<dyn Write + Send>>) -> Self {
        Self { inbox, clock, console: console.map(Mutex::new) }
    }

    fn show(&self, message: &Message) {
        if let Some(console) = &self.console {
            let mut console = console.lock().unwrap_or_else(PoisonError::into_inner);
            // A console that is gone must not fail the send: the inbox has the message.
            let _ = writeln!(console, "[message to {}] {}", message.destination.expose(), message.text);
            let _ = console.flush();
        }
    }
}

impl Carrier for DevelopmentCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivering<'a> {
        Box::pin(async move {
            self.show(message);
            self.inbox.put(message.clone(), self.clock.now());
            Outcome::Sent
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::destination::Destination;

    fn message(number: usize) -> Message {
        let destination = Destination::phone(if number.is_multiple_of(2) { "+84900000000" } else { "+84911111111" })
            .expect("a number");
        Message { id: Uuid::nil(), destination, text: number.to_string(), code: None }
    }

    fn texts(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.message.text.as_str()).collect()
    }

    #[test]
    fn the_inbox_lists_newest_first_and_page_by_page() {
        let inbox = Inbox::default();
        (0..5).for_each(|number| inbox.put(message(number), SystemTime::UNIX_EPOCH));
        let first = inbox.list(None, u64::MAX, 2);
        assert_eq!(texts(&first), ["4", "3"]);
        assert_eq!(texts(&inbox.list(None, first[1].number, 9)), ["2", "1", "0"]);
        assert_eq!(texts(&inbox.list(Some("+84900000000"), u64::MAX, 9)), ["4", "2", "0"]);
    }

    #[test]
    fn the_inbox_forgets_the_oldest() {
        let inbox = Inbox::default();
        (0..=CAPACITY).for_each(|number| inbox.put(message(number), SystemTime::UNIX_EPOCH));
        let all = inbox.list(None, u64::MAX, usize::MAX);
        assert_eq!((all.len(), all[CAPACITY - 1].message.text.as_str()), (CAPACITY, "1"));
    }
}
