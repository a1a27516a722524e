//! What gives up is seen: in state, readiness, event, metric and log, and by the daemon's exit code.

use std::path::Path;

use serde_json::Value;

use crate::daemon::{Daemon, eventually};

/// Rules under which the second death inside a minute is too many, and a rest is short.
const RULES: &str = "
    intensity = { max = 1, within = '60s' }
    quarantine = { min = '1s', max = '20s' }
";

/// An agent that lives until a file is there, and from then on dies at once.
fn mortal(name: &str, file: &Path, more: &str) -> String {
    let file = file.display();
    format!(
        "
        [agents.{name}]
        kind = 'process'
        protocol = 'none'
        command = ['sh', '-c', 'while [ ! -e {file} ]; do sleep 0.02; done; exit 3']
        restart = {{ min_backoff = '10ms', max_backoff = '50ms' }}
        {more}
        "
    )
}

/// Nobody but the supervisor brings agents back.
const NO_HEALER: &str = "
    [recovery.actions.restart-agent]
    mode = 'observe'
";

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("die")
    }

    fn begin(&self) {
        std::fs::write(self.file(), b"").unwrap();
    }

    fn end(&self) {
        std::fs::remove_file(self.file()).unwrap();
    }
}

fn agent(daemon: &Daemon, name: &str) -> Value {
    daemon.json(&["agents", "get", name])
}

fn is_in(daemon: &Daemon, name: &str, state: &str) -> bool {
    agent(daemon, name)["state"] == state
}

/// The events of a type about a subject, oldest first.
fn events(daemon: &Daemon, kind: &str, subject: &str) -> Vec<Value> {
    let mut found = daemon.events(kind);
    found.retain(|event| event["subject"] == subject);
    found
}

#[test]
fn a_quarantine_is_seen_everywhere_is_tried_half_open_and_rests_longer_each_time() {
    let scene = Scene::new();
    let flaky = mortal("flaky", &scene.file(), "critical = true");
    let daemon = Daemon::configured(&format!(
        "[supervisor]\ncritical_grace = '1h'{RULES}{NO_HEALER}{flaky}"
    ));
    scene.begin();
    eventually("it rests", || {
        is_in(&daemon, "flaky", "quarantined").then_some(())
    });
    eventually("the daemon is not ready", || {
        let (status, said) = daemon.get("/readyz");
        (status == 503 && said.contains("flaky")).then_some(())
    });
    // Each trial fails and is followed by a longer rest.
    let told = eventually("a second rest", || {
        let told = events(&daemon, "agent.quarantined", "flaky#0");
        (told.len() >= 2).then_some(told)
    });
    let rests: Vec<u64> = told
        .iter()
        .map(|it| it["data"]["rest_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(rests[..2], [1_000, 2_000]);
    let whys: Vec<&str> = told
        .iter()
        .map(|it| it["data"]["why"].as_str().unwrap())
        .collect();
    assert!(whys[1].contains("trial"), "{whys:?}");
    eventually("the breaker is open", || {
        let restarts = &agent(&daemon, "flaky")["restarts"];
        (restarts["breaker"] == "open" && restarts["next_at"].is_string()).then_some(())
    });
    eventually("the metric", || {
        let page = daemon.metrics_page();
        let mut lines = page.lines();
        lines
            .any(|line| {
                line.starts_with("agent_system_agents{")
                    && line.contains("quarantined")
                    && line.ends_with(" 1")
            })
            .then_some(())
    });
    assert!(daemon.log().contains("agent quarantined"));
    scene.end();
    eventually("it is back by itself", || {
        is_in(&daemon, "flaky", "ready").then_some(())
    });
    eventually("the daemon is ready", || {
        (daemon.get("/readyz").0 == 200).then_some(())
    });
    assert_eq!(agent(&daemon, "flaky")["restarts"]["breaker"], "half_open");
}

#[test]
fn a_group_that_stops_itself_stays_down_and_says_so_until_an_operator_starts_it() {
    let scene = Scene::new();
    let flaky = mortal("flaky", &scene.file(), "group = 'pair'");
    let other = mortal("other", Path::new("/nonexistent"), "group = 'pair'");
    let group =
        format!("[groups.pair]\nstrategy = 'one_for_all'\non_exhausted = 'stop_group'\n{RULES}");
    let daemon = Daemon::configured(&format!("{group}{NO_HEALER}{other}{flaky}"));
    scene.begin();
    eventually("both have failed", || {
        let failed = ["flaky", "other"]
            .iter()
            .all(|name| is_in(&daemon, name, "failed"));
        failed.then_some(())
    });
    // The state is known before its row is stored.
    eventually("it is told once", || {
        let told = events(&daemon, "agent.failed", "other#0");
        assert!(told.len() <= 1, "{told:?}");
        (told.len() == 1).then_some(())
    });
    assert!(daemon.log().contains("group gave up"));
    eventually("the metric", || {
        let page = daemon.metrics_page();
        let failed = |line: &str| line.contains("state=\"failed\"") && line.ends_with(" 2");
        page.lines()
            .any(|line| line.starts_with("agent_system_agents{") && failed(line))
            .then_some(())
    });
    scene.end();
    for name in ["other", "flaky"] {
        daemon.ok(&["agents", "start", name]);
        eventually("it runs again", || {
            is_in(&daemon, name, "ready").then_some(())
        });
    }
}

#[test]
fn a_group_that_escalates_is_restarted_by_its_parent_and_the_next_time_too() {
    let scene = Scene::new();
    let inside = mortal("inside", &scene.file(), "group = 'inner'");
    let outside = mortal("outside", Path::new("/nonexistent"), "group = 'outer'");
    let groups = format!(
        "[groups.outer]\nstrategy = 'one_for_all'\nintensity = {{ max = 2, within = '60s' }}\nquarantine = {{ min = '20s', max = '20s' }}\n\
         [groups.inner]\nparent = 'outer'\non_exhausted = 'escalate'\n{RULES}"
    );
    let daemon = Daemon::configured(&format!("{groups}{NO_HEALER}{outside}{inside}"));
    let before = agent(&daemon, "outside")["generation"].as_u64().unwrap();
    scene.begin();
    // Twice the parent restarts everybody; the third time it gives up itself, as a whole.
    eventually("the parent rests", || {
        let rest = ["outside", "inside"]
            .iter()
            .all(|name| is_in(&daemon, name, "quarantined"));
        rest.then_some(())
    });
    // Facts are stored in batches, a moment after the state has changed.
    let told = eventually("three failures are told", || {
        let told = events(&daemon, "agent.failed", "@inner");
        (told.len() >= 3).then_some(told)
    });
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told.iter()
            .all(|event| event["data"]["escalated_to"] == "outer")
    );
    assert_eq!(agent(&daemon, "outside")["generation"], before + 2);
}

#[test]
fn the_daemon_ends_with_70_when_a_critical_agent_is_lost_for_its_grace_or_its_rules_say_so() {
    for (rules, more) in [
        ("critical_grace = '500ms'\n", "critical = true"),
        ("on_exhausted = 'exit'\n", ""),
        ("on_exhausted = 'escalate'\n", ""),
    ] {
        let scene = Scene::new();
        let flaky = mortal("flaky", &scene.file(), more);
        let rests = RULES.replace("'1s'", "'10s'");
        let mut daemon =
            Daemon::configured(&format!("[supervisor]\n{rules}{rests}{NO_HEALER}{flaky}"));
        scene.begin();
        assert_eq!(daemon.wait(), Some(70), "{rules}: {}", daemon.log());
        assert!(
            daemon.log().contains("giving up"),
            "{rules}: {}",
            daemon.log()
        );
    }
}

#[test]
fn what_has_given_up_is_never_shown_as_healthy_neither_in_the_list_nor_in_the_report() {
    let scene = Scene::new();
    let alone = mortal("alone", &scene.file(), "");
    let flaky = mortal("flaky", &scene.file(), "group = 'pair'");
    let other = mortal("other", Path::new("/nonexistent"), "group = 'pair'");
    let group =
        format!("[groups.pair]\nstrategy = 'one_for_all'\non_exhausted = 'stop_group'\n{RULES}");
    let rests = RULES.replace("'1s'", "'20s'");
    let daemon = Daemon::configured(&format!(
        "[supervisor]{rests}{group}{NO_HEALER}{alone}{other}{flaky}"
    ));
    let wanted = [
        ("alone", "quarantined"),
        ("flaky", "failed"),
        ("other", "failed"),
    ];
    eventually("all are shown as healthy", || {
        let health = |name: &str| agent(&daemon, name)["health"]["status"].clone();
        wanted
            .iter()
            .all(|(name, _)| health(name) == "healthy")
            .then_some(())
    });
    scene.begin();
    eventually("all have given up", || {
        let (_, list) = daemon.get("/api/v1/agents");
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut given_up = 0;
        for agent in list["items"].as_array().unwrap() {
            let (state, level) = (&agent["state"], &agent["health"]["status"]);
            if state == "quarantined" || state == "failed" {
                assert_eq!(level, "critical", "{agent}");
                given_up += 1;
            } else if state == "backoff" {
                assert_ne!(level, "healthy", "{agent}");
            }
        }
        (given_up == wanted.len()).then_some(())
    });
    // The next round is 30 s away.
    eventually("the report says so too", || {
        let (status, report) = daemon.get("/health");
        let report: Value = serde_json::from_str(&report).unwrap();
        let level = |name: &str| {
            let name = format!("agent.{name}");
            let checks = report["checks"].as_array()?;
            let check = checks.iter().find(|check| check["name"] == name)?;
            Some(check["status"].clone())
        };
        let all = wanted
            .iter()
            .all(|(name, _)| level(name).is_some_and(|level| level == "critical"));
        (all && status == 503).then_some(())
    });
}
