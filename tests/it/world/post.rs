//! A carrier outside, as real ones are: it is there while SMS is not, and takes a message of an id that it has seen for the same.

use std::sync::{Arc, Mutex};

use proto::sms::v1 as pb;
use sms::carrier::{Carrier, Delivering, Message, Outcome};
use uuid::Uuid;

/// What it has taken, oldest first. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<Mutex<Vec<(Uuid, pb::Message)>>>);

impl Post {
    /// All messages to a destination, newest first.
    pub(super) fn messages(&self, destination: &str) -> Vec<pb::Message> {
        let taken = self.0.lock().expect("no test panics here");
        let messages = taken.iter().rev().map(|(_, message)| message);
        messages.filter(|message| message.destination == destination).cloned().collect()
    }
}

impl Carrier for Post {
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivering<'a> {
        let (code, reference) = match &message.code {
            Some((code, reference)) => (code.expose().to_owned(), reference.as_str().to_owned()),
            None => Default::default(),
        };
        let destination = message.destination.expose().to_owned();
        let taken = pb::Message { destination, text: message.text.clone(), code, reference, send_time: None };
        // Another message of the same id would not be delivered.
        let mut all = self.0.lock().expect("no test panics here");
        let same = match all.iter().find(|(id, _)| *id == message.id) {
            Some((_, before)) => *before == taken,
            None => {
                all.push((message.id, taken));
                true
            }
        };
        Box::pin(async move { if same { Outcome::Sent } else { Outcome::Refused } })
    }
}
