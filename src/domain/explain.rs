//! Why an agent is not running, not healthy, or takes no work: the one answer, with its way out.
//!
//! Rely on: the first cause that holds is told, from what an operator wanted down to what its work
//! does; every answer names what to do, if anything is to be done. Pure: what stands is an argument.

mod standing;

use std::time::Duration;

use serde::Serialize;

pub use standing::{
    BudgetUse, FailingProbe, FaultSeen, GroupStanding, Held, LastEnd, Paused, ReplicaStanding,
    ShownEvidence, Standing, WaitsFor, WorkStanding,
};

use super::agent::{AgentState, Desired, Verdict};
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
        .or_else(|| life(of, fault))
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

/// What keeps the replica that is worst off from its work.
fn life(of: &Standing, fault: Option<&FaultSeen>) -> Option<Explanation> {
    let worst = of
        .replicas
        .iter()
        .max_by_key(|replica| attention(replica))?;
    let told = match worst.state {
        AgentState::Failed => failed(of, worst, fault),
        AgentState::Quarantined => quarantined(of, worst, fault),
        AgentState::Unreachable => unreachable(of, worst),
        AgentState::Backoff => backoff(of, worst, fault),
        AgentState::Starting => starting(of, worst, fault),
        AgentState::Pending => pending(of, worst),
        AgentState::Draining | AgentState::Stopping => {
            let text = format!(
                "{} is being ended, and finishes what it holds",
                worst.of(of)
            );
            Explanation::new("ending", text)
        }
        AgentState::Stopped => stopped(of, worst),
        AgentState::Ready | AgentState::Paused => return ready(of, worst),
    };
    Some(told)
}

/// How much a replica needs somebody to look at it.
fn attention(replica: &ReplicaStanding) -> u32 {
    match replica.state {
        AgentState::Failed => 12,
        AgentState::Quarantined => 11,
        AgentState::Unreachable => 10,
        AgentState::Backoff => 9,
        AgentState::Ready | AgentState::Paused if replica.is_silent() => 8,
        AgentState::Ready | AgentState::Paused if replica.verdict == Verdict::Dead => 8,
        AgentState::Ready | AgentState::Paused if replica.verdict == Verdict::Stalled => 7,
        AgentState::Starting => 6,
        AgentState::Pending => 5,
        AgentState::Stopped => 4,
        AgentState::Draining => 3,
        AgentState::Stopping => 2,
        AgentState::Ready | AgentState::Paused => 1,
    }
}

fn failed(of: &Standing, replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> Explanation {
    let why = replica.why.unwrap_or("it gave up for good");
    let text = format!(
        "{} has failed and is not restarted: {why}{}",
        replica.of(of),
        end_of(replica, fault)
    );
    let code = if why.contains("exit code") {
        "fatal_exit_code"
    } else {
        "failed"
    };
    Explanation::new(code, text).way_out(format!(
        "mend the cause (agent-system agents crashes {0}), then: agent-system agents start {0}",
        of.name
    ))
}

fn quarantined(of: &Standing, replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> Explanation {
    let why = replica.why.unwrap_or("too many deaths");
    let group = match &of.group {
        Some(group) if group.restarts => format!(" with its group {}", group.name),
        _ => String::new(),
    };
    let text = format!(
        "{} rests in quarantine{group}{}: {why} ({}){}",
        replica.of(of),
        until(replica.next_at),
        of.budget.in_words(),
        end_of(replica, fault)
    );
    let code = match fault_of_start(replica) {
        true => "quarantined_cannot_start",
        false => "quarantined",
    };
    Explanation::new(code, text).way_out(format!(
        "look at agent-system agents crashes {0}; it is tried again by itself, or at once by: \
         agent-system agents start {0}",
        of.name
    ))
}

fn unreachable(of: &Standing, replica: &ReplicaStanding) -> Explanation {
    let probe = replica.probe.as_ref().map_or_else(
        || "its probes do not pass".to_owned(),
        FailingProbe::in_words,
    );
    let text = format!("{} takes no new work: {probe}", replica.of(of));
    Explanation::new("probe_fails", text).way_out(
        "make what the probe asks answer; work comes back by itself when it passes".to_owned(),
    )
}

fn backoff(of: &Standing, replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> Explanation {
    let cannot_start = fault_of_start(replica);
    let text = format!(
        "{} waits to be restarted{} ({}){}",
        replica.of(of),
        at(replica.next_at),
        of.budget.in_words(),
        end_of(replica, fault)
    );
    let code = if cannot_start {
        "cannot_start"
    } else {
        "backoff"
    };
    let what = if cannot_start {
        "mend its command, environment or limits in the configuration"
    } else {
        "its last log lines and frames stand in the crash"
    };
    Explanation::new(code, text).way_out(format!("{what}: agent-system agents crashes {}", of.name))
}

fn starting(of: &Standing, replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> Explanation {
    let since = Duration::from_millis(replica.uptime_ms);
    let (code, what) = match &replica.probe {
        Some(probe) => ("startup_probe_fails", probe.in_words()),
        None => (
            "not_ready_yet",
            format!(
                "it has not said that it is ready for {since:?}, and may take {:?}",
                Duration::from_millis(of.start_timeout_ms)
            ),
        ),
    };
    let again = fault.filter(|_| of.budget.deaths > 0);
    let before = again.map_or_else(String::new, |fault| {
        format!("; before that: {}", fault.in_words())
    });
    let text = format!("{} is starting: {what}{before}", replica.of(of));
    Explanation::new(code, text).way_out(format!(
        "wait, or see what it says: agent-system agents logs {}",
        of.name
    ))
}

fn pending(of: &Standing, replica: &ReplicaStanding) -> Explanation {
    if let Some(on) = of.waits_for.first() {
        let text = format!(
            "{} waits for {} to be {}, which is {}",
            replica.of(of),
            on.agent,
            on.wanted.as_str(),
            on.state.as_str()
        );
        let told = Explanation::new("waits_for_dependency", text);
        return told.way_out(format!("agent-system agents explain {}", on.agent));
    }
    match &of.group {
        Some(group) if group.restarts => Explanation::new(
            "group_restarts",
            format!(
                "{} waits for its group {}, which restarts together ({})",
                replica.of(of),
                group.name,
                group.strategy
            ),
        ),
        _ => Explanation::new(
            "about_to_start",
            format!("{} is about to start", replica.of(of)),
        ),
    }
}

fn stopped(of: &Standing, replica: &ReplicaStanding) -> Explanation {
    let index = replica.index;
    match replica.held {
        Held::Operator => Explanation::new(
            "replica_stopped_by_operator",
            format!("an operator stopped replica {}#{index}", of.name),
        )
        .way_out(format!("agent-system agents start {}#{index}", of.name)),
        _ => Explanation::new(
            "ended",
            format!(
                "{} has ended and its restart type ({}) does not restart it{}",
                replica.of(of),
                of.restart_type,
                end_of(replica, None)
            ),
        )
        .way_out(format!("agent-system agents start {}", of.name)),
    }
}

fn ready(of: &Standing, replica: &ReplicaStanding) -> Option<Explanation> {
    if replica.is_silent() {
        let text = format!(
            "{} does not answer: {} pings in a row stayed without a sign",
            replica.of(of),
            replica.missed_probes
        );
        return Some(Explanation::new("silent", text));
    }
    match replica.verdict {
        Verdict::Dead => {
            let text = format!(
                "{} has lost its process; its end is being seen to",
                replica.of(of)
            );
            Some(Explanation::new("dead", text))
        }
        Verdict::Stalled => Some(stalled(of, replica)),
        _ => None,
    }
}

fn stalled(of: &Standing, replica: &ReplicaStanding) -> Explanation {
    let shown = replica.evidence.clone().unwrap_or_default();
    let silent = Duration::from_millis(shown.since_progress_ms.unwrap_or_default());
    let idle = match shown.since_activity_ms {
        Some(ms) => format!(
            "its processes have been quiet for {:?}",
            Duration::from_millis(ms)
        ),
        None => "nothing was seen of it that works".to_owned(),
    };
    let text = format!(
        "{} is stalled: it holds {} and has shown no progress for {silent:?}; {idle}",
        replica.of(of),
        tasks(shown.open_tasks)
    );
    Explanation::new("stalled", text).way_out(format!(
        "it is ended with its attempt's timeout; at once by: agent-system agents restart {}; an \
         agent that waits long on purpose says busy, or gets a longer stall_timeout",
        of.name
    ))
}

/// What keeps a sound agent from taking work.
fn labour(of: &Standing, work: &WorkStanding) -> Option<Explanation> {
    let name = &of.name;
    if of.desired == Desired::Paused {
        let set = of
            .overrides
            .set_at
            .map_or_else(String::new, |at| format!(" at {at}"));
        let text = format!("{name} takes no new task: an operator paused it{set}");
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

/// How its last life ended, and how often that was seen.
fn end_of(replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> String {
    match (&replica.last_end, fault) {
        (Some(last), Some(fault)) if fault.count > 1 => {
            format!(
                "; its last life ended with: {}, {}",
                last.message,
                fault.times()
            )
        }
        (Some(last), _) => format!("; its last life ended with: {}", last.message),
        (None, _) => String::new(),
    }
}

/// Whether its last life never came up.
fn fault_of_start(replica: &ReplicaStanding) -> bool {
    let last = replica.last_end.as_ref();
    last.is_some_and(|last| last.kind == "start_failed")
}

fn until(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" until {at}"))
}

fn at(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" at {at}"))
}

fn tasks(count: u64) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

#[cfg(test)]
mod tests;
