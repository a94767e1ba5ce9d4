//! Whom a person who waits keeps waiting.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    task::{Context, Poll},
    time::Duration,
};

use mesh::{Router, access::ClientAddress};
use proto::sso::v1::{
    RemoveIdentifierRequest, StartIdentifierChangeRequest, account_service_client::AccountServiceClient,
    auth_service_client::AuthServiceClient, remove_identifier_request as remove,
    start_identifier_change_request as change,
};
use tokio::time::{sleep, timeout};
use tonic::{
    Request,
    body::Body,
    codegen::{Service, http},
};

use crate::world::{PASSWORD, World, id, sign_in};

/// A replica, as it is seen from one network: what a socket would say of itself.
#[derive(Clone)]
struct Seen(Router);

impl Service<http::Request<Body>> for Seen {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <Router as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request.extensions_mut().insert(ClientAddress(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))));
        self.0.call(request)
    }
}

/// Tallies are locked after all else: a network's is everybody's behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_user_keeps_nobody_behind_the_same_network_waiting() {
    let Some(world) = World::start().await else { return };
    let tokens = world.signed_in("anna").await;
    world.signed_in("ben").await;
    let seen = || Seen(world.replicas[0].router());
    let ask = |starts: bool| {
        let (mut account, token) = (AccountServiceClient::new(seen()), tokens.access_token.clone());
        async move {
            if starts {
                let request = StartIdentifierChangeRequest {
                    request_id: id(),
                    password: PASSWORD.to_owned(),
                    identifier: Some(change::Identifier::Email("new@example.com".to_owned())),
                };
                account.start_identifier_change(bearer(request, &token)).await.map(drop)
            } else {
                let request = RemoveIdentifierRequest {
                    request_id: id(),
                    password: PASSWORD.to_owned(),
                    identifier: Some(remove::Identifier::Email("anna@example.com".to_owned())),
                };
                account.remove_identifier(bearer(request, &token)).await.map(drop)
            }
        }
    };
    for starts in [false, true] {
        let held = world.hold("SELECT id FROM users WHERE username = 'anna' FOR UPDATE");
        let waiting = tokio::spawn(ask(starts));
        while !world.somebody_waits() {
            sleep(Duration::from_millis(10)).await;
        }
        let mut auth = AuthServiceClient::new(seen());
        timeout(Duration::from_secs(2), auth.sign_in(sign_in("ben")))
            .await
            .expect("he need not wait for anna")
            .expect("in");
        drop(held);
        // The last identifier cannot be removed, and SMS is down: what becomes of it is not the question.
        let _ = waiting.await.expect("no panic");
    }
    world.stop().await;
}

fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
    request
}
