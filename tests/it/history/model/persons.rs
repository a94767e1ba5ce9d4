//! What persons do by themselves, what is done to their names, and what becomes of those who never verify.

use proto::sso::v1::{DeleteAccountRequest, UpdateUserRequest, sign_in_response::Outcome};
use tonic::Response;

use super::{Duration, History, Known, Person, Truth, bearer, id};

/// Longer than the reaper gives anybody, and than it rests after an outage.
const DAY: Duration = Duration::from_secs(25 * 3600);

impl History {
    pub(super) fn comes(&mut self, user_id: String, person: Person, verified: bool) {
        self.everybody.push(user_id.clone());
        self.truth.insert(user_id, Known { username: person.username, tier: 0, verified });
    }

    /// Somebody signs up and never gives the code.
    pub(super) async fn sign_up(&mut self) {
        let person = self.next();
        let request = person.sign_up();
        let answer = self
            .until_answered(async |world| world.auth().sign_up(request.clone()).await.map(Response::into_inner))
            .await;
        let user_id = answer.expect("nothing is in the way of a new name").user.expect("a user").id;
        self.comes(user_id, person, false);
    }

    /// Somebody who can sign in deletes their own account.
    pub(super) async fn leave(&mut self, who: usize) {
        let Some(user_id) = self.one(who).filter(|one| self.truth.get(one).is_some_and(|known| known.verified)) else {
            return;
        };
        let at = self.everybody.iter().position(|one| *one == user_id).expect("one of them");
        let person = Person::with_email(&format!("person{at}"));
        let request = person.sign_in();
        let signed_in = self
            .until_answered(async |world| world.auth().sign_in(request.clone()).await.map(Response::into_inner))
            .await;
        let Some(Outcome::Tokens(tokens)) = signed_in.expect("signs in").outcome else { panic!("was verified") };
        let request = DeleteAccountRequest { request_id: id(), password: person.password };
        let gone = self
            .until_answered(async |world| {
                world.account().delete_account(bearer(request.clone(), &tokens.access_token)).await
            })
            .await;
        gone.expect("deleted");
        self.truth.remove(&user_id);
        self.dying.insert(user_id);
    }

    pub(super) async fn rename(&mut self, who: usize) {
        let Some(user_id) = self.living(who) else { return };
        let name = self.new_name();
        self.call(&user_id, name).await;
    }

    /// Two have each other's name in the end.
    pub(super) async fn swap(&mut self, one: usize, other: usize) {
        let (Some(one), Some(other)) = (self.living(one), self.living(other)) else { return };
        if one == other {
            return;
        }
        let names = [&one, &other].map(|user_id| self.truth[user_id].username.clone());
        let between = self.new_name();
        let [of_one, of_other] = names;
        self.call(&one, between).await;
        self.call(&other, of_one).await;
        self.call(&one, of_other).await;
    }

    /// A quiet day, in which all runs.
    pub(super) async fn day(&mut self) {
        self.settle().await;
        self.world.live(DAY).await;
        let all = std::mem::take(&mut self.truth);
        let (alive, reaped): (Truth, Truth) = all.into_iter().partition(|(_, known)| known.verified);
        self.truth = alive;
        self.dying.extend(reaped.into_keys());
        self.settle().await;
    }

    /// Whoever comes next; the address says how many came before.
    pub(super) fn next(&self) -> Person {
        Person::with_email(&format!("person{}", self.everybody.len()))
    }

    async fn call(&mut self, user_id: &str, username: String) {
        let request = UpdateUserRequest {
            request_id: id(),
            user_id: user_id.to_owned(),
            username: username.clone(),
            ..UpdateUserRequest::default()
        };
        let renamed = self.until_answered(async |world| world.update(request.clone()).await).await;
        renamed.expect("nobody has that name");
        self.truth.get_mut(user_id).expect("alive").username = username;
    }

    fn living(&self, who: usize) -> Option<String> {
        self.one(who).filter(|one| self.truth.contains_key(one))
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("renamed{}", self.names)
    }
}
