//! Groups: who restarts with whom, and who gives up with whom.

use super::script::{Manners, SECOND, Script, World, paused};
use crate::domain::agent::{AgentSpec, AgentState, DependsOn};
use crate::domain::restart::{Intensity, OnExhausted, Strategy};

fn family(strategy: Strategy) -> Script {
    let script = Script::default().group("family", strategy);
    ["a", "b", "c", "d"]
        .into_iter()
        .fold(script, |script, name| {
            script
                .agent(name)
                .with(|spec| spec.group = Some("family".parse().unwrap()))
        })
}

#[test]
fn one_for_one_restarts_the_one_that_died() {
    paused(async {
        let world = family(Strategy::OneForOne).begin().await;
        world.log.take(&[]);
        world.crash("b").await;
        assert_eq!(world.log.take(&["start", "stop"]), ["start b#0 2 in place"]);
    });
}

#[test]
fn one_for_all_stops_all_in_reverse_and_starts_all_in_order_without_their_mail() {
    paused(async {
        let world = family(Strategy::OneForAll).begin().await;
        world.log.take(&[]);
        world.crash("b").await;
        let wanted = [
            "stop d#0",
            "stop c#0",
            "stop a#0",
            "start a#0 2 drops",
            "start b#0 2 drops",
            "start c#0 2 drops",
            "start d#0 2 drops",
        ];
        assert_eq!(world.log.take(&["start", "stop"]), wanted);
    });
}

#[test]
fn rest_for_one_restarts_the_one_that_died_and_those_after_it() {
    paused(async {
        let world = family(Strategy::RestForOne).begin().await;
        world.log.take(&[]);
        world.crash("b").await;
        let wanted = [
            "stop d#0",
            "stop c#0",
            "start b#0 2 drops",
            "start c#0 2 drops",
            "start d#0 2 drops",
        ];
        assert_eq!(world.log.take(&["start", "stop"]), wanted);
    });
}

#[test]
fn deaths_at_once_make_one_restart_of_the_group() {
    paused(async {
        let world = family(Strategy::OneForAll).begin().await;
        world.log.take(&[]);
        for name in ["b", "c"] {
            world
                .actor(name)
                .end(crate::domain::exit::ExitReason::ExitCode { code: 1 });
        }
        world.pass(SECOND * 3).await;
        let starts = world.log.take(&["start"]);
        assert_eq!(starts.len(), 4, "{starts:?}");
    });
}

async fn exhaust(world: &World, name: &str) {
    for _ in 0..6 {
        if world.state(name).await != AgentState::Ready {
            return;
        }
        world.crash(name).await;
        world.pass(SECOND * 9).await;
    }
}

#[test]
fn a_group_that_gives_up_rests_stops_or_ends_the_daemon_as_a_whole() {
    use AgentState::{Failed, Quarantined};
    for (on_exhausted, state, ends) in [
        (OnExhausted::Quarantine, Quarantined, false),
        (OnExhausted::StopGroup, Failed, false),
        (OnExhausted::Exit, Failed, true),
        (OnExhausted::Escalate, Failed, true),
    ] {
        paused(async move {
            let script = family(Strategy::OneForAll);
            let world = script
                .with_group(|group| group.on_exhausted = on_exhausted)
                .begin()
                .await;
            exhaust(&world, "b").await;
            for name in ["a", "b", "c", "d"] {
                assert_eq!(world.state(name).await, state, "{on_exhausted:?} {name}");
            }
            let ended = tokio::time::timeout(SECOND, world.handle.escalated()).await;
            assert_eq!(ended.is_ok(), ends, "{on_exhausted:?}");
        });
    }
}

#[test]
fn a_group_comes_back_from_quarantine_as_a_whole() {
    paused(async {
        let world = family(Strategy::OneForAll).begin().await;
        exhaust(&world, "b").await;
        world.pass(SECOND * 301).await;
        for name in ["a", "b", "c", "d"] {
            assert_eq!(world.state(name).await, AgentState::Ready, "{name}");
        }
        world.crash("d").await;
        assert_eq!(world.state("a").await, AgentState::Quarantined);
    });
}

/// `in` in a group that escalates to the one_for_all of `out`.
pub(super) fn escalating() -> Script {
    let script = Script::default().group("outer", Strategy::OneForAll);
    let script = script.group("inner", Strategy::OneForOne);
    let script = script.with_group(|group| {
        group.parent = Some("outer".parse().unwrap());
        group.on_exhausted = OnExhausted::Escalate;
    });
    let script = script.agent("in");
    let script = script.with(|spec| spec.group = Some("inner".parse().unwrap()));
    let script = script.agent("out");
    script.with(|spec| spec.group = Some("outer".parse().unwrap()))
}

#[test]
fn a_group_that_escalates_is_restarted_by_its_parent_with_its_strategy() {
    paused(async {
        let world = escalating().begin().await;
        for _ in 0..6 {
            world.crash("in").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.status("out").await.generation, 2);
        assert_eq!(world.state("in").await, AgentState::Ready);
        assert_eq!(world.state("out").await, AgentState::Ready);
    });
}

#[test]
fn who_rests_with_a_group_above_is_told_which_one_its_budget_and_who_died() {
    paused(async {
        let script = Script::default().group("outer", Strategy::OneForAll);
        let script = script.with_group(|group| {
            group.intensity = Intensity::Limited {
                max: 0,
                within: SECOND * 60,
            };
        });
        let script = script
            .group("inner", Strategy::OneForOne)
            .with_group(|group| {
                group.parent = Some("outer".parse().unwrap());
                group.on_exhausted = OnExhausted::Escalate;
            });
        let inner = |spec: &mut AgentSpec| spec.group = Some("inner".parse().unwrap());
        let script = script.agent("in").with(inner).agent("by").with(inner);
        let world = script.begin().await;
        for _ in 0..6 {
            world.crash("in").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("by").await, AgentState::Quarantined);
        let told = world.handle.standing(&"by".parse().unwrap()).await.unwrap();
        let group = told.group.unwrap();
        let (together, died) = (group.together.unwrap(), group.died.unwrap());
        assert_eq!(
            (together.group.as_str(), died.agent.as_str()),
            ("outer", "in")
        );
        assert_eq!(
            (told.budget.owner.as_str(), told.budget.max),
            ("@outer", Some(0))
        );
    });
}

#[test]
fn an_operators_stop_holds_through_a_restart_of_the_group() {
    paused(async {
        let world = family(Strategy::OneForAll).begin().await;
        world.handle.stop(World::target("c")).await.unwrap();
        world.pass(SECOND * 21).await;
        world.crash("b").await;
        assert_eq!(world.state("c").await, AgentState::Stopped);
        assert_eq!(world.status("d").await.generation, 2);
    });
}

/// What is told of a family whose last member does not obey, right after another one died.
async fn told_beside_a_stubborn_one(depends_on: Option<&str>) -> Vec<String> {
    let stubborn = Manners {
        stubborn: true,
        ..Manners::default()
    };
    let script = family(Strategy::OneForAll).manners(stubborn);
    let world = script
        .with(|last| {
            let on = depends_on.map(|name| (name.parse().unwrap(), DependsOn::Started));
            last.depends_on.extend(on);
        })
        .begin()
        .await;
    world.log.take(&[]);
    world.crash("b").await;
    world.log.take(&["start", "stop"])
}

#[test]
fn actors_that_nobody_depends_on_are_told_to_end_in_a_row_and_start_when_all_are_down() {
    paused(async {
        let told = told_beside_a_stubborn_one(None).await;
        assert_eq!(told, ["stop d#0", "stop c#0", "stop a#0"]);
    });
}

#[test]
fn a_member_that_another_depends_on_ends_after_it() {
    paused(async {
        let told = told_beside_a_stubborn_one(Some("c")).await;
        assert_eq!(told, ["stop d#0"]);
    });
}

#[test]
fn a_nested_group_stands_among_its_siblings_where_its_first_agent_does() {
    paused(async {
        let script = Script::default().group("outer", Strategy::RestForOne);
        let script = script
            .group("inner", Strategy::OneForOne)
            .with_group(|group| group.parent = Some("outer".parse().unwrap()));
        let script = [("first", "outer"), ("second", "inner"), ("third", "outer")]
            .into_iter()
            .fold(script, |script, (name, group)| {
                let script = script.agent(name);
                script.with(|spec| spec.group = Some(group.parse().unwrap()))
            });
        let world = script.begin().await;
        world.log.take(&[]);
        world.crash("third").await;
        assert_eq!(
            world.log.take(&["start", "stop"]),
            ["start third#0 2 drops"]
        );
        world.crash("first").await;
        world.pass(SECOND * 3).await;
        let wanted = ["stop third#0", "stop second#0"];
        assert_eq!(world.log.take(&["stop"]), wanted);
    });
}
