//! Counters that grow by fractions: kept and written by us, since the recorder's are whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parking_lot::Mutex;

use super::{AGENT_CPU, ALL};

/// Processor seconds by agent, this process's one copy.
static AGENT_CPU_SECONDS: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());

/// Sets an agent's processor time; it never falls, though processes come and go.
pub(super) fn set_agent_cpu(agent: String, seconds: f64) {
    let mut all = AGENT_CPU_SECONDS.lock();
    let kept = all.entry(agent).or_default();
    *kept = kept.max(seconds);
}

/// Appends them as Prometheus text.
pub(super) fn render_fractions(text: &mut String) {
    let all = AGENT_CPU_SECONDS.lock();
    if all.is_empty() {
        return;
    }
    let help = ALL
        .iter()
        .find(|metric| metric.name == AGENT_CPU)
        .map_or("", |metric| metric.help);
    // Writing to a String cannot fail. Names of agents need no escaping.
    writeln!(
        text,
        "# HELP {AGENT_CPU} {help}\n# TYPE {AGENT_CPU} counter"
    )
    .ok();
    for (agent, seconds) in all.iter() {
        writeln!(text, "{AGENT_CPU}{{agent=\"{agent}\"}} {seconds}").ok();
    }
    text.push('\n');
}
