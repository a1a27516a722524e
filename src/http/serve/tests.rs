//! Claims about connections, on real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn serve(routes: Routes) -> (Server, Close) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (close, closing) = closing();
    (
        Server::start(listener, routes, MAX_CONNECTIONS, PROBES, closing).unwrap(),
        close,
    )
}

fn after(span: Duration) -> Routes {
    warp::any()
        .then(move || async move {
            tokio::time::sleep(span).await;
            Response::new("done".into())
        })
        .boxed()
}

/// A scrape that finds always the same.
fn text(found: &'static str) -> Scrape {
    Arc::new(move || Box::pin(async move { found.to_owned() }))
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_are_at_metrics_and_nowhere_else() {
    let (server, _close) = serve(metrics_routes(text("up 1\n"))).await;
    let found = ask(server.address(), "/metrics").await;
    assert!(
        found.starts_with("HTTP/1.1 200") && found.ends_with("up 1\n"),
        "{found}"
    );
    let lost = ask(server.address(), "/livez").await;
    assert!(
        lost.starts_with("HTTP/1.1 404") && lost.contains("problem+json"),
        "{lost}"
    );
}

#[tokio::test]
async fn a_drain_lets_a_request_finish_and_takes_no_new_connection() {
    let (server, close) = serve(after(Duration::from_millis(50))).await;
    let address = server.address();
    let asked = tokio::spawn(ask(address, "/"));
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    close.now();
    assert_eq!(server.drained(Duration::from_secs(90)).await, 0);
    assert!(asked.await.unwrap().ends_with("done"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_is_not_finished_at_the_deadline_is_cut_and_counted() {
    let (server, close) = serve(after(Duration::from_secs(3600))).await;
    let address = server.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // A second answered question tells that the first was taken before it.
    let (other, _close) = serve(metrics_routes(text(""))).await;
    ask(other.address(), "/metrics").await;
    tokio::task::yield_now().await;
    close.now();
    assert_eq!(server.drained(Duration::from_millis(20)).await, 1);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

/// Sends a request with a large body, slowly enough that it is refused meanwhile; what comes back.
async fn upload(address: SocketAddr) -> String {
    const BODY: usize = 4 << 20;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..BODY / piece.len() {
        // The refusal is on its way by now; whoever sends does not look.
        tokio::task::yield_now().await;
        // Most clients give up, and read no answer, when they cannot send.
        stream.write_all(&piece).await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn who_is_refused_while_it_still_sends_gets_the_answer_all_the_same() {
    let (server, _close) = serve(metrics_routes(text(""))).await;
    for _ in 0..20 {
        let answer = upload(server.address()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer:?}");
    }
}

#[tokio::test]
async fn when_all_connections_are_taken_probes_are_answered_and_others_are_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_close, closing) = closing();
    let slow = warp::path("slow")
        .then(|| async { std::future::pending::<Response>().await })
        .or(warp::any().map(|| Response::new("well".into())))
        .unify()
        .boxed();
    let server = Server::start(listener, slow, 2, PROBES, closing).unwrap();
    let address = server.address();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head).await.unwrap();
        waiting.push(stream);
    }
    for _ in 0..50 {
        let well = ask(address, "/livez").await;
        assert!(well.starts_with("HTTP/1.1 200"), "{well}");
    }
    let refused = ask(address, "/api/v1/agents").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("too_many_connections"), "{refused}");
    assert!(
        refused.to_ascii_lowercase().contains("retry-after: "),
        "{refused}"
    );
    drop(waiting);
    let served = async {
        while !ask(address, "/api/v1/agents")
            .await
            .starts_with("HTTP/1.1 200")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), served)
        .await
        .unwrap();
}
