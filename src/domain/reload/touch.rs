//! Which changes of an agent's settings need a new life, and which changes of rules a new budget.

use super::Does;
use crate::domain::agent::{AgentProgram, AgentSpec, ProcessProtocol};
use crate::domain::probe::{ProbeSpec, Probes};
use crate::domain::restart::GroupSpec;

/// What a change of an agent's settings does: a new life only where the present one was made with
/// what has changed.
#[must_use]
pub fn touch(before: &AgentSpec, after: &AgentSpec) -> Does {
    if before == after {
        Does::Nothing
    } else if taken_in_place(before, after) == *after {
        Does::InPlace
    } else {
        Does::Restart
    }
}

/// The settings before, with all of those after that a life takes while it runs. Whoever adds a
/// setting decides here: what is not named starts the agent anew.
fn taken_in_place(before: &AgentSpec, after: &AgentSpec) -> AgentSpec {
    let is_http = matches!(after.runs, AgentProgram::Http(_));
    let is_exec = matches!(&after.runs, AgentProgram::Process(process) if process.protocol == ProcessProtocol::Exec);
    let mut taken = AgentSpec {
        role: after.role.clone(),
        group: after.group.clone(),
        replicas: after.replicas,
        critical: after.critical,
        restart: after.restart.clone(),
        depends_on: after.depends_on.clone(),
        queue: after.queue.clone(),
        stall_timeout: after.stall_timeout,
        on_stall: after.on_stall,
        start_timeout: after.start_timeout,
        liveness: after.liveness,
        labels: after.labels.clone(),
        spend: after.spend.clone(),
        ..before.clone()
    };
    taken.stop.drain_timeout = after.stop.drain_timeout;
    // The process of a task is ended by the life that began it.
    if !is_exec {
        taken.stop.timeout = after.stop.timeout;
    }
    // So many connections are kept for a service.
    if !is_http {
        taken.concurrency = after.concurrency;
    }
    if ask_the_same(&before.probes, &after.probes) {
        taken.probes = after.probes.clone();
    }
    taken
}

/// Whether two sets of probes differ in spans and thresholds alone.
fn ask_the_same(before: &Probes, after: &Probes) -> bool {
    let same = |before: &Option<ProbeSpec>, after: &Option<ProbeSpec>| {
        before.as_ref().map(|probe| &probe.how) == after.as_ref().map(|probe| &probe.how)
    };
    before.remote == after.remote
        && same(&before.startup, &after.startup)
        && same(&before.liveness, &after.liveness)
        && same(&before.readiness, &after.readiness)
}

/// Whether deaths that were counted under one set of rules go on counting under another.
#[must_use]
pub fn keeps_budget(before: &GroupSpec, after: &GroupSpec) -> bool {
    let counted = |rules: &GroupSpec| {
        (
            rules.strategy,
            rules.intensity,
            rules.loop_deaths,
            rules.loop_max_gap,
        )
    };
    counted(before) == counted(after)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::domain::agent::{DependsOn, HttpSpec, OnStall, ProbePolicy, StopPolicy};
    use crate::domain::probe::ProbeHow;
    use crate::domain::restart::{Intensity, RestartPolicy, RestartType, Strategy};
    use crate::domain::spend::{Amount, Ceiling, OnSpent, Per, SpendSpec};

    const SECOND: Duration = Duration::from_secs(1);

    fn probe(how: ProbeHow) -> ProbeSpec {
        ProbeSpec {
            how,
            period: SECOND,
            timeout: SECOND,
            failure_threshold: 3,
            success_threshold: 1,
        }
    }

    fn spec() -> AgentSpec {
        AgentSpec {
            name: "echo".parse().unwrap(),
            runs: AgentProgram::Actor {
                actor: "echo".to_owned(),
                settings: serde_json::Value::Null,
            },
            role: None,
            group: None,
            replicas: 1,
            critical: false,
            restart: RestartPolicy::default(),
            depends_on: BTreeMap::new(),
            concurrency: 1,
            queue: "default".parse().unwrap(),
            stall_timeout: SECOND,
            on_stall: OnStall::Report,
            stop: StopPolicy {
                drain_timeout: SECOND,
                signal: 15,
                timeout: SECOND,
            },
            start_timeout: SECOND,
            liveness: ProbePolicy {
                enabled: true,
                period: SECOND,
                timeout: SECOND,
                failure_threshold: 3,
                success_threshold: 1,
            },
            probes: Probes {
                readiness: Some(probe(ProbeHow::Tcp("h:1".to_owned()))),
                ..Probes::default()
            },
            labels: BTreeMap::new(),
            spend: None,
        }
    }

    type Edit = fn(&mut AgentSpec);

    /// What a life takes while it runs.
    const IN_PLACE: [(&str, Edit); 17] = [
        ("replicas", |it| it.replicas = 2),
        ("spend", |it| {
            it.spend = Some(SpendSpec {
                ceiling: Ceiling::default(),
                per: Per::Day,
                task_ceiling: Ceiling::default(),
                reserve: Amount::default(),
                warn_at: 0.8,
                on_exhausted: OnSpent::Hold,
            });
        }),
        ("role", |it| it.role = "w".parse().ok()),
        ("group", |it| it.group = "g".parse().ok()),
        ("critical", |it| it.critical = true),
        ("restart", |it| it.restart.kind = RestartType::Temporary),
        ("concurrency", |it| it.concurrency = 4),
        ("queue", |it| it.queue = "slow".parse().unwrap()),
        ("stall_timeout", |it| it.stall_timeout *= 9),
        ("on_stall", |it| it.on_stall = OnStall::Restart),
        ("stop.drain_timeout", |it| it.stop.drain_timeout *= 9),
        ("stop.timeout", |it| it.stop.timeout *= 9),
        ("start_timeout", |it| it.start_timeout *= 9),
        ("the ping", |it| it.liveness.enabled = false),
        ("labels", |it| {
            it.labels = [("a".to_owned(), "b".to_owned())].into();
        }),
        ("depends_on", |it| {
            it.depends_on = [("other".parse().unwrap(), DependsOn::Started)].into();
        }),
        ("the thresholds of a probe", |it| {
            it.probes.readiness.as_mut().unwrap().success_threshold = 2;
        }),
    ];

    /// What it was made with.
    const ANEW: [(&str, Edit); 4] = [
        ("stop.signal", |it| it.stop.signal = 2),
        ("what a probe asks", |it| {
            it.probes.readiness.as_mut().unwrap().how = ProbeHow::Tcp("h:2".to_owned());
        }),
        ("a probe more", |it| {
            it.probes.startup = it.probes.readiness.clone();
        }),
        ("settings", |it| {
            it.runs = AgentProgram::Actor {
                actor: "echo".to_owned(),
                settings: serde_json::json!(1),
            };
        }),
    ];

    #[test]
    fn only_what_a_life_was_made_with_starts_it_anew() {
        assert_eq!(touch(&spec(), &spec()), Does::Nothing);
        for (edits, does) in [
            (IN_PLACE.as_slice(), Does::InPlace),
            (ANEW.as_slice(), Does::Restart),
        ] {
            for (what, edit) in edits {
                let mut after = spec();
                edit(&mut after);
                assert_eq!(touch(&spec(), &after), does, "{what}");
            }
        }
    }

    #[test]
    fn the_connections_of_a_service_are_made_with_its_concurrency() {
        let before = AgentSpec {
            runs: AgentProgram::Http(HttpSpec::default()),
            ..spec()
        };
        let after = AgentSpec {
            concurrency: 2,
            ..before.clone()
        };
        assert_eq!(touch(&before, &after), Does::Restart);
    }

    #[test]
    fn deaths_go_on_counting_unless_what_counts_them_has_changed() {
        let before = GroupSpec::alone("g".parse().unwrap());
        type Edit = fn(&mut GroupSpec);
        let table: [(Edit, bool); 5] = [
            (|_| {}, true),
            (|it| it.quarantine_min = SECOND, true),
            (|it| it.strategy = Strategy::OneForAll, false),
            (|it| it.intensity = Intensity::Unlimited, false),
            (|it| it.loop_deaths = 2, false),
        ];
        for (edit, kept) in table {
            let mut after = before.clone();
            edit(&mut after);
            assert_eq!(keeps_budget(&before, &after), kept, "{after:?}");
        }
    }
}
