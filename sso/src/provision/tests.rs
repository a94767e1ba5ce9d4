//! What a worker finds that no flow leaves.

use std::time::UNIX_EPOCH;

use mesh::{ChannelOptions, Local};

use super::*;
use crate::{session::Limits, store::fixture::sqlite};

fn provisioner(db: &Db) -> Provisioner {
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let nobody_answers = |name| Local::new().channel(name, "sso", ChannelOptions::default());
    Provisioner {
        db: db.clone(),
        clock: clock.clone(),
        random: random.clone(),
        peers: Peers::new(nobody_answers("sms"), nobody_answers("social"), nobody_answers("blog")),
        gates: Gates::new(),
        tally: Tally::new(Provisioner::NAME, Target::ALL.map(|target| (target as i16, target.name()))),
        audit: Audit::new(clock, random),
        sessions: Limits { idle: LEASE, absolute: LEASE, grace: LEASE, per_user: 1, access: LEASE },
    }
}

/// What is owed to Blog about a user, claimed.
async fn claimed(provisioner: &Provisioner, user_id: Uuid) -> Lease {
    let debts = provisioner.free(user_id, &[Target::Blog], UNIX_EPOCH);
    provisioner.db.write("owe", move |c| Ok::<_, Error>(debts.owe(c, UNIX_EPOCH)?)).await.expect("owed");
    provisioner.claim(Target::Blog as i16, 9).await.expect("claimed").pop().expect("it is due")
}

/// Blog goes down, or answers again.
fn hear(provisioner: &Provisioner, answers: bool) {
    let gate = provisioner.gates.of(Target::Blog);
    if answers {
        assert!(gate.answered(), "it was down");
    } else {
        while !gate.failed() {}
    }
}

async fn is_owed(db: &Db, user_id: Uuid) -> bool {
    let left = move |c: &mut Conn| Ok::<_, Error>(store::reconcile::is_owed(c, user_id, Target::Blog)?);
    db.read("left", left).await.expect("a look")
}

/// A debt about nobody was claimed every ten seconds, and answered for by nobody: neither GetProvisioning nor RetryProvisioning knows its user.
#[tokio::test]
async fn a_debt_about_nobody_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    let (provisioner, user_id) = (provisioner(&db), Uuid::from_u128(1));
    provisioner.later(claimed(&provisioner, user_id).await).await;
    assert!(!is_owed(&db, user_id).await);
}

/// The read that found nobody may have been answered by a server that is behind the one that writes.
#[tokio::test]
async fn a_debt_stays_if_there_is_somebody_after_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    let (provisioner, user_id) = (provisioner(&db), Uuid::from_u128(1));
    let lease = claimed(&provisioner, user_id).await;
    let bury = move |c: &mut Conn| Ok::<_, Error>(store::deletion::bury(c, user_id, 2, UNIX_EPOCH)?);
    db.write("bury", bury).await.expect("deleted meanwhile");
    let end = provisioner.record(lease, &Step::Forget { now: UNIX_EPOCH }).await;
    assert_eq!((end, is_owed(&db, user_id).await), (Some(End::Postponed), true));
}

/// A target that answers again, and refuses one user, would be asked for that one without a pause.
#[tokio::test]
async fn what_fails_after_an_outage_is_not_brought_forward() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = sqlite(&folder).await;
    let (provisioner, target) = (provisioner(&db), Target::Blog as i16);
    let put_off = || Step::Postpone { due_at: Some(provisioner.clock.now() + LEASE), error: String::new() };
    let lease = claimed(&provisioner, Uuid::from_u128(1)).await;
    hear(&provisioner, false);
    provisioner.record(lease, &put_off()).await;
    hear(&provisioner, true);
    let lease = provisioner.claim(target, 9).await.expect("claimed").pop().expect("the outage put it off");
    provisioner.record(lease, &put_off()).await;
    for _ in 0..2 {
        provisioner.rest(target).await;
        assert_eq!(provisioner.claim(target, 9).await.expect("a look"), []);
    }
}
