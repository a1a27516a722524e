//! The configuration: layers of files, variables and flags, read once, checked whole.
//!
//! ```text
//! default.toml < ENVIRONMENT.toml < --config FILE … < variables < flags
//! ```
//!
//! A [`Config`] can only be had from [`Config::load`]: holding one is the proof that every value
//! was checked. All problems are reported at once, each with its key, its source and what is
//! allowed. The environment is an argument; only
//! [`LoadRequest::of_process`] reads the process's own.
//!
//! ```
//! use agent_system::config::{Config, LoadRequest};
//!
//! let config = Config::load(LoadRequest::default())?;
//! assert_eq!(config.server().port, 5000);
//! # Ok::<(), agent_system::config::InvalidConfig>(())
//! ```
//!
//! Not here: what the values do. Each section is handed to whom it concerns.

mod build;
mod check;
mod difference;
mod dotenv;
mod environment;
mod json_schema;
mod keys;
mod kind;
mod layers;
mod parse;
mod problem;
mod redact;
pub mod render;
mod scalar;
mod secret;
mod sections;
mod settings;
mod shape;
mod source;
mod tree;
mod units;
mod unsupported;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

pub use environment::{Environment, InvalidEnvironment};
pub use problem::{EXIT_BAD_CONFIGURATION, InvalidConfig, Problem};
pub use secret::{REDACTED, Secret};
pub use sections::{
    AuthMode, CacheBackend, CacheConfig, CachePolicy, DatabaseConfig, LogFile, LogFormat, LogLevel,
    LoggingConfig, MonitoringConfig, SecurityConfig, ServerConfig, StopBudget, SupervisorConfig,
};
pub use source::Source;

use crate::domain::agent::AgentSpec;
use crate::domain::explain::AgentSettings;
use crate::domain::name::Name;
use crate::domain::queue::QueueSpec;
use crate::domain::recovery::RecoverySpec;
use crate::domain::restart::GroupSpec;
use crate::domain::schedule::ScheduleSpec;

/// What a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// From `--env`; else `AGENT_SYSTEM_ENV`, else development.
    pub environment: Option<Environment>,
    /// From `--config`, later wins.
    pub files: Vec<PathBuf>,
    /// From `--data-dir`; else `AGENT_SYSTEM_DATA_DIR`, else `./data`.
    pub data_dir: Option<PathBuf>,
    /// The environment variables.
    pub vars: BTreeMap<String, String>,
    /// Dotted keys set on the command line, with their values as typed.
    pub flags: Vec<(String, String)>,
    /// The `.env` file, read in development and testing if it exists.
    pub dotenv: Option<PathBuf>,
    /// The Rust agents that can be run here, by name; any name is taken where nobody says.
    pub actors: Option<Vec<String>>,
}

impl LoadRequest {
    /// Of this process: its variables, and `.env` in its working directory. Variables that are no
    /// UTF-8 are taken as near as they come.
    #[must_use]
    pub fn of_process() -> Self {
        let vars = std::env::vars_os().map(|(name, value)| {
            let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        Self {
            vars: vars.collect(),
            dotenv: Some(".env".into()),
            ..Self::default()
        }
    }
}

/// The checked configuration. Its `Debug` names the environment and nothing that could be secret.
#[derive(Clone)]
pub struct Config {
    environment: Environment,
    data_dir: PathBuf,
    database: DatabaseConfig,
    server: ServerConfig,
    logging: LoggingConfig,
    cache: CacheConfig,
    security: SecurityConfig,
    monitoring: MonitoringConfig,
    supervisor: SupervisorConfig,
    groups: IndexMap<Name, GroupSpec>,
    agents: IndexMap<Name, AgentSpec>,
    queues: BTreeMap<Name, QueueSpec>,
    recovery: RecoverySpec,
    schedules: Vec<ScheduleSpec>,
    warnings: Vec<String>,
    settings: BTreeMap<Name, AgentSettings>,
    shown: serde_json::Value,
    values: difference::Values,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("environment", &self.environment)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads all layers and checks them whole.
    ///
    /// # Errors
    /// Every problem there is, at once.
    pub fn load(request: LoadRequest) -> Result<Self, InvalidConfig> {
        let (config, problems) = build::config(layers::read(&request));
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(InvalidConfig::new(problems))
        }
    }

    /// Where the daemon runs.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The directory that holds all that the daemon writes. It may not exist yet.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// `[database]`.
    #[must_use]
    pub const fn database(&self) -> &DatabaseConfig {
        &self.database
    }

    /// `[server]`.
    #[must_use]
    pub const fn server(&self) -> &ServerConfig {
        &self.server
    }

    /// `[logging]`.
    #[must_use]
    pub const fn logging(&self) -> &LoggingConfig {
        &self.logging
    }

    /// `[cache]`.
    #[must_use]
    pub const fn cache(&self) -> &CacheConfig {
        &self.cache
    }

    /// `[security]`.
    #[must_use]
    pub const fn security(&self) -> &SecurityConfig {
        &self.security
    }

    /// `[monitoring]`.
    #[must_use]
    pub const fn monitoring(&self) -> &MonitoringConfig {
        &self.monitoring
    }

    /// `[supervisor]`.
    #[must_use]
    pub const fn supervisor(&self) -> &SupervisorConfig {
        &self.supervisor
    }

    /// `[groups]`, by name, in the order of declaration.
    #[must_use]
    pub const fn groups(&self) -> &IndexMap<Name, GroupSpec> {
        &self.groups
    }

    /// `[agents]`, by name, in the order of declaration.
    #[must_use]
    pub const fn agents(&self) -> &IndexMap<Name, AgentSpec> {
        &self.agents
    }

    /// `[queues]`, by name; always has `default`.
    #[must_use]
    pub const fn queues(&self) -> &BTreeMap<Name, QueueSpec> {
        &self.queues
    }

    /// `[recovery]`.
    #[must_use]
    pub const fn recovery(&self) -> &RecoverySpec {
        &self.recovery
    }

    /// `[schedules]`, by name.
    #[must_use]
    pub fn schedules(&self) -> &[ScheduleSpec] {
        &self.schedules
    }

    /// The settings of an agent, each with where it came from; none of one that is not declared.
    #[must_use]
    pub fn settings_of(&self, agent: &Name) -> AgentSettings {
        self.settings.get(agent).cloned().unwrap_or_default()
    }

    /// The same of every agent.
    #[must_use]
    pub const fn all_settings(&self) -> &BTreeMap<Name, AgentSettings> {
        &self.settings
    }

    /// All of it as a JSON object, secrets redacted.
    #[must_use]
    pub const fn shown(&self) -> &serde_json::Value {
        &self.shown
    }

    /// How the daemon's stop divides its time.
    #[must_use]
    pub fn stop_budget(&self) -> StopBudget {
        StopBudget::of(self.server.shutdown_grace)
    }

    /// What works, but not as somebody might expect; one line each, for the log at start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
