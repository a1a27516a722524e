//! `GET /`: the status page, one file without anything from elsewhere.
//!
//! It asks the API it is served beside every few seconds and shows agents, tasks, workflows,
//! health (the worst first) and recent events. Everything it shows is set as text, never as HTML.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::call::Call;
use super::reply;
use super::router::Outcome;

const PAGE: &str = include_str!("page/index.html");
/// Nothing from elsewhere, nothing framed.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub(super) async fn get(_call: Call) -> Outcome {
    let mut page = reply::text("text/html; charset=utf-8", PAGE);
    let policy = HeaderValue::from_static(POLICY);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(page)
}
