//! Asks by opening a connection: of its own, closed at once, so that what is asked is whether
//! somebody new would be served.

use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Answer, Question};
use crate::actors::agent::headers;
use crate::actors::awake;
use crate::domain::agent::AgentProgram;
use crate::domain::probe::for_replica;
use crate::domain::url::{HttpUrl, Place};

/// How the daemon calls itself.
const NAME: &str = concat!("agent-system/", env!("CARGO_PKG_VERSION"));

/// Opens `HOST:PORT`.
pub(super) async fn tcp(place: &str, within: Duration) -> Answer {
    let place: Place = place.parse().map_err(|error| format!("{error}"))?;
    let opened = awake::within(within, connect(&place)).await;
    opened.map_err(|_silent| late(within))?.map(drop)
}

async fn connect(place: &Place) -> Result<TcpStream, String> {
    let opened = TcpStream::connect((place.host.as_str(), place.port)).await;
    opened.map_err(|error| format!("cannot connect to {place}: {error}"))
}

fn late(within: Duration) -> String {
    format!("no answer within {within:?}")
}

/// Asks by GET; these statuses pass.
pub(super) async fn http(url: &str, question: &Question, pass: Range<u16>) -> Answer {
    let url: HttpUrl = url.parse().map_err(|error| format!("{error}"))?;
    let asked = awake::within(question.timeout, status(&url, question)).await;
    let status = asked.map_err(|_silent| late(question.timeout))??;
    if pass.contains(&status) {
        Ok(())
    } else {
        Err(format!("{url} answered {status}"))
    }
}

/// The status of the answer; its body is not read.
async fn status(url: &HttpUrl, question: &Question) -> Result<u16, String> {
    let stream = connect(&url.place).await?;
    let failed = |error: hyper::Error| format!("{url}: {}", headers::in_words(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(url.target())
        .header(HOST, url.place.to_string())
        .header(USER_AGENT, NAME)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close");
    for (name, value) in own_headers(url, question).await? {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| format!("{url}: {error}"))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(request));
    let mut over = false;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer,
            // The answer says what that means for it.
            _ = &mut connection, if !over => over = true,
        }
    };
    Ok(answer.map_err(failed)?.status().as_u16())
}

/// A remote agent's own headers, if it is itself that is asked.
async fn own_headers(url: &HttpUrl, question: &Question) -> Result<headers::Headers, String> {
    let AgentProgram::Http(spec) = &question.agent.runs else {
        return Ok(headers::Headers::new());
    };
    let home = for_replica(&spec.url, question.instance.index).parse::<HttpUrl>();
    if home.is_ok_and(|home| home.place == url.place) {
        headers::read(&spec.headers)
            .await
            .map_err(|error| error.to_string())
    } else {
        Ok(headers::Headers::new())
    }
}
