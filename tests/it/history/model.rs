//! The model, and what each step does to it and to the world.

mod persons;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::atomic::Ordering,
    time::Duration,
};

use onebox::Part;
use proto::sso::v1::{self as sso, AccountType, OfficialTier, Target};
use tonic::Code;

use super::{Step, Turn, weather::Weather};
use crate::{
    reconcile::{of, reconcile},
    storage::Backup,
    targets::change,
    world::{Person, World, bearer, id},
};

const PARTS: [Part; 3] = [Part::Sso, Part::Social, Part::Blog];
const TARGETS: [Target; 2] = [Target::Social, Target::Blog];

/// What SSO should hold: whom, and as what.
type Truth = BTreeMap<String, Known>;

#[derive(Clone)]
struct Known {
    username: String,
    /// Of an official account; 0 is a customer.
    tier: u8,
    /// Whoever is not does not live for more than a day.
    verified: bool,
}

pub(super) struct History {
    world: World,
    /// Of each SSO.
    weathers: Vec<Weather>,
    /// Which of the SSOs are asked.
    by: Range<usize>,
    truth: Truth,
    /// All who ever were, in the order of their coming.
    everybody: Vec<String>,
    /// Names that were made up since.
    names: usize,
    /// Whose deletion each target knows of.
    buried: [BTreeSet<String>; 2],
    /// Who was deleted since nothing was owed.
    dying: BTreeSet<String>,
    backup: Option<(Backup, Truth)>,
    /// Of each target, with whom it knew and whom it had buried.
    backups: [Option<(Backup, Truth, BTreeSet<String>)>; 2],
}

impl History {
    pub(super) async fn new() -> Self {
        let mut weathers = vec![Weather::new(), Weather::new()];
        let mut world = World::with_faults(weathers[0].faults()).await;
        weathers.truncate(world.start_second(weathers[1].faults()).await);
        let (truth, everybody, names, buried, dying) = Default::default();
        let (by, backup, backups) = (0..1, None, [None, None]);
        Self { world, weathers, by, truth, everybody, names, buried, dying, backup, backups }
    }

    pub(super) async fn take(&mut self, (by, step): Turn) {
        self.turn_to(by).await;
        match step {
            Step::Create(stop) => {
                self.weathers().for_each(|weather| weather.left.store(stop, Ordering::SeqCst));
                self.create().await;
            }
            Step::Change(who, tier) => self.change(who, tier).await,
            Step::Race(who, tiers, wrong) => {
                if let Some(wrong) = wrong {
                    (0..).zip(self.weathers()).for_each(|(nth, weather)| weather.hold(wrong, nth));
                }
                self.race(who, tiers).await;
            }
            Step::Delete(who) => self.delete(who).await,
            Step::SignUp => self.sign_up().await,
            Step::Leave(who) => self.leave(who).await,
            Step::Rename(who) => self.rename(who).await,
            Step::Swap(one, other) => self.swap(one, other).await,
            Step::Day => self.day().await,
            Step::Retry(who) => self.retry(who).await,
            Step::Pass(seconds) => self.world.pass(Duration::from_secs(seconds)).await,
            Step::Weather(target, wrong) => {
                self.weathers().for_each(|weather| weather.wrong[target].store(wrong, Ordering::SeqCst));
            }
            Step::Freeze(times) => self.weathers().for_each(|weather| weather.frozen.store(times, Ordering::SeqCst)),
            Step::Stop(after) => self.weathers().for_each(|weather| weather.left.store(after, Ordering::SeqCst)),
            Step::Reconcile(target) => {
                self.settle().await;
                reconcile(&self.world, of(TARGETS[target])).await;
            }
            Step::BackUp(0) => {
                self.revive_all().await;
                self.backup = Some((self.world.back_up(Part::Sso).await, self.truth.clone()));
            }
            Step::BackUp(part) => {
                self.settle().await;
                let kept = self.world.back_up(PARTS[part]).await;
                self.backups[part - 1] = Some((kept, self.truth.clone(), self.buried[part - 1].clone()));
            }
            Step::Restore(part) => self.restore(part).await,
        }
    }

    async fn create(&mut self) {
        let person = self.next();
        let request = person.create();
        let answer = self
            .until_answered(async |world| {
                world.users().create_user(world.as_operator(request.clone())).await.map(tonic::Response::into_inner)
            })
            .await;
        let user_id = answer.expect("nothing is in the way of a new name").user.expect("a user").id;
        self.comes(user_id, person, true);
    }

    async fn change(&mut self, who: usize, tier: u8) {
        let Some(user_id) = self.one(who) else { return };
        let request = change(&user_id, OfficialTier::try_from(i32::from(tier)).expect("a tier"));
        let changed = self.until_answered(async |world| world.update(request.clone()).await).await;
        match self.truth.get_mut(&user_id) {
            Some(known) => {
                changed.expect("changed");
                known.tier = tier;
            }
            None => assert_eq!(changed.expect_err("it is deleted").code(), Code::NotFound),
        }
    }

    async fn race(&mut self, who: usize, tiers: [u8; 2]) {
        let Some(user_id) = self.one(who) else { return };
        let requests = tiers.map(|tier| change(&user_id, OfficialTier::try_from(i32::from(tier)).expect("a tier")));
        let first = async {
            self.world.turn_to(self.by.start);
            self.world.update(requests[0].clone()).await
        };
        let second = async {
            self.world.pass(Duration::from_millis(100)).await;
            self.world.turn_to(self.by.end - 1);
            self.world.update(requests[1].clone()).await
        };
        let answers = tokio::join!(first, second);
        drop(answers);
        for request in requests {
            // What was done is not done again.
            let changed = self.until_answered(async |world| world.update(request.clone()).await).await;
            assert_eq!(changed.is_ok(), self.truth.contains_key(&user_id), "{changed:?}");
        }
        self.revive_all().await;
        if let Some(known) = self.truth.get_mut(&user_id) {
            let (_, _, tier, _) = self.world.sso_knows(&user_id).await.expect("it is there");
            known.tier = u8::try_from(tier).expect("a tier");
            assert!(tiers.contains(&known.tier), "{tier} is neither of {tiers:?}");
        }
    }

    async fn delete(&mut self, who: usize) {
        let Some(user_id) = self.one(who) else { return };
        let request_id = id();
        let deleted = self.until_answered(async |world| world.delete(&request_id, &user_id).await).await;
        match self.truth.remove(&user_id) {
            Some(_) => {
                deleted.expect("deleted");
                self.dying.insert(user_id);
            }
            None => assert_eq!(deleted.expect_err("it is deleted").code(), Code::NotFound),
        }
    }

    async fn retry(&mut self, who: usize) {
        let Some(user_id) = self.one(who) else { return };
        let scope = Some(sso::retry_provisioning_request::Scope::UserId(user_id.clone()));
        let request = sso::RetryProvisioningRequest { scope };
        let retried = self
            .until_answered(async |world| {
                world.users().retry_provisioning(world.as_operator(request.clone())).await.map(drop)
            })
            .await;
        // A deletion may be owed, and then there is something to retry.
        assert!(retried.is_ok() || !self.truth.contains_key(&user_id), "{retried:?}");
    }

    fn one(&self, who: usize) -> Option<String> {
        (!self.everybody.is_empty()).then(|| self.everybody[who % self.everybody.len()].clone())
    }

    /// Nothing goes wrong any more, and nothing is owed: then the targets know all that SSO knows, deletions too.
    async fn settle(&mut self) {
        self.revive_all().await;
        self.weathers.iter().for_each(Weather::clear);
        self.world.settled().await;
        self.buried.iter_mut().for_each(|buried| buried.extend(self.dying.iter().cloned()));
        self.dying.clear();
    }

    /// The same, with what only a comparison finds.
    async fn compare(&mut self, delete_unknown: bool) {
        self.settle().await;
        for target in TARGETS {
            // What changed within a minute is left alone.
            self.world.leap(Duration::from_secs(61)).await;
            reconcile(&self.world, sso::ReconcileProvisioningRequest { delete_unknown, ..of(target) }).await;
            self.world.settled().await;
        }
    }

    async fn restore(&mut self, part: usize) {
        self.settle().await;
        if part == 0 {
            let Some((backup, truth)) = self.backup.clone() else { return };
            self.world.restore(Part::Sso, Some(&backup)).await;
            let before = std::mem::replace(&mut self.truth, truth);
            // Whom a target has buried is deleted, whatever SSO remembers; whom SSO never heard of is deleted when operators say so, below.
            let buried: BTreeSet<_> = self.buried.iter().flatten().cloned().collect();
            let back = std::mem::take(&mut self.truth);
            let (doomed, alive): (Truth, Truth) = back.into_iter().partition(|(one, _)| buried.contains(one));
            self.truth = alive;
            self.change_twice(doomed).await;
            self.dying.extend(before.into_keys().filter(|one| !self.truth.contains_key(one)));
        } else {
            let Some((backup, truth, buried)) = self.backups[part - 1].clone() else { return };
            self.world.restore(PARTS[part], Some(&backup)).await;
            let unknown = truth.into_keys().filter(|one| !self.truth.contains_key(one));
            self.buried[part - 1] = unknown.chain(buried).collect();
        }
        // As operators do after a restore, before they let anyone in.
        self.compare(true).await;
    }

    /// Somebody is at those who are back from the dead, before anybody has compared anything. Whether each is there by then is all the same.
    async fn change_twice(&mut self, doomed: Truth) {
        for (one, _) in doomed {
            for tier in [OfficialTier::Verified, OfficialTier::Premium] {
                let _ = self.world.make_official(&one, tier).await;
            }
            self.dying.insert(one);
        }
    }

    /// All three hold whom the model holds, as it holds them, and nobody else.
    pub(super) async fn check(mut self) {
        self.settle().await;
        // What is on its way still arrives.
        self.world.leap(Duration::from_secs(15)).await;
        self.world.pass(Duration::from_millis(1)).await;
        for one in &self.everybody {
            self.world.agree(one, "in the end").await;
            let known = self.world.sso_knows(one).await.map(|(name, kind, tier, _)| (name, kind, tier));
            let should = self.truth.get(one).map(|known| match known.tier {
                0 => (known.username.clone(), AccountType::Customer as i32, 0),
                tier => (known.username.clone(), AccountType::Official as i32, i32::from(tier)),
            });
            assert_eq!(known, should, "{one}");
        }
        for target in TARGETS {
            let left = reconcile(&self.world, of(target)).await;
            assert!(left.is_empty(), "{target:?} still differs: {left:?}");
        }
        assert!(self.world.all_owed().await.is_empty());
        self.world.stop().await;
    }
}
