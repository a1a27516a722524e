//! How fast durable work is, claim by claim; `benches/README.md` explains the figures.
//!
//! `cargo bench --bench throughput -- [rate|http|slow|idle|claim|memory]…`; without a word, all.
//!
//! Each claim runs the real binary (`agent-system bench`) and prints figure and bar; where the disk
//! or the processor decides, a raw `rusqlite` loop in the same run says what they give.

#![expect(
    clippy::expect_used,
    reason = "a measurement ends where its ground does"
)]

mod claims;
#[path = "../common/raw.rs"]
mod common;
mod raw;

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

/// What the house is held to.
const RATE_BAR: f64 = 30_000.0;
const HTTP_BAR: f64 = 8_000.0;
const SLOW_BAR: f64 = 8_000.0;
/// Commits from a submission to its agent, p50 and p99.
const COMMITS_BAR: (f64, f64) = (2.0, 3.0);
/// Milliseconds from a submission to its agent on an idle system: through the library, over HTTP.
const IDLE_BAR: (f64, f64) = (0.5, 1.0);
/// Resident memory after a million tasks to that after the first tenth.
const MEMORY_BAR: f64 = 1.15;
/// What one fsync is slower by in the claim about slow disks.
const SLOW_FSYNC_US: &str = "2000";
/// Tasks of one run of the raw loop.
const RAW_TASKS: u64 = 50_000;

type Claim = fn(&Path) -> bool;
const CLAIMS: [(&str, Claim); 6] = [
    ("rate", rate),
    ("http", http),
    ("slow", slow),
    ("idle", idle),
    ("claim", claims::run),
    ("memory", memory),
];

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let mut kept = true;
    for (word, claim) in CLAIMS {
        if words.is_empty() || words.iter().any(|wanted| wanted == word) {
            let dir = tempfile::tempdir().expect("a directory");
            println!("== {word}");
            kept &= claim(dir.path());
        }
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a figure beside its bar; says whether it holds.
fn verdict(what: &str, figure: f64, bar: f64, holds: bool) -> bool {
    let word = if holds { "holds" } else { "MISSED" };
    println!("{what}: {figure:.3} (bar {bar}): {word}");
    holds
}

/// Runs `agent-system bench` and gives its report.
fn bench(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_agent-system"))
        .args(["bench", "--output", "json", "--data-dir"])
        .arg(dir.join("house"))
        .args(arguments)
        .env_remove("AGENT_SYSTEM_URL")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it failed: {errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    println!(
        "settled tasks in the database, opened again: {} of {}",
        report["settled_when_reopened"], report["submitted"]
    );
    assert_eq!(
        report["settled_when_reopened"], report["submitted"],
        "a task is missing"
    );
    report
}

fn figure(report: &Value, measurement: usize, key: &str) -> f64 {
    report["measurements"][measurement][key]
        .as_f64()
        .unwrap_or(f64::NAN)
}

fn told(report: &Value, measurement: usize) {
    let of = |key| figure(report, measurement, key);
    println!(
        "{}: {:.0} tasks/s, result p50 {:.3} ms, p99 {:.3} ms, {:.1} µs of processor a task, {} commits",
        report["measurements"][measurement]["name"]
            .as_str()
            .unwrap_or_default(),
        of("tasks_per_second"),
        of("p50_ms"),
        of("p99_ms"),
        of("cpu_us_per_task"),
        of("commits"),
    );
}

/// Through the library and an actor agent, 100,000 finished tasks in the table.
fn rate(dir: &Path) -> bool {
    let raw = raw::Raw::open(&dir.join("raw.db"));
    let before = raw.run(RAW_TASKS);
    let report = bench(
        dir,
        &[
            "--only",
            "library",
            "--finished",
            "100000",
            "--tasks",
            "200000",
        ],
        &[],
    );
    let after = raw.run(RAW_TASKS);
    told(&report, 0);
    let (rate, least) = (
        figure(&report, 0, "tasks_per_second"),
        before.midpoint(after),
    );
    println!(
        "raw loop, one thread, before and after: {before:.0} and {after:.0} tasks/s; ratio {:.2}",
        rate / least
    );
    verdict(
        "tasks/s through the library, 100 callers",
        rate,
        RATE_BAR,
        rate >= RATE_BAR,
    )
}

/// Over HTTP and a process agent.
fn http(dir: &Path) -> bool {
    let raw = raw::Raw::open(&dir.join("raw.db"));
    let before = raw.run(RAW_TASKS);
    let report = bench(dir, &["--only", "http", "--tasks", "100000"], &[]);
    let after = raw.run(RAW_TASKS);
    told(&report, 0);
    let rate = figure(&report, 0, "tasks_per_second");
    println!(
        "raw loop, one thread, before and after: {before:.0} and {after:.0} tasks/s; ratio {:.2}",
        rate / before.midpoint(after)
    );
    verdict(
        "tasks/s over HTTP, 100 connections",
        rate,
        HTTP_BAR,
        rate >= HTTP_BAR,
    )
}

/// With every fsync 2 ms slower.
fn slow(dir: &Path) -> bool {
    let shim = dir.join("slow_fsync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/throughput/slow_fsync.c");
    let built = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(source)
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(built.success(), "the shim does not compile");
    let shim = shim.to_string_lossy().into_owned();
    let variables = [
        ("LD_PRELOAD", shim.as_str()),
        ("SLOW_FSYNC_US", SLOW_FSYNC_US),
    ];
    let report = bench(dir, &["--only", "library", "--tasks", "100000"], &variables);
    told(&report, 0);
    let of = |key| figure(&report, 0, key);
    println!(
        "mean commit {:.2} ms; to the agent p50 {:.2} ms, p99 {:.2} ms",
        of("seconds") * 1e3 / of("commits"),
        of("handed_p50_ms"),
        of("handed_p99_ms")
    );
    let (p50, p99) = (of("handed_p50_commits"), of("handed_p99_commits"));
    let rate = of("tasks_per_second");
    let mut kept = verdict(
        "tasks/s, every fsync 2 ms slower",
        rate,
        SLOW_BAR,
        rate >= SLOW_BAR,
    );
    kept &= verdict(
        "to the agent, commits, p50",
        p50,
        COMMITS_BAR.0,
        p50 <= COMMITS_BAR.0,
    );
    kept & verdict(
        "to the agent, commits, p99",
        p99,
        COMMITS_BAR.1,
        p99 <= COMMITS_BAR.1,
    )
}

/// One task at a time.
fn idle(dir: &Path) -> bool {
    let report = bench(dir, &["--only", "idle", "--idle-tasks", "3000"], &[]);
    told(&report, 0);
    told(&report, 1);
    let (library, http) = (
        figure(&report, 0, "handed_p50_ms"),
        figure(&report, 1, "handed_p50_ms"),
    );
    let kept = verdict(
        "idle, library, to the agent p50, ms",
        library,
        IDLE_BAR.0,
        library <= IDLE_BAR.0,
    );
    kept & verdict(
        "idle, HTTP, to the agent p50, ms",
        http,
        IDLE_BAR.1,
        http <= IDLE_BAR.1,
    )
}

/// A million tasks.
fn memory(dir: &Path) -> bool {
    let report = bench(dir, &["--only", "library", "--tasks", "1000000"], &[]);
    told(&report, 0);
    let samples = report["measurements"][0]["resident_mib"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let samples: Vec<f64> = samples.iter().filter_map(Value::as_f64).collect();
    println!("resident MiB, each 100,000 tasks: {samples:.1?}");
    let (first, last) = (
        samples.first().copied().unwrap_or(f64::NAN),
        samples.last().copied().unwrap_or(f64::NAN),
    );
    verdict(
        "resident memory, last to first sample",
        last / first,
        MEMORY_BAR,
        last / first <= MEMORY_BAR,
    )
}
