//! The questions, one method each.

use std::time::Duration;

use hyper::header::HeaderName;
use serde_json::Value;

use super::{Answer, Client, ClientError, Question, segment};
use crate::domain::query::DEFAULT_PAGE_LIMIT;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a command may take that works through the disk.
const LONG: Duration = Duration::from_secs(3600);

/// What narrows a list or turns its page: parameter and value.
pub type Filter<'a> = Vec<(&'a str, String)>;
type Answered = Result<Answer, ClientError>;

impl Client {
    /// Who answers.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn version(&self) -> Answered {
        self.ask(Question::get("/version")).await
    }

    /// Whether the daemon is ready, also when it is not (a 503).
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn ready(&self) -> Answered {
        let answer = self.ask_any(Question::get("/readyz")).await?;
        if answer.status < 400 || answer.value["code"] == "not_ready" {
            return Ok(answer);
        }
        Err(ClientError::Refused(Box::new(super::Refusal::read(
            &answer,
        ))))
    }

    /// The full health report, also when it is a 503.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn health(&self) -> Answered {
        let answer = self.ask_any(Question::get("/health")).await?;
        if answer.status < 400 || answer.value["checks"].is_array() {
            return Ok(answer);
        }
        Err(ClientError::Refused(Box::new(super::Refusal::read(
            &answer,
        ))))
    }

    /// A page of a list below `/api/v1/`. Where the daemon stopped looking before the page was full, it is
    /// asked to go on.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn list(&self, what: &str, filter: Filter<'_>) -> Answered {
        let question = |filter| Question::get(format!("/api/v1/{what}")).query(filter);
        let limit = filter.iter().find(|(name, _)| *name == "limit");
        let limit = limit.and_then(|(_, limit)| limit.parse().ok());
        let limit = limit.unwrap_or(DEFAULT_PAGE_LIMIT as usize);
        let mut answer = self.ask(question(filter.clone())).await?;
        while let Some((cursor, missing)) = to_be_gone_on(&answer.value, limit) {
            let mut rest: Filter<'_> = filter.clone();
            rest.retain(|(name, _)| !["limit", "cursor"].contains(name));
            rest.extend([("cursor", cursor), ("limit", missing.to_string())]);
            answer = joined(answer, self.ask(question(rest)).await?);
        }
        Ok(answer)
    }

    /// One thing of a list, by its name or id.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn get(&self, list: &str, name: &str) -> Answered {
        self.ask(Question::get(format!("/api/v1/{list}/{}", segment(name))))
            .await
    }

    /// What belongs to one thing of a list (`logs` of an agent).
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn part(&self, list: &str, name: &str, part: &str, filter: Filter<'_>) -> Answered {
        let path = format!("/api/v1/{list}/{}/{part}", segment(name));
        self.ask(Question::get(path).query(filter)).await
    }

    /// A command to one thing of a list (`restart` to an agent).
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn command(
        &self,
        list: &str,
        name: &str,
        verb: &str,
        body: Option<Value>,
    ) -> Answered {
        let question = Question::post(format!("/api/v1/{list}/{}:{verb}", segment(name)));
        self.ask(match body {
            Some(body) => question.body(body),
            None => question,
        })
        .await
    }

    /// A command to a whole list (`tasks:bulk`).
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn verb(&self, path: &str, body: Value) -> Answered {
        self.ask(Question::post(format!("/api/v1/{path}")).body(body))
            .await
    }

    /// A command that takes as long as the daemon's disk needs, an hour at most.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn long_verb(&self, path: &str, body: Value) -> Answered {
        let question = Question::post(format!("/api/v1/{path}")).body(body);
        self.ask(question.waiting(LONG)).await
    }

    /// Creates a task or a workflow; the same key again gives the first one.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn create(&self, list: &str, body: Value, key: &str) -> Answered {
        let question = Question::post(format!("/api/v1/{list}")).body(body);
        self.ask(question.header(IDEMPOTENCY_KEY, key)).await
    }

    /// A task or workflow once it is final, or as it is after `span`.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn wait(&self, list: &str, id: &str, span: Duration) -> Answered {
        let wait = vec![("wait", format!("{}ms", span.as_millis()))];
        let path = format!("/api/v1/{list}/{}", segment(id));
        self.ask(Question::get(path).query(wait).waiting(span))
            .await
    }
}

/// From where a page that is not full goes on, and how many items it lacks.
fn to_be_gone_on(page: &Value, limit: usize) -> Option<(String, usize)> {
    let cursor = page["next_cursor"].as_str()?;
    let missing = limit.checked_sub(page["items"].as_array()?.len())?;
    (missing > 0).then(|| (cursor.to_owned(), missing))
}

/// Both pages as one.
fn joined(page: Answer, mut next: Answer) -> Answer {
    let mut items = page.value["items"].as_array().cloned().unwrap_or_default();
    items.extend(next.value["items"].as_array().cloned().unwrap_or_default());
    next.value["items"] = Value::Array(items);
    next.text = next.value.to_string().into();
    next
}
