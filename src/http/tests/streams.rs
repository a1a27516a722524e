//! Claims about what stays open: events as they come, and waiting callers at drain.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;

use super::house::House;
use crate::client::{Client, Download};
use crate::domain::event::{Event, EventData};
use crate::domain::ids::EventId;
use crate::domain::timestamp::Timestamp;

/// Reads until `wanted` came.
async fn until(stream: &mut Download, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let piece = tokio::time::timeout(Duration::from_secs(90), stream.next()).await;
        let piece = piece.expect(&text).unwrap().expect("the stream has ended");
        assert!(text.len() < 1 << 20, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    text
}

#[tokio::test]
async fn events_come_as_they_happen_and_are_replayed_after_a_position() {
    let house = House::open().await;
    let client = Client::new(&house.url(""), None).unwrap();
    let mut live = client
        .events(vec![("types", "task.*".to_owned())])
        .await
        .unwrap();
    house.post("/api/v1/tasks", "{\"agent\":\"echo\"}").await;
    let text = until(&mut live, "event:task.created").await;
    assert!(text.contains("id:") && text.contains("data:{"), "{text}");

    let mut again = client
        .events(vec![("after", "0".to_owned())])
        .await
        .unwrap();
    until(&mut again, "event:task.created").await;
    house.close.now();
    while live.next().await.unwrap().is_some() {}
    assert_eq!(house.server.drained(Duration::from_secs(90)).await, 0);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_many_it_missed_and_after_what() {
    let house = House::open().await;
    let client = Client::new(&house.url(""), None).unwrap();
    let mut slow = client.events(vec![]).await.unwrap();
    house.post("/api/v1/tasks", "{\"agent\":\"echo\"}").await;
    until(&mut slow, "event:task.created").await;
    // Six more than are kept for anybody.
    for seq in 1_000..1_010 {
        let event = Event {
            seq,
            id: EventId::from_bytes([1; 16]),
            kind: "agent.ready".to_owned(),
            subject: "echo#0".to_owned(),
            at: Timestamp::from_micros(seq),
            data: EventData::default(),
            task: None,
        };
        house.rooms.facts.send(Arc::new(event)).unwrap();
    }
    let text = until(&mut slow, "id:1009").await;
    let gap = text.find("event:gap").expect(&text);
    assert!(text[gap..].contains("\"missed\":6"), "{text}");
    assert!(text.find("id:1006").expect(&text) > gap, "{text}");
    assert!(!text.contains("id:1005"), "{text}");
}

#[tokio::test]
async fn a_page_of_events_holds_the_latest_oldest_first() {
    let house = House::open().await;
    for _ in 0..3 {
        house.post("/api/v1/tasks", "{\"agent\":\"echo\"}").await;
    }
    let page = house.get("/api/v1/events?limit=2").await.json();
    let all_types = house.get("/api/v1/events?types=task.*,workflow.*").await;
    assert_eq!(all_types.json()["items"].as_array().unwrap().len(), 3);
    let seqs: Vec<i64> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["seq"].as_i64().unwrap())
        .collect();
    let all = house.get("/api/v1/events?after=0").await.json();
    let last = all["items"].as_array().unwrap().last().unwrap()["seq"]
        .as_i64()
        .unwrap();
    assert!(seqs[0] < seqs[1] && seqs[1] == last, "{seqs:?} {last}");
    let first = house.get("/api/v1/events?after=0&limit=1").await;
    assert_eq!(first.json()["has_more"], true);
    assert!(first.header("link").contains("cursor="));
}

#[tokio::test]
async fn who_waits_at_drain_is_told_to_come_back() {
    let house = House::open().await;
    let id = house
        .post("/api/v1/tasks", "{\"agent\":\"echo\"}")
        .await
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/tasks/{id}?wait=30s");
    let waiting = house.ask(Method::GET, &path, &[], "");
    let told = async {
        let mut waiting = house.rooms.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting > 0).await.unwrap();
        house.close.now();
    };
    let (heard, ()) = tokio::join!(waiting, told);
    assert_eq!(
        (heard.status.as_u16(), &heard.json()["code"]),
        (503, &"draining".into())
    );
    assert_eq!(heard.header("retry-after"), "5");
}
