//! What a worker finds that no flow leaves.

use std::time::UNIX_EPOCH;

use mesh::{ChannelOptions, Local};

use super::*;
use crate::store::fixture::sqlite;

/// A debt about nobody was claimed every ten seconds, and answered for by nobody: neither GetProvisioning nor RetryProvisioning knows its user.
#[tokio::test]
async fn a_debt_about_nobody_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, clock, random) = (sqlite(&folder).await, Clock::system(), Random::seeded(1));
    let nobody_answers = |name| Local::new().channel(name, "sso", ChannelOptions::default());
    let provisioner = Provisioner {
        db: db.clone(),
        clock: clock.clone(),
        random: random.clone(),
        peers: Peers::new(nobody_answers("sms"), nobody_answers("social"), nobody_answers("blog")),
        gates: Gates::new(),
        tally: Tally::new(Provisioner::NAME, Target::ALL.map(|target| (target as i16, target.name()))),
        audit: Audit::new(clock, random),
    };
    let debts = provisioner.free(Uuid::from_u128(1), &[Target::Blog], UNIX_EPOCH);
    db.write("owe", move |c| Ok::<_, Error>(debts.owe(c, UNIX_EPOCH)?)).await.expect("owed");
    let mut claimed = provisioner.claim(Target::Blog as i16, 9).await.expect("claimed");
    provisioner.later(claimed.pop().expect("it is due")).await;
    let left = |c: &mut db::Conn| Ok::<_, Error>(store::reconcile::is_owed(c, Uuid::from_u128(1), Target::Blog)?);
    assert!(!db.read("left", left).await.expect("a look"));
}
