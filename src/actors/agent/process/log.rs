//! The log of one replica: a ring in memory, and the daemon's own log or a file.
//!
//! The ring outlives a life, so that what a life said last can be read when the next one runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::log_file::LogFile;
use crate::domain::agent::InstanceId;
use crate::domain::redaction::Redactor;

/// Lines kept in memory.
pub(super) const RING_LINES: usize = 200;
/// The longest line kept, bytes.
pub(super) const MAX_LOG_LINE: usize = 16 * 1024;
/// Lines that go to the daemon's log in one [`WINDOW`]; the ring and a file get all.
const LINES_IN_WINDOW: u32 = 200;
const WINDOW: Duration = Duration::from_secs(1);

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    /// The level of a word as agents write it.
    pub(super) fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Self::Debug,
            "warn" | "warning" => Self::Warning,
            "error" | "critical" | "fatal" => Self::Error,
            _ => Self::Info,
        }
    }
}

/// The last lines, each with the life that said it.
#[derive(Debug, Default)]
struct Ring {
    life: u64,
    lines: VecDeque<(u64, String)>,
    /// What is taken out of every line.
    secrets: Redactor,
}

/// The log of one replica.
#[derive(Debug)]
pub(super) struct AgentLog {
    instance: InstanceId,
    ring: Mutex<Ring>,
    file: Option<LogFile>,
    many: bool,
    window: Mutex<(Instant, u32)>,
}

impl AgentLog {
    /// With `many` replicas a line in the file begins with the replica's name.
    pub(super) fn new(instance: InstanceId, file: Option<LogFile>, many: bool) -> Self {
        Self {
            instance,
            ring: Mutex::default(),
            file,
            many,
            window: Mutex::new((Instant::now(), 0)),
        }
    }

    /// From here on a life speaks that knows these secrets.
    pub(super) fn begin(&self, life: u64, secrets: Redactor) {
        let mut ring = self.ring.lock();
        ring.life = life;
        ring.secrets = secrets;
    }

    /// Takes a line in.
    pub(super) fn line(&self, level: Level, text: &str) {
        let text = self.keep(text);
        let text = text.as_ref();
        match &self.file {
            Some(file) if self.many => file.line(format!("{} {text}", self.instance)),
            Some(file) => file.line(text.to_owned()),
            None if self.may_pass() => self.pass_on(level, text),
            None => {}
        }
    }

    /// The last lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        let ring = self.ring.lock();
        ring.lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The last lines of one life, oldest first.
    pub(super) fn lines_of(&self, life: u64) -> Vec<String> {
        let ring = self.ring.lock();
        let own = ring.lines.iter().filter(|(of, _)| *of == life);
        own.map(|(_, line)| line.clone()).collect()
    }

    /// Keeps a line, and gives it back as it was kept: cut, and without secrets.
    fn keep<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut ring = self.ring.lock();
        // Taken out first: what is cut in two would not be known again.
        let text = match ring.secrets.known(text) {
            Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
            Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
        };
        if ring.lines.len() == RING_LINES {
            ring.lines.pop_front();
        }
        let life = ring.life;
        ring.lines.push_back((life, text.to_string()));
        text
    }

    /// Whether the daemon's log takes one more line of this agent.
    fn may_pass(&self) -> bool {
        let mut window = self.window.lock();
        if window.0.elapsed() >= WINDOW {
            let suppressed = window.1.saturating_sub(LINES_IN_WINDOW);
            *window = (Instant::now(), 0);
            if suppressed > 0 {
                tracing::warn!(agent = %self.instance, suppressed, "log lines left out");
            }
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= LINES_IN_WINDOW
    }

    fn pass_on(&self, level: Level, text: &str) {
        let agent = &self.instance;
        match level {
            Level::Debug => tracing::debug!(target: "agent", %agent, "{text}"),
            Level::Info => tracing::info!(target: "agent", %agent, "{text}"),
            Level::Warning => tracing::warn!(target: "agent", %agent, "{text}"),
            Level::Error => tracing::error!(target: "agent", %agent, "{text}"),
        }
    }
}

/// The longest head of a text that is kept.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LOG_LINE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ring_keeps_the_last_lines_each_cut_between_two_characters() {
        let instance = InstanceId {
            agent: "echo".parse().unwrap(),
            index: 0,
        };
        let log = AgentLog::new(instance, None, false);
        for number in 0..RING_LINES + 5 {
            log.line(Level::Info, &number.to_string());
        }
        log.line(Level::Info, &"ä".repeat(MAX_LOG_LINE));
        let lines = log.lines();
        assert_eq!(lines.len(), RING_LINES);
        assert_eq!(lines[0], "6");
        assert_eq!(lines[RING_LINES - 1].len(), MAX_LOG_LINE);
    }

    #[tokio::test]
    async fn the_lines_of_a_life_are_told_from_those_before_and_hold_no_secret() {
        let instance = InstanceId {
            agent: "echo".parse().unwrap(),
            index: 0,
        };
        let log = AgentLog::new(instance, None, false);
        log.begin(1, Redactor::of(["hunter2".to_owned()]));
        log.line(
            Level::Info,
            &format!("{}hunter2", "x".repeat(MAX_LOG_LINE - 3)),
        );
        log.begin(2, Redactor::default());
        log.line(Level::Info, "two");
        assert_eq!(log.lines_of(2), ["two"]);
        assert!(!log.lines()[0].contains("hun"), "{}", log.lines()[0]);
    }
}
