//! The daemon's log: lines that a person reads, or one JSON object a line, on standard error.
//!
//! Rely on: instants in UTC with milliseconds; colour on a terminal only and never with
//! `NO_COLOR`; the level set applies to this program, libraries speak from `warning` on. A line is
//! one line, whatever an agent or a peer put into it: control characters are escaped.
//!
//! Not here: secrets (their types print as redacted before they come here), and agents' own logs.

mod line;
mod rotation;

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use rotation::{RotatingFile, RotationPolicy};

/// The target of everything this program writes.
const OWN_TARGET: &str = "agent_system";

/// Sets the level of the process's log.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What is written where.
#[derive(Debug, Clone)]
pub struct LoggingSettings {
    /// The least severe level that is written.
    pub level: Level,
    /// How a line looks.
    pub format: LineFormat,
    /// Whether colour is allowed at all; it is used on a terminal only.
    pub colour: bool,
    /// A file written to beside standard error, with its rotation.
    pub file: Option<RotationPolicy>,
}

/// Why the log cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file cannot be opened.
    #[error("log file {path}: {source}; choose another with logging.file")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// Somebody else logs in this process.
    #[error("the log is already set up in this process")]
    Installed,
}

/// Writes the log from now on, for the whole process.
///
/// # Errors
/// [`LoggingError`] if the file cannot be opened, or the second time.
pub fn init(settings: &LoggingSettings) -> Result<(), LoggingError> {
    let file = settings.file.clone().map(open).transpose()?;
    let stderr = std::io::stderr();
    let colour = settings.colour && stderr.is_terminal();
    let to_stderr = layer(settings.format, colour, std::io::stderr);
    let to_file = file.map(|file| layer(settings.format, false, SharedFile(file)));
    let (level, handle) = reload::Layer::new(filter(settings.level));
    let subscriber = Registry::default()
        .with(level)
        .with(to_stderr)
        .with(to_file);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Installed)?;
    // As the log, there is one in a process.
    LEVEL.get_or_init(|| handle);
    Ok(())
}

/// Writes from now on what is at least as severe; nothing where the log is somebody else's.
pub fn set_level(level: Level) {
    if let Some(Err(error)) = LEVEL.get().map(|handle| handle.reload(filter(level))) {
        tracing::warn!(%error, "the log keeps its level");
    }
}

/// Whether the environment asks for no colour (`NO_COLOR` set to anything but nothing).
#[must_use]
pub fn colour_wanted(no_color: Option<&str>) -> bool {
    no_color.is_none_or(str::is_empty)
}

fn filter(level: Level) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN.min(LevelFilter::from_level(level)))
        .with_target(OWN_TARGET, level)
}

fn layer<S, W>(format: LineFormat, colour: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LineFormat::Pretty => fmt::layer()
            .event_format(line::PrettyLine)
            .with_ansi(colour)
            .with_writer(writer)
            .boxed(),
        LineFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_timer(line::Utc)
            .with_writer(writer)
            .boxed(),
    }
}

fn open(policy: RotationPolicy) -> Result<Arc<Mutex<RotatingFile>>, LoggingError> {
    let path = policy.path.display().to_string();
    RotatingFile::open(policy)
        .map(|file| Arc::new(Mutex::new(file)))
        .map_err(|source| LoggingError::File { path, source })
}

/// One file that every thread writes whole lines to.
struct SharedFile(Arc<Mutex<RotatingFile>>);

struct SharedWriter(Arc<Mutex<RotatingFile>>);

impl<'w> fmt::MakeWriter<'w> for SharedFile {
    type Writer = SharedWriter;

    fn make_writer(&'w self) -> Self::Writer {
        SharedWriter(self.0.clone())
    }
}

impl std::io::Write for SharedWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
