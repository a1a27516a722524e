//! Other settings in the middle of something: what an operator set, rests, budgets, shared restarts.

use super::{Edit, agent, anew, group, same};
use crate::actors::supervisor::SupervisorError;
use crate::actors::supervisor::tests::script::{Manners, SECOND, Script, World, paused};
use crate::domain::agent::{AgentState, Desired};
use crate::domain::restart::{GroupSpec, Intensity, Strategy};

#[test]
fn what_an_operator_set_stands_unless_that_number_is_declared_otherwise() {
    paused(async {
        let world = Script::default()
            .agent("a")
            .agent("b")
            .agent("c")
            .begin()
            .await;
        world.handle.stop(World::target("a")).await.unwrap();
        world.handle.scale(&"b".parse().unwrap(), 3).await.unwrap();
        world
            .handle
            .pause(&"c".parse().unwrap(), None)
            .await
            .unwrap();
        world.pass(SECOND * 30).await;
        let changed = [agent("a", anew), agent("b", anew), agent("c", anew)];
        world.redeclare(Vec::new(), changed).await.unwrap();
        world.pass(SECOND * 30).await;
        let (a, b, c) = (
            world.status("a").await,
            world.status("b").await,
            world.status("c").await,
        );
        assert_eq!(
            (a.desired, a.state),
            (Desired::Stopped, AgentState::Stopped)
        );
        assert_eq!((b.replicas.desired, b.replicas.ready), (3, 3));
        assert_eq!(
            (c.desired, c.state, c.generation),
            (Desired::Paused, AgentState::Paused, 2)
        );
        let edit: Edit = |spec| {
            anew(spec);
            spec.replicas = 2;
        };
        let scaled = [agent("a", edit), agent("b", edit), agent("c", anew)];
        world.redeclare(Vec::new(), scaled).await.unwrap();
        world.pass(SECOND * 30).await;
        let (a, b) = (world.status("a").await, world.status("b").await);
        assert_eq!((b.replicas.desired, b.overrides.replicas), (2, None));
        assert_eq!((a.desired, a.replicas.desired), (Desired::Stopped, 2));
    });
}

#[test]
fn one_in_quarantine_is_tried_with_new_settings_and_with_no_others() {
    paused(async {
        let limit = |name: &str| GroupSpec {
            intensity: Intensity::Limited {
                max: 1,
                within: SECOND * 60,
            },
            ..group(name, Strategy::OneForOne)
        };
        let world = Script::default()
            .group("g", Strategy::OneForOne)
            .with_group(|group| *group = limit("g"))
            .agent("a")
            .with(|spec| spec.group = "g".parse().ok())
            .begin()
            .await;
        world.crash("a").await;
        world.crash("a").await;
        assert_eq!(world.state("a").await, AgentState::Quarantined);
        let due = world.status("a").await.restarts.next_at;
        let edit: Edit = |spec| {
            spec.group = "g".parse().ok();
            spec.labels.insert("k".to_owned(), "v".to_owned());
        };
        world
            .redeclare(vec![limit("g")], [agent("a", edit)])
            .await
            .unwrap();
        let status = world.status("a").await;
        assert_eq!(status.state, AgentState::Quarantined);
        let close = due.unwrap().since(status.restarts.next_at.unwrap()) < SECOND;
        assert!(close, "rests as long as before");
        let edit: Edit = |spec| {
            spec.group = "g".parse().ok();
            anew(spec);
        };
        world
            .redeclare(vec![limit("g")], [agent("a", edit)])
            .await
            .unwrap();
        let status = world.status("a").await;
        assert_eq!(status.state, AgentState::Ready);
        assert_eq!(status.restarts.breaker, "half_open", "on trial");
        world.crash("a").await;
        assert_eq!(
            world.state("a").await,
            AgentState::Quarantined,
            "nothing is forgotten"
        );
    });
}

#[test]
fn one_that_failed_for_good_is_tried_with_new_settings() {
    paused(async {
        let world = Script::default()
            .agent("a")
            .with(|spec| spec.restart.kind = crate::domain::restart::RestartType::Temporary)
            .begin()
            .await;
        world.crash("a").await;
        assert_eq!(world.state("a").await, AgentState::Stopped);
        let edit: Edit = |spec| {
            spec.restart.kind = crate::domain::restart::RestartType::Temporary;
            anew(spec);
        };
        world
            .redeclare(Vec::new(), [agent("a", edit)])
            .await
            .unwrap();
        assert_eq!(world.state("a").await, AgentState::Ready);
    });
}

#[test]
fn a_shared_restart_goes_on_with_those_who_are_still_in_its_group() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let in_group: Edit = |spec| spec.group = "g".parse().ok();
        let world = Script::default()
            .group("g", Strategy::OneForAll)
            .agent("a")
            .with(in_group)
            .agent("b")
            .with(in_group)
            .manners(stubborn)
            .agent("c")
            .with(in_group)
            .begin()
            .await;
        world.crash("a").await;
        assert_eq!(world.state("b").await, AgentState::Stopping);
        // `b` leaves its group while it ends, `c` altogether, and `d` comes.
        let agents = [agent("a", in_group), agent("b", same), agent("d", in_group)];
        let groups = vec![group("g", Strategy::OneForAll)];
        world.redeclare(groups, agents).await.unwrap();
        world.pass(SECOND * 30).await;
        for (name, generation) in [("a", 2), ("b", 2), ("d", 1)] {
            let status = world.status(name).await;
            assert_eq!(
                (status.state, status.generation),
                (AgentState::Ready, generation),
                "{name}"
            );
        }
        world.log.take(&[]);
        world.crash("d").await;
        world.pass(SECOND * 2).await;
        let lives = world.lives();
        let wanted = ["stop a#0", "start a#0 3 drops", "start d#0 2 drops"];
        assert_eq!(lives, wanted, "b stands alone");
    });
}

#[test]
fn a_budget_begins_anew_where_what_counts_it_has_changed() {
    paused(async {
        let in_group: Edit = |spec| spec.group = "g".parse().ok();
        let world = Script::default()
            .group("g", Strategy::OneForAll)
            .agent("a")
            .with(in_group)
            .begin()
            .await;
        world.crash("a").await;
        let mut rules = group("g", Strategy::OneForAll);
        rules.quarantine_min = SECOND;
        world
            .redeclare(vec![rules.clone()], [agent("a", in_group)])
            .await
            .unwrap();
        assert_eq!(world.status("a").await.restarts.window, 1);
        rules.intensity = Intensity::Limited {
            max: 9,
            within: SECOND * 60,
        };
        world
            .redeclare(vec![rules], [agent("a", in_group)])
            .await
            .unwrap();
        assert_eq!(world.status("a").await.restarts.window, 0);
    });
}

#[test]
fn what_is_no_tree_changes_nothing() {
    paused(async {
        let world = Script::default().agent("a").begin().await;
        world.log.take(&[]);
        let lost = agent("b", |spec| spec.group = "nowhere".parse().ok());
        let refused = world.redeclare(Vec::new(), [agent("a", anew), lost]).await;
        assert!(
            matches!(refused, Err(SupervisorError::Invalid(_))),
            "{refused:?}"
        );
        assert_eq!(world.lives(), Vec::<String>::new());
        assert_eq!(world.handle.agents().await.unwrap().len(), 1);
    });
}
