//! The fixed sections.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::agents::{intensity, on_exhausted};
use super::{DATABASE_FILE, View};
use crate::config::scalar;
use crate::config::secret::Secret;
use crate::config::sections::{
    AuthMode, CacheBackend, CacheConfig, CachePolicy, DatabaseConfig, LogFile, LogFormat, LogLevel,
    LoggingConfig, MonitoringConfig, SecurityConfig, ServerConfig, SupervisorConfig,
};
use crate::domain::health::HealthSettings;
use crate::domain::health::agent::AgentLimits;
use crate::domain::health::judge::Threshold;
use crate::domain::restart::{GroupSpec, Strategy};

pub(super) fn database(view: &View<'_>, data_dir: &Path) -> DatabaseConfig {
    let named = view
        .text("url")
        .and_then(|url| url.strip_prefix("sqlite://"));
    DatabaseConfig {
        path: named.map_or_else(|| data_dir.join(DATABASE_FILE), PathBuf::from),
        readers: view.count("readers"),
        pool_size: view.count("pool_size"),
        connect_timeout: view.span("connect_timeout"),
        statement_timeout: view.span("statement_timeout"),
        synchronous_full: view.word("synchronous") != "normal",
        retry_attempts: view.count("retry.attempts"),
        retry_backoff: view.span("retry.backoff"),
        retry_max_backoff: view.span("retry.max_backoff"),
    }
}

pub(super) fn server(view: &View<'_>) -> ServerConfig {
    ServerConfig {
        host: address(view, "host"),
        port: view.count("port"),
        workers: some_if_positive(view, "workers"),
        request_timeout: view.span("request_timeout"),
        wait_limit: view.span("wait_limit"),
        body_limit: view.size("body_limit").unwrap_or_default(),
        max_connections: view.count("max_connections"),
        shutdown_grace: view.span("shutdown_grace"),
        debug: view.flag("debug"),
    }
}

/// 0 stands for "as many as there are processors".
fn some_if_positive(view: &View<'_>, key: &str) -> Option<u32> {
    view.integer(key).filter(|number| *number > 0)
}

fn address(view: &View<'_>, key: &str) -> IpAddr {
    let address = view.text(key).and_then(|text| text.parse().ok());
    address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

pub(super) fn logging(view: &View<'_>, data_dir: &Path) -> LoggingConfig {
    LoggingConfig {
        level: match scalar::level(view.word("level")) {
            Some("TRACE") => LogLevel::Trace,
            Some("DEBUG") => LogLevel::Debug,
            Some("WARNING") => LogLevel::Warning,
            Some("ERROR") => LogLevel::Error,
            _ => LogLevel::Info,
        },
        format: match view.word("format") {
            "json" => LogFormat::Json,
            _ => LogFormat::Pretty,
        },
        file: view.text("file").map(|file| LogFile {
            path: data_dir.join(file),
            max_size: view.size("rotation.size").unwrap_or_default(),
            max_age: view.span("rotation.age"),
            keep: view.count("rotation.keep"),
        }),
    }
}

pub(super) fn cache(view: &View<'_>) -> CacheConfig {
    CacheConfig {
        backend: match view.word("backend") {
            "redis" => CacheBackend::Redis,
            _ => CacheBackend::Memory,
        },
        url: view.text("url").map(Secret::new),
        ttl: view.span("ttl"),
        capacity: view.count("capacity"),
        policy: match view.word("policy") {
            "lfu" => CachePolicy::Lfu,
            "fifo" => CachePolicy::Fifo,
            _ => CachePolicy::Lru,
        },
    }
}

pub(super) fn security(view: &View<'_>) -> SecurityConfig {
    SecurityConfig {
        auth: match view.word("auth") {
            "off" => AuthMode::Off,
            "off_on_loopback" => AuthMode::OffOnLoopback,
            _ => AuthMode::Required,
        },
    }
}

pub(super) fn monitoring(view: &View<'_>) -> MonitoringConfig {
    let limits = view.below("thresholds");
    MonitoringConfig {
        metrics_host: address(view, "metrics_host"),
        metrics_port: view.count("metrics_port"),
        health: HealthSettings {
            interval: view.span("health_interval"),
            sample_interval: view.span("sample_interval"),
            check_timeout: view.span("health_timeout"),
            cpu: share(&limits, "cpu"),
            memory: share(&limits, "memory"),
            disk: share(&limits, "disk"),
            pool: share(&limits, "pool"),
            database: threshold(&limits, "database", 1.0 / GIB),
            sustained: view.count("sustained"),
            agent: AgentLimits {
                queue: share(&limits, "queue"),
                errors: threshold(&limits, "errors", 1.0),
            },
        },
    }
}

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Limits written in percent, as shares of one.
fn share(limits: &View<'_>, key: &str) -> Threshold {
    threshold(limits, key, 100.0)
}

fn threshold(limits: &View<'_>, key: &str, whole: f64) -> Threshold {
    let view = limits.below(key);
    Threshold {
        warning: view.number("warning") / whole,
        critical: view.number("critical") / whole,
    }
}

pub(super) fn supervisor(view: &View<'_>) -> SupervisorConfig {
    SupervisorConfig {
        root: GroupSpec {
            name: crate::config::check::root_name(),
            parent: None,
            strategy: Strategy::OneForOne,
            intensity: intensity(view),
            on_exhausted: on_exhausted(view),
            loop_deaths: view.count("loop.deaths"),
            loop_max_gap: view.span("loop.max_gap"),
            quarantine_min: view.span("quarantine.min"),
            quarantine_max: view.span("quarantine.max"),
        },
        arbiters: some_if_positive(view, "arbiters"),
        critical_grace: view.span("critical_grace"),
    }
}
