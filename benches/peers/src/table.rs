//! Figures of several rounds, their medians and spread, and the ratio to agent-system's.

use std::collections::BTreeMap;

/// The figures of one scenario.
pub struct Table {
    figures: &'static [&'static str],
    order: Vec<&'static str>,
    values: BTreeMap<(&'static str, String), Vec<f64>>,
}

impl Table {
    pub fn new(figures: &'static [&'static str]) -> Self {
        Self {
            figures,
            order: Vec::new(),
            values: BTreeMap::new(),
        }
    }

    /// Adds what a run said, a `name value` a line.
    pub fn add(&mut self, system: &'static str, said: String) {
        if !self.order.contains(&system) {
            self.order.push(system);
        }
        for line in said.lines() {
            if let Some((name, value)) = line.split_once(' ')
                && let Ok(value) = value.trim().parse()
            {
                self.values
                    .entry((system, name.to_owned()))
                    .or_default()
                    .push(value);
            }
        }
    }

    fn of(&self, system: &'static str, figure: &str) -> Option<&Vec<f64>> {
        self.values.get(&(system, figure.to_owned()))
    }

    /// One line a system: each figure's median, least, most, and the median of the ratios of `ours`
    /// to it, taken round by round.
    pub fn print(&self) {
        for system in &self.order {
            let mut line = format!("  {system:<15}");
            for figure in self.figures {
                let Some(values) = self.of(system, figure) else {
                    continue;
                };
                let (least, most) = ends(values);
                line += &format!(
                    " {figure} {:>12.2} ({least:.2} to {most:.2})",
                    median(values)
                );
                if let Some(ours) = self.of("ours", figure) {
                    let ratios: Vec<f64> = ours.iter().zip(values).map(|(o, v)| o / v).collect();
                    line += &format!("  ours/this {:>5.2}", median(&ratios));
                }
                if let Some(pool) = self.of("ours-pool", figure) {
                    let ratios: Vec<f64> = pool.iter().zip(values).map(|(o, v)| o / v).collect();
                    line += &format!("  pool/this {:>5.2}", median(&ratios));
                }
            }
            println!("{line}");
        }
    }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(0.0, f64::max))
}
