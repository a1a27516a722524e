//! The built-in actor `word_count`: the steps of `examples/workflows/word-count.toml`.
//!
//! Payloads: `{"op": "split", "file": ARTIFACT}` gives `{"chunks": [ARTIFACT…]}`;
//! `{"op": "count", "chunk": ARTIFACT}` gives an artifact with the chunk's counts;
//! `{"op": "merge", "counts": [ARTIFACT…]}` gives the twenty most frequent words as lines
//! `COUNT<TAB>WORD`, count descending, then by bytes: a text, or an artifact where the lines are
//! not UTF-8 or longer than 64 KiB.
//!
//! `examples/agents/word_count.py` does the same.

mod files;
mod words;

use std::future::Future;

use serde::Deserialize;
use serde_json::{Value, json};

use super::scope::Scope;
use super::user::{Agent, Failure};
use crate::persistence::artifacts::{ArtifactError, ArtifactRef, Artifacts};
use files::{Desk, Lines, StepError};

/// The actor. Without state: what it works on lies in files.
#[derive(Debug)]
pub(crate) struct WordCount {
    artifacts: Artifacts,
}

impl WordCount {
    pub(crate) fn new(artifacts: Artifacts) -> Self {
        Self { artifacts }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Cut a file into chunks.
    Split { file: ArtifactRef },
    /// Count the words of a chunk.
    Count { chunk: ArtifactRef },
    /// Sum counts.
    Merge { counts: Vec<ArtifactRef> },
}

impl Agent for WordCount {
    type Input = Step;
    type Output = Value;

    fn task(
        &mut self,
        step: Step,
        scope: Scope,
    ) -> impl Future<Output = Result<Value, Failure>> + 'static {
        let artifacts = self.artifacts.clone();
        async move {
            let work = move |scope: &Scope| carry_out(&artifacts, step, scope);
            scope.blocking(work).await.map_err(|error| failure(&error))
        }
    }
}

fn carry_out(artifacts: &Artifacts, step: Step, scope: &Scope) -> Result<Value, StepError> {
    let prefix = format!("{}/{}", scope.artifact_owner(), scope.task_id());
    let cancelled = || scope.is_cancelled();
    let desk = Desk {
        artifacts,
        prefix: &prefix,
        cancelled: &cancelled,
    };
    match step {
        Step::Split { file } => Ok(json!({"chunks": files::split(desk, &file)?})),
        Step::Count { chunk } => Ok(json!(files::count_chunk(desk, &chunk)?)),
        Step::Merge { counts } => Ok(match files::merge(desk, &counts)? {
            Lines::Text(text) => json!(text),
            Lines::Stored(file) => json!(file),
        }),
    }
}

fn failure(error: &StepError) -> Failure {
    match error {
        StepError::Cancelled => Failure::fatal(error).code("cancelled"),
        StepError::Artifact(ArtifactError::NotFound(_)) => {
            Failure::fatal(error).code("artifact_not_found")
        }
        StepError::NoCounts(_) | StepError::Name(_) => {
            Failure::fatal(error).code("invalid_payload")
        }
        StepError::Artifact(_) | StepError::Io(_) => Failure::retryable(error),
    }
}
