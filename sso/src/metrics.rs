//! What whoever runs SSO sees of what it owes.

use db::work::{COUNTED, Sample};
use mesh::metrics;

use crate::{
    error::Error,
    model::Target,
    reconcile,
    sso::Sso,
    store::{
        notices::{NOTICES, SMS},
        provisioning::DEBTS,
    },
};

/// What is owed to each target and to users, whom a target knows and SSO does not, what came of the attempts, and which target is held to be down, and what the
/// database does. While it does not answer, the last two alone.
pub(crate) async fn samples(sso: &Sso) -> Vec<metrics::Sample> {
    let now = sso.clock.now().into();
    let backlogs = sso.db.read("backlogs", |c| {
        let debts = DEBTS.backlogs(c, Target::ALL.map(|target| target as i16), COUNTED)?;
        let notices = NOTICES.backlogs(c, [SMS], COUNTED)?;
        let mut unknown = Vec::new();
        for target in Target::ALL {
            unknown.push(unknown_at(target, reconcile::unknown(c, target)?));
        }
        Ok::<_, Error>((debts, notices, unknown))
    });
    let owed = |(debts, notices, unknown): (Vec<_>, Vec<_>, Vec<_>)| {
        [sso.provisioner.tally.samples(&debts, now), sso.notices.tally.samples(&notices, now), unknown].concat()
    };
    let samples = backlogs.await.map(owed).unwrap_or_default();
    let down = Target::ALL.map(|target| metrics::Sample {
        name: "plaza_provisioning_target_down",
        help: "1 while the target does not answer and is tried once a second, 0 while it does.",
        labels: vec![("target", target.name().to_owned())],
        value: if sso.provisioner.gates.of(target).is_open() { 0.0 } else { 1.0 },
        buckets: Vec::new(),
    });
    let samples = samples
        .into_iter()
        .chain(sso.db.samples(crate::NAME))
        .map(|Sample { name, help, labels, value, buckets }| metrics::Sample { name, help, labels, value, buckets });
    samples.chain(down).collect()
}

fn unknown_at(target: Target, users: i64) -> Sample {
    Sample {
        name: "plaza_provisioning_unknown",
        help: "Users that the target knew and SSO did not when they were compared last.",
        labels: vec![("target", target.name().to_owned())],
        value: users as f64,
        buckets: Vec::new(),
    }
}
