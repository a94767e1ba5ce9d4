use tokio::task::JoinSet;

use super::{Client, Outcome, same, zeros};
use crate::contract::{Empty, SimpleRequest};

pub(super) const LARGE_REQUEST: usize = 271_828;
pub(super) const LARGE_RESPONSE: i32 = 314_159;

/// As many as the description asks for take a gibibyte; these fill each window many times over.
const CONCURRENT: usize = 50;

pub(super) async fn empty(mut client: Client) -> Outcome {
    client.empty_call(Empty {}).await?;
    Ok(())
}

pub(super) async fn large(mut client: Client) -> Outcome {
    let response = client.unary_call(large_request()).await?.into_inner();
    same("the payload", response.payload, zeros(LARGE_RESPONSE as usize))
}

pub(super) async fn concurrent(client: Client) -> Outcome {
    let mut calls: JoinSet<_> = (0..CONCURRENT).map(|_| large(client.clone())).collect();
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(())
}

pub(super) fn large_request() -> SimpleRequest {
    SimpleRequest { response_size: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST), response_status: None }
}
