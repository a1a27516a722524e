//! The monitor: a round of all checks on a timer, some on demand.
//!
//! Its timers are armed anew when their work is done, so that a slow round is followed by one
//! round, never by a burst.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::checks::{self, Judged, Sources};
use super::host::{HostProbe, HostSample};
use super::look::{Blind, Look, Wanted, look};
use super::rounds::{Folded, Occasion, Rounds, flap_event};
use super::sampler;
use super::window::{Sample, Window};
use super::{HealthDeps, Shared};
use crate::actors::life::Hosted;
use crate::actors::runner::AgentContext;
use crate::domain::health::agent::AgentHealthInput;
use crate::domain::health::{
    AGENT_CHECK_PREFIX, BETWEEN_ROUNDS, DATABASE_CHECK, HealthReport, HealthSettings, HealthStatus,
};
use crate::persistence::StoreError;
use crate::telemetry::metrics::record;

/// Rows of figures are written at most this often, however short the rounds.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(30);
/// The shortest rest between two rounds, however long one takes.
const MIN_REST: Duration = Duration::from_millis(100);
/// From the news that an agent has settled to the look at the agents: others mostly settle with it.
const SETTLES_WITHIN: Duration = Duration::from_millis(50);
/// The shortest rest between two such looks: a storm of restarts costs one a second.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Runs one check now, or all.
#[derive(Debug, Message)]
#[rtype(result = "Arc<HealthReport>")]
pub(super) struct RunChecks {
    pub(super) wanted: Wanted,
}

/// The actor.
pub(super) struct HealthMonitor {
    deps: HealthDeps,
    shared: Arc<Shared>,
    probe: Arc<Mutex<dyn HostProbe>>,
    sources: Sources,
    window: Window,
    rounds: Rounds,
    /// Whether the last write was kept, so that only edges are logged.
    keeping: bool,
    figures_kept: Option<Instant>,
    /// Whether it waits for news of agents; a report begins with a whole round.
    listening: bool,
}

impl HealthMonitor {
    pub(super) fn new(deps: HealthDeps, shared: Arc<Shared>) -> Self {
        let (probe, settings) = (deps.probe.clone(), shared.settings());
        let sources = probe.try_lock().map_or(
            Sources {
                cpu: "host",
                memory: "host",
            },
            |probe| Sources {
                cpu: probe.cpu_source(),
                memory: probe.memory_source(),
            },
        );
        Self {
            probe,
            sources,
            window: Window::new(settings.sustained, settings.sample_interval),
            rounds: Rounds::resume(shared.report().as_deref()),
            keeping: true,
            figures_kept: None,
            listening: false,
            deps,
            shared,
        }
    }

    /// Takes a sample, then does `next`, whether there was one or not.
    fn sample(
        &self,
        ctx: &mut AgentContext<Self>,
        next: impl FnOnce(&mut Self, &mut AgentContext<Self>) + 'static,
    ) {
        let sampling = take_sample(self.probe.clone(), self.shared.settings().check_timeout);
        ctx.spawn(sampling.into_actor(self).map(|host, act, ctx| {
            let settings = act.shared.settings();
            act.window.fit(settings.sustained, settings.sample_interval);
            if let Some(host) = host {
                act.window.push(Sample::new(host, &act.deps.store.status()));
                sampler::host(&host, act.sources);
            }
            next(act, ctx);
        }));
    }

    fn keep_sampling(&self, ctx: &mut AgentContext<Self>) {
        let resting = rest(self.shared.clone(), Instant::now(), |it| it.sample_interval);
        ctx.spawn(resting.into_actor(self).map(|(), act, ctx| {
            act.sample(ctx, |act, ctx| act.keep_sampling(ctx));
        }));
    }

    fn round(&self, ctx: &mut AgentContext<Self>) {
        let began = Instant::now();
        let looking = self.look(Wanted::All);
        ctx.spawn(looking.into_actor(self).map(move |seen, act, ctx| {
            act.settle(&Wanted::All, seen, Occasion::Round, ctx);
            if !std::mem::replace(&mut act.listening, true) {
                act.wait_for_news(ctx);
            }
            let resting = rest(act.shared.clone(), began, |it| it.interval);
            ctx.spawn(resting.into_actor(act).map(|(), act, ctx| act.round(ctx)));
        }));
    }

    /// Looks at the agents when one of them has settled, so that nobody reads until the next round
    /// what was true only before. What is worse than before is left to the round, which looks at what
    /// lasts, but for an agent that has given up or is cut off: that is shown at once, and marked, so
    /// that a healer acts on it when the round has seen it too.
    fn wait_for_news(&self, ctx: &mut AgentContext<Self>) {
        let settled = self.deps.settled.clone();
        let news = async move {
            settled.notified().await;
            tokio::time::sleep(SETTLES_WITHIN).await;
        };
        ctx.spawn(
            news.into_actor(self)
                .map(|(), act, ctx| act.look_again(ctx)),
        );
    }

    fn look_again(&self, ctx: &mut AgentContext<Self>) {
        let looking = self.look(Wanted::Agents);
        ctx.spawn(looking.into_actor(self).map(|seen, act, ctx| {
            act.settle(&Wanted::Agents, seen, Occasion::Asked, ctx);
            ctx.run_later(LOOK_AGAIN_AFTER, |act, ctx| act.wait_for_news(ctx));
        }));
    }

    fn look(&self, wanted: Wanted) -> impl Future<Output = Look> + use<> {
        let HealthDeps { store, agents, .. } = self.deps.clone();
        look(store, agents, wanted, self.shared.settings().check_timeout)
    }

    /// Judges what was seen, publishes the report, and tells whom it concerns.
    fn settle(
        &mut self,
        wanted: &Wanted,
        seen: Look,
        occasion: Occasion,
        ctx: &mut AgentContext<Self>,
    ) -> Arc<HealthReport> {
        if let (Occasion::Round, Some(Ok(inputs))) =
            (occasion, seen.agents.as_ref().map(|seen| &seen.what))
        {
            self.rounds.count(inputs);
            sampler::agents(inputs);
            sampler::responses(inputs);
            self.keep_figures(inputs, ctx);
        }
        let down = down(&seen);
        let mut judged = self.judge(wanted, seen);
        if *wanted == Wanted::Agents {
            judged.retain_mut(|new| {
                let early = self.rounds.is_early(&new.name, new.status);
                if early {
                    new.details[BETWEEN_ROUNDS] = true.into();
                }
                !early || down.contains(&new.name)
            });
        }
        for check in &judged {
            record::health_check(&check.name, check.status, check.took);
        }
        let at = crate::clock::now();
        let actions = self.shared.actions();
        let folded = self.rounds.fold(judged, occasion, at, &actions);
        record::health_unhandled(folded.unhandled);
        let report = self.shared.publish(folded.report.clone());
        self.tell(folded, ctx);
        report
    }

    fn judge(&self, wanted: &Wanted, seen: Look) -> Vec<Judged> {
        let settings = &self.shared.settings();
        let mut all = Vec::new();
        if wanted.system() {
            all.push(checks::system(
                &self.window,
                Instant::now(),
                settings,
                self.sources,
            ));
        }
        if let Some(ping) = seen.ping {
            let status = self.deps.store.status();
            let judged = match ping.what {
                Err(Blind::Unknown(why)) => {
                    Judged::unknown(DATABASE_CHECK.to_owned(), DATABASE_CHECK, why)
                }
                Err(Blind::Refused(why)) => {
                    checks::database(&status, Err(why), &self.window, settings)
                }
                Ok(took) => checks::database(&status, Ok(took), &self.window, settings),
            };
            all.push(judged.took(ping.took));
        }
        if let Some(agents) = seen.agents {
            let took = agents.took;
            let judged = self.judge_agents(agents.what);
            all.extend(
                judged
                    .into_iter()
                    .filter(|j| wanted.is(&j.name))
                    .map(|j| j.took(took)),
            );
        }
        all
    }

    fn judge_agents(&self, seen: Result<Vec<AgentHealthInput>, Blind>) -> Vec<Judged> {
        let limits = self.shared.settings().agent;
        match seen {
            Ok(inputs) => inputs
                .iter()
                .map(|input| checks::agent(input, self.rounds.trend(input), limits))
                .collect(),
            Err(Blind::Refused(why) | Blind::Unknown(why)) => self
                .rounds
                .agent_checks()
                .into_iter()
                .map(|name| Judged::unknown(name, "agent", why.clone()))
                .collect(),
        }
    }

    /// Facts, log lines, rows.
    fn tell(&mut self, folded: Folded, ctx: &mut AgentContext<Self>) {
        let at = folded.report.checked_at;
        for change in &folded.changes {
            let check = &change.check;
            let from = change.from.map_or("new", HealthStatus::as_str);
            match check.status {
                HealthStatus::Healthy if change.from.is_none() => {
                    tracing::debug!(check = %check.name, "healthy: {}", check.message);
                }
                HealthStatus::Healthy => {
                    tracing::info!(check = %check.name, from, "healthy again: {}", check.message);
                }
                status => {
                    tracing::warn!(check = %check.name, from, "{}: {}", status.as_str(), check.message);
                }
            }
            if let Some(event) = change.event(at) {
                (self.deps.facts)(event);
            }
        }
        for (name, edge, score) in &folded.flaps {
            tracing::warn!(check = %name, score, "flapping: {edge:?}");
            (self.deps.facts)(flap_event(name, *edge, *score, at));
        }
        if !folded.records.is_empty() {
            self.keep(self.deps.store.log_health_check(folded.records), ctx);
        }
    }

    /// Rows of figures, at most every [`METRICS_INTERVAL`].
    fn keep_figures(&mut self, inputs: &[AgentHealthInput], ctx: &mut AgentContext<Self>) {
        let now = Instant::now();
        if self
            .figures_kept
            .is_some_and(|last| now - last + MIN_REST < METRICS_INTERVAL)
        {
            return;
        }
        self.figures_kept = Some(now);
        let at = crate::clock::now();
        let rows = inputs
            .iter()
            .map(|input| sampler::agent_row(input, at))
            .collect();
        self.keep(self.deps.store.update_agent_metrics(rows), ctx);
        if let Some(newest) = self.window.newest() {
            let row = sampler::system_row(&newest.host, at);
            self.keep(self.deps.store.log_system_metrics(row), ctx);
        }
    }

    /// Waits for a write beside everything else; says once when writes begin or cease to fail.
    fn keep(
        &self,
        write: impl Future<Output = Result<(), StoreError>> + 'static,
        ctx: &mut AgentContext<Self>,
    ) {
        let write = timeout(self.shared.settings().check_timeout, write);
        ctx.spawn(write.into_actor(self).map(|kept, act, _| {
            let failed = match kept {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            match (&failed, act.keeping) {
                (Some(error), true) => tracing::warn!(%error, "health records are not kept"),
                (None, false) => tracing::info!("health records are kept again"),
                _ => {}
            }
            act.keeping = failed.is_none();
        }));
    }
}

/// Waits until a span of the settings has passed since `began`, by what holds then: it may be set
/// otherwise meanwhile.
async fn rest(shared: Arc<Shared>, began: Instant, span: fn(&HealthSettings) -> Duration) {
    let mut settings = shared.settings.subscribe();
    let least = Instant::now() + MIN_REST;
    loop {
        let until = began + span(&settings.borrow_and_update());
        tokio::select! {
            () = tokio::time::sleep_until(until.max(least)) => return,
            // Never an error: it holds the sender.
            _ = settings.changed() => {}
        }
    }
}

/// The checks of agents that have given up or are cut off.
fn down(seen: &Look) -> BTreeSet<String> {
    let inputs = seen
        .agents
        .as_ref()
        .and_then(|seen| seen.what.as_ref().ok());
    let down = inputs.into_iter().flatten().filter(|input| input.is_down());
    down.map(|input| format!("{AGENT_CHECK_PREFIX}{}", input.name))
        .collect()
}

/// Reads the host on a thread for blocking work. If an earlier reading still hangs, there is none.
async fn take_sample(probe: Arc<Mutex<dyn HostProbe>>, deadline: Duration) -> Option<HostSample> {
    let reading = tokio::task::spawn_blocking(move || Some(probe.try_lock()?.sample()));
    timeout(deadline, reading).await.ok()?.ok()?
}

impl Actor for HealthMonitor {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        tracing::debug!(
            cpu = self.sources.cpu,
            memory = self.sources.memory,
            "limits of the host's figures"
        );
        self.sample(ctx, |act, ctx| {
            act.round(ctx);
            act.keep_sampling(ctx);
        });
    }
}

impl Hosted for HealthMonitor {
    const MAILBOX: usize = 64;
}

impl Handler<RunChecks> for HealthMonitor {
    type Result = ResponseActFuture<Self, Arc<HealthReport>>;

    fn handle(&mut self, RunChecks { wanted }: RunChecks, _: &mut Self::Context) -> Self::Result {
        let looking = self.look(wanted.clone()).into_actor(self);
        Box::pin(looking.map(move |seen, act, ctx| act.settle(&wanted, seen, Occasion::Asked, ctx)))
    }
}
