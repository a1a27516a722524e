//! `agent-system agents test`: an agent's program on trial, without a daemon.
//!
//! Not here: the checks, see [`crate::actors::agent::conformance`].

use std::io;
use std::path::PathBuf;

use crate::actors::agent::Launcher;
use crate::actors::agent::conformance;
pub(crate) use crate::actors::agent::conformance::{Limits, Report, Subject};

/// Marks the processes of a trial.
const OWNER: &str = "agents-test";

/// A directory for the large values of one trial, removed with it.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it among the temporary files.
    pub(crate) fn new() -> io::Result<Self> {
        let name = format!("agent-system-test-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays lies among the temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Puts a program on trial.
///
/// # Errors
/// No process can be started at all.
pub(crate) async fn run(subject: Subject) -> io::Result<Report> {
    let runtime = tokio::runtime::Handle::current();
    let launcher = Launcher::start(runtime, OWNER)?;
    Ok(conformance::run(&launcher, subject).await)
}
