//! Claims about panics in what a life has carried out on other threads: none goes unseen.

use std::sync::atomic::Ordering;

use agent_system::actors::agent::Registry;
use agent_system::actors::work::Receipt;
use agent_system::domain::agent::{AgentProgram, ProcessProtocol, ProcessSpec};
use agent_system::domain::exit::ExitReason;
use agent_system::domain::ids::MessageId;
use agent_system::domain::message::{Message, MessageKind, NewMessage};
use agent_system::domain::timestamp::Timestamp;

use super::http::{rig_of, says, server};
use super::rig::{Rig, hello, script, speaking, task};

fn message() -> Message {
    let new = NewMessage {
        id: MessageId::from_bytes([1; 16]),
        from: None,
        to: "subject".parse().unwrap(),
        kind: MessageKind::Event,
        content: hello(),
        idempotency: None,
    };
    Message::waiting(&new, Timestamp::from_micros(0))
}

/// How a life ended: as a panic with this text, at a place.
async fn ends_with_panic(rig: &Rig, text: &str) {
    match rig.exit().await {
        ExitReason::Panic { message, place } => {
            assert_eq!(message, text);
            assert!(place.contains(".rs:"), "{place}");
        }
        other => panic!("no panic: {other:?}"),
    }
}

#[actix_rt::test]
async fn a_panic_while_mail_is_carried_to_a_service_is_the_death_of_that_life() {
    let (url, _asked) = server(says("200 OK", "{}")).await;
    let rig = rig_of(url);
    let receipt = Receipt::new(|taken| assert!(!taken, "the receipt fails"));
    rig.port().await.deliver(message(), receipt).unwrap();
    ends_with_panic(&rig, "the receipt fails").await;
}

#[actix_rt::test]
async fn a_panic_in_the_exchange_with_a_service_is_the_death_of_that_life() {
    let (url, _asked) = server(says("200 OK", "{}")).await;
    let rig = rig_of(url);
    rig.memory.explodes.store(true, Ordering::Relaxed);
    rig.port().await.assign(task(hello())).unwrap();
    ends_with_panic(&rig, "settling fails").await;
}

#[actix_rt::test]
async fn a_panic_beside_the_process_of_a_task_is_the_death_of_that_life_and_another_follows() {
    let job = ProcessSpec {
        protocol: ProcessProtocol::Exec,
        ..script("echo 1")
    };
    let rig = Rig::start_with(AgentProgram::Process(job), Registry::built_in(), 1);
    rig.memory.explodes.store(true, Ordering::Relaxed);
    rig.port().await.assign(task(hello())).unwrap();
    ends_with_panic(&rig, "settling fails").await;
    rig.memory.explodes.store(false, Ordering::Relaxed);
    let next = rig.ready_of(2).await.port.expect("it takes tasks");
    let again = task(hello());
    let id = again.id;
    next.assign(again).unwrap();
    rig.settled(id).await;
}

#[actix_rt::test]
async fn a_panic_of_who_reads_what_a_child_says_ends_its_life_and_the_child() {
    let result =
        r#"echo "{\"type\":\"result\",\"task_id\":\"$id\",\"lease_id\":\"$lease\",\"output\":1}""#;
    // It says nothing more, so that no broken pipe ends it.
    let rig = Rig::start(speaking(&format!("{result}; exec sleep 1000")));
    rig.memory.explodes.store(true, Ordering::Relaxed);
    rig.port().await.assign(task(hello())).unwrap();
    match rig.exit().await {
        ExitReason::Error { message } => assert!(message.contains("settling fails"), "{message}"),
        other => panic!("another end: {other:?}"),
    }
    rig.no_process_left().await;
}
