//! Children that do as the script says, and a world that remembers what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{AgentStatus, Child, Outside, Plan, SupervisorHandle, start};
use super::listeners::Port;
pub(super) use super::listeners::{Answers, Log, Shelf};
use crate::actors::life::{ChildFactory, Evidence, Life, LifeControl, LifeNote, Ready, Start};
use crate::actors::runner::Grant;
use crate::clock::WallClock;
use crate::domain::agent::{
    AgentProgram, AgentSpec, AgentState, AgentTarget, InstanceId, OnStall, ProbePolicy, StopPolicy,
};
use crate::domain::exit::ExitReason;
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Overrides, RestartBudget};
use crate::domain::restart::{GroupSpec, RestartPolicy, Strategy};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// How a child behaves; everything well-mannered unless set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manners {
    /// Never says that it is ready.
    pub(super) silent: bool,
    /// Does not end when told to.
    pub(super) stubborn: bool,
    /// Does not even end when killed.
    pub(super) immortal: bool,
    /// Ends by itself when asked to drain.
    pub(super) drains: bool,
    /// Does not answer probes.
    pub(super) mute: bool,
}

/// One scripted runner.
#[derive(Debug)]
pub(super) struct Actor {
    life: Mutex<Life>,
    grant: Grant,
    manners: Manners,
    log: Log,
    over: Mutex<bool>,
    pub(super) evidence: Mutex<Evidence>,
}

impl Actor {
    /// Ends this life for this reason; another follows in place if there is leave.
    pub(super) fn end(&self, reason: ExitReason) {
        let mut over = self.over.lock();
        if *over {
            return;
        }
        let mut life = self.life.lock();
        let ended = life.generation;
        match self.grant.take(&reason) {
            Some(next) => life.generation = next,
            None => *over = true,
        }
        life.sink.exited(&life.instance, ended, reason);
        if !*over {
            self.log.add(format!(
                "start {} {} in place",
                life.instance, life.generation
            ));
            self.show_ready(&life);
        }
    }

    fn show_ready(&self, life: &Life) {
        if !self.manners.silent {
            life.ready(Ready {
                port: Some(Arc::new(Port)),
                ..Ready::default()
            });
        }
    }

    /// Says something on the way.
    pub(super) fn note(&self, note: LifeNote) {
        self.life.lock().note(note);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.lock()
    }

    /// Reports the end of a life once more, as a runner never would.
    pub(super) fn report_again(&self, generation: u64) {
        let life = self.life.lock();
        life.sink
            .exited(&life.instance, generation, ExitReason::Killed);
    }
}

impl LifeControl for Actor {
    fn drain(&self, _: Duration) {
        self.log.add(format!("drain {}", self.life.lock().instance));
        if self.manners.drains {
            self.end(ExitReason::Shutdown);
        }
    }
    fn stop(&self) {
        self.log.add(format!("stop {}", self.life.lock().instance));
        if !self.manners.stubborn {
            self.end(ExitReason::Shutdown);
        }
    }
    fn kill(&self) {
        self.log.add(format!("kill {}", self.life.lock().instance));
        if !self.manners.immortal {
            self.end(ExitReason::Killed);
        }
    }
    fn probe(&self) -> oneshot::Receiver<Evidence> {
        let (answer, waiting) = oneshot::channel();
        if self.manners.mute {
            // Held for ever: nobody answers, but nobody is gone.
            std::mem::forget(answer);
        } else {
            answer.send(self.evidence.lock().clone()).ok();
        }
        waiting
    }
    fn mailbox_depth(&self) -> usize {
        0
    }
}

/// Makes scripted children.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) log: Log,
    manners: Arc<Mutex<BTreeMap<Name, Manners>>>,
    cast: Arc<Mutex<BTreeMap<InstanceId, Arc<Actor>>>>,
}

impl ChildFactory for Stage {
    fn start(&self, start: Start) -> Arc<dyn LifeControl> {
        let instance = start.life.instance.clone();
        let mail = if start.keep_mail { "keeps" } else { "drops" };
        self.log
            .add(format!("start {instance} {} {mail}", start.life.generation));
        let manners = self
            .manners
            .lock()
            .get(&instance.agent)
            .copied()
            .unwrap_or_default();
        let actor = Arc::new(Actor {
            life: Mutex::new(start.life.clone()),
            grant: start.grant,
            manners,
            log: self.log.clone(),
            over: Mutex::new(false),
            evidence: Mutex::default(),
        });
        actor.show_ready(&start.life);
        self.cast.lock().insert(instance, actor.clone());
        actor
    }

    fn close(&self, instance: &InstanceId) {
        self.log.add(format!("close {instance}"));
    }
}

/// A supervisor with scripted children.
pub(super) struct World {
    pub(super) handle: SupervisorHandle,
    pub(super) log: Log,
    pub(super) shelf: Arc<Shelf>,
    pub(super) asked: Arc<Answers>,
    stage: Stage,
}

/// A script before it starts.
#[derive(Default)]
pub(super) struct Script {
    groups: Vec<GroupSpec>,
    agents: Vec<(AgentSpec, Manners)>,
    budgets: Vec<RestartBudget>,
    /// What an earlier daemon left of the agents.
    left: BTreeMap<Name, Overrides>,
    wall: WallClock,
}

impl Script {
    pub(super) fn group(mut self, name: &str, strategy: Strategy) -> Self {
        self.groups.push(GroupSpec {
            strategy,
            ..GroupSpec::alone(name.parse().unwrap())
        });
        self
    }

    pub(super) fn with_group(mut self, change: impl FnOnce(&mut GroupSpec)) -> Self {
        change(self.groups.last_mut().unwrap());
        self
    }

    pub(super) fn agent(mut self, name: &str) -> Self {
        self.agents.push((spec(name), Manners::default()));
        self
    }

    /// Changes the agent declared last.
    pub(super) fn with(mut self, change: impl FnOnce(&mut AgentSpec)) -> Self {
        change(&mut self.agents.last_mut().unwrap().0);
        self
    }

    pub(super) fn manners(mut self, manners: Manners) -> Self {
        self.agents.last_mut().unwrap().1 = manners;
        self
    }

    pub(super) fn left(mut self, overrides: BTreeMap<Name, Overrides>) -> Self {
        self.left = overrides;
        self
    }

    pub(super) fn wall(mut self, wall: WallClock) -> Self {
        self.wall = wall;
        self
    }

    pub(super) fn budget(mut self, budget: RestartBudget) -> Self {
        self.budgets.push(budget);
        self
    }

    pub(super) async fn begin(self) -> World {
        let log = Log::default();
        let shelf = Arc::new(Shelf::default());
        let asked = Arc::new(Answers::default());
        let manners = self
            .agents
            .iter()
            .map(|(spec, manners)| (spec.name.clone(), *manners))
            .collect();
        let stage = Stage {
            log: log.clone(),
            manners: Arc::new(Mutex::new(manners)),
            cast: Arc::default(),
        };
        let left = self.left;
        let children = self.agents.into_iter().map(|(spec, _)| Child {
            record: left.get(&spec.name).map(|set| record(&spec.name, set)),
            spec,
            factory: Arc::new(stage.clone()),
        });
        let handle = start(Plan {
            groups: self.groups,
            children: children.collect(),
            budgets: self.budgets,
            outside: Outside {
                facts: Some(Arc::new(log.clone())),
                records: Some(shelf.clone()),
                work: Some(Arc::new(log.clone())),
                prober: Some(asked.clone()),
                exits: None,
            },
            pool: None,
            seed: Some(1),
            wall: self.wall,
            ..Plan::default()
        });
        let world = World {
            asked,
            handle: handle.unwrap(),
            log,
            shelf,
            stage,
        };
        world.settled().await;
        world
    }
}

impl World {
    /// Waits until everything that was set off has been dealt with.
    pub(super) async fn settled(&self) {
        for _ in 0..3 {
            self.handle.tree().await.unwrap();
        }
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, span: Duration) {
        self.settled().await;
        tokio::time::sleep(span).await;
        self.settled().await;
    }

    pub(super) fn actor(&self, instance: &str) -> Arc<Actor> {
        let target: AgentTarget = instance.parse().unwrap();
        let instance = InstanceId {
            agent: target.agent,
            index: target.index.unwrap_or(0),
        };
        self.stage.cast.lock()[&instance].clone()
    }

    /// What makes lives of whoever is declared later.
    pub(super) fn factory(&self) -> Arc<dyn ChildFactory> {
        Arc::new(self.stage.clone())
    }

    /// Lets the present life of a replica crash.
    pub(super) async fn crash(&self, instance: &str) {
        self.actor(instance).end(ExitReason::ExitCode { code: 1 });
        self.settled().await;
    }

    pub(super) async fn status(&self, name: &str) -> AgentStatus {
        self.handle.agent(&name.parse().unwrap()).await.unwrap()
    }

    pub(super) async fn state(&self, name: &str) -> AgentState {
        self.status(name).await.state
    }

    pub(super) fn target(text: &str) -> AgentTarget {
        text.parse().unwrap()
    }
}

pub(super) fn record(name: &Name, overrides: &Overrides) -> AgentRecord {
    let now = crate::clock::now();
    AgentRecord {
        name: name.clone(),
        kind: "actor".to_owned(),
        overrides: overrides.clone(),
        config_hash: String::new(),
        generation: 0,
        restarts_total: 0,
        created_at: now,
        updated_at: now,
    }
}

pub(super) fn spec(name: &str) -> AgentSpec {
    AgentSpec {
        name: name.parse().unwrap(),
        runs: AgentProgram::Actor {
            actor: "scripted".to_owned(),
            settings: serde_json::Value::Null,
        },
        role: None,
        group: None,
        replicas: 1,
        critical: false,
        restart: RestartPolicy {
            full_jitter: false,
            ..RestartPolicy::default()
        },
        depends_on: BTreeMap::new(),
        concurrency: 1,
        queue: "default".parse().unwrap(),
        stall_timeout: SECOND * 120,
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: SECOND * 12,
            signal: 15,
            timeout: SECOND * 8,
        },
        start_timeout: SECOND * 30,
        liveness: ProbePolicy {
            enabled: true,
            period: SECOND * 10,
            timeout: SECOND * 3,
            failure_threshold: 3,
            success_threshold: 2,
        },
        probes: Default::default(),
        labels: BTreeMap::new(),
        spend: None,
    }
}

/// Runs a claim on one thread under paused time.
pub(super) fn paused<F: Future<Output = ()>>(claim: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, claim);
}
