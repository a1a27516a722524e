//! Claims about traces: what each kind of agent is given of one, and what goes on in it.

use agent_system::actors::work::TaskFrame;
use agent_system::domain::agent::{ProcessProtocol, ProcessSpec};
use agent_system::domain::trace::TraceParent;
use serde_json::json;

use super::rig::{Rig, hello, output, script, speaking, task};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-00";

pub(super) fn traced(trace: &str) -> TaskFrame {
    TaskFrame {
        traceparent: trace.parse().ok(),
        ..task(hello())
    }
}

/// What was submitted, by the trace it is in.
async fn submitted(rig: &Rig, count: usize) -> Vec<Option<String>> {
    let seen = rig.memory.until("submissions", |memory| {
        let all = memory.submitted.lock();
        let traces = all.iter().map(|it| it.traceparent);
        let traces: Vec<Option<TraceParent>> = traces.collect();
        (traces.len() == count).then_some(traces)
    });
    let texts = |it: Option<TraceParent>| it.map(|it| it.to_string());
    seen.await.into_iter().map(texts).collect()
}

#[actix_rt::test]
async fn a_process_gets_the_trace_with_its_task_and_what_it_submits_meanwhile_goes_on_in_it() {
    let rig = Rig::start(speaking(
        r#"echo '{"type":"submit","agent":"other","payload":1}'
           trace=$(field "$line" traceparent)
           case "$line" in *traceparent*) ;; *) trace=none ;; esac
           echo '{"type":"result","task_id":"'$id'","lease_id":"'$lease'","output":"'$trace'"}'"#,
    ));
    for (trace, is) in [(TRACE, Some(TRACE)), ("", None)] {
        let task = traced(trace);
        let id = task.id;
        rig.port().await.assign(task).unwrap();
        let said = output(rig.settled(id).await);
        assert_eq!(said, json!(is.unwrap_or("none")));
    }
    assert_eq!(submitted(&rig, 2).await, [Some(TRACE.to_owned()), None]);
}

#[actix_rt::test]
async fn of_several_open_tasks_the_one_that_a_submission_names_is_its_parent() {
    // The first one waits for the second.
    let rig = Rig::start(speaking(
        r#"case "$first" in
               '') first=$id ;;
               *) echo '{"type":"submit","agent":"other"}'
                  echo '{"type":"submit","agent":"other","task_id":"'$first'"}'
                  echo '{"type":"submit","agent":"other","task_id":"'$id'"}' ;;
           esac"#,
    ));
    let port = rig.port().await;
    port.assign(traced(TRACE)).unwrap();
    port.assign(traced(OTHER)).unwrap();
    let traces = [None, Some(TRACE.to_owned()), Some(OTHER.to_owned())];
    assert_eq!(submitted(&rig, 3).await, traces);
}

#[actix_rt::test]
async fn a_process_of_one_task_finds_its_trace_in_its_environment() {
    let rig = Rig::start(ProcessSpec {
        protocol: ProcessProtocol::Exec,
        ..script(r#"printf %s "${TRACEPARENT-none}""#)
    });
    for (trace, is) in [(TRACE, TRACE), ("", "none")] {
        let task = traced(trace);
        let id = task.id;
        rig.port().await.assign(task).unwrap();
        assert_eq!(output(rig.settled(id).await), json!(is));
    }
}
