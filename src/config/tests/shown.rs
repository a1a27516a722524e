//! `config show|validate|schema`.

use super::*;
use crate::config::render::{ShowFormat, schema, show, validate};

#[test]
fn what_is_shown_as_toml_can_be_given_back() {
    let files = Files::new();
    let own = "
        [groups.g]\nstrategy = 'rest_for_one'\nintensity = 'unlimited'
        [agents.a]\nkind = 'process'\ncommand = ['a b', \"it's\"]\ngroup = 'g'\nlabels = { 'x.y' = 'z' }
        settings = { deep = { list = [1, { two = 2.5 }] } }
        env = { set = { MODE = 'x' }, secrets = { S = { file = '/run/s' } } }";
    let first = LoadRequest {
        files: vec![files.put("own.toml", own)],
        ..request(&[])
    };
    let shown = show(&first, ShowFormat::Toml, true);
    assert_eq!((shown.exit_code, shown.stderr.as_str()), (0, ""));
    let second = LoadRequest {
        files: vec![files.put("shown.toml", &shown.stdout)],
        ..request(&[])
    };
    let again = show(&second, ShowFormat::Toml, false).stdout;
    assert_eq!(again, show(&first, ShowFormat::Toml, false).stdout);
    assert_eq!(
        Config::load(first).unwrap().agents(),
        Config::load(second).unwrap().agents()
    );
}

#[test]
fn json_holds_the_environment_and_every_section() {
    let shown = show(&request(&[]), ShowFormat::Json, false);
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(json["environment"], "development");
    assert_eq!(json["server"]["port"], 5000);
    assert_eq!(json["database"]["url"], "sqlite://./data/agent-system.db");
    assert_eq!(json["agents"]["echo"]["restart"]["min_backoff"], "1s");
}

#[test]
fn problems_go_to_stderr_with_78_and_the_rest_is_shown_none_the_less() {
    let request = request(&[("PORT", "x")]);
    let shown = show(&request, ShowFormat::Toml, false);
    assert_eq!(shown.exit_code, 78);
    assert!(shown.stderr.contains("server.port") && shown.stdout.contains("[server]"));
    let validated = validate(&request);
    assert_eq!((validated.exit_code, validated.stdout.as_str()), (78, ""));
    assert_eq!(validated.stderr, shown.stderr);
    let valid = validate(&super::request(&[]));
    assert_eq!(valid.exit_code, 0);
    assert!(
        valid
            .stdout
            .starts_with("valid: environment development, 4 agents")
    );
}

#[test]
fn the_schema_closes_every_section_and_knows_words_and_patterns() {
    fn closed(value: &serde_json::Value) {
        if value.get("properties").is_some() {
            assert_eq!(value["additionalProperties"], false, "{value}");
        }
        match value {
            serde_json::Value::Object(members) => members.values().for_each(closed),
            serde_json::Value::Array(items) => items.iter().for_each(closed),
            _ => {}
        }
    }
    let schema: serde_json::Value = serde_json::from_str(&schema().stdout).unwrap();
    closed(&schema);
    let agent = &schema["properties"]["agents"]["additionalProperties"]["properties"];
    assert_eq!(
        agent["kind"]["enum"],
        serde_json::json!(["actor", "process", "http"])
    );
    assert!(
        agent["stall_timeout"]["pattern"]
            .as_str()
            .unwrap()
            .contains("ms|s|m|h|d")
    );
    assert_eq!(agent["replicas"]["default"], 1);
    assert_eq!(
        schema["properties"]["server"]["properties"]["port"]["maximum"],
        65_535
    );
}
