//! gRPC's own interoperability cases (grpc/grpc, doc/interop-test-descriptions.md) on both ends of `mesh`. `scripts/interop.sh`
//! runs them against the gRPC of other languages. Cases of compression, credentials and load balancers are left out: the
//! mesh refuses the first, as a peer tries, and does the others in ways of its own.

mod cases;
mod contract;
mod echo;
mod server;

use std::{error::Error, process::ExitCode};

use ::mesh::{Channel, ChannelOptions, Clock, PeerIdentity, Random, Shutdown, bind, token::Kind};
use clap::Parser;

/// A message in either direction has at most 4 MiB, where tonic stops too; the largest case has 314,159 bytes.
const MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

/// gRPC's interoperability cases.
#[derive(Debug, Parser)]
enum Command {
    /// Serve until the process is ended; the first line that is printed is the address
    Serve {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
    /// Run cases against a server, and print a line for each
    Call {
        /// host:port
        server: String,
        /// Which; all by default
        cases: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Serve { listen } => serve(&listen).await,
        Command::Call { server, cases } => call(&server, cases).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&format!("interop: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: &str) -> Result<(), Box<dyn Error>> {
    let listener = bind(listen).await?;
    print(&listener.local_addr()?.to_string());
    server::router()?.serve(listener, Shutdown::on_signals()?).await?;
    Ok(())
}

async fn call(server: &str, cases: Vec<String>) -> Result<(), Box<dyn Error>> {
    let channel = connect(server);
    let all = cases::ALL.iter().map(|name| (*name).to_owned());
    let mut failed = 0;
    for case in if cases.is_empty() { all.collect() } else { cases } {
        match cases::run(&case, channel.clone(), || connect(server)).await {
            Ok(()) => print(&format!("passed {case}")),
            Err(error) => {
                failed += 1;
                print(&format!("failed {case}: {error}"));
            }
        }
    }
    if failed > 0 { Err(format!("{failed} failed").into()) } else { Ok(()) }
}

fn connect(server: &str) -> Channel {
    let (clock, random) = (Clock::system(), Random::system());
    let identity = PeerIdentity::new("interop", server::key().signer(Kind::Peer), clock, random);
    let options = ChannelOptions { contracts: contract::contracts(), ..ChannelOptions::default() };
    Channel::connect("interop", &format!("http://{server}"), identity, options)
}

#[allow(clippy::print_stdout, reason = "a tool of the command line")]
fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_ends_of_the_mesh_agree_over_a_socket_and_in_memory() {
        let listener = bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let router = server::router().expect("it builds");
        let in_memory = Channel::memory(router.clone(), "interop");
        let shutdown = Shutdown::manual();
        let served = tokio::spawn(router.serve(listener, shutdown.clone()));
        let ways: [&dyn Fn() -> Channel; 2] = [&|| connect(&address), &|| in_memory.clone()];
        for way in ways {
            let channel = way();
            for case in cases::ALL {
                let outcome = cases::run(case, channel.clone(), way).await;
                outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
            }
        }
        shutdown.begin();
        served.await.expect("no panic").expect("served");
    }
}
