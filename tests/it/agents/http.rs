//! Remote services: a real server on loopback that behaves, and one that does not.

use std::time::Duration;

use agent_system::actors::agent::Registry;
use agent_system::actors::life::LifeNote;
use agent_system::actors::work::{AgentOutcome, TaskFrame};
use agent_system::domain::agent::{AgentProgram, HeaderSpec, HttpSpec};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::rig::{LONG, Rig, failed_with, output, task};

/// What a server does with a request that it has read.
#[derive(Clone)]
pub(super) enum Does {
    Says(String),
    Resets,
    Hangs,
}

/// The next request on a connection: head and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(String::from_utf8_lossy(&read).into_owned());
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend(&more[..count]),
        }
    }
}

/// A server; what it was asked comes back.
pub(super) async fn server(does: Does) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/run", listener.local_addr().unwrap());
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (does, tell) = (does.clone(), tell.clone());
            tokio::spawn(async move {
                while let Some(request) = request(&mut stream).await {
                    tell.send(request).ok();
                    match &does {
                        Does::Says(text) => stream.write_all(text.as_bytes()).await.unwrap_or(()),
                        Does::Resets => return,
                        Does::Hangs => {}
                    }
                }
            });
        }
    });
    (url, asked)
}

/// A port where nobody listens, held so that nobody else comes to.
pub(super) fn silent() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    (socket, url)
}

pub(super) fn says(status: &str, body: &str) -> Does {
    let length = body.len();
    Does::Says(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

pub(super) fn rig_of(url: String) -> Rig {
    let spec = HttpSpec {
        url,
        headers: HeaderSpec {
            set: [("x-team".to_owned(), "news".to_owned())].into(),
            ..HeaderSpec::default()
        },
    };
    Rig::start_with(AgentProgram::Http(spec), Registry::built_in(), 0)
}

#[actix_rt::test]
async fn a_task_is_posted_under_its_lease_and_its_output_comes_back() {
    let (url, mut asked) = server(says("200 OK", r#"{"output":{"n":3}}"#)).await;
    let rig = rig_of(url);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let task = TaskFrame {
        traceparent: trace.parse().ok(),
        ..task(json!({"a": 1}))
    };
    let (id, lease) = (task.id, task.lease_id);
    rig.port().await.assign(task).unwrap();
    assert_eq!(rig.settled(id).await, AgentOutcome::Output(json!({"n": 3})));
    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("POST /run HTTP/1.1"), "{request}");
    for part in [
        format!("x-lease-id: {lease}"),
        "x-team: news".to_owned(),
        format!("traceparent: {trace}"),
        format!(r#""traceparent":"{trace}""#),
        "content-type: application/json".to_owned(),
        format!(r#""type":"task","id":"{id}""#),
        r#""payload":{"a":1}"#.to_owned(),
    ] {
        assert!(request.contains(&part), "{part}: {request}");
    }
}

#[actix_rt::test]
async fn a_service_that_misbehaves_fails_the_task_with_a_clear_error() {
    let huge = "x".repeat((1 << 20) + 1);
    for (does, code, retryable) in [
        (says("500 No", ""), "http_500", true),
        (says("404 No", ""), "http_404", false),
        (says("200 OK", "garbage"), "invalid_answer", false),
        (says("200 OK", &huge), "output_too_large", false),
        (says("302 Found", ""), "redirected", false),
        (
            Does::Says("garbage\r\n\r\n".to_owned()),
            "connection_lost",
            true,
        ),
        (Does::Resets, "connection_lost", true),
    ] {
        let (url, _asked) = server(does).await;
        match rig_of(url).run(json!(null)).await {
            AgentOutcome::Failed(error) => {
                assert_eq!(
                    (&*error.code, error.retryable),
                    (code, retryable),
                    "{error:?}"
                );
            }
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[actix_rt::test]
async fn a_service_that_is_not_there_is_told_of_and_the_task_may_be_retried() {
    let (_held, url) = silent();
    let rig = rig_of(url);
    match rig.run(json!(null)).await {
        AgentOutcome::Failed(error) => {
            assert_eq!(
                (&*error.code, error.retryable),
                ("unreachable", true),
                "{error:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let notes = rig.memory.notes.lock();
    let away = |note: &LifeNote| matches!(note, LifeNote::Unreachable { .. });
    assert!(notes.iter().any(away), "{notes:?}");
}

#[actix_rt::test]
async fn a_service_that_hangs_or_dribbles_ends_with_the_attempt() {
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    for does in [Does::Hangs, Does::Says(slow.to_owned())] {
        let (url, _asked) = server(does).await;
        let rig = rig_of(url);
        let mut task = task(json!(null));
        task.timeout = Duration::from_millis(1);
        let id = task.id;
        rig.port().await.assign(task).unwrap();
        match rig.settled(id).await {
            AgentOutcome::Failed(error) => {
                assert_eq!(
                    (&*error.code, error.retryable),
                    ("timeout", true),
                    "{error:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[actix_rt::test]
async fn a_cancelled_task_is_deleted_at_the_service_and_let_go() {
    let (url, mut asked) = server(Does::Hangs).await;
    let rig = rig_of(url);
    let task = task(json!(null));
    let id = task.id;
    let port = rig.port().await;
    port.assign(task).unwrap();
    assert!(asked.recv().await.unwrap().starts_with("POST"));
    port.cancel(id, "wanted no more");
    assert_eq!(rig.settled(id).await, AgentOutcome::Cancelled);
    let deleted = asked.recv().await.unwrap();
    assert!(
        deleted.starts_with(&format!("DELETE /run/{id} ")),
        "{deleted}"
    );
}

#[actix_rt::test]
async fn a_service_that_asks_to_be_left_alone_is_before_its_task_is_settled() {
    let later = "HTTP/1.1 429 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let (url, _asked) = server(Does::Says(later.to_owned())).await;
    let rig = rig_of(url);
    assert_eq!(
        failed_with(&rig.run(json!(null)).await),
        ("http_429".into(), true)
    );
    let span = Duration::from_secs(7);
    let notes = rig.memory.notes.lock();
    assert!(notes.contains(&LifeNote::Rests { span }), "{notes:?}");
    assert_eq!(*rig.memory.draining.lock(), [1]);
}

/// A service that takes connections and never reads from them.
async fn deaf() -> (String, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/run", listener.local_addr().unwrap());
    let (keep, kept) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            keep.send(stream).ok();
        }
    });
    (url, kept)
}

#[actix_rt::test]
async fn a_service_that_never_reads_holds_nothing_beyond_its_attempts_and_holds_up_nobody() {
    const AT_ONCE: usize = 3;
    let (url, mut connections) = deaf().await;
    let rig = rig_of(url);
    let port = rig.port().await;
    // More than the kernel takes of a connection that nobody reads.
    let much = json!("x".repeat(16 << 20));
    let assign = |timeout: Duration| {
        let mut task = task(much.clone());
        task.timeout = timeout;
        let id = task.id;
        port.assign(task).unwrap();
        id
    };
    let lasting: Vec<_> = (0..AT_ONCE)
        .map(|_| assign(Duration::from_secs(600)))
        .collect();
    let mut held = Vec::new();
    for _ in 0..AT_ONCE {
        let connection = tokio::time::timeout(LONG, connections.recv());
        held.push(connection.await.unwrap().unwrap());
    }
    // Whether these come as far as a connection is up to the machine.
    let short: Vec<_> = (0..AT_ONCE)
        .map(|_| assign(Duration::from_millis(1)))
        .collect();
    let (url, _asked) = server(says("200 OK", r#"{"output":1}"#)).await;
    assert_eq!(output(rig_of(url).run(json!(1)).await), json!(1));
    for id in short {
        let outcome = rig.settled(id).await;
        assert_eq!(failed_with(&outcome), ("timeout".into(), true));
    }
    for id in lasting {
        port.cancel(id, "wanted no more");
        assert_eq!(rig.settled(id).await, AgentOutcome::Cancelled);
    }
    assert!(rig.probe().await.unwrap().open_tasks.is_empty());
    // What it sent comes to an end: the connections were given up.
    while let Ok(stream) = connections.try_recv() {
        held.push(stream);
    }
    for mut stream in held {
        let drained = tokio::time::timeout(LONG, async {
            let mut some = vec![0; 1 << 16];
            while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
        });
        drained.await.unwrap();
    }
}
