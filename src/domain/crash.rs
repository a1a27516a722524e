//! The black box of one abnormal end: what a life did and said last, and how often it ended so.
//!
//! Rely on: a box is bounded ([`MAX_LOG_BYTES`], [`MAX_FRAMES`] of [`MAX_FRAME_BYTES`] each), and
//! texts in it were redacted ([`super::redaction`]). Ends of one fault share a [`Crash::group`].
//!
//! Not here: which deaths are too many, see [`super::restart`].

use serde::{Deserialize, Serialize};

use super::exit::ExitReason;
use super::ids::{CrashId, TaskId};
use super::name::Name;
use super::redaction::Redactor;
use super::timestamp::Timestamp;

/// Log lines in one box.
pub const MAX_LOG_LINES: usize = 200;
/// Bytes of log lines in one box; the oldest are left out first.
pub const MAX_LOG_BYTES: usize = 64 * 1024;
/// Frames in one box.
pub const MAX_FRAMES: usize = 20;
/// Bytes kept of one frame.
pub const MAX_FRAME_BYTES: usize = 1024;
/// The longest text of an error in a signature, characters.
const MAX_ERROR_IN_SIGNATURE: usize = 120;

/// The black box of one abnormal end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Crash {
    /// Its id.
    pub id: CrashId,
    /// The agent.
    pub agent: Name,
    /// Which replica.
    pub index: u32,
    /// Which life.
    pub generation: u64,
    /// How it ended: kind, and code, signal, place or text.
    pub reason: ExitReason,
    /// The same in one line, for people.
    pub message: String,
    /// What deaths of the same fault share; `None` for ends that say nothing of the agent.
    pub signature: Option<String>,
    /// Whether no earlier death that is still remembered had this signature.
    pub new_signature: bool,
    /// How often the agent ended like this.
    pub seen: Seen,
    /// When.
    pub at: Timestamp,
    /// How long it had lived.
    pub uptime_ms: u64,
    /// Digest of the agent's settings in force, in hex.
    pub config_hash: Option<String>,
    /// Since when these settings have been in force.
    pub config_since: Option<Timestamp>,
    /// Whether they are others than at the agent's crash before.
    pub config_changed: bool,
    /// Tasks it held.
    pub tasks: Vec<HeldTask>,
    /// What its processes used.
    #[serde(flatten)]
    pub usage: LastUsage,
    /// Its last log lines, oldest first.
    pub log: Vec<String>,
    /// The last frames in both directions, oldest first.
    pub frames: Vec<Frame>,
}

/// How a replica last ended abnormally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastDeath {
    /// The agent.
    pub agent: Name,
    /// Which replica.
    pub index: u32,
    /// How.
    pub reason: ExitReason,
    /// When.
    pub at: Timestamp,
}

/// How often an agent ended in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Times, this one included.
    pub count: u64,
    /// The first one.
    pub since: Timestamp,
    /// The last one.
    pub last_at: Timestamp,
}

impl Seen {
    /// For the first time.
    #[must_use]
    pub const fn once(at: Timestamp) -> Self {
        Self {
            count: 1,
            since: at,
            last_at: at,
        }
    }
}

/// A task that a life held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredTask")]
pub struct HeldTask {
    /// The task.
    pub id: TaskId,
    /// Which execution; 0 where an older version did not keep it.
    pub attempt: u32,
}

/// A held task as it was stored: earlier versions kept its id alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredTask {
    Id(TaskId),
    Whole { id: TaskId, attempt: u32 },
}

impl From<StoredTask> for HeldTask {
    fn from(stored: StoredTask) -> Self {
        match stored {
            StoredTask::Id(id) => Self { id, attempt: 0 },
            StoredTask::Whole { id, attempt } => Self { id, attempt },
        }
    }
}

/// What the processes of a life used when they were last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LastUsage {
    /// The most resident memory: each process's own peak, summed; bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Processor time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Bytes read and written.
    pub io_bytes: Option<u64>,
}

/// Who said a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameDirection {
    /// The daemon.
    ToAgent,
    /// The agent.
    FromAgent,
}

/// One frame of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Who said it.
    pub direction: FrameDirection,
    /// How long before the end.
    pub before_ms: u64,
    /// How long it was, bytes.
    pub bytes: u64,
    /// Its beginning.
    pub text: String,
}

impl Crash {
    /// What ends that are counted together share: the signature, or else the kind of the end.
    #[must_use]
    pub fn group(&self) -> &str {
        self.signature
            .as_deref()
            .unwrap_or_else(|| self.reason.label())
    }

    /// Bounds the box, takes secrets out of its texts, and sums it up in its signature.
    pub fn seal(&mut self, redactor: &Redactor) {
        let clean = |text: &str| redactor.redact(text).into_owned();
        self.reason = std::mem::replace(&mut self.reason, ExitReason::Normal).map_text(clean);
        self.message = self.reason.to_string();
        self.log = newest(std::mem::take(&mut self.log));
        for line in &mut self.log {
            *line = clean(line);
        }
        for frame in &mut self.frames {
            frame.text = clean(&frame.text);
        }
        self.signature = signature(&self.reason, &self.log);
    }
}

/// The newest lines that a box has room for.
fn newest(mut lines: Vec<String>) -> Vec<String> {
    let mut room = MAX_LOG_BYTES;
    let fits = |line: &&String| {
        let taken = room.checked_sub(line.len());
        room = taken.unwrap_or(0);
        taken.is_some()
    };
    let kept = lines.iter().rev().take(MAX_LOG_LINES).take_while(fits);
    let kept = kept.count();
    lines.drain(..lines.len() - kept);
    lines
}

/// What deaths of the same fault share. A process that ended by itself tells the fault in its last
/// line that speaks of an error, so that line belongs to it, with figures left out.
#[must_use]
pub fn signature(reason: &ExitReason, log: &[String]) -> Option<String> {
    let kind = reason.signature()?;
    let spoken = matches!(
        reason,
        ExitReason::ExitCode { .. } | ExitReason::Signal { oom: false, .. }
    );
    let line = spoken.then(|| log.iter().rev().find(|line| tells_an_error(line)));
    Some(match line.flatten() {
        Some(line) => format!("{kind}: {}", without_figures(line)),
        None => kind,
    })
}

/// Whether a line speaks of an error.
fn tells_an_error(line: &str) -> bool {
    const WORDS: [&str; 7] = [
        "error",
        "exception",
        "panicked",
        "fatal",
        "abort",
        "assert",
        "fail",
    ];
    let lower = line.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// A line with every word that holds a digit replaced by `#`: figures, ids and times differ from
/// one death to the next.
fn without_figures(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        if word.contains(|c: char| c.is_ascii_digit()) {
            "#"
        } else {
            word
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().take(MAX_ERROR_IN_SIGNATURE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn deaths_of_one_fault_share_a_signature_whatever_figures_they_tell() {
        let code = ExitReason::ExitCode { code: 1 };
        let sign = |log: &[&str]| signature(&code, &lines(log));
        let first = sign(&[
            "starting",
            "2026-01-01T10:00:00 ERROR pool 7 is empty",
            "bye",
        ]);
        let second = sign(&["2026-02-03T11:11:11 ERROR pool 12 is empty"]);
        assert_eq!(
            first.as_deref(),
            Some("exit_code:1: # ERROR pool # is empty")
        );
        assert_eq!(first, second);
        assert_ne!(first, sign(&["ValueError: no such thing"]));
        assert_eq!(sign(&["all is well"]).as_deref(), Some("exit_code:1"));
    }

    #[test]
    fn an_end_from_outside_has_no_signature_and_a_panic_is_told_by_its_place() {
        let killed = ExitReason::Signal {
            signal: 9,
            oom: false,
        };
        assert_eq!(signature(&killed, &lines(&["error"])), None);
        let panic = ExitReason::Panic {
            message: "oh".into(),
            place: "a.rs:1:2".into(),
        };
        let log = lines(&["error: something else"]);
        assert_eq!(signature(&panic, &log).as_deref(), Some("panic:a.rs:1:2"));
    }

    #[test]
    fn the_newest_lines_are_kept_as_far_as_there_is_room() {
        let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        let kept = newest(many);
        assert_eq!((kept.len(), kept[0].as_str()), (MAX_LOG_LINES, "100"));
        let long = vec!["a".repeat(MAX_LOG_BYTES), "b".repeat(40_000), "c".into()];
        let kept = newest(long);
        assert_eq!((kept.len(), kept[1].as_str()), (2, "c"));
        assert!(newest(vec!["x".repeat(MAX_LOG_BYTES + 1)]).is_empty());
    }

    #[test]
    fn a_task_that_an_older_version_stored_by_its_id_alone_is_read() {
        let id = TaskId::from_bytes([7; 16]);
        let whole = HeldTask { id, attempt: 2 };
        let text = serde_json::to_string(&vec![whole]).unwrap();
        assert_eq!(
            serde_json::from_str::<Vec<HeldTask>>(&text).unwrap(),
            [whole]
        );
        let old = format!("[\"{id}\"]");
        assert_eq!(
            serde_json::from_str::<Vec<HeldTask>>(&old).unwrap(),
            [HeldTask { id, attempt: 0 }]
        );
    }
}
