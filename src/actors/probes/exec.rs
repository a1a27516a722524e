//! Asks by running a program: exit code 0 passes.
//!
//! The program sees the environment, directory and limits of its agent if that is a process, and
//! `AGENT_SYSTEM_AGENT` and `AGENT_SYSTEM_REPLICA`. What it leaves running is killed.

use std::collections::BTreeMap;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Answer, Question};
use crate::actors::agent::Launcher;
use crate::actors::agent::family::signal_group;
use crate::actors::agent::launcher::{Input, Launched};
use crate::actors::awake;
use crate::domain::agent::{AgentProgram, EnvSpec, ProcessProtocol, ProcessSpec};

/// What is kept of a program's output, bytes of each pipe.
const MAX_OUTPUT: u64 = 4 * 1024;
/// What is shown of it, characters.
const MAX_SHOWN: usize = 200;

/// Runs the program to its end, or to the end of its time.
pub(super) async fn run(launcher: &Launcher, question: &Question, command: &[String]) -> Answer {
    let program = program(question, command);
    let launched = awake::within(question.timeout, launcher.launch(&program, Input::Empty)).await;
    let mut launched = launched
        .map_err(|_silent| format!("not started within {:?}", question.timeout))?
        .map_err(|error| error.to_string())?;
    let said = Said::listen(&mut launched);
    match awake::within(question.timeout, launched.child.wait()).await {
        Ok(Ok(status)) => {
            // What it forked goes with it; it was reaped, but its group lives on in them.
            signal_group(launched.pid, Signal::KILL);
            let said = said.last_words().await;
            status.success().then_some(()).ok_or_else(|| match said {
                Some(said) => format!("{status}: {said}"),
                None => status.to_string(),
            })
        }
        Ok(Err(error)) => Err(format!("cannot be waited for: {error}")),
        Err(_silent) => {
            let family = launched.family.clone();
            // Kills the group.
            drop(launched);
            launcher.end_family(family);
            Err(format!("no end within {:?}, killed", question.timeout))
        }
    }
}

/// The program with its agent's surroundings.
fn program(question: &Question, command: &[String]) -> ProcessSpec {
    let agents = match &question.agent.runs {
        AgentProgram::Process(process) => Some(process),
        AgentProgram::Actor { .. } | AgentProgram::Http(_) => None,
    };
    let mut env = agents.map_or_else(EnvSpec::default, |process| process.env.clone());
    let own = [
        ("AGENT_SYSTEM_AGENT", question.instance.agent.to_string()),
        ("AGENT_SYSTEM_REPLICA", question.instance.index.to_string()),
    ];
    env.set.extend(BTreeMap::from(
        own.map(|(name, value)| (name.to_owned(), value)),
    ));
    ProcessSpec {
        command: command.to_vec(),
        directory: agents.and_then(|process| process.directory.clone()),
        protocol: ProcessProtocol::None,
        env,
        limits: agents.map(|process| process.limits).unwrap_or_default(),
        log: None,
        settings: serde_json::Value::Null,
        success_exit_codes: vec![0],
        fatal_exit_codes: Vec::new(),
    }
}

/// The begin of what a program says; the rest is read and thrown away, so that it never waits.
struct Said {
    stdout: tokio::task::JoinHandle<Vec<u8>>,
    stderr: tokio::task::JoinHandle<Vec<u8>>,
}

impl Said {
    fn listen(launched: &mut Launched) -> Self {
        Self {
            stdout: tokio::spawn(begin_of(launched.child.stdout.take())),
            stderr: tokio::spawn(begin_of(launched.child.stderr.take())),
        }
    }

    /// The last line: of its errors, or else of its output.
    async fn last_words(self) -> Option<String> {
        let (stdout, stderr) = (self.stdout.await, self.stderr.await);
        let line = |said: Result<Vec<u8>, _>| {
            let said = said.ok()?;
            let text = String::from_utf8_lossy(&said);
            let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
            Some(line.chars().take(MAX_SHOWN).collect::<String>())
        };
        line(stderr).or_else(|| line(stdout))
    }
}

async fn begin_of(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut begin = Vec::new();
    if let Some(mut pipe) = pipe {
        // A pipe that breaks has no more to say.
        (&mut pipe)
            .take(MAX_OUTPUT)
            .read_to_end(&mut begin)
            .await
            .ok();
        tokio::io::copy(&mut pipe, &mut tokio::io::sink())
            .await
            .ok();
    }
    begin
}
