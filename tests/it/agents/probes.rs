//! Programs that are run to ask how an agent does.

use std::sync::Arc;
use std::time::Duration;

use agent_system::actors::agent::Registry;
use agent_system::actors::probes::{Answer, OutsideProber, Prober as _, Question};
use agent_system::domain::agent::{AgentProgram, InstanceId};
use agent_system::domain::probe::ProbeHow;

use super::rig::{LONG, Rig, process, spec};

async fn ask(script: &str, timeout: Duration) -> Answer {
    let mut idle = process(&["sleep", "100"]);
    idle.env.set.insert("MODE".to_owned(), "prod".to_owned());
    let runs = AgentProgram::Process(idle);
    let rig = Rig::start_with(runs.clone(), Registry::built_in(), 0);
    let question = Question {
        instance: InstanceId {
            agent: "subject".parse().unwrap(),
            index: 3,
        },
        how: ProbeHow::Exec(["sh", "-c", script].map(str::to_owned).to_vec()),
        timeout,
        agent: Arc::new(spec(runs)),
    };
    let prober = OutsideProber::new(rig.environment.launcher.clone());
    prober.ask(question).await
}

#[actix_rt::test]
async fn a_program_passes_by_its_exit_code_in_its_agents_surroundings() {
    let fine = "test $MODE-$AGENT_SYSTEM_AGENT-$AGENT_SYSTEM_REPLICA = prod-subject-3";
    assert_eq!(ask(fine, LONG).await, Ok(()));
    let said = ask("echo the disk is full >&2; exit 3", LONG).await;
    assert_eq!(said, Err("exit status: 3: the disk is full".to_owned()));
}

#[actix_rt::test]
async fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    // Both hold the pipe's writing end: its reader sees the end only when both are gone.
    let script = format!("exec 3>{}; sleep 1000 & sleep 1000", fifo.display());
    let reader = tokio::task::spawn_blocking(move || std::fs::read(fifo));
    let late = ask(&script, Duration::from_secs(1)).await.unwrap_err();
    assert!(late.contains("killed"), "{late}");
    let gone = tokio::time::timeout(LONG, reader).await;
    assert!(gone.unwrap().unwrap().unwrap().is_empty());
}
