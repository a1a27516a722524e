//! Everything that is refused, with its key, its source, and the way out.

use proptest::prelude::*;

use super::*;

/// An agent that is whole, so that one wrong line is the only one.
const AGENT: &str = "[agents.a]\nkind = 'process'\ncommand = ['a']\n";

#[test]
fn a_misspelt_key_is_refused_by_name_with_its_place_and_the_nearest_key() {
    let lines = refused("[server]\nhost = '::1'\nprot = 1\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("server.prot: unknown key; did you mean port?"),
        "{lines:?}"
    );
    assert!(lines[0].contains("own.toml:3]"), "{lines:?}");
}

#[test]
fn all_problems_come_at_once_each_with_its_source() {
    let files = Files::new();
    let mut request = request(&[
        ("AGENT_SYSTEM__CACHE__CAPACITY", "many"),
        ("AGENT_SYSTEM__SERVR__PORT", "1"),
        ("LOG_LEVEL", "loud"),
    ]);
    request.flags = vec![("database.pool_size".to_owned(), "0".to_owned())];
    let text =
        "[server]\nport = 70000\n[monitoring]\nhealth_interval = 30\n[agents.a]\nkind = 'procss'\n";
    request.files = vec![files.put("own.toml", text)];
    let error = Config::load(request).unwrap_err();
    let text = error.to_string();
    for (key, source) in [
        ("cache.capacity", "variable AGENT_SYSTEM__CACHE__CAPACITY"),
        (
            "AGENT_SYSTEM__SERVR__PORT",
            "variable AGENT_SYSTEM__SERVR__PORT",
        ),
        ("logging.level", "variable LOG_LEVEL"),
        ("database.pool_size", "command line"),
        ("server.port", "own.toml:2"),
        ("monitoring.health_interval", "own.toml:4"),
        ("agents.a.kind", "own.toml:6"),
    ] {
        let problem = error.problems().iter().find(|p| p.key == key);
        let problem = problem.unwrap_or_else(|| panic!("{key} is missing in {text}"));
        assert!(problem.to_string().contains(source), "{problem}");
    }
    assert_eq!(error.problems().len(), 7, "{text}");
    assert!(
        text.starts_with("configuration refused, 7 problems:\n"),
        "{text}"
    );
}

#[test]
fn a_rust_agent_that_cannot_be_run_is_told_with_everything_else() {
    let files = Files::new();
    let mut request = request(&[("AGENT_SYSTEM__CACHE__CAPACITY", "many")]);
    let text = "[agents.a]\nkind = 'actor'\nactor = 'word_cuont'\n[agents.b]\nkind = 'actor'\n\
        [agents.c]\nkind = 'actor'\nactor = 'word_count'\n";
    request.files = vec![files.put("own.toml", text)];
    request.actors = Some(vec!["other".to_owned(), "word_count".to_owned()]);
    let error = Config::load(request.clone()).unwrap_err();
    let told: Vec<_> = error.problems().iter().map(|it| it.key.as_str()).collect();
    assert_eq!(told, ["agents.a.actor", "agents.b.actor", "cache.capacity"]);
    let said = error.problems()[0].said();
    for word in [
        "'word_cuont'",
        "did you mean 'word_count'?",
        "known: other, word_count",
        "own.toml:3",
    ] {
        assert!(said.contains(word), "{said}");
    }
    // Who does not run agents takes any name.
    request.actors = None;
    assert_eq!(Config::load(request).unwrap_err().problems().len(), 2);
}

#[test]
fn what_stands_below_a_bad_name_is_told_with_it() {
    let files = Files::new();
    let mut request = request(&[]);
    let text = "[agents.B]\nkind = 'procss'\nreplicas = 0.5\n";
    request.files = vec![files.put("own.toml", text)];
    let error = Config::load(request).unwrap_err();
    let told: Vec<_> = error.problems().iter().map(|it| it.key.as_str()).collect();
    assert_eq!(told, ["agents.B", "agents.B.kind", "agents.B.replicas"]);
}

/// Lines laid after a whole agent, with what must be said of them.
const WRONG: &[(&str, &str)] = &[
    (
        "concurrency = 0",
        "agents.a.concurrency: 0 is not a whole number from 1",
    ),
    ("command = []", "syntax"),
    ("stall_timeout = '0s'", "agents.a.stall_timeout"),
    (
        "restart = { factor = 0.5 }",
        "agents.a.restart.factor: 0.5 is not a number from 1",
    ),
    (
        "restart = { min_backoff = '2m' }",
        "longer than agents.a.restart.max_backoff, which is 1m",
    ),
    (
        "group = 'g1'",
        "group 'g1' does not exist; declare [groups.g1]",
    ),
    (
        "actor = 'x'",
        "agents.a.actor: belongs to agents of kind \"actor\"",
    ),
    (
        "depends_on = { a = 'started' }",
        "agents wait for one another: a -> a",
    ),
    (
        "depends_on = { b = 'ready' }",
        "\"started\", \"healthy\", \"completed\"",
    ),
    ("depends_on = { x = 'healthy' }", "agent 'x' does not exist"),
    ("spend = {}", "agents.a.spend: names no ceiling"),
    ("spend = { tokens = 0 }", "agents.a.spend.tokens: 0 is not"),
    ("spend = { cost_usd = -1 }", "agents.a.spend.cost_usd: -1"),
    (
        "spend = { tokens = 1, per = 'week' }",
        "\"hour\", \"day\", \"month\"",
    ),
    (
        "spend = { tokens = 9, reserve_tokens = 10 }",
        "agents.a.spend.reserve_tokens: more than agents.a.spend.tokens: nothing would ever be handed over",
    ),
    (
        "spend = { tokens = 9, reserve_cost_usd = 1 }",
        "agents.a.spend.reserve_cost_usd: there is no cost_usd to reserve it from",
    ),
    (
        "spend = { cost_usd = 9, task_cost_usd = 1, reserve_cost_usd = 2 }",
        "more than agents.a.spend.task_cost_usd, which no task may spend",
    ),
    (
        "protocol = 'none'\nspend = { tokens = 9 }",
        "agents.a.spend: an agent that is only kept alive gets no tasks",
    ),
    (
        "fatal_exit_codes = [0]",
        "0 is among success_exit_codes as well",
    ),
    (
        "success_exit_codes = [300]",
        "item 0: 300 is not a whole number from 0 to 255",
    ),
    ("stop = { signal = 'TRM' }", "did you mean \"TERM\"?"),
    ("limits = { memory = '1' }", "a size such as"),
    ("env = { pass = ['1A'] }", "a variable's name"),
    (
        "env = { pass = ['X'], set = { X = '1' } }",
        "X is passed as well; choose one",
    ),
    (
        "env = { secrets = { X = {} } }",
        "agents.a.env.secrets.X.file: missing",
    ),
    ("[agents.B]\nkind = 'actor'", "agents.B: 'B' is not a name"),
    (
        "[agents.b]",
        "agents.b.kind: missing; it must be one of \"actor\"",
    ),
    ("[agents.b]\nkind = 'actor'", "agents.b.actor: missing"),
    (
        "[agents.b]\nkind = 'process'\ncommand = []",
        "agents.b.command: empty",
    ),
    (
        "[recovery.actions.hold]\nwhen = 'system'\ndo = 'queue.pause'\ntarget = 'defalt'",
        "queue 'defalt' does not exist; did you mean 'default'?",
    ),
    ("[groups.root]", "set it up as [supervisor]"),
    (
        "[groups.g]\nparent = 'g'",
        "groups stand in a circle: g -> g",
    ),
    ("[groups.g]\nparent = 'h'", "group 'h' does not exist"),
    (
        "[groups.writers]\n[groups.x]\nparent = 'writer'",
        "did you mean 'writers'?",
    ),
    (
        "[groups.g]\nquarantine = { min = '2h' }",
        "longer than groups.g.quarantine.max",
    ),
    (
        "[groups.g]\nintensity = 'endless'",
        "one of \"unlimited\" or a table",
    ),
    (
        "[monitoring.thresholds]\ncpu = { warning = 96 }",
        "96 is not below critical, which is 95",
    ),
    (
        "[monitoring]\nmetrics_port = 5000",
        "5000 is server.port as well",
    ),
    (
        "[server]\nhost = 'example'",
        "localhost, or an IP address such as",
    ),
    ("[server]\nbody_limit = '2GiB'", "from 1KiB to 1GiB"),
    (
        "[database]\nurl = 'mysql://h/d'",
        "is of an unknown kind; allowed are sqlite://PATH",
    ),
    ("[database]\nurl = 'sqlite://'", "names no file"),
    ("[database]\nurl = 'sqlite://:memory:'", "must survive"),
    ("[cache]\nurl = 'http://h'", "redis://HOST:PORT/N"),
    (
        "[recovery.actions.x]\nwhen = 'agent.aa'\ndo = 'agent.restart'",
        "did you mean 'agent.a'?",
    ),
    (
        "[recovery.actions.x]\nwhen = 'system'\ndo = 'agent.restart'",
        "so name the one to act on",
    ),
    (
        "[recovery.actions.x]\ndo = 'agent.restart'",
        "recovery.actions.x.when: missing",
    ),
    (
        "[recovery.actions.X]\nwhen = 'system'\ndo = 'database.reconnect'",
        "is not a name",
    ),
    (
        "[recovery.actions.x]\nwhen = 'system'\ndo = 'database.reconnect'\nurl = 'http://h'",
        "belongs to do = \"webhook\"",
    ),
    ("[server]\nport = 1\nport = 2", "not TOML: duplicate key"),
    ("log = { file = '../a.log' }", "is no plain file name"),
    ("server = 5", "agents.a.server: unknown key"),
    ("[nonsense]\nx = 1", "nonsense: unknown key"),
];

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    for (wrong, says) in WRONG {
        let lines = refused(&format!("{AGENT}{wrong}\n"));
        assert!(
            lines.iter().any(|line| line.contains(says)),
            "{wrong}: {lines:#?}"
        );
    }
}

#[test]
fn cycles_of_several_are_named_whole() {
    let text = "
        [agents.a]\nkind = 'process'\ncommand = ['x']\ndepends_on = { b = 'started' }
        [agents.b]\nkind = 'process'\ncommand = ['x']\ndepends_on = { c = 'healthy' }
        [agents.c]\nkind = 'process'\ncommand = ['x']\ndepends_on = { a = 'healthy' }";
    let lines = refused(text);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("a -> b -> c -> a"), "{lines:?}");
}

#[test]
fn what_this_version_cannot_do_is_refused_and_never_ignored() {
    for (wrong, key) in [
        (
            "probes.readiness = { http = 'https://x' }",
            "agents.a.probes.readiness.http",
        ),
        (
            "[agents.b]\nkind = 'http'\nurl = 'https://x'",
            "agents.b.url",
        ),
        ("[database]\nurl = 'postgres://u@h/d'", "database.url"),
        (
            "[cache]\nbackend = 'redis'\nurl = 'redis://h'",
            "cache.backend",
        ),
        ("[security]\nauth = 'required'", "security.auth"),
        ("[security.jwt]\nenabled = true", "security.jwt.enabled"),
        (
            "[security.api_keys]\nenabled = true",
            "security.api_keys.enabled",
        ),
        (
            "[security.rate_limit]\nenabled = true",
            "security.rate_limit.enabled",
        ),
        (
            "[security.encryption]\nenabled = true",
            "security.encryption.enabled",
        ),
        (
            "[security.cors]\norigins = ['https://x']",
            "security.cors.origins",
        ),
        (
            "[monitoring.tracing]\nenabled = true",
            "monitoring.tracing.enabled",
        ),
        (
            "[security]\nauth = 'off_on_loopback'\n[server]\nhost = '0.0.0.0'",
            "security.auth",
        ),
    ] {
        let lines = refused(&format!("{AGENT}{wrong}\n"));
        let told = |line: &String| {
            line.starts_with(&format!("{key}: ")) && line.contains("not in this version")
        };
        assert!(lines.iter().any(told), "{wrong}: {lines:#?}");
    }
}

#[test]
fn variables_that_mean_nothing_are_refused_or_warned_of() {
    for (name, says) in [
        ("AGENT_SYSTEM__SERVER__PROT", "did you mean port?"),
        ("AGENT_SYSTEM__SERVER__PORT__X", "one part too many"),
        ("AGENT_SYSTEM__SERVER____PORT", "is empty"),
        ("AGENT_SYSTEM__AGENTS", "add __NAME__KEY"),
        (
            "AGENT_SYSTEM__SERVER__PORT_FILE",
            "only secrets are read from files",
        ),
    ] {
        let error = Config::load(request(&[(name, "1")])).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let config = Config::load(request(&[
        ("AGENT_SYSTEM_DATADIR", "/x"),
        ("AGENT_SYSTEMS", "1"),
    ]))
    .unwrap();
    assert_eq!(config.warnings().len(), 1);
    assert!(config.warnings()[0].contains("did you mean AGENT_SYSTEM_DATA_DIR?"));
}

#[test]
fn unknown_environments_and_unreadable_files_are_named() {
    let mut request = request(&[("AGENT_SYSTEM_ENV", "prodution")]);
    request.files = vec!["/nowhere/own.toml".into()];
    let error = Config::load(request).unwrap_err().to_string();
    assert!(error.contains("did you mean production?"), "{error}");
    assert!(
        error.contains("--config /nowhere/own.toml: cannot be read"),
        "{error}"
    );
}

#[test]
fn what_is_cut_when_the_daemon_stops_and_what_nobody_declared_is_warned_of() {
    let config = load(
        Environment::Development,
        &format!("{AGENT}stop = {{ drain_timeout = '20s' }}\nqueue = 'defualt'\n"),
    )
    .unwrap();
    let warnings = config.warnings().join("\n");
    assert!(
        warnings.contains("agents.a.stop.drain_timeout of 20s is cut to 12s"),
        "{warnings}"
    );
    assert!(
        warnings.contains("queue 'defualt' is not declared"),
        "{warnings}"
    );
    assert!(config.queues().contains_key("defualt"));
}

#[test]
fn a_name_of_too_many_parts_is_refused() {
    let name = format!("AGENT_SYSTEM__AGENTS__A__SETTINGS{}", "__X".repeat(20_000));
    let error = Config::load(request(&[(&name, "1")])).unwrap_err();
    assert!(error.problems()[0].message.contains("more than 32 parts"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_of_a_file_or_a_variable_brings_the_loader_down(
        text in "\\PC{0,80}",
        at in 0_usize..4_000,
        name in "[A-Z_]{0,20}",
    ) {
        let _ = refused(&text);
        let shown = crate::config::render::show(&request(&[]), Default::default(), false).stdout;
        let at = shown.char_indices().nth(at).map_or(0, |(at, _)| at);
        let _ = refused(&format!("{}{text}{}", &shown[..at], &shown[at..]));
        let variable = format!("AGENT_SYSTEM__{name}");
        drop(Config::load(request(&[(&variable, &text), ("LOG_LEVEL", &text)])));
    }
}
