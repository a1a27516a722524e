//! Two configurations compared, and one taken over by a daemon that runs with the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::reload::{Change, Does, ReloadPlan, UnitKind};

const BASE: &str = "
    [groups.g]\nstrategy = 'one_for_all'
    [agents.a]\nkind = 'process'\ncommand = ['a']\ngroup = 'g'
    [agents.b]\nkind = 'process'\ncommand = ['b']\nenv.set = { API_TOKEN = 'hush', MODE = 'x' }
    [queues.fast]\nconcurrency = 2
    [recovery.actions.again]\nwhen = 'agent.a'\ndo = 'agent.restart'
";

fn config(text: &str) -> Config {
    load(Environment::Development, text).unwrap()
}

fn plan(after: &str) -> ReloadPlan {
    config(BASE).plan(&config(after))
}

type Told = (UnitKind, String, Change, Does);

fn units(plan: &ReloadPlan) -> Vec<Told> {
    let told = |unit: &crate::domain::reload::UnitChange| {
        (unit.kind, unit.name.clone(), unit.change, unit.does)
    };
    plan.units.iter().map(told).collect()
}

type Edit = (String, Vec<(UnitKind, &'static str, Change, Does)>);

/// Edits of a file, and what they are told as.
fn edits() -> Vec<Edit> {
    use Change::{Added, Changed, Removed};
    use Does::{InPlace, Nothing, Restart, Start, Stop};
    use UnitKind::{
        Agent, Group, Logging, Monitoring, Queue, Recovery, RecoveryAction, Schedule, Supervisor,
    };
    let edit = |from: &str, to: &str| BASE.replace(from, to);
    let command = "command = ['a']";
    let schedule = "[schedules.tick]\nevery = '1h'\nagent = 'a'\n[queues.fast]";
    let rules = "[recovery]\nmax = 3\n[supervisor]\ncritical_grace = '9s'\n[logging]\nlevel = 'ERROR'\n\
        [monitoring]\nhealth_interval = '7s'\nthresholds.cpu.warning = 50";
    vec![
        (BASE.to_owned(), vec![]),
        (
            edit(command, "command = ['a', 'more']"),
            vec![(Agent, "a", Changed, Restart)],
        ),
        (
            edit(command, "command = ['a']\nconcurrency = 3\nreplicas = 2"),
            vec![(Agent, "a", Changed, InPlace)],
        ),
        (
            edit(command, "command = ['a']\nstall_timeout = '2m'"),
            vec![(Agent, "a", Changed, Nothing)],
        ),
        (
            edit("'hush'", "'other'"),
            vec![(Agent, "b", Changed, Restart)],
        ),
        (
            edit("[agents.b]", "[agents.c]"),
            vec![(Agent, "b", Removed, Stop), (Agent, "c", Added, Start)],
        ),
        (
            edit("one_for_all", "rest_for_one").replace("concurrency = 2", "concurrency = 3"),
            vec![
                (Group, "g", Changed, InPlace),
                (Queue, "fast", Changed, InPlace),
            ],
        ),
        (
            edit("actions.again", "actions.anew") + rules,
            vec![
                (RecoveryAction, "again", Removed, InPlace),
                (RecoveryAction, "anew", Added, InPlace),
                (Recovery, "recovery", Changed, InPlace),
                (Supervisor, "supervisor", Changed, InPlace),
                (Logging, "logging", Changed, InPlace),
                (Monitoring, "monitoring", Changed, InPlace),
            ],
        ),
        (
            edit("[queues.fast]", schedule),
            vec![(Schedule, "tick", Added, InPlace)],
        ),
    ]
}

#[test]
fn each_change_is_told_with_what_it_does() {
    for (after, told) in edits() {
        let plan = plan(&after);
        let told: Vec<Told> = told
            .into_iter()
            .map(|(kind, name, change, does)| (kind, name.to_owned(), change, does))
            .collect();
        assert_eq!(units(&plan), told, "{after}");
        assert_eq!(plan.changes, !told.is_empty(), "{after}");
        assert_eq!(plan.pending, vec![], "{after}");
    }
}

#[test]
fn the_order_of_declaration_is_a_setting_of_its_own() {
    let (a, b) = (
        BASE.find("[agents.a]").unwrap(),
        BASE.find("[agents.b]").unwrap(),
    );
    let turned = format!("{}{}\n{}", &BASE[..a], &BASE[b..], &BASE[a..b]);
    let told = units(&plan(&turned));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].3), (UnitKind::Order, Does::InPlace));
}

#[test]
fn what_only_a_start_reads_is_pending_until_then_and_shown_as_it_is() {
    let (before, after) = (
        config(BASE),
        config(&format!(
            "{BASE}\n[server]\nport = 7\n[supervisor]\narbiters = 3\n\
             [logging]\nlevel = 'ERROR'\nformat = 'json'\n\
             [monitoring]\nsustained = 9\nmetrics_port = 9"
        )),
    );
    let plan = before.plan(&after);
    let keys: Vec<&str> = plan
        .pending
        .iter()
        .map(|change| change.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "logging.format",
            "monitoring.metrics_port",
            "server.port",
            "supervisor.arbiters"
        ]
    );
    assert_eq!((plan.changes, plan.counts.pending), (true, 4));
    let running = after.clone().taken_over_by(&before);
    let shown = running.shown();
    assert_eq!(shown["server"]["port"], 5000);
    assert_eq!(
        shown["logging"]["level"], "ERROR",
        "of a section what can be"
    );
    assert_eq!(
        shown["logging"]["format"],
        before.shown()["logging"]["format"]
    );
    assert_eq!(shown["monitoring"]["sustained"], 9);
    assert_eq!(shown["monitoring"]["metrics_port"], 8000);
    assert_eq!(running.monitoring().health, after.monitoring().health);
    assert_eq!(running.logging().level, after.logging().level);
    assert_eq!(running.logging().format, before.logging().format);
    assert_eq!(running.server().port, 5000);
    assert_eq!(
        running.plan(&after).pending,
        plan.pending,
        "told until the next start"
    );
}

#[test]
fn a_changed_secret_is_seen_and_neither_value_is_told() {
    let plan = plan(&BASE.replace("'hush'", "'other'"));
    let key = &plan.units[0].keys[0];
    assert_eq!(key.key, "agents.b.env.set.API_TOKEN");
    assert_eq!(
        (&key.before, &key.after),
        (&Some(json!(REDACTED)), &Some(json!(REDACTED)))
    );
    let told = serde_json::to_string(&plan).unwrap();
    assert!(!told.contains("hush") && !told.contains("other"), "{told}");
}

#[test]
fn the_digest_follows_every_value_and_nothing_else() {
    let digest = |text: &str| config(BASE).plan(&config(text)).plan;
    assert_eq!(digest(BASE), digest(&format!("# a word\n{BASE}")));
    assert_ne!(digest(BASE), digest(&BASE.replace("'hush'", "'other'")));
    assert_ne!(digest(BASE), digest(&format!("{BASE}\n[server]\nport = 7")));
}

/// A file of some agents, groups and queues, each with some settings.
fn files() -> impl Strategy<Value = String> {
    let agent = prop::option::of((1..4_u32, 0..3_usize, any::<bool>(), 0..3_u8));
    let agents = prop::collection::vec(agent, 4);
    let queues = prop::collection::vec(prop::option::of(1..9_u32), 2);
    (agents, queues, 1000..1003_u16, any::<bool>()).prop_map(|(agents, queues, port, turned)| {
        let mut text = format!("[server]\nport = {port}\n[groups.g]\nstrategy = 'one_for_all'\n");
        let mut agents: Vec<_> = agents.into_iter().enumerate().collect();
        if turned {
            agents.reverse();
        }
        for (nth, agent) in agents {
            let Some((replicas, command, grouped, mode)) = agent else {
                continue;
            };
            let group = if grouped { "group = 'g'" } else { "" };
            write!(
                text,
                "[agents.a{nth}]\nkind = 'process'\nreplicas = {replicas}\n{group}\n\
                 command = ['c{command}']\nenv.set = {{ MODE = '{mode}' }}\n"
            )
            .unwrap();
        }
        for (nth, concurrency) in queues.into_iter().enumerate() {
            if let Some(concurrency) = concurrency {
                write!(text, "[queues.q{nth}]\nconcurrency = {concurrency}\n").unwrap();
            }
        }
        text
    })
}

/// The values of a configuration with a plan's changes made to them.
fn changed(mut values: BTreeMap<String, Value>, plan: &ReloadPlan) -> BTreeMap<String, Value> {
    let units = plan.units.iter().flat_map(|unit| &unit.keys);
    for change in units.chain(&plan.pending) {
        assert_eq!(
            values.get(&change.key),
            change.before.as_ref(),
            "{change:?}"
        );
        match &change.after {
            Some(after) => values.insert(change.key.clone(), after.clone()),
            None => values.remove(&change.key),
        };
    }
    // Who is declared changes the order without a word of its own.
    values.remove("agents");
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_plan_carried_out_gives_what_was_read(before in files(), after in files()) {
        let (before, after) = (config(&before), config(&after));
        let plan = before.plan(&after);
        let mut wanted = after.values.shown();
        wanted.remove("agents");
        prop_assert_eq!(changed(before.values.shown(), &plan), wanted);
        let running = after.clone().taken_over_by(&before);
        let again = running.plan(&after);
        prop_assert!(!again.changes, "{:?}", again.units);
        prop_assert_eq!(&again.pending, &plan.pending);
        prop_assert_eq!(&again.plan, &plan.plan);
        prop_assert_eq!(running.agents(), after.agents());
        prop_assert_eq!(running.server(), before.server());
    }
}
