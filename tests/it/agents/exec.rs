//! Claims about one process a task.

use agent_system::actors::work::AgentOutcome;
use agent_system::domain::agent::{ProcessProtocol, ProcessSpec};
use agent_system::domain::exit::ExitReason;
use serde_json::json;

use super::rig::{LONG, Rig, eventually, failed_with, hello, output, script, task};

fn job(text: &str) -> ProcessSpec {
    ProcessSpec {
        protocol: ProcessProtocol::Exec,
        fatal_exit_codes: vec![78],
        ..script(text)
    }
}

#[actix_rt::test]
async fn stdout_is_the_result_as_json_or_else_as_text() {
    assert_eq!(output(Rig::start(job("cat")).run(hello()).await), hello());
    assert_eq!(
        output(Rig::start(job("echo so it is")).run(hello()).await),
        json!("so it is")
    );
}

#[actix_rt::test]
async fn the_exit_code_decides_and_the_last_line_of_stderr_explains() {
    let rig = Rig::start(job("echo why >&2; exit 4"));
    let outcome = rig.run(hello()).await;
    assert_eq!(failed_with(&outcome), ("exit_code".into(), true));
    let AgentOutcome::Failed(error) = outcome else {
        unreachable!()
    };
    assert_eq!(error.message, "exit code 4: why");
    let rig = Rig::start(job("exit 78"));
    assert_eq!(
        failed_with(&rig.run(hello()).await),
        ("exit_code".into(), false)
    );
    let rig = Rig::start(job("kill -9 $$"));
    assert_eq!(
        failed_with(&rig.run(hello()).await),
        ("signal".into(), true)
    );
}

#[actix_rt::test]
async fn a_result_over_the_limit_fails_and_the_process_ends_by_itself() {
    let rig = Rig::start(job("head -c 5000000 /dev/zero"));
    assert_eq!(
        failed_with(&rig.run(hello()).await),
        ("output_too_large".into(), false)
    );
}

#[actix_rt::test]
async fn a_cancel_ends_the_process_with_all_it_started() {
    let rig = Rig::start(job("trap '' TERM; sleep 1000 & sleep 1000"));
    let task = task(hello());
    let id = task.id;
    let port = rig.port().await;
    port.assign(task).unwrap();
    eventually("begun", async || (rig.processes().len() >= 3).then_some(())).await;
    port.cancel(id, "not needed");
    assert_eq!(rig.settled(id).await, AgentOutcome::Cancelled);
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn a_drain_waits_for_the_tasks_and_a_stop_ends_them() {
    let rig = Rig::start(job("sleep 0.1; echo 1"));
    let held = task(hello());
    let id = held.id;
    rig.port().await.assign(held).unwrap();
    rig.control.drain(LONG);
    assert_eq!(rig.exit().await, ExitReason::Shutdown);
    assert_eq!(output(rig.settled(id).await), json!(1));

    let rig = Rig::start(job("sleep 1000"));
    let port = rig.port().await;
    port.assign(task(hello())).unwrap();
    eventually("begun", async || {
        (!rig.processes().is_empty()).then_some(())
    })
    .await;
    rig.control.stop();
    assert_eq!(rig.exit().await, ExitReason::Shutdown);
    rig.no_process_left().await;
    assert!(rig.memory.settled.lock().is_empty());
}

#[actix_rt::test]
async fn a_kill_of_the_agent_ends_its_processes() {
    let rig = Rig::start(job("sleep 1000"));
    rig.port().await.assign(task(hello())).unwrap();
    eventually("begun", async || {
        (!rig.processes().is_empty()).then_some(())
    })
    .await;
    rig.control.kill();
    rig.exit().await;
    rig.no_process_left().await;
}
