//! Holds the shape of the house, so that nobody has to remember it.
//!
//! Directions of imports, sizes of files, opening lines, pairs of migrations, promises that name
//! their tests. Reads the sources as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest a source file may be.
const MAX_FILE_LINES: usize = 400;

/// Which rooms a room may know, beside itself, `domain` and `clock`.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("persistence", &[]),
    ("cache", &["telemetry"]),
    ("security", &[]),
    ("telemetry", &["config"]),
    (
        "actors",
        &["config", "persistence", "cache", "security", "telemetry"],
    ),
    ("http", &["actors", "security", "telemetry"]),
    ("supervision", &["actors"]),
    ("client", &[]),
    ("cli", &["client", "config", "app", "persistence"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let source_root = root().join("src");
    files_below(&source_root, "rs")
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&source_root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The room of a source file: its first folder, or its own name.
fn room_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Whether a file holds nothing but tests.
fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/") || file.ends_with("testing.rs")
}

/// The lines of production code: what stands before the file's test module.
fn production(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The rooms that a line names by `crate::ROOM`.
fn rooms_named_in(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(at, _)| {
        line[at + "crate::".len()..]
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
            .filter(|room| !room.is_empty())
    })
}

#[test]
fn a_room_knows_only_the_rooms_below_it() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        if is_test(&file) {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
            continue;
        };
        for line in production(&text) {
            for known in rooms_named_in(line) {
                let is_room = MAY_KNOW.iter().any(|(name, _)| *name == known);
                let is_ground = known == "domain" || (known == "clock" && room != "domain");
                if is_room && known != room && !is_ground && !allowed.contains(&known) {
                    broken.push(format!("{file}: {}", line.trim()));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "imports against the direction of the house:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_domain_reads_no_clock_and_the_store_knows_no_actix() {
    let forbidden = [
        (
            "domain",
            ["SystemTime", "Instant::now", "rand::", "actix", "tokio"].as_slice(),
        ),
        ("persistence", ["actix"].as_slice()),
        (
            "http",
            ["rusqlite", "actix::Addr", "crate::persistence"].as_slice(),
        ),
    ];
    let mut broken = Vec::new();
    for (file, text) in sources() {
        for (room, words) in forbidden {
            if room_of(&file) == room && !is_test(&file) {
                broken.extend(
                    production(&text)
                        .filter(|line| words.iter().any(|word| line.contains(word)))
                        .map(|line| format!("{file}: {}", line.trim())),
                );
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_source_file_is_longer_than_400_lines_and_each_opens_with_what_it_is_for() {
    let mut broken = Vec::new();
    let beside =
        ["tests", "benches", "examples"].map(|folder| files_below(&root().join(folder), "rs"));
    let beside = beside.concat().into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text)
    });
    for (file, text) in sources().into_iter().chain(beside) {
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            broken.push(format!("{file}: {lines} lines"));
        }
        if !text.starts_with("//!") {
            broken.push(format!("{file}: does not open with //!"));
        }
        if file.ends_with("mod.rs") {
            broken.push(format!("{file}: is a mod.rs"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn migrations_have_the_same_numbers_and_names_for_both_databases_up_and_down() {
    let names = |folder: &str| -> BTreeSet<String> {
        files_below(&root().join("migrations").join(folder), "sql")
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let reference = names("sqlite/up");
    assert!(reference.len() >= 3, "found {reference:?}");
    for folder in ["sqlite/down", "postgres/up", "postgres/down"] {
        assert_eq!(names(folder), reference, "{folder}");
    }
}

#[test]
fn every_promise_in_the_semantics_names_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/semantics.md")).unwrap();
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests"] {
        for path in files_below(&root().join(folder), "rs") {
            for line in fs::read_to_string(path).unwrap().lines() {
                let line = line.trim_start();
                let line = line.strip_prefix("async ").unwrap_or(line);
                if let Some(rest) = line.strip_prefix("fn ") {
                    tests.extend(rest.split(['(', '<']).next().map(str::to_owned));
                }
            }
        }
    }
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.strip_prefix("test:"))
        .collect();
    assert!(
        named.len() >= 10,
        "the page names only {} tests",
        named.len()
    );
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
