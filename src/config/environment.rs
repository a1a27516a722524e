//! The four environments: which embedded file is laid over the defaults.

use std::fmt;
use std::str::FromStr;

use crate::domain::name::nearest;

/// Where the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Environment {
    /// On the machine of whoever writes agents.
    #[default]
    Development,
    /// Under a test suite: isolated per run.
    Testing,
    /// Like production, for trying.
    Staging,
    /// Where it counts.
    Production,
}

/// Why a text is no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no environment: one of development, testing, staging, production{1}")]
pub struct InvalidEnvironment(String, String);

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 4] = [
        Self::Development,
        Self::Testing,
        Self::Staging,
        Self::Production,
    ];

    /// The word used in `AGENT_SYSTEM_ENV`, `--env` and file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Testing => "testing",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Whether a `.env` file is read.
    pub(crate) const fn reads_dotenv(self) -> bool {
        matches!(self, Self::Development | Self::Testing)
    }

    /// Whether it wants its database named, rather than taking the embedded one.
    pub(crate) const fn names_its_database(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }

    /// The embedded file laid over `default.toml`: its name and text.
    pub(crate) const fn embedded(self) -> (&'static str, &'static str) {
        match self {
            Self::Development => (
                "development.toml",
                include_str!("../../config/development.toml"),
            ),
            Self::Testing => ("testing.toml", include_str!("../../config/testing.toml")),
            Self::Staging => ("staging.toml", include_str!("../../config/staging.toml")),
            Self::Production => (
                "production.toml",
                include_str!("../../config/production.toml"),
            ),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = InvalidEnvironment;
    fn from_str(text: &str) -> Result<Self, InvalidEnvironment> {
        let found = Self::ALL
            .into_iter()
            .find(|environment| environment.as_str() == text);
        found.ok_or_else(|| {
            let near = nearest(text, Self::ALL.map(Self::as_str));
            let hint = near.map_or(String::new(), |word| format!("; did you mean {word}?"));
            InvalidEnvironment(text.chars().take(80).collect(), hint)
        })
    }
}
