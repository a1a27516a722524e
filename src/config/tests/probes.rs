//! Probes and remote services as settings name them.

use super::{load, refused};
use crate::config::Environment;
use crate::domain::agent::AgentProgram;
use crate::domain::probe::ProbeHow;

fn agent(kind: &str, lines: &str) -> crate::domain::agent::AgentSpec {
    let text = format!("[agents.a]\n{kind}\n{lines}");
    let config = load(Environment::Development, &text).unwrap();
    config.agents()[0].clone()
}

const PROCESS: &str = "kind = 'process'\ncommand = ['x']";

#[test]
fn a_probe_asks_by_the_one_means_that_is_named() {
    let probes = agent(
        PROCESS,
        "probes.startup = { tcp = 'localhost:1' }
         probes.liveness = { http = 'http://localhost:900{index}/live' }
         probes.readiness = { exec = ['check'], success_threshold = 4 }",
    );
    assert_eq!(probes.liveness.failure_threshold, 0);
    let probes = probes.probes;
    assert_eq!(
        probes.startup.unwrap().how,
        ProbeHow::Tcp("localhost:1".into())
    );
    let liveness = probes.liveness.unwrap();
    assert_eq!(
        liveness.how.for_replica(1),
        ProbeHow::Http("http://localhost:9001/live".into())
    );
    let readiness = probes.readiness.unwrap();
    assert_eq!(readiness.how, ProbeHow::Exec(vec!["check".into()]));
    assert_eq!(
        (readiness.failure_threshold, readiness.success_threshold),
        (3, 4)
    );
    assert!(!probes.remote);
}

#[test]
fn a_process_is_pinged_by_its_protocol_and_a_silent_one_only_looked_at() {
    let spoken = agent(PROCESS, "");
    assert!(spoken.liveness.enabled && spoken.liveness.failure_threshold == 3);
    assert!(spoken.probes.is_empty());
    let silent = agent(PROCESS, "protocol = 'none'");
    assert!(silent.liveness.enabled && silent.liveness.failure_threshold == 0);
    assert!(silent.probes.is_empty());
}

#[test]
fn a_remote_service_is_asked_by_its_health_route_unless_something_else_is_named() {
    let own = agent(
        "kind = 'http'\nurl = 'http://h:1/run?k=v'\nheaders.set = { X-Team = 'a' }",
        "",
    );
    let AgentProgram::Http(spec) = &own.runs else {
        panic!("{own:?}")
    };
    assert_eq!(spec.headers.set["X-Team"], "a");
    let health = ProbeHow::Answers("http://h:1/run/health?k=v".into());
    assert!(own.probes.remote);
    assert_eq!(own.probes.startup.unwrap().how, health);
    assert_eq!(own.probes.liveness.unwrap().how, health);
    assert!(own.probes.readiness.is_none());
    let named = agent(
        "kind = 'http'\nurl = 'http://h-{index}:1/run'",
        "probes.liveness = { tcp = 'h:2' }",
    );
    assert_eq!(
        named.probes.liveness.unwrap().how,
        ProbeHow::Tcp("h:2".into())
    );
    let started = named.probes.startup.unwrap().how;
    assert_eq!(
        started,
        ProbeHow::Answers("http://h-{index}:1/run/health".into())
    );
}

const REMOTE: &str = "kind = 'http'\nurl = 'http://h'";

fn impossible() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let several = "probes.readiness = { tcp = 'h:1', exec = ['x'] }";
    let both = "probes.liveness = { protocol = true, tcp = 'h:1' }";
    let mute = "protocol = 'none'\nprobes.readiness = { protocol = true }";
    let login = "kind = 'http'\nurl = 'http://u:p@h'";
    vec![
        (PROCESS, several, "probes.readiness", "choose one"),
        (PROCESS, both, "probes.liveness", "choose one"),
        (
            PROCESS,
            "probes.readiness = { period = '1s' }",
            "probes.readiness",
            "name one of",
        ),
        (
            PROCESS,
            "probes.liveness = { tcp = 'h' }",
            "probes.liveness.tcp",
            "HOST:PORT",
        ),
        (
            PROCESS,
            "probes.liveness = { http = 'ftp://h' }",
            "probes.liveness.http",
            "http://",
        ),
        (
            PROCESS,
            "probes.liveness = { exec = [] }",
            "probes.liveness.exec",
            "name a program",
        ),
        (
            PROCESS,
            mute,
            "probes.readiness.protocol",
            "nothing to ask by",
        ),
        (
            PROCESS,
            "headers.set = { A = 'b' }",
            "headers",
            "kind \"http\"",
        ),
        ("kind = 'http'", "", "url", "missing"),
        (login, "", "url", "headers"),
        (REMOTE, "settings = { a = 1 }", "settings", "not greeted"),
        (
            REMOTE,
            "headers.set = { Host = 'b' }",
            "headers.set",
            "daemon itself",
        ),
        (
            REMOTE,
            "headers.set = { 'a b' = 'b' }",
            "headers.set",
            "no name",
        ),
    ]
}

#[test]
fn probes_and_remote_services_that_cannot_be_are_refused_by_key() {
    for (kind, lines, key, part) in impossible() {
        let lines = refused(&format!("[agents.a]\n{kind}\n{lines}"));
        let key = format!("agents.a.{key}");
        let named = lines
            .iter()
            .any(|line| line.starts_with(&key) && line.contains(part));
        assert!(named, "{key}: {part}: {lines:?}");
    }
}
