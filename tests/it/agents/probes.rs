//! Programs that are run to ask how an agent does.

use std::sync::Arc;
use std::time::Duration;

use agent_system::actors::agent::Registry;
use agent_system::actors::probes::{Answer, OutsideProber, Prober as _, Question};
use agent_system::domain::agent::{AgentProgram, InstanceId};
use agent_system::domain::probe::ProbeHow;

use super::rig::{LONG, Rig, eventually, process, spec};
use crate::daemon::is_running;

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
    let pids = dir.path().join("pids");
    let script = format!(
        "sleep 1000 & echo $$ $! >{0}.part; mv {0}.part {0}; exec sleep 1000",
        pids.display()
    );
    let mut timeout = Duration::from_secs(1);
    let pids = loop {
        let late = ask(&script, timeout).await.unwrap_err();
        assert!(late.contains("killed"), "{late}");
        // On a slow machine one that has just begun has started nothing yet.
        match std::fs::read_to_string(&pids) {
            Ok(pids) => break pids,
            Err(_) => timeout *= 2,
        }
        assert!(timeout < LONG, "it never begins");
    };
    for pid in pids.split_whitespace().map(|pid| pid.parse().unwrap()) {
        eventually("it is gone", async || (!is_running(pid)).then_some(())).await;
    }
}
