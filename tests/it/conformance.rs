//! `agents test`, as the author of an agent meets it: no daemon, one line a check.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::daemon::{agent_system, binary, write_file};

/// The tests of a command; at once, so that the suite does not wait for a start-up's end.
fn tested(arguments: &[&str]) -> (Option<i32>, Value) {
    let all = ["agents", "test", "-o", "json"].iter().chain(arguments);
    let Output { status, stdout, .. } = agent_system().args(all).output().unwrap();
    let report = serde_json::from_slice(&stdout).unwrap_or_default();
    (status.code(), report)
}

/// The outcome of each check by its name.
fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            (
                check["name"].as_str().unwrap(),
                check["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

fn outcome<'a>(report: &'a Value, name: &str) -> &'a str {
    outcomes(report)
        .into_iter()
        .find(|(it, _)| *it == name)
        .unwrap()
        .1
}

#[test]
fn every_agent_that_comes_with_the_house_passes_its_own_test() {
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/echo.py");
    let words = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/word_count.py");
    for arguments in [
        &["echo"][..],
        &["sum", "--payload", "[1, 2]"],
        &["--", "agent-system", "sample-agent", "flaky"],
        &["--", "python3", echo],
        &["--", "python3", words],
    ] {
        let (code, report) = tested(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {report:#}");
        let others = outcomes(&report)
            .into_iter()
            .filter(|(_, it)| *it != "ok")
            .collect::<Vec<_>>();
        assert_eq!(others, [("cancel", "skipped")], "{arguments:?}");
    }
}

#[test]
fn a_task_that_is_at_work_is_cancelled_by_the_test() {
    let payload = r#"{"sleep_ms": 2000}"#;
    let (code, report) = tested(&["flaky", "--payload", payload]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(outcome(&report, "cancel"), "ok");
}

/// An agent with one fault: it settles without a lease, dies of what it does not know, ends with 2.
const FAULTY: &str = r#"
while read -r line; do
    case $line in
    *'"type":"hello"'*) echo booting; echo '{"type":"ready"}' ;;
    *'"type":"ping"'*) n=${line#*'"n":'}; echo '{"type":"pong","n":'"${n%%[,\}]*}"'}' ;;
    *'"type":"task"'*) id=${line#*'"id":"'}; echo '{"type":"result","task_id":"'"${id%%\"*}"'"}' ;;
    *'"type":"drain"'* | *'"type":"message"'*) ;;
    *'"type":"shutdown"'*) exit 2 ;;
    *) echo "what is $line" >&2; exit 1 ;;
    esac
done
"#;

fn faulty(folder: &Path) -> String {
    let script = write_file(folder, "faulty.sh", FAULTY.as_bytes());
    script.to_str().unwrap().to_owned()
}

#[test]
fn each_fault_of_an_agent_is_named_with_the_way_out_and_the_others_are_still_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let script = faulty(folder.path());
    let (code, report) = tested(&["--timeout", "2s", "--", "sh", &script]);
    assert_eq!(code, Some(1), "{report:#}");
    let expected = [
        ("ready", "ok"),
        ("pong", "ok"),
        ("task", "failed"),
        ("unknown fields", "skipped"),
        ("unknown frames", "failed"),
        ("unknown cancel", "failed"),
        ("message", "ok"),
        ("cancel", "failed"),
        ("shutdown", "failed"),
        ("end of input", "ok"),
        ("output", "failed"),
    ];
    assert_eq!(outcomes(&report), expected, "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    for check in checks.iter().filter(|it| it["outcome"] == "failed") {
        assert!(check["way_out"].is_string(), "{check}");
    }
    let why = checks[10]["message"].as_str().unwrap();
    assert!(why.contains("lease_id"), "{why}");
    let words = report["stderr"].to_string();
    assert!(words.contains("what is"), "{words}");
}

#[test]
fn a_program_that_is_no_agent_fails_at_once_and_says_why() {
    let soon = ["--startup-timeout", "300ms", "--"];
    for (limits, command, why) in [
        (&["--"][..], &["no-such-program"][..], "not found in PATH"),
        (&soon, &["sleep", "1000"], "not ready within 300ms"),
        (&["--"], &["sh", "-c", "exit 3"], "exit code 3"),
        (
            &["--"],
            &["sh", "-c", "exec >&-; exec sleep 1000"],
            "closed its output",
        ),
    ] {
        let (code, report) = tested(&[limits, command].concat());
        assert_eq!(code, Some(1), "{report:#}");
        let message = report["checks"][0]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        assert_eq!(outcome(&report, "pong"), "skipped");
    }
    let (code, _) = tested(&["ecko"]);
    assert_eq!(code, Some(3));
    let (code, _) = tested(&["word-count"]);
    assert_eq!(code, Some(2));
}

/// An agent that does all else right reports less than nothing once it is ready.
const OVERDRAWN: &str = r#"
"$1" sample-agent echo | sed -u 's/.*"type":"ready".*/&\n{"type":"usage","cost_usd":-0.5}/'
"#;

#[test]
fn a_figure_that_counts_for_nothing_is_a_fault_that_its_author_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let script = write_file(folder.path(), "overdrawn.sh", OVERDRAWN.as_bytes());
    let program = binary();
    let (code, report) = tested(&[
        "--",
        "sh",
        script.to_str().unwrap(),
        program.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(1), "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["outcome"] == "failed");
    assert_eq!(failed.count(), 1, "{report:#}");
    assert_eq!(outcome(&report, "output"), "failed");
    let why = checks[10]["message"].as_str().unwrap();
    assert!(why.contains("cost_usd is -0.5"), "{why}");
}
