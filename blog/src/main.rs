//! Blog as a process of its own.

use std::process::ExitCode;

use blog::{DEFAULT, NAME, build};

fn main() -> ExitCode {
    mesh::process::run(NAME, env!("CARGO_PKG_VERSION"), |file, threads| {
        roster::serve(NAME, DEFAULT, file, threads, build)
    })
}
