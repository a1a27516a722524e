//! How fast processes start and come back, beside the least that can be done, in one run;
//! `benches/README.md` explains the figures.
//!
//! `cargo bench --bench processes -- [start|kill|burst]…`; without a word, all.

#![expect(
    clippy::expect_used,
    reason = "a measurement ends where its ground does"
)]

mod bare;
mod fleet;
mod stamps;
mod still;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use fleet::Fleet;
use stamps::{Stamps, now, until_last};
use still::{until_childless, until_still};

const STARTED: usize = 200;
const START_ROUNDS: usize = 5;
/// Starts of ours to those of the bare loop.
const START_BAR: f64 = 1.5;
/// Touched memory that a `fork` would have to copy the tables of.
const HEAP: usize = 512 << 20;

const KILLS: usize = 200;
const KILL_ROUNDS: usize = 3;
/// From a kill to the first instruction of the next process, milliseconds: p50, p99.
const KILL_BAR: (f64, f64) = (1.5, 5.0);

const BURST: usize = 100;
const BURST_ROUNDS: usize = 5;
const BURSTS: usize = 4;
/// All of a burst are back, milliseconds.
const BURST_BAR: f64 = 100.0;

/// Processes at the ready as the daemon keeps them, and none.
const AT_THE_READY: usize = 64;

type Claim = fn(&Path, &Path) -> bool;
const CLAIMS: [(&str, Claim); 3] = [("start", start), ("kill", kills), ("burst", bursts)];

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let tools = tempfile::tempdir().expect("a directory");
    let program = stamps::program(tools.path());
    let mut kept = true;
    for (word, claim) in CLAIMS {
        if words.is_empty() || words.iter().any(|wanted| wanted == word) {
            let dir = tempfile::tempdir().expect("a directory");
            println!("== {word}");
            kept &= claim(dir.path(), &program);
        }
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a figure beside its bar; says whether it holds.
fn verdict(what: &str, figure: f64, bar: f64) -> bool {
    let word = if figure <= bar { "holds" } else { "MISSED" };
    println!("{what}: {figure:.2} (at most {bar}): {word}");
    figure <= bar
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn at(spans: &mut [Duration], percent: usize) -> f64 {
    spans.sort_unstable();
    milliseconds(spans[(spans.len() * percent / 100).min(spans.len() - 1)])
}

/// 200 processes, ours and the bare loop in turns, with little and with much memory in the parent.
fn start(dir: &Path, program: &Path) -> bool {
    let small = start_with(dir, program, "small");
    let heap = std::hint::black_box(vec![1_u8; HEAP]);
    let large = start_with(dir, program, "large");
    drop(heap);
    let small = verdict("200 starts to the bare loop, small", small, START_BAR);
    verdict(
        "200 starts to the bare loop, 512 MiB more",
        large,
        START_BAR,
    ) && small
}

fn start_with(dir: &Path, program: &Path, word: &str) -> f64 {
    let mut pairs = Vec::new();
    for round in 0..START_ROUNDS {
        let mut bare = Stamps::new(dir, &format!("{word}-bare-{round}"));
        let bare = bare::start(program, &mut bare, STARTED);
        let mut stamps = Stamps::new(dir, &format!("{word}-ours-{round}"));
        let path = stamps.path.clone();
        let count = u32::try_from(STARTED).unwrap_or(u32::MAX);
        let mut fleet = Fleet::new(dir, [program, &path], count, AT_THE_READY);
        let begun = now();
        fleet.go();
        let ours = until_last(begun, &stamps.take(STARTED));
        drop(fleet);
        until_childless();
        println!(
            "{word} round {round}: bare {:.1} ms, ours {:.1} ms",
            milliseconds(bare),
            milliseconds(ours)
        );
        pairs.push((bare, ours));
    }
    let middle = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut spans: Vec<_> = pairs.iter().map(pick).collect();
        at(&mut spans, 50)
    };
    middle(|pair| pair.1) / middle(|pair| pair.0)
}

/// One process after another is killed.
fn kills(dir: &Path, program: &Path) -> bool {
    let (mut ours, mut plain, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..KILL_ROUNDS {
        let mut stamps = Stamps::new(dir, &format!("kill-bare-{round}"));
        bare.extend(bare::kills(program, &mut stamps, KILLS));
        ours.extend(killed(
            dir,
            program,
            &format!("ready-{round}"),
            AT_THE_READY,
        ));
        plain.extend(killed(dir, program, &format!("plain-{round}"), 0));
    }
    for (what, spans) in [
        ("bare wait and posix_spawn", &mut bare),
        ("without spares", &mut plain),
    ] {
        println!(
            "{what}: p50 {:.2} ms, p99 {:.2} ms",
            at(spans, 50),
            at(spans, 99)
        );
    }
    let p50 = verdict(
        "kill to first instruction, p50 ms",
        at(&mut ours, 50),
        KILL_BAR.0,
    );
    verdict(
        "kill to first instruction, p99 ms",
        at(&mut ours, 99),
        KILL_BAR.1,
    ) && p50
}

fn killed(dir: &Path, program: &Path, name: &str, spares: usize) -> Vec<Duration> {
    let mut stamps = Stamps::new(dir, name);
    let path = stamps.path.clone();
    let mut fleet = Fleet::new(dir, [program, &path], 1, spares);
    fleet.go();
    let mut alive = stamps.next();
    (0..KILLS)
        .map(|_| {
            until_still();
            let begun = now();
            kill(alive.pid);
            alive = stamps.next();
            Duration::from_nanos(alive.at.saturating_sub(begun))
        })
        .collect()
}

/// A hundred are killed at once.
fn bursts(dir: &Path, program: &Path) -> bool {
    let (mut with, mut without, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..BURST_ROUNDS {
        let mut stamps = Stamps::new(dir, &format!("bare-{round}"));
        bare.push(bare::start(program, &mut stamps, BURST));
        let name = |word: &str| format!("{word}-{round}");
        with.extend(burst(dir, program, &name("ready"), AT_THE_READY));
        without.extend(burst(dir, program, &name("plain"), 0));
    }
    println!(
        "100 starts by a bare posix_spawn loop: p50 {:.1} ms",
        at(&mut bare, 50)
    );
    println!(
        "without spares: p50 {:.1} ms, worst {:.1} ms",
        at(&mut without, 50),
        at(&mut without, 100)
    );
    println!("with spares: worst {:.1} ms", at(&mut with, 100));
    verdict(
        "100 killed at once, all back, p50 ms",
        at(&mut with, 50),
        BURST_BAR,
    )
}

fn burst(dir: &Path, program: &Path, name: &str, spares: usize) -> Vec<Duration> {
    let mut stamps = Stamps::new(dir, &format!("burst-{name}"));
    let path = stamps.path.clone();
    let count = u32::try_from(BURST).unwrap_or(u32::MAX);
    let mut fleet = Fleet::new(dir, [program, &path], count, spares);
    fleet.go();
    let mut alive = stamps.take(BURST);
    (0..BURSTS)
        .map(|_| {
            until_still();
            let begun = now();
            alive.iter().for_each(|stamp| kill(stamp.pid));
            alive = stamps.take(BURST);
            until_last(begun, &alive)
        })
        .collect()
}
