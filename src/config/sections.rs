//! The checked sections, one struct each, handed to whom they concern.
//!
//! A value of these types has passed every check; none can be made outside this room.
//! Not here: how they are read ([`super::build`]).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;

/// `[database]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// The file of the embedded database. Its directory may not exist yet.
    pub path: PathBuf,
    /// Connections that read beside the writer.
    pub readers: u32,
    /// Connections of a server database.
    pub pool_size: u32,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// How long one statement, or one read of the embedded database, may take.
    pub statement_timeout: Duration,
    /// Whether a commit waits for the disk (`synchronous = FULL`), or only survives the death of the process.
    pub synchronous_full: bool,
    /// Tries to open the database anew before it counts as lost.
    pub retry_attempts: u32,
    /// Delay before the second try; doubles up to `retry_max_backoff`.
    pub retry_backoff: Duration,
    /// The longest delay.
    pub retry_max_backoff: Duration,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The address the API listens on.
    pub host: IpAddr,
    /// Its port; 0 means any free one.
    pub port: u16,
    /// Worker threads; `None`: one a processor.
    pub workers: Option<u32>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// The longest `?wait=` of a request.
    pub wait_limit: Duration,
    /// The largest request body, bytes.
    pub body_limit: u64,
    /// Open connections at once.
    pub max_connections: u32,
    /// From the first signal to the end of the daemon.
    pub shutdown_grace: Duration,
    /// Whether answers to failed requests name the inner cause.
    pub debug: bool,
}

/// `[logging]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggingConfig {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// The file written to beside stderr.
    pub file: Option<LogFile>,
}

/// A log file of the daemon with its rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFile {
    /// Where.
    pub path: PathBuf,
    /// Rotated at this size, bytes.
    pub max_size: u64,
    /// Rotated files older than this are removed.
    pub max_age: Duration,
    /// Rotated files kept.
    pub keep: u32,
}

/// How severe a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For finding faults.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The word that `tracing` filters by.
    #[must_use]
    pub const fn as_filter(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[cache]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Where entries are kept.
    pub backend: CacheBackend,
    /// Of a cache server.
    pub url: Option<Secret>,
    /// How long an entry lives.
    pub ttl: Duration,
    /// Entries at most.
    pub capacity: u64,
    /// Which entry goes when it is full.
    pub policy: CachePolicy,
}

/// Where cache entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheBackend {
    /// In this process.
    Memory,
    /// On a Redis server.
    Redis,
}

/// Which cache entry goes when the cache is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// The one used longest ago.
    Lru,
    /// The one used least often.
    Lfu,
    /// The oldest.
    Fifo,
}

/// `[security]`. What else the section names is refused in this version when it is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityConfig {
    /// Who must show credentials.
    pub auth: AuthMode,
}

/// Who must show credentials to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Nobody.
    Off,
    /// Everybody, unless the API listens on a loopback address.
    OffOnLoopback,
    /// Everybody.
    Required,
}

/// `[monitoring]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MonitoringConfig {
    /// The address `/metrics` listens on.
    pub metrics_host: IpAddr,
    /// Its port; 0 means any free one.
    pub metrics_port: u16,
    /// What the checks are judged by.
    pub health: crate::domain::health::HealthSettings,
}

/// `[supervisor]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SupervisorConfig {
    /// The policy of agents that stand in no group. Its name is `root`.
    pub root: crate::domain::restart::GroupSpec,
    /// Threads that actors run on; `None`: one a processor.
    pub arbiters: Option<u32>,
    /// How long a critical agent may be lost before the daemon ends with exit code 70.
    pub critical_grace: Duration,
}

/// How the daemon's stop divides its time: drain, then signal, then close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopBudget {
    /// For finishing open tasks.
    pub drain: Duration,
    /// From the signal to the kill.
    pub term: Duration,
    /// For closing the database and the log.
    pub close: Duration,
}

impl StopBudget {
    /// Divides the grace 12 : 8 : 5.
    #[must_use]
    pub fn of(grace: Duration) -> Self {
        Self {
            drain: grace * 12 / 25,
            term: grace * 8 / 25,
            close: grace * 5 / 25,
        }
    }
}
