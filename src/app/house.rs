//! One life of the daemon, from its log to its last commit.

use std::sync::Arc;
use std::time::Instant;

use actix_rt::System;
use tokio::runtime::{Builder, Runtime};

use super::signals::Signals;
use super::{StartError, boot};
use crate::actors::agent::Registry;
use crate::config::{Config, LoadRequest, LogFormat, LogLevel};
use crate::persistence::lock::Lock;
use crate::telemetry::logging::{self, LineFormat, LoggingSettings, RotationPolicy};
use crate::telemetry::metrics::Metrics;

/// How long blocking work of the runtime (name look-ups, files) may hold up the end.
const RUNTIME_SHUTDOWN: std::time::Duration = std::time::Duration::from_millis(500);
/// Threads for blocking work, at most; each is small, and idle ones end after ten seconds.
const MAX_BLOCKING_THREADS: usize = 64;

/// Runs the daemon on the calling thread, which becomes the system arbiter, for as long as `live`
/// takes; what it gives is given back. Closing the house is its part.
pub(super) fn run<T>(
    config: Config,
    request: LoadRequest,
    registry: Registry,
    begun: Instant,
    live: impl AsyncFnOnce(boot::House, Signals) -> T,
) -> Result<T, StartError> {
    start_log(&config)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    stand(config, request, registry, Metrics::install()?, begun, live)
}

/// As [`run`], with the process's log and recorder as they are.
pub(super) fn stand<T>(
    config: Config,
    request: LoadRequest,
    registry: Registry,
    metrics: Metrics,
    begun: Instant,
    live: impl AsyncFnOnce(boot::House, Signals) -> T,
) -> Result<T, StartError> {
    let lock = Lock::directory(config.data_dir())?;
    let runtime = Arc::new(runtime(&config)?);
    let shared = runtime.clone();
    let system = System::with_tokio_rt(move || shared);
    let ended = system.block_on(async {
        let mut signals = Signals::listen()?;
        let ground = tokio::select! {
            biased;
            name = signals.end.next() => return Err(StartError::Told(name)),
            ground = boot::lay(&config) => ground?,
        };
        // From here on agents run: whoever tells it to end waits until it stands, and then drains.
        let house = boot::boot(config, ground, request, registry, metrics, begun).await?;
        Ok(live(house, signals).await)
    });
    drop(system);
    if let Some(runtime) = Arc::into_inner(runtime) {
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    }
    drop(lock);
    ended
}

fn runtime(config: &Config) -> Result<Runtime, StartError> {
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = config.server().workers {
        builder.worker_threads(usize::try_from(workers).unwrap_or(1).max(1));
    }
    let built = builder
        .thread_name("worker")
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build();
    built.map_err(|source| StartError::System {
        what: "start the runtime",
        source,
    })
}

fn start_log(config: &Config) -> Result<(), StartError> {
    let settings = config.logging();
    let no_color = std::env::var("NO_COLOR").ok();
    logging::init(&LoggingSettings {
        level: level(settings.level),
        format: match settings.format {
            LogFormat::Pretty => LineFormat::Pretty,
            LogFormat::Json => LineFormat::Json,
        },
        colour: logging::colour_wanted(no_color.as_deref()),
        file: settings.file.as_ref().map(|file| RotationPolicy {
            path: file.path.clone(),
            max_size: file.max_size,
            max_age: file.max_age,
            keep: file.keep,
        }),
    })?;
    Ok(())
}

/// A level of the configuration as the log takes it.
pub(super) const fn level(level: LogLevel) -> tracing::Level {
    match level {
        LogLevel::Trace => tracing::Level::TRACE,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warning => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    }
}
