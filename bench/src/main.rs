//! Load for Plaza.

mod aims;
mod db;
mod identity;
mod mesh;
mod overload;
mod people;
mod signup;
mod stream;
mod timing;

use std::{error::Error, process::ExitCode};

use clap::Parser;
use tokio::runtime::Runtime;

/// Load for Plaza.
#[derive(Debug, Parser)]
enum Command {
    /// Sign people up at a steady rate, change and delete some, whatever dies meanwhile, and write down what was acknowledged
    Stream(stream::Arguments),
    /// Measure what a call costs: bare tonic, the mesh over loopback, and in memory
    Mesh(mesh::Arguments),
    /// Measure what the storage costs beside SQLite's C API and, where a server is named, beside pgbench
    Db(db::Arguments),
    /// Measure what identity costs beside the hash alone: sign-ins, reads meanwhile, refreshes, tokens, sessions
    Identity(identity::Arguments),
    /// Measure whether time tells who has an account
    Timing(timing::Arguments),
    /// Measure a sign-up beside its commits alone, and what an outage of Blog costs those who sign up after it
    Signup(signup::Arguments),
    /// Offer a server ten times what it can do, and see what it does
    Overload(overload::Arguments),
    /// One server of `mesh`, in a process of its own so that its CPU time can be told from its caller's
    #[command(hide = true)]
    Serve(mesh::serve::Arguments),
}

fn main() -> ExitCode {
    let command = Command::parse();
    let done = match command {
        Command::Serve(arguments) => mesh::serve::run(arguments),
        command => Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(command))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a tool of the command line")]
            {
                eprintln!("bench: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Stream(arguments) => stream::run(arguments).await,
        Command::Mesh(arguments) => mesh::run(arguments).await,
        Command::Identity(arguments) => identity::run(arguments).await,
        Command::Timing(arguments) => timing::run(arguments).await,
        Command::Db(arguments) => db::run(arguments).await,
        Command::Signup(arguments) => signup::run(arguments).await,
        Command::Overload(arguments) => overload::run(arguments).await,
        Command::Serve(arguments) => mesh::serve::run(arguments),
    }
}

#[allow(clippy::print_stdout, reason = "what a benchmark is for")]
fn println(line: &str) {
    println!("{line}");
}
