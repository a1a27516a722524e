//! Every restart type against every end under every strategy: who has another life afterwards.

use super::script::{Script, paused};
use crate::domain::agent::{
    AgentProgram, AgentState, EnvSpec, ProcessLimits, ProcessProtocol, ProcessSpec,
};
use crate::domain::exit::ExitReason;
use crate::domain::restart::{RestartType, Strategy};

/// What becomes of the one that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Again,
    Stops,
    Fails,
}

use Fate::{Again, Fails, Stops};

fn text(text: &str) -> String {
    text.to_owned()
}

/// Each end, and what follows it under permanent, transient and temporary.
fn ends() -> [(ExitReason, [Fate; 3]); 16] {
    let crash = [Again, Again, Stops];
    let fatal = [Fails, Fails, Fails];
    let wanted = [Again, Stops, Stops];
    let message = || text("said");
    [
        (ExitReason::Normal, wanted),
        (ExitReason::Shutdown, wanted),
        (ExitReason::Error { message: message() }, crash),
        (
            ExitReason::Panic {
                message: message(),
                place: text("a.rs:1:1"),
            },
            crash,
        ),
        (ExitReason::ExitCode { code: 0 }, crash),
        (ExitReason::ExitCode { code: 1 }, crash),
        (ExitReason::ExitCode { code: 78 }, fatal),
        (
            ExitReason::Signal {
                signal: 9,
                oom: false,
            },
            crash,
        ),
        (
            ExitReason::Signal {
                signal: 9,
                oom: true,
            },
            crash,
        ),
        (ExitReason::Killed, crash),
        (ExitReason::StartFailed { message: message() }, crash),
        (ExitReason::StartTimeout, crash),
        (ExitReason::Stuck { for_ms: 1 }, crash),
        (
            ExitReason::ProbeFailed {
                probe: text("liveness"),
                message: message(),
            },
            crash,
        ),
        (ExitReason::ArbiterGone, crash),
        (ExitReason::Protocol { message: message() }, crash),
    ]
}

/// Generations of those declared before and after the one that is restarted.
const STRATEGIES: [(Strategy, [u64; 2]); 3] = [
    (Strategy::OneForOne, [1, 1]),
    (Strategy::OneForAll, [2, 2]),
    (Strategy::RestForOne, [1, 2]),
];

const TYPES: [RestartType; 3] = [
    RestartType::Permanent,
    RestartType::Transient,
    RestartType::Temporary,
];

const NAMES: [&str; 3] = ["before", "it", "after"];

async fn cell(strategy: Strategy, kind: RestartType, reason: ExitReason) -> ([u64; 3], AgentState) {
    let script = Script::default().group("family", strategy);
    let script = NAMES.into_iter().fold(script, |script, name| {
        let script = script.agent(name);
        script.with(|spec| {
            spec.group = Some("family".parse().unwrap());
            spec.runs = process();
            if name == "it" {
                spec.restart.kind = kind;
            }
        })
    });
    let world = script.begin().await;
    world.actor("it").end(reason);
    world.settled().await;
    let mut generations = [0; 3];
    for (nth, name) in NAMES.into_iter().enumerate() {
        generations[nth] = world.status(name).await.generation;
    }
    (generations, world.state("it").await)
}

#[test]
fn restart_type_end_and_strategy_decide_together_who_lives_on() {
    for (strategy, [before, after]) in STRATEGIES {
        for (reason, fates) in ends() {
            for (kind, fate) in TYPES.into_iter().zip(fates) {
                let wanted = match fate {
                    Again => ([before, 2, after], AgentState::Ready),
                    Stops => ([1, 1, 1], AgentState::Stopped),
                    Fails => ([1, 1, 1], AgentState::Failed),
                };
                let reason = reason.clone();
                paused(async move {
                    let seen = cell(strategy, kind, reason.clone()).await;
                    assert_eq!(seen, wanted, "{strategy:?}, {kind:?}, {reason}");
                });
            }
        }
    }
}

/// A program with an exit code that is never retried.
pub(super) fn process() -> AgentProgram {
    AgentProgram::Process(ProcessSpec {
        command: vec!["true".to_owned()],
        directory: None,
        protocol: ProcessProtocol::Stdio,
        env: EnvSpec::default(),
        limits: ProcessLimits::default(),
        log: None,
        settings: serde_json::Value::Null,
        success_exit_codes: vec![0],
        fatal_exit_codes: vec![78],
    })
}
