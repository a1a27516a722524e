//! The probes of an agent: one means each, the protocol's own unless another is named.

use std::time::Duration;

use super::View;
use crate::domain::agent::ProbePolicy;
use crate::domain::probe::{ProbeHow, ProbeSpec, Probes};
use crate::domain::url::HttpUrl;

/// What an `http` agent's own probe asks, below its URL.
const HEALTH_ROUTE: &str = "health";

/// How often an agent that is not probed by its protocol is asked for its evidence, and how long
/// that may take; nothing counts.
const EVIDENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// What is asked of a life besides the ping of its protocol.
pub(super) fn probes(agent: &View<'_>) -> Probes {
    let own = Own::of(agent);
    let probe = |name: &str| probe(&agent.below("probes").below(name), &own);
    Probes {
        // Without another means, a life says itself that it has come up.
        startup: probe("startup").filter(not_by_protocol),
        liveness: probe("liveness").filter(not_by_protocol),
        readiness: probe("readiness"),
        remote: matches!(own, Own::Route(_)),
    }
}

fn not_by_protocol(probe: &ProbeSpec) -> bool {
    probe.how != ProbeHow::Protocol
}

/// The ping of the protocol.
pub(super) fn ping(agent: &View<'_>) -> ProbePolicy {
    let view = agent.below("probes.liveness");
    let counts = |failure_threshold| ProbePolicy {
        enabled: true,
        period: EVIDENCE.0,
        timeout: EVIDENCE.1,
        failure_threshold,
        success_threshold: 1,
    };
    match Own::of(agent) {
        // The actor on this side of the wire answers; one that does not is stuck.
        Own::Route(_) => counts(3),
        Own::Nothing => counts(0),
        Own::Ping if other_means(&view).is_some() => counts(0),
        Own::Ping => ProbePolicy {
            enabled: view.flag("protocol"),
            period: view.span("period"),
            timeout: view.span("timeout"),
            failure_threshold: view.count("failure_threshold"),
            success_threshold: view.count("success_threshold"),
        },
    }
}

/// What `protocol = true` means for an agent.
enum Own {
    /// A ping through its mailbox or its stdin.
    Ping,
    /// A route of the remote service.
    Route(String),
    /// Nothing: nobody talks to it.
    Nothing,
}

impl Own {
    fn of(agent: &View<'_>) -> Self {
        match (agent.word("kind"), agent.word("protocol")) {
            ("http", _) => Self::Route(health_url(agent.word("url"))),
            (_, "" | "stdio") => Self::Ping,
            _ => Self::Nothing,
        }
    }

    fn how(&self) -> Option<ProbeHow> {
        match self {
            Self::Ping => Some(ProbeHow::Protocol),
            Self::Route(url) => Some(ProbeHow::Answers(url.clone())),
            Self::Nothing => None,
        }
    }
}

/// `URL/health`; a URL that cannot be read is reported elsewhere.
fn health_url(url: &str) -> String {
    let marked = url.replace("{index}", MARK);
    let below = marked.parse::<HttpUrl>().map(|url| url.below(HEALTH_ROUTE));
    let whole = below.map_or_else(|_| marked, |url| url.whole());
    whole.replace(MARK, "{index}")
}

/// Stands for `{index}` while a URL is taken apart: good in a host, a port and a path.
const MARK: &str = "10019";

fn probe(view: &View<'_>, own: &Own) -> Option<ProbeSpec> {
    let by_protocol = || own.how().filter(|_| view.flag("protocol"));
    Some(ProbeSpec {
        how: other_means(view).or_else(by_protocol)?,
        period: view.span("period"),
        timeout: view.span("timeout"),
        failure_threshold: view.count("failure_threshold"),
        success_threshold: view.count("success_threshold"),
    })
}

/// The means that is named, if it is not the protocol's own.
fn other_means(view: &View<'_>) -> Option<ProbeHow> {
    let http = view.text("http").map(|url| ProbeHow::Http(url.to_owned()));
    let tcp = || {
        view.text("tcp")
            .map(|place| ProbeHow::Tcp(place.to_owned()))
    };
    let exec = || {
        let command = view.texts("exec");
        (!command.is_empty()).then_some(ProbeHow::Exec(command))
    };
    http.or_else(tcp).or_else(exec)
}
