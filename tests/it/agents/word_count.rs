//! The word-count steps, by the built-in actor and by the agent in Python: the same results.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use agent_system::actors::agent::Registry;
use agent_system::domain::agent::AgentProgram;
use agent_system::persistence::artifacts::ArtifactRef;
use serde_json::{Value, json};

use super::rig::{Rig, failed_with, output, process};

fn in_rust() -> Rig {
    let runs = AgentProgram::Actor {
        actor: "word_count".into(),
        settings: Value::Null,
    };
    Rig::start_with(runs, Registry::built_in(), 0)
}

fn in_python() -> Rig {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/word_count.py");
    Rig::start(process(&["python3", script]))
}

fn store(rig: &Rig, text: &[u8]) -> ArtifactRef {
    let artifacts = &rig.environment.artifacts;
    let mut file = artifacts.create("uploads/text".parse().unwrap()).unwrap();
    file.write_all(text).unwrap();
    file.finish().unwrap()
}

/// The three steps, as the workflow runs them; the lines, and the sizes of the chunks.
async fn count(rig: &Rig, text: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let file = store(rig, text);
    let split = output(rig.run(json!({"op": "split", "file": file})).await);
    let chunks: Vec<ArtifactRef> = serde_json::from_value(split["chunks"].clone()).unwrap();
    let mut counts = Vec::new();
    for chunk in &chunks {
        counts.push(output(
            rig.run(json!({"op": "count", "chunk": chunk})).await,
        ));
    }
    let lines = output(rig.run(json!({"op": "merge", "counts": counts})).await);
    let lines = match lines {
        Value::String(text) => text.into_bytes(),
        stored => {
            let file: ArtifactRef = serde_json::from_value(stored).unwrap();
            let mut lines = Vec::new();
            let mut file = rig.environment.artifacts.read(&file).unwrap();
            file.read_to_end(&mut lines).unwrap();
            lines
        }
    };
    (lines, chunks.iter().map(|chunk| chunk.bytes).collect())
}

/// The obvious way.
fn naive(text: &[u8]) -> Vec<u8> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for word in text.split(|byte| b" \t\n\x0b\x0c\r".contains(byte)) {
        if !word.is_empty() {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut all: Vec<_> = counts.into_iter().collect();
    all.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let lines = all.iter().take(20);
    let line =
        |(word, times): &(&[u8], u64)| [times.to_string().as_bytes(), b"\t", word, b"\n"].concat();
    lines.flat_map(line).collect()
}

/// Texts that have gone wrong somewhere before.
fn texts() -> Vec<Vec<u8>> {
    let prose: Vec<u8> = (0_u32..9_000)
        .flat_map(|i| {
            format!("w{}{}", i * i % 97, if i % 7 == 0 { "\r\n" } else { " " }).into_bytes()
        })
        .collect();
    vec![
        prose,
        b"no final newline".to_vec(),
        b"\xff\xfe a\xc3 \x00 a\xc3\x0b\x0ca\xc3 \xc2\xa0 \x1c \x85".to_vec(),
        vec![b'x'; 100_000],
        b" \n\t".to_vec(),
        Vec::new(),
    ]
}

#[actix_rt::test]
async fn both_agents_count_as_one_would_by_hand_and_cut_alike() {
    let (rust, python) = (in_rust(), in_python());
    for text in texts() {
        let by_rust = count(&rust, &text).await;
        assert_eq!(by_rust.0, naive(&text));
        assert_eq!(count(&python, &text).await, by_rust);
    }
}

#[actix_rt::test]
async fn a_file_that_is_not_there_fails_for_good() {
    for rig in [in_rust(), in_python()] {
        let gone = json!({"$artifact": "uploads/gone", "bytes": 1, "sha256": ""});
        let outcome = rig.run(json!({"op": "split", "file": gone})).await;
        assert!(!failed_with(&outcome).1, "{outcome:?}");
        let outcome = rig.run(json!({"op": "sing"})).await;
        assert!(!failed_with(&outcome).1, "{outcome:?}");
    }
}
