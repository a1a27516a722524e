//! Who starts after whom, and trees that cannot be built.

use std::sync::Arc;

use super::script::{Manners, SECOND, Script, paused, spec};
use crate::actors::life::{ChildFactory, LifeControl, Start};
use crate::actors::supervisor::{Child, Plan, TreeError, start};
use crate::domain::agent::{AgentSpec, AgentState, DependsOn, InstanceId};
use crate::domain::exit::ExitReason;
use crate::domain::restart::{GroupSpec, RestartType};

fn needs(name: &'static str, kind: DependsOn) -> impl FnOnce(&mut AgentSpec) {
    move |spec| {
        spec.depends_on.insert(name.parse().unwrap(), kind);
    }
}

#[test]
fn an_agent_starts_when_what_it_waits_for_is_started_healthy_or_completed() {
    use DependsOn::{Completed, Healthy, Started};
    for (kind, silent, waits) in [
        (Started, true, false),
        (Healthy, true, true),
        (Healthy, false, false),
        (Completed, false, true),
    ] {
        paused(async move {
            let manners = Manners {
                silent,
                ..Manners::default()
            };
            let script = Script::default().agent("late").with(needs("first", kind));
            let world = script.agent("first").manners(manners).begin().await;
            let state = world.state("late").await;
            assert_eq!(state == AgentState::Pending, waits, "{kind:?} {state:?}");
        });
    }
}

#[test]
fn what_waits_for_a_completion_starts_after_a_success_only() {
    for (reason, state) in [
        (ExitReason::Normal, AgentState::Ready),
        (ExitReason::ExitCode { code: 1 }, AgentState::Pending),
    ] {
        paused(async move {
            let script = Script::default().agent("migrate");
            let script = script.with(|spec| spec.restart.kind = RestartType::Temporary);
            let script = script
                .agent("app")
                .with(needs("migrate", DependsOn::Completed));
            let world = script.begin().await;
            world.actor("migrate").end(reason);
            world.settled().await;
            assert_eq!(world.state("app").await, state);
        });
    }
}

#[test]
fn a_life_that_is_not_ready_in_time_is_ended_and_counted() {
    paused(async {
        let silent = Manners {
            silent: true,
            ..Manners::default()
        };
        let world = Script::default()
            .agent("echo")
            .manners(silent)
            .begin()
            .await;
        world.pass(SECOND * 31).await;
        assert_eq!(
            world.shelf.crashes.lock()[..],
            [(1, ExitReason::StartTimeout)]
        );
        assert_eq!(world.status("echo").await.generation, 2);
    });
}

#[derive(Debug)]
struct Nobody;

impl ChildFactory for Nobody {
    fn start(&self, _: Start) -> Arc<dyn LifeControl> {
        unreachable!("the tree is not built")
    }
    fn close(&self, _: &InstanceId) {}
}

fn refused(groups: Vec<GroupSpec>, specs: Vec<AgentSpec>) -> TreeError {
    let children = specs.into_iter().map(|spec| Child {
        spec,
        factory: Arc::new(Nobody),
        record: None,
    });
    let plan = Plan {
        groups,
        children: children.collect(),
        ..Plan::default()
    };
    start(plan).unwrap_err()
}

#[test]
fn a_tree_with_doubles_unknowns_or_circles_is_refused_by_name() {
    assert_eq!(
        refused(vec![], vec![spec("echo"), spec("echo")]).to_string(),
        "'echo' is declared twice"
    );
    let mut lost = spec("echo");
    needs("ecko", DependsOn::Started)(&mut lost);
    assert_eq!(
        refused(vec![], vec![lost]).to_string(),
        "echo refers to agent 'ecko', which is not declared; did you mean 'echo'?"
    );
    let (mut one, mut two) = (spec("one"), spec("two"));
    needs("two", DependsOn::Started)(&mut one);
    needs("one", DependsOn::Started)(&mut two);
    assert!(matches!(
        refused(vec![], vec![one, two]),
        TreeError::Circle(_)
    ));
    let circle = |name: &str, parent: &str| GroupSpec {
        parent: Some(parent.parse().unwrap()),
        ..GroupSpec::alone(name.parse().unwrap())
    };
    let groups = vec![circle("one", "two"), circle("two", "one")];
    assert!(matches!(refused(groups, vec![]), TreeError::Circle(_)));
}
