//! Other settings while the tree lives: who is touched, who is not, and what is kept.

mod kept;

use super::script::{Manners, SECOND, Script, World, paused, spec};
use crate::actors::supervisor::{Declaration, Redeclared, SupervisorError};
use crate::domain::agent::{AgentProgram, AgentSpec, AgentState, DependsOn};
use crate::domain::restart::{GroupSpec, Strategy};

/// Words of the log that tell lives.
const LIVES: [&str; 4] = ["start", "drain", "stop", "close"];

type Edit = fn(&mut AgentSpec);

/// An agent as in the script, with these changes.
fn agent(name: &str, edit: Edit) -> AgentSpec {
    let mut agent = spec(name);
    edit(&mut agent);
    agent
}

/// As it was.
fn same(_: &mut AgentSpec) {}

/// Other settings that need a new life.
fn anew(spec: &mut AgentSpec) {
    spec.runs = AgentProgram::Actor {
        actor: "scripted".to_owned(),
        settings: serde_json::json!({"mode": "new"}),
    };
}

fn group(name: &str, strategy: Strategy) -> GroupSpec {
    GroupSpec {
        strategy,
        ..GroupSpec::alone(name.parse().unwrap())
    }
}

impl World {
    async fn redeclare(
        &self,
        groups: Vec<GroupSpec>,
        agents: impl IntoIterator<Item = AgentSpec>,
    ) -> Result<(), SupervisorError> {
        let agents = agents.into_iter().map(|spec| Redeclared {
            spec,
            factory: Some(self.factory()),
            record: None,
        });
        let declared = Declaration {
            groups,
            agents: agents.collect(),
            ..Declaration::default()
        };
        let done = self.handle.redeclare(declared).await;
        self.settled().await;
        done
    }

    fn lives(&self) -> Vec<String> {
        self.log.take(&LIVES)
    }
}

#[test]
fn who_is_declared_as_before_is_not_touched() {
    paused(async {
        let world = Script::default().agent("a").agent("b").begin().await;
        world.crash("a").await;
        let before = (world.status("a").await, world.status("b").await);
        world.log.take(&[]);
        let both = [agent("a", same), agent("b", same)];
        world.redeclare(Vec::new(), both).await.unwrap();
        let after = (world.status("a").await, world.status("b").await);
        assert_eq!(before, after);
        assert_eq!(world.lives(), Vec::<String>::new());
        // Nor is one that stands elsewhere in the order now.
        let turned = [agent("b", same), agent("a", same)];
        world.redeclare(Vec::new(), turned).await.unwrap();
        assert_eq!(world.lives(), Vec::<String>::new());
        assert_eq!(world.status("a").await, before.0);
        world.crash("a").await;
        assert_eq!(
            world.status("a").await.restarts.window,
            2,
            "deaths count on"
        );
    });
}

#[test]
fn one_that_is_changed_is_drained_and_started_anew_and_nobody_else() {
    paused(async {
        let world = Script::default().agent("a").agent("b").begin().await;
        world.log.take(&[]);
        let both = [agent("a", anew), agent("b", same)];
        world.redeclare(Vec::new(), both).await.unwrap();
        assert_eq!(world.state("a").await, AgentState::Draining);
        assert_eq!(world.lives(), ["drain a#0"]);
        world.pass(SECOND * 12).await;
        assert_eq!(world.lives(), ["stop a#0", "start a#0 2 keeps"]);
        assert_eq!(world.state("a").await, AgentState::Ready);
        let again = [agent("a", anew), agent("b", same)];
        world.redeclare(Vec::new(), again).await.unwrap();
        assert_eq!(world.lives(), Vec::<String>::new(), "once is enough");
    });
}

#[test]
fn who_depends_on_others_ends_before_them_and_starts_after_them() {
    paused(async {
        fn waits(spec: &mut AgentSpec) {
            spec.depends_on
                .insert("a".parse().unwrap(), DependsOn::Healthy);
        }
        fn waits_anew(spec: &mut AgentSpec) {
            waits(spec);
            anew(spec);
        }
        let drains = Manners {
            drains: false,
            ..Manners::default()
        };
        let world = Script::default()
            .agent("a")
            .agent("b")
            .with(waits)
            .manners(drains)
            .begin()
            .await;
        world.log.take(&[]);
        let both = [agent("a", anew), agent("b", waits_anew)];
        world.redeclare(Vec::new(), both).await.unwrap();
        assert_eq!(world.lives(), ["drain b#0"], "a works on for b");
        assert_eq!(world.state("a").await, AgentState::Ready);
        world.pass(SECOND * 30).await;
        let lives = world.lives();
        let begins = ["stop b#0", "start b#0 2 keeps", "drain a#0", "stop a#0"];
        assert_eq!(lives[..4], begins, "{lives:?}");
        assert_eq!(lives[4..], ["start a#0 2 keeps"]);
    });
}

#[test]
fn one_that_dies_before_its_turn_to_end_is_followed_by_one_with_the_new_settings() {
    paused(async {
        fn waits(spec: &mut AgentSpec) {
            let on = "a".parse().unwrap();
            spec.depends_on.insert(on, DependsOn::Started);
        }
        let world = Script::default()
            .agent("a")
            .agent("b")
            .with(waits)
            .begin()
            .await;
        world.log.take(&[]);
        let after = agent("b", |spec| {
            waits(spec);
            anew(spec);
        });
        let both = [agent("a", anew), after];
        world.redeclare(Vec::new(), both).await.unwrap();
        world.crash("a").await;
        assert_eq!(world.lives(), ["drain b#0", "start a#0 2 keeps"]);
        world.pass(SECOND * 30).await;
        let status = world.status("a").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 2));
    });
}

#[test]
fn one_that_is_added_starts_after_what_it_depends_on() {
    paused(async {
        let world = Script::default().agent("a").begin().await;
        world.log.take(&[]);
        let late = agent("late", |spec| {
            spec.depends_on
                .insert("next".parse().unwrap(), DependsOn::Healthy);
        });
        let all = [late, agent("a", same), agent("next", same)];
        world.redeclare(Vec::new(), all).await.unwrap();
        assert_eq!(
            world.lives(),
            ["start next#0 1 keeps", "start late#0 1 keeps"]
        );
        let names: Vec<String> = world
            .handle
            .agents()
            .await
            .unwrap()
            .into_iter()
            .map(|it| it.name.to_string())
            .collect();
        assert_eq!(names, ["late", "a", "next"], "in the order of declaration");
    });
}

#[test]
fn one_that_is_removed_is_drained_and_forgotten() {
    paused(async {
        let world = Script::default()
            .agent("a")
            .agent("b")
            .with(|spec| spec.replicas = 2)
            .begin()
            .await;
        world.log.take(&[]);
        world
            .redeclare(Vec::new(), [agent("a", same)])
            .await
            .unwrap();
        assert_eq!(world.lives(), ["drain b#0", "drain b#1"]);
        let gone = world.handle.agent(&"b".parse().unwrap()).await;
        assert!(
            matches!(gone, Err(SupervisorError::NotFound { .. })),
            "{gone:?}"
        );
        // Its deaths now are nobody's.
        world.crash("b#0").await;
        world.pass(SECOND * 12).await;
        assert_eq!(world.lives(), ["close b#0", "stop b#1", "close b#1"]);
        let known = super::look::look(&world.handle, |tree| tree.tree.agents.len()).await;
        assert_eq!(known, 1);
        assert_eq!(world.state("a").await, AgentState::Ready);
    });
}

#[test]
fn of_two_that_are_removed_the_needed_one_is_told_when_the_other_is_down() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let needs = ("store".parse().unwrap(), DependsOn::Started);
        let script = Script::default()
            .agent("other")
            .agent("store")
            .agent("user");
        let script = script.with(|spec| spec.depends_on.extend([needs]));
        let world = script.manners(stubborn).begin().await;
        world.log.take(&[]);
        let rest = [agent("other", same)];
        world.redeclare(Vec::new(), rest).await.unwrap();
        // Whatever else happens meanwhile.
        world.crash("other").await;
        world.handle.stop(World::target("other")).await.unwrap();
        world.pass(SECOND * 19).await;
        let told = world.log.take(&["drain", "stop", "kill"]);
        let told: Vec<_> = told.iter().filter(|it| !it.contains("other")).collect();
        assert_eq!(told, ["drain user#0", "stop user#0"]);
        world.pass(SECOND * 2).await;
        let told = world.log.take(&["drain", "stop", "kill"]);
        assert_eq!(told[..2], ["kill user#0", "drain store#0"]);
    });
}

#[test]
fn one_that_is_declared_again_before_its_end_goes_on_after_it() {
    paused(async {
        let world = Script::default().agent("a").agent("b").begin().await;
        world
            .redeclare(Vec::new(), [agent("a", same)])
            .await
            .unwrap();
        let both = [agent("a", same), agent("b", same)];
        world.redeclare(Vec::new(), both).await.unwrap();
        assert_eq!(world.state("b").await, AgentState::Draining);
        world.pass(SECOND * 12).await;
        let status = world.status("b").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 2));
    });
}

#[test]
fn what_a_life_takes_while_it_runs_ends_none() {
    paused(async {
        let world = Script::default().agent("a").begin().await;
        world.log.take(&[]);
        let edit: Edit = |spec| {
            spec.concurrency = 4;
            spec.replicas = 2;
            spec.stop.drain_timeout = SECOND * 2;
            spec.restart.min_backoff = SECOND * 7;
        };
        world
            .redeclare(Vec::new(), [agent("a", edit)])
            .await
            .unwrap();
        let told = world.log.take(&["start", "drain", "stop", "work"]);
        let wanted = ["work ready a#0 1", "start a#1 1 keeps", "work ready a#1 1"];
        assert_eq!(
            told, wanted,
            "offered again, with as many slots as it has now"
        );
        assert_eq!(world.status("a").await.concurrency, 4);
        world.handle.stop(World::target("a#1")).await.unwrap();
        world.pass(SECOND * 2).await;
        assert_eq!(
            world.lives()[..2],
            ["drain a#1", "stop a#1"],
            "within 2 s now"
        );
    });
}
