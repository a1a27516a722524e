//! Claims about connections, on real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn serve(routes: Routes) -> (Arc<Server>, Close) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (close, closing) = closing();
    (served(listener, routes, MAX_CONNECTIONS, closing), close)
}

fn served(
    listener: TcpListener,
    routes: Routes,
    connections: usize,
    closing: Closing,
) -> Arc<Server> {
    let server = Server::new(listener, routes, connections, PROBES, closing).unwrap();
    tokio::spawn(server.clone().serve());
    server
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
    let server = served(listener, slow, 2, closing);
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

/// A client that sends half a request, and again whenever it is cut off.
async fn send_half_a_request_for_ever(address: SocketAddr) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        // Cut off meanwhile: it begins again either way.
        if stream.write_all(b"GET /livez HTTP/1.1\r\nHo").await.is_ok() {
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    }
}

#[tokio::test]
async fn clients_that_send_half_a_request_keep_no_probe_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_close, closing) = closing();
    let well = warp::any().map(|| Response::new("well".into())).boxed();
    let server = served(listener, well, 8, closing);
    let address = server.address();
    let mut slow = JoinSet::new();
    for _ in 0..8 + 2 * crowd::SPARE {
        slow.spawn(send_half_a_request_for_ever(address));
    }
    let crowded = async {
        while !ask(address, "/api/v1/agents")
            .await
            .contains("too_many_connections")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), crowded)
        .await
        .unwrap();
    let probes = async {
        for _ in 0..20 {
            let well = ask(address, "/livez").await;
            assert!(well.starts_with("HTTP/1.1 200"), "{well}");
        }
    };
    // Far less than if each had to wait until the time of some of them is over.
    let waits = tokio::time::timeout(crowd::HEAD_WITHIN * 20, probes);
    waits.await.expect("probes wait for nobody");
}

#[tokio::test]
async fn a_death_of_who_takes_connections_cuts_none_and_the_next_one_takes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_close, closing) = closing();
    let routes = metrics_routes(text("up 1\n"));
    let server = Server::new(listener, routes, MAX_CONNECTIONS, PROBES, closing).unwrap();
    let address = server.address();
    let taking = tokio::spawn(server.clone().serve());
    let mut kept = TcpStream::connect(address).await.unwrap();
    let head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    kept.write_all(head).await.unwrap();
    kept.read_exact(&mut [0; 12]).await.unwrap();
    server.fail();
    // Taken before the panic, or by the next one.
    let mut asked = JoinSet::new();
    asked.spawn(async move { ask(address, "/metrics").await });
    assert!(taking.await.unwrap_err().is_panic());
    asked.spawn(async move { ask(address, "/metrics").await });
    let last = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    kept.write_all(last).await.unwrap();
    let mut answers = String::new();
    kept.read_to_string(&mut answers).await.unwrap();
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
    tokio::spawn(server.serve());
    while let Some(answer) = asked.join_next().await {
        assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
    }
}
