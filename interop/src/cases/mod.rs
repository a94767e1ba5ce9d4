//! The cases, by the names that gRPC gives them. What each does and asserts stands in interop-test-descriptions.md.

mod failures;
mod soak;
mod streams;
mod unary;

use ::mesh::Channel;

use crate::contract::{Payload, test_service_client::TestServiceClient};

type Client = TestServiceClient<Channel>;
type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// All of them.
pub(crate) const ALL: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "concurrent_large_unary",
    "rpc_soak",
    "channel_soak",
];

/// Runs one on `channel`, or on others that it has made.
pub(crate) async fn run(case: &str, channel: Channel, connect: impl Fn() -> Channel) -> Outcome {
    let client = TestServiceClient::new(channel.clone());
    match case {
        "empty_unary" => unary::empty(client).await,
        "large_unary" => unary::large(client).await,
        "concurrent_large_unary" => unary::concurrent(client).await,
        "client_streaming" => streams::client(client).await,
        "server_streaming" => streams::server(client).await,
        "ping_pong" => streams::ping_pong(client).await,
        "empty_stream" => streams::empty(client).await,
        "custom_metadata" => streams::metadata(client).await,
        "status_code_and_message" => failures::status(client, "test status message").await,
        "special_status_message" => {
            failures::special(client, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n").await
        }
        "unimplemented_method" => failures::unimplemented(channel, "TestService").await,
        "unimplemented_service" => failures::unimplemented(channel, "UnimplementedService").await,
        "cancel_after_begin" => failures::cancelled_at_once(client).await,
        "cancel_after_first_response" => failures::cancelled_half_way(client).await,
        "timeout_on_sleeping_server" => failures::timeout(client).await,
        "rpc_soak" => soak::large(|| channel.clone()).await,
        "channel_soak" => soak::large(connect).await,
        _ => Err("there is no such case".into()),
    }
}

fn zeros(size: usize) -> Option<Payload> {
    Some(Payload { body: vec![0; size] })
}

/// Fails with what differs, if it does.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}").into()) }
}
