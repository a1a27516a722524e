//! What lines look like and where they go.

use super::*;
use std::time::Duration;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(format: LineFormat, colour: bool, level: Level, log: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let sink = buffer.clone();
    let subscriber =
        Registry::default()
            .with(filter(level))
            .with(layer(format, colour, move || sink.clone()));
    tracing::subscriber::with_default(subscriber, log);
    let bytes = buffer.0.lock().clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_line_for_people_says_when_how_severe_what_and_its_fields() {
    let line = written(LineFormat::Pretty, false, Level::DEBUG, || {
        tracing::warn!(
            agent = "echo#0",
            pid = 7,
            reason = "exit code 1",
            "agent crashed"
        );
    });
    let (instant, rest) = line.split_once(' ').expect("an instant");
    assert!(
        instant
            .parse::<crate::domain::timestamp::Timestamp>()
            .is_ok(),
        "{line}"
    );
    assert_eq!(
        rest,
        "WARNING agent crashed agent=echo#0 pid=7 reason=\"exit code 1\"\n"
    );
}

#[test]
fn nothing_in_a_message_can_forge_a_line_or_move_the_cursor() {
    let line = written(LineFormat::Pretty, false, Level::INFO, || {
        tracing::info!(from = "a\nb", "said \x1b[2J\nERROR forged");
    });
    assert_eq!(line.lines().count(), 1);
    assert!(!line.contains('\x1b'));
}

#[test]
fn colour_is_on_a_terminal_only() {
    let log = || tracing::info!("ready");
    assert!(!written(LineFormat::Pretty, false, Level::INFO, log).contains('\x1b'));
    assert!(written(LineFormat::Pretty, true, Level::INFO, log).contains('\x1b'));
    assert!(colour_wanted(None) && colour_wanted(Some("")) && !colour_wanted(Some("1")));
}

#[test]
fn a_json_line_is_one_object_with_the_fields_beside_the_message() {
    let line = written(LineFormat::Json, false, Level::INFO, || {
        tracing::info!(agent = "echo#0", "agent\nready");
    });
    let object: serde_json::Value = serde_json::from_str(&line).expect("one object");
    assert_eq!(object["message"], "agent\nready");
    assert_eq!(object["agent"], "echo#0");
    assert_eq!(object["level"], "INFO");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn the_level_is_this_programs_and_libraries_speak_from_warning_on() {
    let text = written(LineFormat::Pretty, false, Level::DEBUG, || {
        tracing::debug!("ours");
        tracing::trace!("too fine");
        tracing::info!(target: "hyper", "theirs");
        tracing::warn!(target: "hyper", "their warning");
    });
    assert!(text.contains("ours") && text.contains("their warning"));
    assert!(!text.contains("too fine") && !text.contains("theirs"));
    let quiet = written(LineFormat::Pretty, false, Level::ERROR, || {
        tracing::warn!(target: "hyper", "their warning");
    });
    assert_eq!(quiet, "");
}

#[test]
fn a_file_is_rotated_between_lines_and_only_so_many_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("logs/daemon.log");
    let policy = RotationPolicy {
        path: path.clone(),
        max_size: 20,
        max_age: Duration::from_secs(3600),
        keep: 2,
    };
    let mut file = RotatingFile::open(policy.clone()).expect("opens");
    for n in 0..5 {
        file.write_line(format!("line number {n}\n").as_bytes())
            .expect("writes");
    }
    drop(file);
    let read = |end: &str| std::fs::read_to_string(format!("{}{end}", path.display()));
    assert_eq!(read("").expect("newest"), "line number 4\n");
    assert_eq!(read(".1").expect("older"), "line number 3\n");
    assert_eq!(read(".2").expect("oldest"), "line number 2\n");
    assert!(read(".3").is_err());
    RotatingFile::open(policy)
        .expect("opens again")
        .write_line(b"5\n")
        .expect("appends");
    assert_eq!(read("").expect("newest"), "line number 4\n5\n");
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let policy = RotationPolicy {
        path: dir.path().to_owned(),
        max_size: 1,
        max_age: Duration::ZERO,
        keep: 1,
    };
    let error = open(policy)
        .expect_err("a directory is no file")
        .to_string();
    assert!(error.contains(&dir.path().display().to_string()) && error.contains("logging.file"));
}
