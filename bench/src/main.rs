//! Load for Plaza.

mod mesh;
mod signup;
mod stream;

use std::{error::Error, process::ExitCode};

use clap::Parser;

/// Load for Plaza.
#[derive(Debug, Parser)]
enum Command {
    /// Sign people up at a steady rate, whatever dies meanwhile, and write down who was acknowledged
    Stream(stream::Arguments),
    /// Measure what a call costs: bare tonic, the mesh over loopback, and in memory
    Mesh(mesh::Arguments),
    /// Measure a sign-up beside its commits alone, and what an outage of Blog costs those who sign up after it
    Signup(signup::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done: Result<(), Box<dyn Error>> = match Command::parse() {
        Command::Stream(arguments) => stream::run(arguments).await,
        Command::Mesh(arguments) => mesh::run(arguments).await,
        Command::Signup(arguments) => signup::run(arguments).await,
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
