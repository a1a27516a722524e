//! Claims about recovery runs.

mod doctor;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use self::doctor::{Cure, Doctor};
use super::{HealerDeps, HealerError, HealerHandle};
use crate::actors::health::HealthHandle;
use crate::actors::health::tests::world::{Answers, World, paused, report_that};
use crate::actors::life::LifeControl;
use crate::actors::testing::start;
use crate::domain::agent::AgentState;
use crate::domain::health::HealthStatus;
use crate::domain::ids::RecoveryRunId;
use crate::domain::record::RecoveryRun;
use crate::domain::recovery::{RecoveryMode, RecoverySpec};

/// A monitor, a healer, and the world that they look at.
struct Clinic {
    world: World,
    doctor: Arc<Doctor>,
    health: HealthHandle,
    healer: HealerHandle,
    _lives: [Arc<dyn LifeControl>; 2],
}

impl Clinic {
    /// Where the agent `echo` stands so, and the rules are the defaults.
    fn with_echo(state: AgentState, cure: Cure) -> Self {
        Self::open(sick(state), cure, RecoverySpec::default())
    }

    fn open(world: World, cure: Cure, spec: RecoverySpec) -> Self {
        Self::that_hears(Arc::default(), world, cure, spec)
    }

    /// The same, told by `settled` when an agent stands otherwise.
    fn that_hears(settled: Arc<Notify>, world: World, cure: Cure, spec: RecoverySpec) -> Self {
        let (health, monitor) = world.monitor_that_hears(settled);
        let doctor = Arc::new(Doctor {
            world: world.clone(),
            cure,
            done: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let (child, healer) = HealerHandle::child(HealerDeps {
            spec: Arc::new(spec),
            health: health.clone(),
            effects: doctor.clone(),
            store: Arc::new(world.clone()),
            facts: world.facts(),
        });
        let healing = start(child.as_ref());
        Self {
            world,
            doctor,
            health,
            healer,
            _lives: [monitor, healing],
        }
    }

    fn done(&self) -> Vec<String> {
        self.doctor
            .done
            .lock()
            .iter()
            .map(|(_, what)| what.clone())
            .collect()
    }

    /// Rows as `action cause outcome attempt`, in the order of their first writing.
    fn rows(&self) -> Vec<String> {
        let row = |r: &RecoveryRun| format!("{} {} {} {}", r.action, r.cause, r.outcome, r.attempt);
        self.world.get(|w| w.runs.iter().map(row).collect())
    }

    fn events(&self) -> Vec<&'static str> {
        let of = |w: &crate::actors::health::tests::world::State| {
            let kinds = w.events.iter().map(|e| e.kind);
            kinds.filter(|kind| kind.starts_with("recovery.")).collect()
        };
        self.world.get(of)
    }
}

fn sick(state: AgentState) -> World {
    let world = World::of(&["echo", "sum"]);
    world.put("echo", state);
    world
}

async fn for_seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn a_critical_agent_is_restarted_verified_and_the_run_is_kept() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Quarantined, Cure::Works);
        for_seconds(10).await;
        assert_eq!(clinic.done(), ["restart echo"]);
        assert_eq!(clinic.rows(), ["restart-agent agent.echo succeeded 1"]);
        assert_eq!(clinic.events(), ["recovery.started", "recovery.succeeded"]);
        let run = clinic.world.get(|w| w.runs[0].clone());
        assert_eq!(
            run.message,
            "restarted echo; agent.echo is healthy: 1 ready, idle"
        );
        assert!(run.finished_at.is_some());
        assert_eq!(
            clinic.health.report().expect("a report").status,
            HealthStatus::Healthy
        );
        let shown = clinic.healer.actions();
        assert_eq!(shown[0].last_run.as_ref(), Some(&run));
    });
}

#[test]
fn a_panic_of_the_healer_costs_nobody_an_answer_and_it_heals_on() {
    paused(async {
        let spec = RecoverySpec::default();
        let clinic = Clinic::open(sick(AgentState::Ready), Cure::Works, spec);
        for_seconds(5).await;
        clinic.healer.address.explode();
        let run = clinic.healer.run("restart-agent", Some("agent.echo")).await;
        assert_eq!(run.expect("an answer").action, "restart-agent");
        assert_eq!(clinic.done(), ["restart echo"]);
        for_seconds(100).await;
        clinic.healer.address.explode();
        clinic.world.put("sum", AgentState::Quarantined);
        for_seconds(40).await;
        assert_eq!(clinic.done(), ["restart echo", "restart sum"]);
    });
}

#[test]
fn what_is_seen_between_rounds_is_healed_when_the_round_has_seen_it_too() {
    paused(async {
        let (settled, spec) = (Arc::<Notify>::default(), RecoverySpec::default());
        let world = sick(AgentState::Ready);
        let clinic = Clinic::that_hears(settled.clone(), world, Cure::Works, spec);
        for_seconds(5).await;
        clinic.world.put("echo", AgentState::Quarantined);
        settled.notify_one();
        let sick =
            |report: &crate::domain::health::HealthReport| report.status == HealthStatus::Critical;
        report_that(&clinic.health, sick).await;
        for_seconds(10).await;
        assert!(clinic.done().is_empty(), "{:?}", clinic.done());
        for_seconds(20).await;
        assert_eq!(clinic.done(), ["restart echo"]);
    });
}

#[test]
fn a_run_that_fails_is_tried_again_with_a_delay_and_each_try_is_kept() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Quarantined, Cure::WorksTheSecondTime);
        for_seconds(20).await;
        assert_eq!(
            clinic.rows(),
            [
                "restart-agent agent.echo failed 1",
                "restart-agent agent.echo succeeded 2"
            ]
        );
        assert_eq!(
            clinic.events(),
            [
                "recovery.started",
                "recovery.failed",
                "recovery.started",
                "recovery.succeeded"
            ]
        );
    });
}

#[test]
fn a_restart_that_changes_nothing_is_no_success() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Quarantined, Cure::ChangesNothing);
        for_seconds(40).await;
        let run = clinic.world.get(|w| w.runs[0].clone());
        assert_eq!(run.outcome, "failed");
        assert_eq!(
            run.message,
            "restarted echo, but agent.echo is critical: #0 is quarantined"
        );
    });
}

#[test]
fn an_agent_that_only_starts_has_not_recovered() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Quarantined, Cure::StartsForEver);
        for_seconds(40).await;
        let run = clinic.world.get(|w| w.runs[0].clone());
        assert_eq!(run.outcome, "failed");
        assert_eq!(
            run.message,
            "restarted echo, but agent.echo is healthy: #0 is starting"
        );
    });
}

#[test]
fn what_stays_critical_is_answered_three_times_an_hour_and_told_once_when_not() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Quarantined, Cure::Fails);
        for_seconds(3_000).await;
        assert_eq!(clinic.done().len(), 9, "three runs of three tries");
        let suppressed = clinic
            .rows()
            .iter()
            .filter(|r| r.contains("suppressed"))
            .count();
        assert!(
            (1..=3).contains(&suppressed),
            "once for each rest: {suppressed}"
        );
        let starts: Vec<_> = clinic
            .doctor
            .done
            .lock()
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert!(starts[3] - starts[0] >= Duration::from_secs(60));
    });
}

#[test]
fn what_failed_for_good_is_left_to_an_operator_and_says_so() {
    paused(async {
        let clinic = Clinic::with_echo(AgentState::Failed, Cure::Works);
        for_seconds(300).await;
        assert_eq!(clinic.done(), [""; 0]);
        assert_eq!(clinic.rows(), ["restart-agent agent.echo suppressed 1"]);
        assert_eq!(clinic.events(), ["recovery.suppressed"]);
        let message = clinic.world.get(|w| w.runs[0].message.clone());
        assert_eq!(message, "failed for good; it needs an operator");
    });
}

#[test]
fn in_observe_mode_it_is_only_written_down() {
    paused(async {
        let mut spec = RecoverySpec::default();
        spec.actions[0].mode = RecoveryMode::Observe;
        let clinic = Clinic::open(sick(AgentState::Quarantined), Cure::Works, spec);
        for_seconds(20).await;
        assert_eq!(clinic.done(), [""; 0]);
        assert_eq!(clinic.rows(), ["restart-agent agent.echo observed 1"]);
    });
}

#[test]
fn a_database_that_takes_nothing_is_reconnected_and_the_run_is_kept_afterwards() {
    paused(async {
        let world = World::of(&["echo"]);
        world.set(|w| (w.ping, w.writes) = (Answers::WithAnError, Answers::WithAnError));
        let clinic = Clinic::open(world, Cure::Works, RecoverySpec::default());
        for_seconds(20).await;
        assert_eq!(clinic.done(), ["reconnect"]);
        assert_eq!(clinic.rows(), ["reconnect-database database succeeded 1"]);
    });
}

#[test]
fn budgets_outlive_the_daemon_and_a_run_that_was_cut_off_is_closed() {
    paused(async {
        let world = sick(AgentState::Quarantined);
        let now = crate::clock::now();
        world.set(|w| {
            w.runs.extend((0..3).map(|n| RecoveryRun {
                id: RecoveryRunId::from_bytes([n; 16]),
                action: "restart-agent".to_owned(),
                cause: "agent.echo".to_owned(),
                outcome: if n == 2 { "running" } else { "failed" }.to_owned(),
                message: "agent.restart".to_owned(),
                attempt: 1,
                started_at: now,
                finished_at: None,
            }));
        });
        let clinic = Clinic::open(world, Cure::Works, RecoverySpec::default());
        for_seconds(600).await;
        assert_eq!(clinic.done(), [""; 0], "three ran within the hour");
        let cut_off = clinic.world.get(|w| {
            let id = RecoveryRunId::from_bytes([2; 16]);
            w.runs.iter().find(|r| r.id == id).cloned()
        });
        let cut_off = cut_off.expect("a run");
        assert_eq!(cut_off.outcome, "failed");
        assert_eq!(
            cut_off.message,
            "agent.restart: cut off by the end of the daemon"
        );
    });
}

#[test]
fn an_operator_runs_an_action_whatever_its_budget_and_hears_how_it_ended() {
    paused(async {
        let clinic = Clinic::open(World::of(&["echo"]), Cure::Works, RecoverySpec::default());
        report_that(&clinic.health, |_| true).await;
        for _ in 0..5 {
            let run = clinic.healer.run("restart-agent", Some("agent.echo")).await;
            let run = run.expect("it runs");
            assert_eq!(
                (run.outcome.as_str(), run.cause.as_str()),
                ("succeeded", "operator")
            );
        }
        assert_eq!(clinic.done().len(), 5);
    });
}

#[test]
fn an_order_that_cannot_be_carried_out_names_what_is_wrong() {
    paused(async {
        let clinic = Clinic::open(World::of(&["echo"]), Cure::Works, RecoverySpec::default());
        report_that(&clinic.health, |_| true).await;
        let refused = clinic
            .healer
            .run("restart-agnt", None)
            .await
            .expect_err("no such action");
        assert_eq!(
            refused.to_string(),
            "recovery action 'restart-agnt' does not exist; did you mean 'restart-agent'?"
        );
        let refused = clinic
            .healer
            .run("restart-agent", None)
            .await
            .expect_err("no check");
        assert!(matches!(refused, HealerError::NeedsCheck { .. }));
        for (check, says) in [
            (
                "system",
                "recovery action 'restart-agent' answers 'agent.*', not 'system'",
            ),
            (
                "agent.ecko",
                "check 'agent.ecko' does not exist; did you mean 'agent.echo'?",
            ),
        ] {
            let refused = clinic.healer.run("restart-agent", Some(check)).await;
            assert_eq!(refused.expect_err("no such check").to_string(), says);
        }
        let run = clinic.healer.run("restart-agent", Some("agent.echo")).await;
        assert_eq!(run.expect("a try").outcome, "succeeded");
    });
}
