//! Series that can be taken away again: those of agents and of checks. Kept and written by us, since the
//! recorder forgets nothing, and counts in whole numbers only.
//!
//! Rely on: at most [`MAX_AGENT_LABELS`] agents have series of their own, the others share `other`; who
//! is gone gives his place back ([`retain`]). A histogram holds its buckets, and no values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    AGENT_CRASHES, AGENT_RESPONSE, AGENT_RESTARTS, ALL, Kind, MAX_AGENT_LABELS, Metric, buckets,
};
use crate::domain::health::AGENT_CHECK_PREFIX;

/// What is looked for before the first time, when no agent has a series yet.
const NAMED_BEFORE_THE_FIRST: [&str; 3] = [AGENT_RESTARTS, AGENT_CRASHES, AGENT_RESPONSE];

/// What stands for every agent beyond [`MAX_AGENT_LABELS`].
const OTHER: &str = "other";

/// This process's one copy.
static SERIES: Mutex<Series> = Mutex::new(Series {
    agents: BTreeSet::new(),
    numbers: BTreeMap::new(),
    histograms: BTreeMap::new(),
});

/// By metric, then by the values of its labels; the second may be nothing.
type ByLabels<T> = BTreeMap<&'static str, BTreeMap<(String, String), T>>;

#[derive(Debug)]
struct Series {
    /// Agents with a label of their own.
    agents: BTreeSet<String>,
    numbers: ByLabels<f64>,
    histograms: ByLabels<Histogram>,
}

/// Values up to each bound, and all.
#[derive(Debug, Default)]
struct Histogram {
    /// For each bound, how many lie below it and above the one before.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Series {
    /// The label of an agent: its name, or `other` once there are too many.
    fn agent_label(&mut self, agent: &str) -> String {
        if !self.agents.contains(agent) {
            if self.agents.len() >= MAX_AGENT_LABELS {
                return OTHER.to_owned();
            }
            self.agents.insert(agent.to_owned());
        }
        agent.to_owned()
    }

    /// The label of a check; bounded as its agent is.
    fn check_label(&mut self, check: &str) -> String {
        match check.strip_prefix(AGENT_CHECK_PREFIX) {
            Some(agent) => format!("{AGENT_CHECK_PREFIX}{}", self.agent_label(agent)),
            None => check.to_owned(),
        }
    }

    fn number(&mut self, metric: &'static str, label: String, second: &str) -> &mut f64 {
        let all = self.numbers.entry(metric).or_default();
        all.entry((label, second.to_owned())).or_default()
    }

    fn observe(&mut self, metric: &'static str, label: String, took: Duration) {
        let all = self.histograms.entry(metric).or_default();
        let histogram = all.entry((label, String::new())).or_default();
        histogram.observe(took.as_secs_f64(), buckets(metric));
    }
}

impl Histogram {
    fn observe(&mut self, seconds: f64, bounds: &[f64]) {
        self.counts.resize(bounds.len(), 0);
        if let Some(at) = bounds.iter().position(|bound| seconds <= *bound) {
            self.counts[at] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn render(&self, name: &str, labels: &str, text: &mut String) {
        let mut below = 0;
        for (bound, count) in buckets(name).iter().zip(&self.counts) {
            below += count;
            writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}").ok();
        }
        let Self { count, sum, .. } = self;
        writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}").ok();
        writeln!(text, "{name}_sum{{{labels}}} {sum}").ok();
        writeln!(text, "{name}_count{{{labels}}} {count}").ok();
    }
}

/// Counts so much more, by a second label.
pub(super) fn add_to_agent(metric: &'static str, agent: &str, second: &str, more: f64) {
    let mut series = SERIES.lock();
    let label = series.agent_label(agent);
    *series.number(metric, label, second) += more;
}

/// Sets a figure under a name of the agent's own; `false` if it has as many names as it may.
pub(super) fn set_named(
    metric: &'static str,
    agent: &str,
    name: &str,
    figure: f64,
    most: usize,
) -> bool {
    let mut series = SERIES.lock();
    let label = series.agent_label(agent);
    let all = series.numbers.entry(metric).or_default();
    let own = all.keys().filter(|(label_of, _)| *label_of == label);
    let (known, count) = own.fold((false, 0), |(known, count), (_, own)| {
        (known || own == name, count + 1)
    });
    if known || count < most {
        *series.number(metric, label, name) = figure;
        return true;
    }
    false
}

/// Sets a figure of these agents; nobody else has one.
pub(super) fn only_these<'a>(metric: &'static str, figures: impl Iterator<Item = (&'a str, f64)>) {
    let mut series = SERIES.lock();
    series.numbers.remove(metric);
    for (agent, figure) in figures {
        let label = series.agent_label(agent);
        *series.number(metric, label, "") = figure;
    }
}

/// Sets an agent's figures; those of a counter never fall, though what they are summed over comes and
/// goes.
pub(super) fn set_of_agent(agent: &str, figures: &[(&'static str, f64)]) {
    let mut series = SERIES.lock();
    let label = series.agent_label(agent);
    for (metric, figure) in figures {
        let number = series.number(metric, label.clone(), "");
        let counts = ALL.iter().any(|m| m.name == *metric && m.kind.counts());
        *number = if counts { number.max(*figure) } else { *figure };
    }
}

/// An agent took so long.
pub(super) fn observe_agent(metric: &'static str, agent: &str, took: Duration) {
    let mut series = SERIES.lock();
    let label = series.agent_label(agent);
    series.observe(metric, label, took);
}

/// A check has this level, and took so long.
pub(super) fn set_of_check(
    check: &str,
    (level, status): (&'static str, f64),
    (duration, took): (&'static str, Duration),
) {
    let mut series = SERIES.lock();
    let label = series.check_label(check);
    *series.number(level, label.clone(), "") = status;
    series.observe(duration, label, took);
}

/// Only these agents are there: the series of all others go, with those of their checks, and their
/// places are given back.
pub(super) fn retain(is_there: impl Fn(&str) -> bool) {
    let mut series = SERIES.lock();
    let gone: BTreeSet<String> = {
        let agents = series.agents.iter();
        agents.filter(|agent| !is_there(agent)).cloned().collect()
    };
    if gone.is_empty() {
        return;
    }
    let stays = |label: &str| {
        let agent = label.strip_prefix(AGENT_CHECK_PREFIX).unwrap_or(label);
        !gone.contains(agent)
    };
    series.agents.retain(|agent| stays(agent));
    for all in series.numbers.values_mut() {
        all.retain(|(label, _), _| stays(label));
    }
    for all in series.histograms.values_mut() {
        all.retain(|(label, _), _| stays(label));
    }
}

/// Appends them as Prometheus text. Whoever records waits for one metric's text at most.
pub(super) fn render(text: &mut String) {
    for metric in ALL {
        let series = SERIES.lock();
        let (numbers, histograms) = (&series.numbers, &series.histograms);
        let none_yet = numbers.get(metric.name).is_none_or(BTreeMap::is_empty)
            && histograms.get(metric.name).is_none_or(BTreeMap::is_empty);
        if none_yet && NAMED_BEFORE_THE_FIRST.contains(&metric.name) {
            head(text, metric);
        }
        for (labels, number) in of(numbers, metric, text) {
            let labels = written(metric, labels);
            writeln!(text, "{}{{{labels}}} {number}", metric.name).ok();
        }
        for (labels, histogram) in of(histograms, metric, text) {
            histogram.render(metric.name, &written(metric, labels), text);
        }
    }
}

/// What there is of a metric, its head written if there is anything.
fn of<'a, T>(
    all: &'a ByLabels<T>,
    metric: &Metric,
    text: &mut String,
) -> impl Iterator<Item = (&'a (String, String), &'a T)> + use<'a, T> {
    let all = all.get(metric.name).filter(|all| !all.is_empty());
    if all.is_some() {
        head(text, metric);
    }
    all.into_iter().flatten()
}

// Writing to a String cannot fail.
fn head(text: &mut String, metric: &Metric) {
    let Metric { name, help, .. } = metric;
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
}

/// Labels as they stand between the braces.
fn written(metric: &Metric, (first, second): &(String, String)) -> String {
    let labels = metric.labels.iter().zip([first, second]);
    let labels = labels.map(|(label, value)| format!("{label}=\"{}\"", value.escape_default()));
    labels.collect::<Vec<_>>().join(",")
}
