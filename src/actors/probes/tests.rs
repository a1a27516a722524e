//! Real ports and real programs, well-mannered and not.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use super::{Question, wire};
use crate::config::{Config, Environment, LoadRequest};
use crate::domain::agent::InstanceId;
use crate::domain::probe::ProbeHow;

const LONG: Duration = Duration::from_secs(90);
const SHORT: Duration = Duration::from_millis(100);

fn question(how: ProbeHow, timeout: Duration) -> Question {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[agents.subject]\nkind = 'http'\nurl = 'http://127.0.0.1:1/run'";
    std::fs::write(file.path(), text).unwrap();
    let config = Config::load(LoadRequest {
        environment: Some(Environment::Development),
        files: vec![file.path().to_owned()],
        ..LoadRequest::default()
    });
    let agent = config.unwrap().agents()[0].clone();
    Question {
        instance: InstanceId {
            agent: agent.name.clone(),
            index: 0,
        },
        how,
        timeout,
        agent: Arc::new(agent),
    }
}

/// A server that reads a request and says this, then nothing more until it is let go.
async fn server(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await.unwrap_or(0);
            stream.write_all(says.as_bytes()).await.ok();
            open.push(stream);
        }
    });
    place.to_string()
}

/// A port that is taken, so that nobody else comes to listen there, and where nobody listens.
fn nobody() -> (TcpSocket, String) {
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let place = silent.local_addr().unwrap().to_string();
    (silent, place)
}

#[tokio::test]
async fn a_status_from_200_to_399_passes_and_nothing_else_does() {
    for (says, passes) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", false),
        // A body that never ends is never read.
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\nx",
            true,
        ),
        ("what?\r\n\r\n", false),
    ] {
        let url = format!("http://{}/", server(says).await);
        let asked = question(ProbeHow::Http(url.clone()), LONG);
        let answer = wire::http(&url, &asked, 200..400).await;
        assert_eq!(answer.is_ok(), passes, "{says}: {answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_told_apart_in_time() {
    let url = format!("http://{}/", server("").await);
    let asked = question(ProbeHow::Http(url.clone()), SHORT);
    let late = wire::http(&url, &asked, 200..400).await.unwrap_err();
    assert!(late.contains("no answer within 100ms"), "{late}");
    let (_silent, place) = nobody();
    let url = format!("http://{place}/");
    let asked = question(ProbeHow::Http(url.clone()), LONG);
    let refused = wire::http(&url, &asked, 200..400).await.unwrap_err();
    assert!(refused.contains("cannot connect"), "{refused}");
}

#[tokio::test]
async fn a_port_passes_when_it_opens() {
    assert_eq!(wire::tcp(&server("").await, LONG).await, Ok(()));
    let (_silent, place) = nobody();
    let refused = wire::tcp(&place, LONG).await.unwrap_err();
    assert!(refused.contains("cannot connect"), "{refused}");
}
