//! Cycles in "stands below" and "comes after".

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::name::Name;

/// Every cycle once, each beginning and ending with its smallest name.
pub(super) fn cycles(edges: &BTreeMap<Name, Vec<Name>>) -> Vec<Vec<Name>> {
    let mut found = BTreeSet::new();
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        walk(start, edges, &mut done, &mut found);
    }
    found.into_iter().collect()
}

/// Depth first, with an own stack: a chain may be longer than the thread's.
fn walk<'a>(
    start: &'a Name,
    edges: &'a BTreeMap<Name, Vec<Name>>,
    done: &mut BTreeSet<&'a Name>,
    found: &mut BTreeSet<Vec<Name>>,
) {
    let mut path: Vec<(&Name, usize)> = vec![(start, 0)];
    while let Some((name, next)) = path.last_mut() {
        let name = *name;
        let to = edges.get(name).and_then(|to| to.get(*next));
        *next += 1;
        match to {
            None => {
                done.insert(name);
                path.pop();
            }
            Some(to) if done.contains(to) => {}
            Some(to) => match path.iter().position(|(on_path, _)| *on_path == to) {
                Some(at) => {
                    found.insert(turned(path[at..].iter().map(|(name, _)| (*name).clone())));
                }
                None => path.push((to, 0)),
            },
        }
    }
}

/// A cycle from its smallest name back to it.
fn turned(cycle: impl Iterator<Item = Name>) -> Vec<Name> {
    let mut cycle: Vec<Name> = cycle.collect();
    let smallest = (0..cycle.len()).min_by_key(|at| &cycle[*at]).unwrap_or(0);
    cycle.rotate_left(smallest);
    cycle.extend(cycle.first().cloned());
    cycle
}

/// `a -> b -> a`.
pub(super) fn drawn(cycle: &[Name]) -> String {
    let names: Vec<&str> = cycle.iter().map(Name::as_str).collect();
    names.join(" -> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(&str, &[&str])]) -> Vec<String> {
        let name = |text: &&str| text.parse::<Name>().unwrap();
        let edges = edges
            .iter()
            .map(|(from, to)| (name(from), to.iter().map(name).collect()));
        cycles(&edges.collect()).iter().map(|c| drawn(c)).collect()
    }

    #[test]
    fn every_cycle_is_found_once_and_nothing_else() {
        assert_eq!(
            found(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]),
            [""; 0]
        );
        assert_eq!(found(&[("a", &["a"])]), ["a -> a"]);
        assert_eq!(
            found(&[("c", &["a"]), ("a", &["b"]), ("b", &["c"]), ("d", &["a"])]),
            ["a -> b -> c -> a"]
        );
        assert_eq!(
            found(&[("a", &["b"]), ("b", &["a", "c"]), ("c", &["b"])]),
            ["a -> b -> a", "b -> c -> b"]
        );
    }
}
