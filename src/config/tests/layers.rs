//! Which layer wins, and that every value knows where it came from.

use super::*;
use crate::config::render::{ShowFormat, show};

/// The sources of a request, by dotted key.
fn sources(request: &LoadRequest) -> BTreeMap<String, String> {
    let shown = show(request, ShowFormat::Json, true);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    serde_json::from_value(shown["sources"].clone()).unwrap()
}

#[test]
fn later_layers_win_and_are_named_as_the_source() {
    let files = Files::new();
    let base = files.put(
        "base.toml",
        "[server]\nport = 1\nworkers = 2\nbody_limit = '2MiB'\n",
    );
    let more = files.put("more.toml", "\n[server]\nport = 2\nworkers = 3\n");
    let mut request = request(&[
        ("AGENT_SYSTEM__SERVER__PORT", "3"),
        ("AGENT_SYSTEM__SERVER__MAX_CONNECTIONS", "9"),
    ]);
    request.files = vec![base.clone(), more.clone()];
    request.flags = vec![("server.port".to_owned(), "4".to_owned())];
    let config = Config::load(request.clone()).unwrap();
    assert_eq!(config.server().port, 4);
    assert_eq!(config.server().workers, Some(3));
    let sources = sources(&request);
    for (key, source) in [
        ("server.port", "command line (server.port)".to_owned()),
        ("server.workers", format!("{}:4", more.display())),
        ("server.body_limit", format!("{}:4", base.display())),
        (
            "server.max_connections",
            "variable AGENT_SYSTEM__SERVER__MAX_CONNECTIONS".to_owned(),
        ),
        ("server.debug", "built-in development.toml:8".to_owned()),
        ("agents.echo.command", "built-in samples.toml:6".to_owned()),
        ("agents.echo.replicas", "built in".to_owned()),
    ] {
        assert_eq!(sources[key], source, "{key}");
    }
    assert!(sources["server.host"].starts_with("built-in default.toml:"));
}

#[test]
fn conventional_aliases_rank_above_files_and_below_our_own_variables() {
    let files = Files::new();
    let file = files.put(
        "own.toml",
        "[server]\nport = 1\n[logging]\nlevel = 'ERROR'\n",
    );
    let mut request = request(&[
        ("PORT", "2"),
        ("LOG_LEVEL", "warn"),
        ("AGENT_SYSTEM__SERVER__HOST", "localhost"),
        ("DATABASE_URL", "sqlite://one.db"),
        ("AGENT_SYSTEM__DATABASE__URL", "sqlite://two.db"),
        ("REDIS_URL", ""),
    ]);
    request.files = vec![file];
    let config = Config::load(request).unwrap();
    assert_eq!(config.server().port, 2);
    assert_eq!(config.server().host.to_string(), "127.0.0.1");
    assert_eq!(config.logging().level, LogLevel::Warning);
    assert_eq!(config.database().path, Path::new("two.db"));
}

#[test]
fn variables_name_agents_with_underscores_and_take_toml_values() {
    let config = Config::load(request(&[
        ("AGENT_SYSTEM__AGENTS__WORD_COUNT__REPLICAS", "5"),
        ("AGENT_SYSTEM__AGENTS__ECHO__RESTART__MIN_BACKOFF", "2s"),
        ("AGENT_SYSTEM__AGENTS__ECHO__ENV__SET__Mode_X", "prod"),
        ("AGENT_SYSTEM__AGENTS__NEW_ONE__KIND", "process"),
        ("AGENT_SYSTEM__AGENTS__NEW_ONE__COMMAND", "['a', 'b']"),
        (
            "AGENT_SYSTEM__AGENTS__NEW_ONE__DEPENDS_ON",
            "{ echo = 'started' }",
        ),
        ("AGENT_SYSTEM__GROUPS__G__INTENSITY", "unlimited"),
    ]))
    .unwrap();
    let agents = config.agents();
    assert_eq!(agents["word-count"].replicas, 5);
    assert_eq!(agents["echo"].restart.min_backoff.as_secs(), 2);
    assert_eq!(agents["new-one"].depends_on.len(), 1);
    let crate::domain::agent::AgentProgram::Process(echo) = &agents["echo"].runs else {
        panic!("echo is a process")
    };
    assert_eq!(echo.env.set["Mode_X"], "prod");
    assert_eq!(
        config.groups()["g"].intensity,
        crate::domain::restart::Intensity::Unlimited
    );
}

#[test]
fn sample_agents_give_way_to_agents_of_the_users_own() {
    let own = "[agents.mine]\nkind = 'process'\ncommand = ['x']\n";
    let config = load(Environment::Development, own).unwrap();
    let names: Vec<&str> = config.agents().keys().map(Name::as_str).collect();
    assert_eq!(names, ["mine"]);
    let config = load(Environment::Development, "[server]\nport = 0\n").unwrap();
    assert_eq!(config.agents().len(), 4);
}

#[test]
fn a_dotenv_file_is_read_in_development_and_testing_only() {
    let files = Files::new();
    let dotenv = files.put(
        ".env",
        "PORT=7\nAGENT_SYSTEM__SERVER__WORKERS=6\nTOKEN_X=abc\n",
    );
    for (environment, port) in [("development", 7), ("testing", 7), ("staging", 5000)] {
        let mut request = request(&[
            ("AGENT_SYSTEM_ENV", environment),
            ("AGENT_SYSTEM__CACHE__BACKEND", "memory"),
            ("DATABASE_URL", "sqlite://x.db"),
            ("AGENT_SYSTEM__AGENTS__A__KIND", "process"),
            ("AGENT_SYSTEM__AGENTS__A__COMMAND", "['a']"),
            ("AGENT_SYSTEM__AGENTS__A__ENV__PASS", "['TOKEN_X']"),
        ]);
        request.dotenv = Some(dotenv.clone());
        let config = Config::load(request.clone()).unwrap();
        assert_eq!(config.server().port, port, "{environment}");
        let crate::domain::agent::AgentProgram::Process(a) = &config.agents()["a"].runs else {
            panic!("a is a process")
        };
        assert_eq!(
            a.env.set.contains_key("TOKEN_X"),
            port == 7,
            "{environment}"
        );
        request.vars.insert("PORT".to_owned(), "8".to_owned());
        assert_eq!(
            Config::load(request).unwrap().server().port,
            8,
            "the process's own wins"
        );
    }
}

#[test]
fn a_dotenv_file_cannot_choose_the_environment_and_a_broken_one_is_refused() {
    let files = Files::new();
    let mut request = request(&[]);
    request.dotenv = Some(files.put(".env", "AGENT_SYSTEM_ENV=production\nnonsense\n"));
    let error = Config::load(request).unwrap_err().to_string();
    assert!(
        error.contains("AGENT_SYSTEM_ENV") && error.contains(".env:2"),
        "{error}"
    );
}

#[test]
fn the_flag_outranks_the_variable_for_environment_and_data_directory() {
    let mut request = request(&[
        ("AGENT_SYSTEM_ENV", "production"),
        ("AGENT_SYSTEM_DATA_DIR", "/from-variable"),
    ]);
    request.environment = Some(Environment::Development);
    assert_eq!(
        Config::load(request.clone()).unwrap().data_dir(),
        Path::new("/from-variable")
    );
    request.data_dir = Some("/from-flag".into());
    let config = Config::load(request).unwrap();
    assert_eq!(config.data_dir(), Path::new("/from-flag"));
    assert_eq!(
        config.database().path,
        Path::new("/from-flag/agent-system.db")
    );
}

#[test]
fn agents_stand_in_the_order_of_their_declaration() {
    let files = Files::new();
    let agent = |name: &str| format!("[agents.{name}]\nkind = 'process'\ncommand = ['x']\n");
    let mut request = request(&[("AGENT_SYSTEM__AGENTS__A__REPLICAS", "2")]);
    request.files = vec![
        files.put(
            "one.toml",
            &[agent("store"), agent("b"), agent("a")].concat(),
        ),
        files.put("two.toml", &[agent("c"), agent("store")].concat()),
    ];
    let config = Config::load(request).unwrap();
    let names: Vec<&str> = config.agents().keys().map(Name::as_str).collect();
    assert_eq!(names, ["store", "b", "a", "c"]);
}
