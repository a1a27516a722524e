//! Claims about the conversation over stdin and stdout.

use std::time::Duration;

use agent_system::actors::life::LifeNote;
use agent_system::actors::work::{AgentOutcome, Receipt};
use agent_system::domain::exit::ExitReason;
use agent_system::domain::ids::{LeaseId, MessageId};
use agent_system::domain::message::{Message, MessageKind, NewMessage};
use agent_system::domain::timestamp::Timestamp;
use serde_json::json;
use tokio::sync::oneshot;

use super::rig::{LONG, Rig, failed_with, hello, output, process, sample, script, speaking, task};

#[actix_rt::test]
async fn the_sample_agents_do_what_they_say() {
    assert_eq!(
        output(Rig::start(sample("echo")).run(hello()).await),
        hello()
    );
    let sum = Rig::start(sample("sum"));
    assert_eq!(output(sum.run(json!([1, 2, -4])).await), json!({"sum": -1}));
    assert_eq!(
        output(sum.run(json!({"numbers": [0.5, 1]})).await),
        json!({"sum": 1.5})
    );
    assert_eq!(
        failed_with(&sum.run(json!("x")).await),
        ("failed".into(), false)
    );
    let flaky = Rig::start(sample("flaky"));
    let mut second = task(json!({"sleep_ms": 600_000, "crash": true, "below_attempt": 2}));
    second.attempt = 2;
    let id = second.id;
    flaky.port().await.assign(second).unwrap();
    assert!(matches!(flaky.settled(id).await, AgentOutcome::Output(_)));
    assert_eq!(
        failed_with(&flaky.run(json!({"fail": "why"})).await),
        ("failed".into(), true)
    );
    flaky
        .port()
        .await
        .assign(task(json!({"crash": true})))
        .unwrap();
    assert_eq!(flaky.exit().await, ExitReason::ExitCode { code: 1 });
}

#[actix_rt::test]
async fn an_unknown_sample_is_a_failed_life_with_the_names_there_are() {
    let rig = Rig::start(sample("ehco"));
    assert_eq!(rig.exit().await, ExitReason::ExitCode { code: 2 });
    let notes = rig.memory.notes.lock().clone();
    let Some(LifeNote::LastWords(words)) = notes.last() else {
        panic!("{notes:?}");
    };
    assert_eq!(
        words.log,
        ["unknown sample agent 'ehco': there are echo, sum and flaky"]
    );
}

#[actix_rt::test]
async fn garbage_is_logged_and_the_conversation_goes_on() {
    let rig = Rig::start(script(
        r#"printf 'garbage\n{"type":"sing"}\n\377\376\n[1]\n'; echo '{"type":"ready","version":"7","concurrency":0,"later":1}'; cat >/dev/null"#,
    ));
    let ready = rig.ready().await;
    assert_eq!(ready.version.as_deref(), Some("7"));
    assert_eq!(ready.concurrency, Some(1));
    // It does not answer pings, so a task is opened first.
    ready.port.unwrap().assign(task(hello())).unwrap();
    let evidence = rig.probe().await.unwrap();
    assert_eq!(evidence.errors, 1, "{evidence:?}");
    assert_eq!(evidence.open_tasks.len(), 1);
    let log = rig.log();
    assert!(log.contains(&"garbage".to_owned()) && log.contains(&"[1]".to_owned()));
}

#[actix_rt::test]
async fn a_line_over_the_limit_is_cut_and_counted_and_the_next_is_heard() {
    let rig = Rig::start(script(
        r#"head -c 5242880 /dev/zero | tr '\0' x; echo; echo '{"type":"ready"}'; cat >/dev/null"#,
    ));
    rig.port().await.assign(task(hello())).unwrap();
    let evidence = rig.probe().await.unwrap();
    assert_eq!(evidence.errors, 1);
    assert_eq!(
        rig.log(),
        ["[agent-system] a line of 5242880 bytes was cut to 1048576"]
    );
}

#[actix_rt::test]
async fn a_result_goes_on_with_the_lease_it_came_with() {
    let other = LeaseId::from_bytes([0xee; 16]);
    let rig = Rig::start(speaking(&format!(
        r#"echo '{{"type":"result","task_id":"'$id'","lease_id":"{other}","output":1}}'; echo '{{"type":"result","task_id":"'$id'","lease_id":"'$lease'","output":2}}'"#
    )));
    let task = task(hello());
    let (id, lease) = (task.id, task.lease_id);
    rig.port().await.assign(task).unwrap();
    let settled = rig
        .memory
        .until("both results", |memory| {
            let settled = memory.settled.lock();
            (settled.len() == 2).then(|| settled.clone())
        })
        .await;
    assert_eq!(settled[0], (id, other, AgentOutcome::Output(json!(1))));
    assert_eq!(settled[1], (id, lease, AgentOutcome::Output(json!(2))));
    assert_eq!(rig.probe().await.unwrap().errors, 1);
}

#[actix_rt::test]
async fn a_result_that_cannot_be_read_fails_its_task() {
    let rig = Rig::start(speaking(r#"echo '{"type":"result","task_id":"'$id'"}'"#));
    assert_eq!(
        failed_with(&rig.run(hello()).await),
        ("invalid_frame".into(), false)
    );
}

#[actix_rt::test]
async fn progress_busy_submit_and_message_are_passed_on() {
    let rig = Rig::start(speaking(
        r#"echo '{"type":"progress","task_id":"'$id'","percent":40}'
           echo '{"type":"submit","agent":"other","payload":1}'
           echo '{"type":"message","to":"other","kind":"event","content":2}'
           echo '{"type":"busy","task_id":"'$id'","reason":"call","max_ms":60000}'"#,
    ));
    rig.port().await.assign(task(hello())).unwrap();
    rig.memory
        .until("busy", |memory| memory.busy.lock().first().copied())
        .await;
    assert_eq!(rig.memory.progress.lock()[0].1, Some(40.0));
    assert_eq!(rig.memory.submitted.lock()[0].payload, json!(1));
    assert_eq!(rig.memory.messages.lock()[0].kind, "event");
    let left = rig.probe().await.unwrap().busy_for.unwrap();
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30));
}

#[actix_rt::test]
async fn a_cancelled_task_that_fails_then_has_obeyed() {
    let rig = Rig::start(sample("flaky"));
    let task = task(json!({"sleep_ms": 600_000}));
    let id = task.id;
    let port = rig.port().await;
    port.assign(task).unwrap();
    port.cancel(id, "not needed");
    assert_eq!(rig.settled(id).await, AgentOutcome::Cancelled);
}

#[actix_rt::test]
async fn a_drain_lets_the_open_task_finish_and_then_the_child_ends_by_itself() {
    let rig = Rig::start(sample("flaky"));
    let task = task(json!({"sleep_ms": 100}));
    let id = task.id;
    rig.port().await.assign(task).unwrap();
    rig.control.drain(LONG);
    assert_eq!(rig.exit().await, ExitReason::Shutdown);
    assert!(matches!(rig.settled(id).await, AgentOutcome::Output(_)));
}

#[actix_rt::test]
async fn an_idle_child_is_pinged_and_one_that_computes_is_not() {
    let rig = Rig::start(sample("echo"));
    rig.ready().await;
    assert!(rig.probe().await.is_some());
    let deaf = Rig::start(script(r#"echo '{"type":"ready"}'; exec cat >/dev/null"#));
    let port = deaf.port().await;
    let idle = deaf.control.probe();
    let soon = tokio::time::timeout(Duration::from_millis(50), idle).await;
    assert!(soon.is_err(), "a deaf child gave a sign");
    port.assign(task(hello())).unwrap();
    assert!(deaf.probe().await.is_some());
}

/// A message, and where it is told whether the child took it.
fn letter(n: u8) -> (Message, Receipt, oneshot::Receiver<bool>) {
    let new = NewMessage {
        id: MessageId::from_bytes([n; 16]),
        from: None,
        to: "subject".parse().unwrap(),
        kind: MessageKind::Event,
        content: json!("hear"),
        idempotency: None,
    };
    let (tell, taken) = oneshot::channel();
    let receipt = Receipt::new(|taken| {
        tell.send(taken).ok();
    });
    let message = Message::waiting(&new, Timestamp::from_micros(0));
    (message, receipt, taken)
}

#[actix_rt::test]
async fn a_message_is_taken_when_the_child_answers_the_ping_behind_it() {
    let rig = Rig::start(process(&[
        "sh",
        "-c",
        r#"echo '{"type":"ready"}'; while read -r line; do case "$line" in
            *'"type":"message"'*) echo "$line" >&2;;
            *'"type":"ping"'*) n=${line##*:}; echo "{\"type\":\"pong\",\"n\":${n%\}}}";;
        esac; done"#,
    ]));
    let (message, receipt, taken) = letter(1);
    rig.port().await.deliver(message, receipt).unwrap();
    let log = rig.logged("hear").await;
    assert!(log[0].contains(r#""kind":"event""#), "{log:?}");
    assert!(taken.await.unwrap());
}

#[actix_rt::test]
async fn a_message_is_not_taken_by_a_child_that_dies_before_it_read_on() {
    let rig = Rig::start(script(
        r#"echo '{"type":"ready"}'; read -r hello; read -r message; exit 3"#,
    ));
    let (message, receipt, taken) = letter(1);
    rig.port().await.deliver(message, receipt).unwrap();
    rig.exit().await;
    drop(rig);
    assert!(!taken.await.unwrap());
}

#[actix_rt::test]
async fn a_child_that_acknowledges_is_held_to_it() {
    let rig = Rig::start(script(
        r#"echo '{"type":"ready","acks":true}'; read -r hello; read -r message; read -r ping;
           echo '{"type":"pong","n":1}'; read -r message
           echo '{"type":"ack","message_id":"msg_01010101010101010101010101010101"}'; exit 3"#,
    ));
    let port = rig.port().await;
    let (message, receipt, mut first) = letter(1);
    port.deliver(message, receipt).unwrap();
    let (message, receipt, second) = letter(2);
    port.deliver(message, receipt).unwrap();
    assert!((&mut first).await.unwrap());
    rig.exit().await;
    drop(port);
    assert!(!second.await.unwrap());
}

#[actix_rt::test]
async fn settings_and_the_place_of_artifacts_come_with_hello() {
    let mut spec = script(r#"read -r hello; echo "$hello" >&2; exit 0"#);
    spec.settings = json!({"colour": "red"});
    let rig = Rig::start(spec);
    rig.exit().await;
    let notes = rig.memory.notes.lock().clone();
    let Some(LifeNote::LastWords(words)) = notes.last() else {
        panic!("{notes:?}");
    };
    let hello: serde_json::Value = serde_json::from_str(&words.log[0]).unwrap();
    assert_eq!(hello["config"]["colour"], "red");
    let root = rig.environment.artifacts.root().to_str().unwrap();
    assert_eq!(hello["config"]["artifacts"], root);
    assert_eq!(
        (&hello["protocol"], &hello["generation"]),
        (&json!(1), &json!(1))
    );
}
