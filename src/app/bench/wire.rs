//! One keep-alive connection to the API: as little as a client can be.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::BenchError;

/// A connection.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Wire {
    /// Connects to `HOST:PORT`.
    pub(super) async fn connect(address: &str) -> Result<Self, BenchError> {
        let connect = |source| BenchError::System {
            what: "connect",
            source,
        };
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| BenchError::Refused(error.to_string()))?;
        // Its end shows in the next request.
        drop(tokio::spawn(connection));
        Ok(Self {
            sender,
            host: address.to_owned(),
        })
    }

    /// Asks, and gives the answer's JSON.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, BenchError> {
        let refused = |why: String| BenchError::Refused(why);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.map_or_else(String::new, Value::to_string)))
            .map_err(|error| refused(error.to_string()))?;
        let sent = self.sender.send_request(request).await;
        let answer = sent.map_err(|error| refused(error.to_string()))?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| refused(error.to_string()))?.to_bytes();
        if !status.is_success() {
            return Err(refused(String::from_utf8_lossy(&body).into_owned()));
        }
        serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))
    }
}
