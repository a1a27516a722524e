//! Where a value came from.

use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A default of an agent, group, queue or action that the file leaves out.
    BuiltIn,
    /// A file embedded in the binary.
    Embedded {
        /// Its name: `default.toml`, `production.toml`.
        file: &'static str,
        /// The line, from 1.
        line: usize,
    },
    /// A file given with `--config`.
    File {
        /// As given.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: Arc<str>,
        /// The `.env` file and line it stands in, if it came from one.
        dotenv: Option<(Arc<str>, usize)>,
    },
    /// A file that an environment variable points at.
    SecretFile {
        /// The variable.
        variable: Arc<str>,
        /// The file.
        path: Arc<str>,
    },
    /// A command-line flag.
    Flag {
        /// The dotted key it sets.
        key: Arc<str>,
    },
}

impl Source {
    /// Whether nobody set it: it ships with the binary.
    #[must_use]
    pub const fn is_shipped(&self) -> bool {
        matches!(self, Self::BuiltIn | Self::Embedded { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => write!(f, "built in"),
            Self::Embedded { file, line } => write!(f, "built-in {file}:{line}"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable { name, dotenv: None } => write!(f, "variable {name}"),
            Self::Variable {
                name,
                dotenv: Some((path, line)),
            } => write!(f, "variable {name} in {path}:{line}"),
            Self::SecretFile { variable, path } => write!(f, "variable {variable}, file {path}"),
            Self::Flag { key } => write!(f, "command line ({key})"),
        }
    }
}
