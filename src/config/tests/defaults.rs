//! The embedded files: whole, documented, and in step with the tables of keys.

use super::*;
use crate::config::kind::{Key, Kind};
use crate::config::layers::DEFAULTS;
use crate::config::tree::{Node, Table, at, join};
use crate::config::{keys, parse};
use crate::domain::agent::AgentKind;
use crate::domain::health::HealthSettings;
use crate::domain::recovery::RecoverySpec;

fn parsed(text: &str) -> Table {
    let mut problems = Vec::new();
    let source = |line| Source::Embedded { file: "t", line };
    let table = parse::table(text, &source, &mut problems);
    assert_eq!(problems, []);
    table
}

/// The part of `default.toml` that shows what is declared by name.
fn shown_by_name() -> String {
    let lines = DEFAULTS
        .1
        .lines()
        .filter_map(|line| line.strip_prefix("#:"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn development_needs_nothing_and_warns_of_nothing() {
    let config = Config::load(request(&[])).unwrap();
    assert_eq!(config.environment(), Environment::Development);
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(config.database().path, Path::new("./data/agent-system.db"));
    assert_eq!(config.logging().level, LogLevel::Debug);
    assert_eq!(config.server().host.to_string(), "127.0.0.1");
    assert_eq!(
        (config.server().port, config.monitoring().metrics_port),
        (5000, 8000)
    );
    assert!(config.server().debug);
    let kinds: Vec<_> = config
        .agents()
        .values()
        .map(|agent| agent.runs.kind())
        .collect();
    assert!(kinds.contains(&AgentKind::Actor) && kinds.contains(&AgentKind::Process));
}

#[test]
fn the_defaults_are_those_of_the_rooms_that_use_them() {
    let config = Config::load(request(&[])).unwrap();
    assert_eq!(config.monitoring().health, HealthSettings::default());
    let mut actions = config.recovery().actions.clone();
    let mut theirs = RecoverySpec::default().actions;
    actions.sort_by(|a, b| a.name.cmp(&b.name));
    theirs.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(actions, theirs);
}

#[test]
fn every_key_of_an_embedded_file_has_a_comment_above_it() {
    let embedded = Environment::ALL.map(Environment::embedded);
    for (file, text) in embedded.into_iter().chain([DEFAULTS]) {
        let mut above = "";
        for (at, line) in text.lines().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            assert!(
                !is_key || above.starts_with("# "),
                "{file}:{}: {line}",
                at + 1
            );
            above = line;
        }
    }
}

#[test]
fn every_fixed_key_stands_in_the_default_file() {
    fn look(keys: &[Key], path: &str, tree: &Table) {
        for key in keys {
            let dotted = join(path, key.name);
            let commented = format!("\n# {} = ", key.name);
            let stands = at(tree, &dotted).is_some() || DEFAULTS.1.contains(&commented);
            match &key.kind {
                Kind::Named(..) => {}
                kind => {
                    assert!(stands, "{dotted} is missing in default.toml");
                    if let Kind::Section(keys) | Kind::Either(_, keys) = kind {
                        look(keys, &dotted, tree);
                    }
                }
            }
        }
    }
    let Kind::Section(root) = &keys::ROOT else {
        panic!("the root is a section")
    };
    look(root, "", &parsed(DEFAULTS.1));
}

#[test]
fn what_the_default_file_shows_by_name_is_every_key_with_its_default() {
    fn look(keys: &[Key], path: &str, tree: &Table) {
        for key in keys {
            let dotted = join(path, key.name);
            let node = at(tree, &dotted);
            let Some(node) = node else {
                panic!("{dotted} is not shown in default.toml")
            };
            match (&key.kind, key.default.and_then(parse::value)) {
                (Kind::Section(_) | Kind::Either(..) | Kind::Map(..), Some(default))
                    if !has_entries(&default) => {}
                (_, Some(default)) => assert_eq!(node.to_toml(), default, "{dotted}"),
                (_, None) => {}
            }
        }
    }
    fn has_entries(value: &toml::Value) -> bool {
        value.as_table().is_none_or(|table| !table.is_empty())
    }
    let shown = parsed(&shown_by_name());
    for (path, keys) in keys::by_name() {
        let name = at(&shown, path)
            .and_then(Node::as_table)
            .unwrap()
            .keys()
            .next()
            .unwrap();
        let differing = ["agents.writer.env"];
        if !differing.contains(&path) {
            look(keys, &format!("{path}.{name}"), &shown);
        }
    }
}

#[test]
fn production_without_its_servers_names_both() {
    for environment in [Environment::Production, Environment::Staging] {
        let error = load(environment, "").unwrap_err();
        let keys: Vec<&str> = error.problems().iter().map(|p| p.key.as_str()).collect();
        assert!(
            keys.contains(&"database.url") && keys.contains(&"cache.url"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains("REDIS_URL"), "{error}");
    }
}

#[test]
fn the_image_starts_with_what_it_sets() {
    let config = Config::load(request(&[
        ("AGENT_SYSTEM_ENV", "production"),
        ("AGENT_SYSTEM_DATA_DIR", "/data"),
        ("LOG_LEVEL", "INFO"),
        ("DATABASE_URL", "sqlite:///data/agent-system.db"),
        ("AGENT_SYSTEM__CACHE__BACKEND", "memory"),
        ("AGENT_SYSTEM__SERVER__HOST", "0.0.0.0"),
        ("AGENT_SYSTEM__MONITORING__METRICS_HOST", "0.0.0.0"),
    ]))
    .unwrap();
    assert_eq!(config.database().path, Path::new("/data/agent-system.db"));
    assert_eq!(config.logging().level, LogLevel::Info);
    assert_eq!(config.logging().format, LogFormat::Json);
    assert!(config.agents().is_empty() && !config.server().debug);
    assert!(
        config.warnings()[0].contains("0.0.0.0"),
        "an open API is warned of"
    );
}

#[test]
fn every_run_of_testing_has_a_data_directory_of_its_own() {
    let run = || {
        let request = request(&[("AGENT_SYSTEM_ENV", "testing"), ("TMPDIR", "/tmp/x")]);
        Config::load(request).unwrap()
    };
    let (one, other) = (run(), run());
    assert!(one.data_dir().starts_with("/tmp/x"));
    assert_ne!(one.data_dir(), other.data_dir());
    assert!(one.agents().is_empty(), "samples belong to development");
}
