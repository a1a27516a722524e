//! What it costs to look at the processes of agents: `/proc` read for each of 200 real children, as a
//! probe of the daemon does. Prints the time a look takes, and what share of a processor 1,000 agents
//! would cost at a look every ten and every thirty seconds.
//!
//! `cargo bench --bench looks` (seconds after the build).

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on ends; figures for people"
)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "reads one file of the library, of which it needs one function"
)]

#[path = "../src/actors/agent/proc.rs"]
mod proc;

use std::process::{Child, Command, Stdio};

const CHILDREN: usize = 200;
const ROUNDS: usize = 100;
const AGENTS: f64 = 1_000.0;

fn main() {
    let mut children: Vec<Child> = (0..CHILDREN).map(|_| sleeper()).collect();
    let pids: Vec<u32> = children.iter().map(Child::id).collect();
    let before = processor_time();
    for _ in 0..ROUNDS {
        for pid in &pids {
            assert!(proc::tree_usage(*pid).is_some());
        }
    }
    let spent = processor_time() - before;
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let look = spent / (ROUNDS * CHILDREN) as f64;
    println!(
        "a look at one of {CHILDREN} processes: {:.1} µs of a processor",
        look * 1e6
    );
    for every in [10.0, 30.0] {
        let share = look * AGENTS / every * 100.0;
        println!("1,000 agents, a look every {every} s: {share:.2} % of a processor");
    }
}

fn sleeper() -> Child {
    let mut sleep = Command::new("sleep");
    sleep.arg("1000").stdin(Stdio::null());
    sleep.spawn().unwrap()
}

/// What this process has had of processors, seconds; what others do meanwhile is not in it.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let nanos: f64 = stat.split(' ').next().unwrap().parse().unwrap();
    nanos / 1e9
}
