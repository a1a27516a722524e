//! One request as a handler sees it: names from the path, query, headers, body.
//!
//! Everything a caller can get wrong here is answered with what is wrong and what would be right:
//! unknown query parameters, limits and spans out of range, malformed ids.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::body::{self, Body};
use super::handles::Handles;
use super::problem::Problem;
use crate::domain::name::{Name, nearest};
use crate::domain::query::{DEFAULT_PAGE_LIMIT, MAX_PAGE_LIMIT, PageRequest};
use crate::domain::trace::TraceParent;

/// One request.
pub(super) struct Call {
    /// What the daemon can be asked.
    pub(super) handles: Arc<Handles>,
    /// The path as sent, without the query.
    pub(super) path: String,
    /// What the path has in the places of its pattern.
    names: std::vec::IntoIter<String>,
    /// What stands behind the `?`.
    pub(super) query: Query,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body, unread.
    pub(super) body: Body,
}

impl Call {
    /// A call whose path has `names` in the places of its pattern.
    pub(super) fn new(
        handles: Arc<Handles>,
        names: Vec<String>,
        path: String,
        query: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Self {
        Self {
            handles,
            path,
            names: names.into_iter(),
            query: Query::parse(query),
            headers,
            body,
        }
    }

    /// The next name of the path; the pattern says how many there are.
    pub(super) fn text(&mut self) -> String {
        self.names.next().unwrap_or_default()
    }

    /// The next name of the path as an id; one that cannot exist is not found.
    pub(super) fn id<T: FromStr>(&mut self, what: &str) -> Result<T, Problem>
    where
        T::Err: Display,
    {
        let text = self.text();
        text.parse().map_err(|error: T::Err| {
            let code = format!("{what}_not_found");
            Problem::new(hyper::StatusCode::NOT_FOUND, code, error.to_string())
        })
    }

    /// The next name of the path as a name; one that cannot exist is not found.
    pub(super) fn name(&mut self, what: &str) -> Result<Name, Problem> {
        self.id(what)
    }

    /// A header's text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| HeaderValue::to_str(value).ok())
    }

    /// The trace that the caller is in. One that is malformed or given twice is as good as none, as
    /// the W3C asks: it says nothing of the request.
    pub(super) fn traceparent(&self) -> Option<TraceParent> {
        const HEADER: HeaderName = HeaderName::from_static("traceparent");
        let mut given = self.headers.get_all(HEADER).iter();
        match (given.next(), given.next()) {
            (Some(one), None) => one.to_str().ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The body as a `T`.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        body::parse(&self.bytes().await?)
    }

    /// The body as a `T`, or the default if there is none.
    pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
        &mut self,
    ) -> Result<T, Problem> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            Ok(T::default())
        } else {
            body::parse(&bytes)
        }
    }

    async fn bytes(&mut self) -> Result<Bytes, Problem> {
        body::read(
            &self.headers,
            &mut self.body,
            self.handles.limits.body_bytes,
        )
        .await
    }

    /// For how long the caller is ready to wait.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Problem> {
        self.query.wait(self.handles.limits.wait)
    }

    /// Whether the caller prefers `kind` (`text/html`) among what is offered.
    pub(super) fn accepts(&self, kind: &str) -> bool {
        self.header(&hyper::header::ACCEPT)
            .is_some_and(|accepted| accepted.contains(kind))
    }
}

/// The parameters behind the `?`, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the `?`.
    pub(super) fn parse(raw: &str) -> Self {
        Self(
            form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Refuses a parameter that the route does not know.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self
            .0
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(Problem::invalid_request(unknown_parameter(key, known))),
        }
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of a parameter that may repeat or hold a list with commas.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
    }

    /// Whether a parameter is given and not `false`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.0
            .iter()
            .any(|(name, value)| name == key && value != "false")
    }

    /// The first value of a parameter, read as a `T`.
    pub(super) fn parsed<T: FromStr>(&self, key: &str) -> Result<Option<T>, Problem>
    where
        T::Err: Display,
    {
        self.get(key)
            .map(|text| text.parse().map_err(|error| wrong_parameter(key, &error)))
            .transpose()
    }

    /// Which page of a list is wanted.
    pub(super) fn page(&self) -> Result<PageRequest, Problem> {
        Ok(PageRequest {
            limit: self.limit()?,
            cursor: self.get("cursor").map(str::to_owned),
        })
    }

    /// How many items are wanted.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        self.limit_or(DEFAULT_PAGE_LIMIT)
    }

    /// How many items are wanted, where a list has a default of its own.
    pub(super) fn limit_or(&self, default: u32) -> Result<u32, Problem> {
        let limit = self.parsed("limit")?.unwrap_or(default);
        if (1..=MAX_PAGE_LIMIT).contains(&limit) {
            Ok(limit)
        } else {
            let allowed = format!("{limit} is not 1 to {MAX_PAGE_LIMIT}");
            Err(wrong_parameter("limit", &allowed))
        }
    }

    /// For how long the caller is ready to wait.
    fn wait(&self, longest: Duration) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.get("wait") else {
            return Ok(None);
        };
        match span(text) {
            Some(span) if span <= longest => Ok(Some(span)),
            _ => {
                let allowed =
                    format!("'{text}' is not a span of at most {longest:?}, such as 30s or 500ms");
                Err(wrong_parameter("wait", &allowed))
            }
        }
    }

    /// The query of the page that begins at `cursor`.
    pub(super) fn turned_to(&self, cursor: &str) -> String {
        let kept = self.0.iter().filter(|(key, _)| key != "cursor");
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("cursor", cursor)
            .finish()
    }
}

/// A 400 for one parameter.
pub(super) fn wrong_parameter(key: &str, why: &dyn Display) -> Problem {
    Problem::invalid_request(format!("query parameter '{key}': {why}"))
}

fn unknown_parameter(key: &str, known: &[&str]) -> String {
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "this route takes none".to_owned(),
        None => format!("known are {}", known.join(", ")),
    };
    format!("query parameter '{key}' is not known; {hint}")
}

/// A span such as `30s`, `500ms`, `2m`; bare digits are seconds.
pub(super) fn span(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let amount: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(amount)),
        "s" | "" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_secs(amount.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_known_one() {
        let refused = Query::parse("limt=3")
            .only(&["limit", "cursor"])
            .unwrap_err();
        assert_eq!(refused.status().as_u16(), 400);
        assert!(refused.detail().contains("'limt'") && refused.detail().contains("'limit'"));
    }

    #[test]
    fn a_page_holds_1_to_500_items() {
        for (query, limit) in [
            ("", Some(50)),
            ("limit=500", Some(500)),
            ("limit=0", None),
            ("limit=501", None),
            ("limit=x", None),
        ] {
            assert_eq!(
                Query::parse(query).page().ok().map(|page| page.limit),
                limit,
                "{query}"
            );
        }
    }

    #[test]
    fn a_wait_is_a_span_of_at_most_a_minute() {
        let cases = [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1m", Some(60_000)),
            ("5", Some(5000)),
            ("61s", None),
            ("soon", None),
            ("", None),
        ];
        for (text, millis) in cases {
            let wait = Query::parse(&format!("wait={text}"))
                .wait(Duration::from_secs(60))
                .ok()
                .flatten();
            assert_eq!(wait.map(|span| span.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let query = Query::parse("state=queued&cursor=a&limit=2");
        assert_eq!(query.turned_to("b c"), "state=queued&limit=2&cursor=b+c");
    }
}
