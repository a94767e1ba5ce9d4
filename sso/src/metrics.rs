//! What whoever runs SSO sees of provisioning.

use db::work::Sample;
use mesh::metrics::Gauge;

use crate::{error::Error, model::Target, provision::Provisioner, store::provisioning::DEBTS};

/// What is owed to each target, what came of the attempts, and which target is held to be down. Without the database, the last alone.
pub(crate) async fn gauges(provisioner: &Provisioner) -> Vec<Gauge> {
    let backlog = provisioner.db.read("provisioning_backlog", |c| Ok::<_, Error>(DEBTS.backlog(c)?)).await;
    let samples =
        backlog.map(|backlog| provisioner.tally.samples(&backlog, provisioner.clock.now().into())).unwrap_or_default();
    let down = Target::ALL.map(|target| Gauge {
        name: "plaza_provisioning_target_down",
        help: "1 while the target does not answer and is tried once a second, 0 while it does.",
        labels: vec![("target", target.name().to_owned())],
        value: if provisioner.gates.of(target).is_open() { 0.0 } else { 1.0 },
    });
    let samples = samples.into_iter().map(|Sample { name, help, labels, value }| Gauge { name, help, labels, value });
    samples.chain(down).collect()
}
