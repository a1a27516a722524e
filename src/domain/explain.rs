//! Why an agent is not running, not healthy, or takes no work: the one answer, with its way out.
//!
//! Rely on: the first cause that holds is told, from what an operator wanted down to what its work
//! does; every answer names what to do, if anything is to be done. Pure: what stands is an argument.

mod life;
mod settings;
mod standing;

use serde::Serialize;

pub use settings::{AgentSettings, Setting};
pub use standing::{
    BudgetUse, Died, FailingProbe, FaultSeen, GroupStanding, Held, LastEnd, Paused,
    ReplicaStanding, ShownEvidence, Standing, Together, WaitsFor, WorkStanding,
};

use super::agent::{Desired, Verdict};
use super::timestamp::Timestamp;

/// The one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// A word for programs.
    pub code: &'static str,
    /// Why, in one sentence.
    pub answer: String,
    /// What to do; `None` if nothing is to be done.
    pub way_out: Option<String>,
}

impl Explanation {
    fn new(code: &'static str, answer: String) -> Self {
        Self {
            code,
            answer,
            way_out: None,
        }
    }

    fn way_out(mut self, what: String) -> Self {
        self.way_out = Some(what);
        self
    }
}

/// Why an agent stands as it stands.
#[must_use]
pub fn explain(of: &Standing, work: &WorkStanding, fault: Option<&FaultSeen>) -> Explanation {
    wished(of)
        .or_else(|| life::life(of, fault))
        .or_else(|| labour(of, work))
        .unwrap_or_else(|| well(of, work))
}

/// What an operator, or the end of the daemon, wants.
fn wished(of: &Standing) -> Option<Explanation> {
    let name = &of.name;
    let set = of
        .overrides
        .set_at
        .map_or_else(String::new, |at| format!(" at {at}"));
    if of.shutting_down {
        let text = format!("{name} is being ended because the daemon stops");
        return Some(Explanation::new("daemon_stops", text));
    }
    if of.desired == Desired::Stopped {
        let text = format!("{name} is stopped: an operator stopped it{set}");
        let told = Explanation::new("stopped_by_operator", text);
        return Some(told.way_out(format!("agent-system agents start {name}")));
    }
    if of.replicas_desired == 0 {
        let by = match of.overrides.replicas {
            Some(_) => format!("an operator scaled it to no replica{set}"),
            None => "its settings ask for no replica".to_owned(),
        };
        let told = Explanation::new("no_replica", format!("{name} has no life: {by}"));
        return Some(told.way_out(format!("agent-system agents scale {name} 1")));
    }
    None
}

/// What keeps a sound agent from taking work.
fn labour(of: &Standing, work: &WorkStanding) -> Option<Explanation> {
    let name = &of.name;
    if of.desired == Desired::Paused {
        let set = of
            .overrides
            .set_at
            .map_or_else(String::new, |at| format!(" at {at}"));
        let until = until(of.overrides.paused_until);
        let text = format!("{name} takes no new task: an operator paused it{set}{until}");
        let told = Explanation::new("paused_by_operator", text);
        return Some(told.way_out(format!("agent-system agents resume {name}")));
    }
    if let Some(paused) = &work.paused {
        let why = paused
            .reason
            .as_ref()
            .map_or_else(String::new, |why| format!(" ({why})"));
        let text = format!(
            "{name} gets no task of queue {}: it was paused at {}{why}{}",
            work.queue,
            paused.at,
            until(paused.until)
        );
        let told = Explanation::new("queue_paused", text);
        return Some(told.way_out(format!("agent-system queues resume {}", work.queue)));
    }
    if let Some(told) = spend(of, work) {
        return Some(told);
    }
    let waiting = work.depth > 0;
    if let Some((running, most)) = work
        .limit
        .filter(|(running, most)| waiting && running >= most)
    {
        let text = format!(
            "{name} gets no more of queue {}: {running} of its tasks run, and {most} may",
            work.queue
        );
        let told = Explanation::new("queue_limit", text);
        let setting = format!("queues.{}.concurrency", work.queue);
        return Some(told.way_out(format!("wait, or raise {setting}")));
    }
    if waiting && work.capacity > 0 && work.running >= work.capacity {
        let text = format!(
            "{name} is busy: it holds {} at once, as many as it takes, and {} wait",
            tasks(work.running),
            work.depth
        );
        let told = Explanation::new("all_busy", text);
        return Some(told.way_out(format!(
            "wait, raise agents.{name}.concurrency, or: agent-system agents scale {name} {}",
            of.replicas_desired + 1
        )));
    }
    None
}

/// What it may spend, if nothing is left of it.
fn spend(of: &Standing, work: &WorkStanding) -> Option<Explanation> {
    let spend = work.spend.as_ref()?;
    let text = format!("{} is {}", of.name, spend.why_held()?);
    let (code, way_out) = match spend.is_exhausted() {
        true => ("spend_exhausted", spend.way_out(of.name.as_str())),
        false => (
            "spend_reserved",
            format!("wait for a task of {} to end", of.name),
        ),
    };
    Some(Explanation::new(code, text).way_out(way_out))
}

/// Nothing is wrong.
fn well(of: &Standing, work: &WorkStanding) -> Explanation {
    let busy = of
        .replicas
        .iter()
        .any(|replica| replica.verdict == Verdict::Waiting);
    let doing = match (work.running, busy) {
        (0, _) => "idle, which is healthy".to_owned(),
        (running, true) => format!("holding {} in a zone it declared with busy", tasks(running)),
        (running, false) => format!("working on {}", tasks(running)),
    };
    let text = format!(
        "{} runs: {} of {} replicas are ready, {doing}",
        of.name, of.replicas_ready, of.replicas_desired
    );
    Explanation::new("running", text)
}

fn until(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" until {at}"))
}

fn tasks(count: u64) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

#[cfg(test)]
mod tests;
