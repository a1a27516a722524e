//! What is wrong with a configuration: every problem with its key, its source and what is allowed.

use std::fmt;

use super::source::Source;

/// The exit code of a bad configuration (`EX_CONFIG`).
pub const EXIT_BAD_CONFIGURATION: u8 = 78;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key, or what else it is about.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// Where the value came from; `None` for a value that is missing.
    pub source: Option<Source>,
}

impl Problem {
    /// What is wrong, with where the value came from.
    #[must_use]
    pub fn said(&self) -> String {
        match &self.source {
            Some(source) => format!("{} [{source}]", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.said())
    }
}

/// All that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    problems: Vec<Problem>,
}

impl InvalidConfig {
    /// Of at least one problem.
    pub(crate) const fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Every problem, in the order of the keys.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        EXIT_BAD_CONFIGURATION
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "configuration refused, 1 problem:")?,
            count => write!(f, "configuration refused, {count} problems:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}
