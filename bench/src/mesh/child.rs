//! The process of a server, and what it costs.

use std::{
    error::Error,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum as _;

use super::{serve::Kind, traces::Traces};

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// A program that serves at `address`.
    pub(crate) fn of(child: Child, address: String) -> Self {
        Self { child, address }
    }

    /// Starts `bench serve`, beneath `under` if there is any.
    pub(crate) fn start(
        kind: Kind,
        folder: &Path,
        one_thread: bool,
        traces: &Traces,
        under: &[&str],
    ) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        let mut command = match under {
            [] => Command::new(&program),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(&program);
                command
            }
        };
        let name = kind.to_possible_value().ok_or("a server without a name")?;
        command.arg("serve").arg(name.get_name()).arg(folder).args(one_thread.then_some("--one-thread"));
        command.args(traces.arguments());
        if !under.is_empty() {
            command.stderr(Stdio::piped());
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// How long its threads have been on a CPU.
    pub(crate) fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        cpu(&self.child.id().to_string())
    }

    /// Tells it to end, waits until it has, and returns what it said of itself.
    pub(crate) fn stop(mut self) -> Result<String, Box<dyn Error>> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        self.child.wait()?;
        Ok(said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long the threads of a process (`self` for this one) have been on a CPU, as the scheduler counts it.
pub(crate) fn cpu(process: &str) -> Result<Duration, Box<dyn Error>> {
    let mut nanos = 0;
    for task in fs::read_dir(Path::new("/proc").join(process).join("task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
