//! Claims about the client: which failure is which.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that says `answer` to whoever connects.
async fn says(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _read = stream.read(&mut [0; 4096]).await;
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[test]
fn only_a_url_that_can_be_asked_is_taken() {
    for (url, good) in [
        ("http://127.0.0.1:5000", true),
        ("http://localhost:5000/", true),
        ("https://localhost", false),
        ("localhost:5000", false),
        ("http://", false),
        ("", false),
    ] {
        assert_eq!(Client::new(url, None).is_ok(), good, "{url}");
    }
}

#[tokio::test]
async fn a_problem_is_a_refusal_with_its_code_and_faults() {
    let url = says(concat!(
        "HTTP/1.1 422 Unprocessable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n",
        r##"{"code":"validation_failed","detail":"two faults","errors":[{"pointer":"#/a","detail":"x"},{"pointer":"#/b","detail":"y"}]}"##
    ))
    .await;
    let error = Client::new(&url, None)
        .unwrap()
        .version()
        .await
        .unwrap_err();
    let ClientError::Refused(refusal) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (refusal.status, refusal.code.as_str()),
        (422, "validation_failed")
    );
    assert_eq!(error.to_string(), "two faults\n  #/a: x\n  #/b: y");
}

#[tokio::test]
async fn who_does_not_answer_and_who_breaks_off_are_told_apart() {
    let client = Client::new("http://127.0.0.1:1", None).unwrap();
    let error = client.version().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("agent-system serve"), "{error}");

    let url = says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
    let error = Client::new(&url, None)
        .unwrap()
        .version()
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = Client::new(&url, None).unwrap();
    let mut question = Question::get("/version");
    question.patience = Duration::from_millis(20);
    let error = client.ask(question).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
}
