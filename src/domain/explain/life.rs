//! What in the life of an agent keeps it from running or from working.

use std::time::Duration;

use super::{
    Explanation, FailingProbe, FaultSeen, Held, LastEnd, ReplicaStanding, Standing, tasks, until,
};
use crate::domain::agent::{AgentState, Verdict};
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

/// What keeps the replica that is worst off from its work.
pub(super) fn life(of: &Standing, fault: Option<&FaultSeen>) -> Option<Explanation> {
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
            Explanation::new("ending", text).way_out(format!(
                "wait: what does not end in the time of agents.{}.stop is killed",
                of.name
            ))
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
        AgentState::Ready | AgentState::Paused if replica.rests_until.is_some() => 7,
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
    let (end, cause) = end_beside(of, replica, fault);
    let text = format!(
        "{} has failed and is not restarted: {why}{end}",
        replica.of(of),
    );
    let code = if why.contains("exit code") {
        "fatal_exit_code"
    } else {
        "failed"
    };
    Explanation::new(code, text).way_out(format!(
        "mend the cause (agent-system agents crashes {cause}), then: agent-system agents start {}",
        of.name
    ))
}

fn quarantined(of: &Standing, replica: &ReplicaStanding, fault: Option<&FaultSeen>) -> Explanation {
    let why = replica.why.unwrap_or("too many deaths");
    let together = of.group.as_ref().and_then(|group| group.together.as_ref());
    let group = together.map_or_else(String::new, |it| format!(" with its group {}", it.group));
    let (end, cause) = end_beside(of, replica, fault);
    let text = format!(
        "{} rests in quarantine{group}{}, then trial {} follows: {why} ({}){end}",
        replica.of(of),
        until(replica.next_at),
        of.budget.quarantines.max(1),
        of.budget.in_words(),
    );
    let code = match fault_of_start(replica) {
        true => "quarantined_cannot_start",
        false => "quarantined",
    };
    Explanation::new(code, text).way_out(format!(
        "look at agent-system agents crashes {cause}; it is tried again by itself, or at once by: \
         agent-system agents start {}",
        of.name
    ))
}

/// How its last life ended, and whose crashes tell why: another's, if it was only told to end.
fn end_beside<'a>(
    of: &'a Standing,
    replica: &ReplicaStanding,
    fault: Option<&FaultSeen>,
) -> (String, &'a Name) {
    let told = |last: &LastEnd| matches!(last.kind, "shutdown" | "killed");
    let told = replica.last_end.as_ref().is_some_and(told);
    let died = of.group.as_ref().and_then(|group| group.died.as_ref());
    match died.filter(|died| told && died.agent != of.name) {
        Some(died) => (
            format!("; who died before that: {}, {}", died.agent, died.message),
            &died.agent,
        ),
        None => (end_of(replica, fault), &of.name),
    }
}

fn unreachable(of: &Standing, replica: &ReplicaStanding) -> Explanation {
    let probe = replica.probe.as_ref().map_or_else(
        || "its probes do not pass".to_owned(),
        FailingProbe::in_words,
    );
    let text = format!("{} takes no new work: {probe}", replica.of(of));
    let back = replica.probe.as_ref().map_or_else(
        || "it comes back when they pass".to_owned(),
        FailingProbe::way_back,
    );
    Explanation::new("probe_fails", text)
        .way_out(format!("make what the probe asks answer: {back}"))
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
    match of.group.as_ref().and_then(|group| group.together.as_ref()) {
        Some(together) => Explanation::new(
            "group_restarts",
            format!(
                "{} waits for its group {}, which restarts together ({})",
                replica.of(of),
                together.group,
                together.strategy
            ),
        )
        .way_out(format!(
            "wait: it starts when all of {} that must end have ended: agent-system agents tree",
            together.group
        )),
        None => Explanation::new(
            "about_to_start",
            format!("{} is about to start", replica.of(of)),
        )
        .way_out("wait: it starts by itself".to_owned()),
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
        return Some(Explanation::new("silent", text).way_out(format!(
            "wait: it is ended for that; at once by: agent-system agents restart {}",
            of.name
        )));
    }
    if let Some(until) = replica.rests_until {
        let text = format!(
            "{} gets no new task until {until}: its service asked to be left alone (Retry-After)",
            replica.of(of)
        );
        return Some(Explanation::new("service_rests", text).way_out(
            "wait: tasks go to it again by themselves; what it holds goes on".to_owned(),
        ));
    }
    match replica.verdict {
        Verdict::Dead => {
            let text = format!(
                "{} has lost its process; its end is being seen to",
                replica.of(of)
            );
            let told = Explanation::new("dead", text);
            Some(told.way_out("wait: its next life follows by itself".to_owned()))
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

fn at(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" at {at}"))
}
