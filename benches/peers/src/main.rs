//! The same scenarios with agent-system, OTP, kameo, ractor and what they stand on, in turns.
//!
//! Without arguments: runs every scenario in a process of its own for each system, a few rounds of
//! all of them one after the other, and prints the medians as a table; with `ROUNDS SCENARIO…` only
//! those. With `alone SCENARIO SYSTEM`: runs that one here and prints its figures, a `name value` a
//! line.

mod bare;
mod kameo_side;
mod lives;
mod ours;
mod ractor_side;
mod table;

use std::process::{Command, ExitCode};

/// What is measured: its name, its figures, and who takes part.
struct Scenario {
    name: &'static str,
    figures: &'static [&'static str],
    systems: &'static [&'static str],
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "burst",
        figures: &["ms", "bytes"],
        systems: &[
            "bare-tokio",
            "ours",
            "ours-pool",
            "kameo",
            "kameo-threads",
            "ractor",
            "ractor-threads",
            "otp-tree",
        ],
    },
    Scenario {
        name: "burst-10k",
        figures: &["ms"],
        systems: &[
            "bare-tokio",
            "ours",
            "ours-pool",
            "kameo",
            "ractor",
            "otp-flat",
        ],
    },
    Scenario {
        name: "one-for-all",
        figures: &["ms"],
        systems: &["ours", "ours-pool", "kameo", "kameo-threads", "otp-flat"],
    },
    Scenario {
        name: "restart",
        figures: &["p50_us", "p99_us"],
        systems: &[
            "bare-tokio",
            "ours",
            "ours-pool",
            "kameo",
            "ractor",
            "otp-flat",
        ],
    },
    Scenario {
        name: "tell",
        figures: &["per_s"],
        systems: &["bare-actix", "ours", "kameo", "ractor", "otp-flat"],
    },
    Scenario {
        name: "ask",
        figures: &["per_s"],
        systems: &["bare-actix", "ours", "kameo", "ractor", "otp-flat"],
    },
    Scenario {
        name: "ask-64",
        figures: &["per_s"],
        systems: &["bare-actix", "ours", "kameo", "ractor", "otp-flat"],
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.as_slice() {
        [word, scenario, system] if word == "alone" => {
            std::panic::set_hook(Box::new(|_| {}));
            run_here(scenario, system)
        }
        [rounds, only @ ..] => {
            let rounds = rounds.parse().expect("a number of rounds");
            run_all(rounds, only.iter().map(String::as_str).collect())
        }
        [] => run_all(5, Vec::new()),
    }
}

fn run_here(scenario: &str, system: &str) -> ExitCode {
    let figures = match system {
        "bare-tokio" | "bare-actix" => bare::run(scenario),
        "ours" => ours::run(scenario, 0),
        "ours-pool" => ours::run(scenario, 2),
        "kameo" => kameo_side::run(scenario, false),
        "kameo-threads" => kameo_side::run(scenario, true),
        "ractor" => ractor_side::run(scenario, false),
        "ractor-threads" => ractor_side::run(scenario, true),
        _ => Vec::new(),
    };
    for (name, value) in &figures {
        println!("{name} {value:.3}");
    }
    // Nothing is torn down: what a hundred thousand actors take to go is not measured.
    std::process::exit(i32::from(figures.is_empty()))
}

fn run_all(rounds: usize, names: Vec<&str>) -> ExitCode {
    let beams = std::env::var("OTP_BEAMS").ok();
    let wanted = |s: &&Scenario| names.is_empty() || names.contains(&s.name);
    for scenario in SCENARIOS.iter().filter(wanted) {
        let mut rows = table::Table::new(scenario.figures);
        for _ in 0..rounds {
            for system in scenario.systems {
                match (&beams, system.strip_prefix("otp-")) {
                    (None, Some(_)) => {}
                    (Some(beams), Some(shape)) => {
                        rows.add(system, otp(beams, scenario.name, shape))
                    }
                    (_, None) => rows.add(system, alone(scenario.name, system)),
                }
            }
        }
        println!("\n{} (medians of {rounds} rounds in turns)", scenario.name);
        rows.print();
    }
    ExitCode::SUCCESS
}

fn alone(scenario: &str, system: &str) -> String {
    let me = std::env::current_exe().expect("the path of this program");
    said(Command::new(me).args(["alone", scenario, system]))
}

/// One scheduler where the others have one thread, two where they have two.
fn otp(beams: &str, scenario: &str, shape: &str) -> String {
    let schedulers = match scenario {
        "burst" | "burst-10k" | "one-for-all" => "2:2",
        _ => "1:1",
    };
    let run = ["-noshell", "-pa", beams, "-run", "bench", "main"];
    said(
        Command::new("erl")
            .args(["+P", "1000000", "+S", schedulers])
            .args(run)
            .args([scenario, shape]),
    )
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("a program that starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
