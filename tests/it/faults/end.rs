//! What a flow came to.

use std::time::SystemTime;

use proto::sso::v1::{AuditEventKind as Kind, AuditReason as Reason, ListAuditEventsRequest};

use super::{by_phone, moved};
use crate::{
    audit,
    targets::Known,
    world::{Person, World, reason},
};

/// A flow that is over, and all has converged.
pub(super) struct End<'a> {
    pub(super) world: &'a World,
    pub(super) person: &'a Person,
    pub(super) user_id: &'a str,
    /// What went wrong, and where.
    pub(super) when: &'a str,
}

impl End<'_> {
    /// What all three know of the user.
    pub(super) async fn known(&self) -> Known {
        self.world.sso_knows(self.user_id).await
    }

    /// The person, with another password or address, is let in, and has so many sessions then.
    pub(super) async fn is_let_in(&self, person: &Person, sessions: usize) {
        let tokens = self.world.let_in(person).await;
        assert_eq!(self.world.sessions(&tokens).await.expect("listed").len(), sessions, "sessions {}", self.when);
    }

    /// The person, likewise, is not let in.
    pub(super) async fn is_kept_out(&self, person: &Person) {
        let refused = self.world.sign_in(person).await.expect_err(self.when);
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID", "{}", self.when);
    }

    /// A notice that begins like this has reached an address, once.
    pub(super) async fn is_told(&self, address: &str, begins: &str) {
        assert_eq!(self.world.notices(address, begins).await, 1, "{begins} {}", self.when);
    }

    /// The session of a refresh token is over.
    pub(super) async fn is_over(&self, refresh_token: &str) {
        let refused = self.world.refresh(refresh_token).await.expect_err(self.when);
        assert_eq!(reason(&refused), "SESSION_ENDED", "{}", self.when);
    }
}

/// What is to be seen of a flow from outside: each once.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    /// What was recorded of the user, or of nobody, in the commits that did it.
    recorded: Vec<(Kind, Reason)>,
    /// What came to the person, codes blotted out.
    messages: Vec<String>,
}

impl Seen {
    pub(super) async fn since(world: &World, began: SystemTime, person: &Person, user_id: &str) -> Self {
        let ask = ListAuditEventsRequest { page_size: 500, start_time: Some(began.into()), ..Default::default() };
        let events = audit::list(world, ask).await.expect("a page").events;
        let of_it = events.iter().filter(|event| event.user_id == user_id || event.user_id.is_empty());
        let mut recorded: Vec<_> = of_it.map(|event| (event.kind(), event.reason())).filter(is_done).collect();
        recorded.sort();
        let mut messages = Vec::new();
        for address in [&person.address, &moved(person).address, &by_phone(person).address] {
            for message in world.messages(address).await {
                let blotted = |text: String, part: &str| if part.is_empty() { text } else { text.replace(part, "…") };
                messages.push(blotted(blotted(message.text, &message.code), &message.reference));
            }
        }
        messages.sort();
        Self { recorded, messages }
    }
}

/// Whether an event is recorded where something is done. Refusals and what was only asked for are summed; a repeated retry is another; and keys rotate by
/// themselves.
fn is_done((kind, reason): &(Kind, Reason)) -> bool {
    let name = kind.as_str_name();
    let is_summed = name.ends_with("_REFUSED") || name.ends_with("_STARTED") || name.ends_with("_SENT");
    !is_summed && *kind != Kind::ProvisioningRetried && *reason != Reason::Scheduled
}
