//! The same over mutual TLS, as services call each other.

use std::net::SocketAddr;

use tokio::time::sleep;

use super::{Channel, addresses, connect_by, load, millis, ours, taking};
use crate::{
    server::Limits,
    testing::{
        Authority, Folder, Keys, say,
        sockets::{Proxy, Running, serve_secure},
    },
    tls::Tls,
};

/// What both ends of a connection have.
struct Site {
    keys: Keys,
    echo: Tls,
    sso: Tls,
}

impl Site {
    fn new() -> Self {
        let (keys, root) = (Keys::new(), Authority::new("root"));
        let [echo, sso] = ["echo", "sso"].map(|name| Folder::new(&root.service(name), &[&root]).load(name, &keys));
        Self { keys, echo, sso }
    }

    async fn serve(&self, address: &str, limits: Limits) -> Running {
        serve_secure(address, taking(millis(5)), &self.keys, limits, &self.echo).await
    }

    async fn replicas(&self, limits: Limits) -> Vec<Running> {
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(self.serve("127.0.0.1:0", limits).await);
        }
        all
    }

    async fn connect(&self, addresses: Vec<SocketAddr>) -> Channel {
        let channel = connect_by("https://echo:443", Some(self.sso.clone()), &self.keys, addresses);
        say(&channel, "Once", "").await.expect("answered");
        channel
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_and_ages_lose_no_call_over_tls() {
    let site = Site::new();
    // Each connection ends several times meanwhile.
    let limits = Limits { age: millis(150), ..Limits::default() };
    let replicas = site.replicas(limits).await;
    let channel = site.connect(addresses(&replicas)).await;
    let under_load = load(ours(&channel, "Once"), 100);
    let mut restarted = Vec::new();
    for replica in replicas {
        let address = replica.address.to_string();
        replica.stop().await;
        sleep(millis(50)).await;
        restarted.push(site.serve(&address, limits).await);
        sleep(millis(150)).await;
    }
    under_load.await.expect("no panic").is_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_are_killed_or_frozen_lose_no_call_that_may_be_repeated_over_tls() {
    let site = Site::new();
    let mut replicas = site.replicas(Limits::default()).await;
    let frozen = Proxy::to(replicas[0].address).await;
    let channel = site.connect([vec![frozen.address], addresses(&replicas[1..])].concat()).await;
    let under_load = load(ours(&channel, "Public"), 100);
    sleep(millis(150)).await;
    frozen.freeze();
    sleep(millis(100)).await;
    replicas.remove(1).kill().await;
    under_load.await.expect("no panic").is_whole();
}
