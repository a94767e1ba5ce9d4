use std::time::Duration;

use ::mesh::Channel;
use tokio::time::timeout;

use super::{Outcome, unary};
use crate::contract::test_service_client::TestServiceClient;

/// The description's default is 10.
const CALLS: usize = 100;
/// How long each may take. The description's default, 1 s, is too little on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Large calls one after the other, each on the channel it is given.
pub(super) async fn large(channel: impl Fn() -> Channel) -> Outcome {
    for call in 0..CALLS {
        let answered = timeout(PATIENCE, unary::large(TestServiceClient::new(channel()))).await;
        answered.map_err(|_| format!("call {call} took more than {PATIENCE:?}"))??;
    }
    Ok(())
}
