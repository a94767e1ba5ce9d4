//! What takes a message to a person. A carrier is a port: it gets one message and says in a closed list of words what became
//! of it. Whether a failure costs a send, and what is told to whom, is decided elsewhere.

use std::{fmt, future::Future, pin::Pin};

use uuid::Uuid;

use crate::{
    code::{Code, Reference},
    destination::Destination,
};

/// A message to deliver. Prints without its text.
#[derive(Clone)]
pub struct Message {
    /// Names this message for good: carriers that recognise repeats are given it.
    pub id: Uuid,
    /// Where it goes.
    pub destination: Destination,
    /// The whole text.
    pub text: String,
    /// The code in the text, with its reference; `None` in a notice.
    pub code: Option<(Code, Reference)>,
}

impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Message")
            .field("id", &self.id)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// What became of a message. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Outcome {
    /// The carrier has taken it.
    Sent = 1,
    /// The carrier knows no such address or number.
    InvalidDestination = 2,
    /// The carrier takes no more from us for now.
    RateLimited = 3,
    /// The carrier will not deliver this: blocked, opted out, or against its rules.
    Refused = 4,
    /// The carrier does not accept our credentials.
    Unauthenticated = 5,
    /// The carrier cannot do what was asked, as a mail carrier with a phone number.
    Unsupported = 6,
    /// The carrier did not answer in time. It may have taken the message.
    TimedOut = 7,
    /// The carrier could not be reached.
    Unreachable = 8,
    /// Something else went wrong.
    Unknown = 9,
}

impl Outcome {
    /// Whether the carrier has taken the message.
    pub fn is_sent(self) -> bool {
        self == Self::Sent
    }

    /// Whether the carrier has certainly not taken the message, and may later.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unreachable | Self::Unauthenticated)
    }

    /// Whether the carrier may have taken the message, or not.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unknown)
    }

    pub(crate) fn stored(number: i16) -> Self {
        match number {
            1 => Self::Sent,
            2 => Self::InvalidDestination,
            3 => Self::RateLimited,
            4 => Self::Refused,
            5 => Self::Unauthenticated,
            6 => Self::Unsupported,
            7 => Self::TimedOut,
            8 => Self::Unreachable,
            _ => Self::Unknown,
        }
    }
}

/// What [`Carrier::deliver`] returns: a future in a box, so that carriers can be chosen while the program runs.
pub type Delivering<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Takes messages to people.
pub trait Carrier: Send + Sync + 'static {
    /// Delivers one message, and is given up on after the configured time. It is asked again for the same message only if it could not be
    /// reached, took no more or did not know us, if nobody could note what it said, as when the process died, or if it is a notice and nobody knows what became of
    /// it: then it may see the same id twice.
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivering<'a>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_the_database() {
        for number in 1..=9 {
            assert_eq!(Outcome::stored(number) as i16, number);
        }
    }

    #[test]
    fn a_message_prints_neither_code_nor_text_nor_destination() {
        let message = Message {
            id: Uuid::from_u128(1),
            destination: Destination::phone("+84912345678").expect("a number"),
            text: "Plaza: 123456 is your code".into(),
            code: None,
        };
        let printed = format!("{message:?}");
        assert!(!printed.contains("123456") && !printed.contains("+84912345678"), "{printed}");
    }
}
