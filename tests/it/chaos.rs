//! Chaos in earnest: a real daemon with real processes and threads, in real time, for a few seeds.
//!
//! Not here: every law after every step, see the supervisor's own chaos, whose time is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::daemon::{Daemon, eventually, is_running, start_ticks, write_file};

const STEPS: usize = 30;

const NAMES: [&str; 4] = ["lone", "first", "second", "stubborn"];

fn fleet(mule: &str) -> String {
    format!(
        r#"
        [supervisor]
        intensity = "unlimited"
        [groups.pair]
        strategy = "rest_for_one"
        intensity = "unlimited"
        [agents.lone]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
        replicas = 2
        restart = {{ max_backoff = "200ms", min_backoff = "50ms" }}
        [agents.first]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
        group = "pair"
        restart = {{ max_backoff = "200ms", min_backoff = "50ms" }}
        [agents.second]
        kind = "process"
        command = ["agent-system", "sample-agent", "sum"]
        group = "pair"
        restart = {{ max_backoff = "200ms", min_backoff = "50ms" }}
        [agents.stubborn]
        kind = "process"
        protocol = "none"
        command = ["sh", "{mule}"]
        stop = {{ drain_timeout = "50ms", timeout = "200ms" }}
        restart = {{ max_backoff = "200ms", min_backoff = "50ms" }}
        "#
    )
}

/// A process, by its number and when it began: numbers are used again.
type Process = (u32, u64);

fn runs(process: &Process) -> bool {
    is_running(process.0) && start_ticks(process.0) == Some(process.1)
}

/// What an operator asked for, and every process that was ever seen.
struct Storm {
    seed: u64,
    chance: StdRng,
    daemon: Daemon,
    stopped: BTreeSet<&'static str>,
    seen: BTreeMap<Process, String>,
    generations: BTreeMap<String, u64>,
    lives: BTreeMap<(String, u64), u32>,
}

impl Storm {
    fn agents(&mut self) -> Vec<Value> {
        let (status, body) = self.daemon.get("/api/v1/agents");
        assert_eq!(status, 200, "seed {}: {body}", self.seed);
        let page: Value = serde_json::from_str(&body).unwrap();
        let agents = page["items"].as_array().unwrap().clone();
        self.look_at(&agents);
        agents
    }

    /// No process serves two replicas, no generation falls, and none is used twice.
    fn look_at(&mut self, agents: &[Value]) {
        for agent in agents {
            for instance in agent["instances"].as_array().unwrap() {
                let name = format!("{}#{}", agent["name"], instance["index"]);
                let generation = instance["generation"].as_u64().unwrap();
                let before = self.generations.insert(name.clone(), generation);
                assert!(
                    before <= Some(generation),
                    "seed {}: {name} fell",
                    self.seed
                );
                if let Some(pid) = instance["pid"].as_u64() {
                    let pid = u32::try_from(pid).unwrap();
                    // One that has ended since is told apart from nobody.
                    if let Some(began) = start_ticks(pid) {
                        let other = self.seen.insert((pid, began), name.clone());
                        let same = other.is_none_or(|other| other == name);
                        assert!(same, "seed {}: {pid} is {name} too", self.seed);
                    }
                    let other = self.lives.insert((name.clone(), generation), pid);
                    let once = other.is_none_or(|other| other == pid);
                    assert!(once, "seed {}: {name} uses {generation} again", self.seed);
                }
            }
        }
    }

    fn order(&mut self, name: &str, verb: &str, body: &str) {
        let (status, said) = self
            .daemon
            .post(&format!("/api/v1/agents/{name}:{verb}"), body);
        assert_eq!(status, 200, "seed {}: {verb} {name}: {said}", self.seed);
    }

    fn step(&mut self) {
        let name = NAMES[self.chance.random_range(0..NAMES.len())];
        match self.chance.random_range(0..20) {
            0..10 => self.kill(name),
            10..13 => {
                self.order(name, "stop", "");
                self.stopped.insert(name);
            }
            13..16 => {
                self.order(name, "start", "");
                self.stopped.remove(name);
            }
            16 => {
                self.order(name, "restart", "");
                self.stopped.remove(name);
            }
            17..19 => {
                let replicas = self.chance.random_range(1..4);
                self.order(name, "scale", &format!("{{\"replicas\":{replicas}}}"));
            }
            _ => self.daemon.crash_and_start_again(),
        }
        self.stopped_stand_still();
    }

    /// One process of an agent is killed from outside, if it has any.
    fn kill(&mut self, name: &str) {
        let agents = self.agents();
        let agent = agents.iter().find(|agent| agent["name"] == name).unwrap();
        let pids = agent["instances"].as_array().unwrap().iter();
        let pid = pids.filter_map(|it| it["pid"].as_u64()).next();
        if let Some(pid) = pid.map(|pid| u32::try_from(pid).unwrap()) {
            // It may have ended by itself in between; then there is nothing to kill.
            let mut kill = Command::new("kill");
            kill.arg("-KILL").arg(pid.to_string()).stderr(Stdio::null());
            kill.status().unwrap();
        }
    }

    fn stopped_stand_still(&mut self) {
        for name in self.stopped.clone() {
            eventually("what was stopped stands still", || {
                let agents = self.agents();
                let agent = agents.iter().find(|agent| agent["name"] == name)?;
                let mut instances = agent["instances"].as_array()?.iter();
                instances
                    .all(|it| it["state"] == "stopped" && it["pid"].is_null())
                    .then_some(())
            });
        }
    }

    /// When nothing happens any more, everybody stands, and nobody else lives.
    fn calms_down(&mut self) {
        for name in NAMES {
            self.order(name, "start", "");
            self.order(name, "scale", "{\"replicas\":2}");
        }
        let living = eventually("everybody stands", || {
            let agents = self.agents();
            let stand = agents
                .iter()
                .all(|agent| agent["replicas"]["ready"] == 2 && agent["state"] == "ready");
            let instances = agents
                .iter()
                .flat_map(|it| it["instances"].as_array().unwrap());
            let pids: BTreeSet<u64> = instances.filter_map(|it| it["pid"].as_u64()).collect();
            (stand && pids.len() == 2 * NAMES.len()).then_some(pids)
        });
        let seen = self.seen.clone();
        eventually("nobody else lives", || {
            let mut others = seen
                .keys()
                .filter(|process| !living.contains(&u64::from(process.0)));
            others.all(|process| !runs(process)).then_some(())
        });
    }
}

#[test]
fn real_processes_and_threads_come_through_a_storm_with_nothing_lost_and_nothing_left() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mule = b"trap '' TERM\nwhile :; do sleep 0.2; done\n";
        let mule = write_file(folder.path(), "mule.sh", mule);
        let mut storm = Storm {
            seed,
            chance: StdRng::seed_from_u64(seed),
            daemon: Daemon::configured(&fleet(mule.to_str().unwrap())),
            stopped: BTreeSet::new(),
            seen: BTreeMap::new(),
            generations: BTreeMap::new(),
            lives: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            storm.step();
        }
        storm.calms_down();
        storm.daemon.signal("TERM");
        let code = storm.daemon.wait();
        // The mule has to be killed.
        assert!(matches!(code, Some(0 | 75)), "seed {seed}: {code:?}");
        assert!(
            storm.seen.keys().all(|process| !runs(process)),
            "seed {seed}"
        );
    }
}
