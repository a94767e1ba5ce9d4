//! A pair of Envoys between a caller and a callee, as a sidecar mesh would have them: plain text to the caller's, mutual TLS between the two, plain
//! text to the callee; with a time-out and retries, on one worker each.

use std::{
    error::Error,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;
use tonic::transport::Endpoint;

use super::{
    child::Server,
    load::Caller,
    service::{CALLEE, CALLER},
};

/// Two Envoys that run until this is dropped.
pub(crate) struct Pair {
    outbound: Server,
    inbound: Server,
}

/// Calls through them, once they let calls through.
pub(crate) async fn caller(pair: &Pair) -> Result<Caller, Box<dyn Error>> {
    let endpoint = Endpoint::from_shared(format!("http://{}", pair.outbound.address))?.tcp_nodelay(true);
    let mut patience = 100;
    loop {
        let failure = match endpoint.connect().await {
            Ok(channel) => {
                let caller = Caller::Tonic(channel);
                match caller.call().await {
                    Ok(()) => return Ok(caller),
                    Err(status) => status.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        patience -= 1;
        if patience == 0 {
            return Err(format!("no call gets through two Envoys: {failure}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Outbound,
    Inbound,
}

impl Pair {
    /// Starts both before the callee at `address`. They may take a moment to listen.
    pub(crate) fn start(envoy: &Path, folder: &Path, address: &str) -> Result<Self, Box<dyn Error>> {
        let callee = address.rsplit(':').next().ok_or("an address without a port")?.parse()?;
        let inbound = start(envoy, folder, Side::Inbound, callee)?;
        let between = inbound.address.rsplit(':').next().ok_or("an address without a port")?.parse()?;
        Ok(Self { outbound: start(envoy, folder, Side::Outbound, between)?, inbound })
    }

    /// How long the threads of both have been on a CPU.
    pub(crate) fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(self.outbound.cpu()? + self.inbound.cpu()?)
    }
}

fn start(envoy: &Path, folder: &Path, side: Side, next: u16) -> Result<Server, Box<dyn Error>> {
    // Free now; nobody else takes ports while this is measured.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let name = if side == Side::Inbound { "inbound" } else { "outbound" };
    let file = folder.join(format!("{name}.json"));
    fs::write(&file, bootstrap(folder, side, port, next))?;
    let child = Command::new(envoy)
        .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "--config-path"])
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", envoy.display()))?;
    Ok(Server::of(child, format!("127.0.0.1:{port}")))
}

/// What an Envoy is told: everything that comes in at `port` goes on to `next`.
fn bootstrap(folder: &Path, side: Side, port: u16, next: u16) -> String {
    const TYPE: &str = "type.googleapis.com/envoy.extensions";
    let file = |name: &str| format!(r#"{{"filename": "{}"}}"#, folder.join(name).display());
    let common = |name: &str| {
        format!(
            r#""common_tls_context": {{"alpn_protocols": ["h2"], "tls_params": {{
               "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}},
               "tls_certificates": [{{"certificate_chain": {}, "private_key": {}}}],
               "validation_context": {{"trusted_ca": {}}}}}"#,
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
            file("roots.pem")
        )
    };
    let socket = |context: &str, rest: String| {
        let kind = format!("{TYPE}.transport_sockets.tls.v3.{context}TlsContext");
        format!(r#", "transport_socket": {{"name": "tls", "typed_config": {{"@type": "{kind}", {rest}}}}}"#)
    };
    let (downstream, upstream) = match side {
        Side::Inbound => {
            let required = format!(r#""require_client_certificate": true, {}"#, common(CALLEE));
            (socket("Downstream", required), String::new())
        }
        Side::Outbound => (String::new(), socket("Upstream", format!(r#""sni": "localhost", {}"#, common(CALLER)))),
    };
    let address =
        |port| format!(r#""address": {{"socket_address": {{"address": "127.0.0.1", "port_value": {port}}}}}"#);
    let (listener, endpoint) = (address(port), address(next));
    format!(
        r#"{{"static_resources": {{
  "listeners": [{{{listener}, "filter_chains": [{{"filters": [{{"name": "http", "typed_config": {{
    "@type": "{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "calls", "codec_type": "HTTP2",
    "route_config": {{"virtual_hosts": [{{"name": "all", "domains": ["*"], "routes": [{{"match": {{"prefix": "/"}}, "route": {{
      "cluster": "next", "timeout": "5s",
      "retry_policy": {{"retry_on": "unavailable,reset,connect-failure,refused-stream", "num_retries": 2}}}}}}]}}]}},
    "http_filters": [{{"name": "router", "typed_config": {{"@type": "{TYPE}.filters.http.router.v3.Router"}}}}]}}}}]{downstream}}}]}}],
  "clusters": [{{"name": "next", "connect_timeout": "1s", "type": "STATIC",
    "typed_extension_protocol_options": {{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {{
      "@type": "{TYPE}.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {{"http2_protocol_options": {{}}}}}}}},
    "load_assignment": {{"cluster_name": "next", "endpoints": [{{"lb_endpoints": [{{"endpoint": {{{endpoint}}}}}]}}]}}{upstream}}}]}}}}"#
    )
}
