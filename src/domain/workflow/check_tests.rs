//! Claims about definitions: what is refused, with which words, and at which line.

use serde_json::json;

use super::*;
use crate::domain::workflow::text::{DefinitionFormat, parse_definition};

const WORD_COUNT: &str = r#"
name = "word-count"
input = { file = "README.md" }
output = { "$ref" = "tasks.merge.result.lines" }

[[tasks]]
name = "split"
agent = "splitter"
payload = { file = { "$ref" = "input.file" } }

[[tasks]]
name = "count"
role = "counter"
for_each = { "$ref" = "tasks.split.result.chunks" }
payload = { chunk = { "$ref" = "item" } }

[[tasks]]
name = "merge"
agent = "merger"
payload = { counts = { "$ref" = "tasks.count.result" } }
"#;

fn toml(text: &str) -> Result<WorkflowDefinition, Vec<DefinitionError>> {
    parse_definition(text, DefinitionFormat::Toml)
}

fn faults(tasks: Value) -> Vec<String> {
    let value = json!({"name": "w", "input": {"file": 1}, "tasks": tasks});
    let all = check(&value).err().unwrap_or_default();
    all.into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

#[test]
fn toml_and_json_of_the_same_shape_are_the_same_definition() {
    let from_toml = toml(WORD_COUNT).unwrap();
    let json = serde_json::to_string_pretty(&from_toml).unwrap();
    assert_eq!(
        parse_definition(&json, DefinitionFormat::Json),
        Ok(from_toml.clone())
    );
    assert_eq!(from_toml.sinks(), ["merge"]);
    assert_eq!(from_toml.tasks[1].upstream(), ["split"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of faults")]
fn each_fault_has_its_words() {
    for (tasks, wanted) in [
        (
            json!([{"name": "a", "agent": "x", "role": "y"}]),
            "/tasks/0/role task 'a': has both agent and role",
        ),
        (
            json!([{"name": "a"}]),
            "/tasks/0 task 'a': has neither agent nor role",
        ),
        (json!([{"name": "A", "agent": "x"}]), "needs a name"),
        (json!([{"agent": "x"}]), "/tasks/0 task 1: needs a name"),
        (
            json!([{"name": "a", "agent": "x", "paylod": 1}]),
            "/tasks/0/paylod task 'a': unknown key 'paylod'; did you mean 'payload'?",
        ),
        (
            json!([{"name": "a", "agent": "x"}, {"name": "a", "agent": "x"}]),
            "/tasks/1/name task 'a': another task has this name",
        ),
        (
            json!([{"name": "split", "agent": "x"}, {"name": "b", "agent": "x", "depends_on": ["splt"]}]),
            "/tasks/1/depends_on/0 task 'b': depends_on names 'splt', which is no task; did you mean 'split'?",
        ),
        (
            json!([{"name": "a", "agent": "x", "for_each": 3}]),
            "/tasks/0/for_each task 'a': 'for_each' must be a list",
        ),
        (
            json!([{"name": "a", "agent": "x", "payload": {"$ref": "tasks.b.result"}}]),
            "refers to an unknown task",
        ),
        (
            json!([{"name": "a", "agent": "x", "payload": {"$ref": "input.fiel"}}]),
            "not declared; did you mean 'file'?",
        ),
        (
            json!([{"name": "a", "agent": "x", "payload": {"$ref": "item"}}]),
            "only in the payload of a task with for_each",
        ),
        (
            json!([{"name": "a", "agent": "x", "payload": {"$ref": "input.file", "x": 1}}]),
            "must stand alone",
        ),
        (
            json!([{"name": "a", "agent": "x", "on_failure": "compensate"}]),
            "/tasks/0/on_failure task 'a': on_failure is compensate, but no task says how it is undone",
        ),
        (
            json!([{"name": "a", "agent": "x", "compensate": "b"}]),
            "/tasks/0/compensate task 'a': compensate names 'b', which is no task",
        ),
        (
            json!([{"name": "a", "agent": "x", "compensate": "a"}]),
            "cannot undo itself",
        ),
        (
            json!([{"name": "a", "agent": "x", "compensate": "u"}, {"name": "b", "agent": "x", "compensate": "u"},
                {"name": "u", "agent": "x"}]),
            "/tasks/1/compensate task 'b': 'u' undoes 'a' already",
        ),
        (
            json!([{"name": "a", "agent": "x", "compensate": "u"}, {"name": "u", "agent": "x", "depends_on": ["a"]}]),
            "/tasks/1/depends_on task 'u': 'depends_on' has no meaning for a task that undoes another",
        ),
        (
            json!([{"name": "a", "agent": "x", "compensate": "u"}, {"name": "u", "agent": "x"},
                {"name": "b", "agent": "x", "depends_on": ["u"]}]),
            "task 'b': waits for 'u', which runs only to undo 'a'",
        ),
        (
            json!([{"name": "a", "signal": "go", "agent": "x"}]),
            "task 'a': has both agent and signal; keep one",
        ),
        (
            json!([{"name": "a", "signal": "Go"}]),
            "'signal' names a signal",
        ),
        (
            json!([{"name": "a", "signal": "go", "for_each": [1]}]),
            "'for_each' has no meaning for a task that waits",
        ),
        (
            json!([{"name": "a", "approval": "ok", "on_timeout": "continue"}]),
            "an approval that nobody gave is none",
        ),
        (
            json!([{"name": "a", "agent": "x", "on_timeout": "fail"}]),
            "'on_timeout' is for a task with signal",
        ),
        (
            json!([{"name": "a", "agent": "x", "max_attempts": 0}]),
            "'max_attempts' must be a whole number from 1 to 100",
        ),
        (
            json!([{"name": "a", "agent": "x", "depends_on": ["a"]}]),
            "task 'a': waits for itself: a → a",
        ),
        (json!([]), "at least one task"),
        (json!({"name": "a"}), "'tasks' must be a list"),
    ] {
        let all = faults(tasks);
        assert!(
            all.iter().any(|fault| fault.contains(wanted)),
            "wanted {wanted}, got {all:?}"
        );
    }
}

#[test]
fn a_cycle_names_its_path_in_the_order_of_the_work() {
    let all = faults(json!([
        {"name": "a", "agent": "x", "payload": {"$ref": "tasks.c.result"}},
        {"name": "b", "agent": "x", "depends_on": ["a"]},
        {"name": "c", "agent": "x", "depends_on": ["b"]},
    ]));
    assert_eq!(all, ["/tasks/0 task 'a': waits for itself: a → b → c → a"]);
}

#[test]
fn all_faults_come_at_once_each_with_its_line() {
    let text = "name = \"w\"\nx = 1\n\n[[tasks]]\nname = \"a\"\nagent = \"e\"\ndepends_on = [\"b\"]\n\n[[tasks]]\nname = \"c\"\n";
    let lines: Vec<_> = toml(text)
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.line)
        .collect();
    assert_eq!(lines, [Some(2), Some(9), Some(7)]);
}

#[test]
fn json_faults_have_lines_too() {
    let text = "{\n \"name\": \"w\",\n \"tasks\": [\n  {\"name\": \"a\\\"\",\n   \"agent\": \"e\"},\n  {\"name\": \"b\",\n   \"role\": 3}]}";
    let lines: Vec<_> = parse_definition(text, DefinitionFormat::Json)
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.line)
        .collect();
    assert_eq!(lines, [Some(4), Some(7)]);
}

#[test]
fn a_text_that_cannot_be_read_says_where() {
    let broken = toml("name = \"w\"\ntasks = [").unwrap_err();
    assert!(broken[0].line.is_some() && broken[0].message.starts_with("not TOML"));
    let broken = parse_definition("{\n,", DefinitionFormat::Json).unwrap_err();
    assert_eq!(broken[0].line, Some(2));
}

#[test]
fn more_tasks_than_allowed_are_refused() {
    let task = |index: usize| json!({"name": format!("t{index}"), "agent": "x"});
    let many: Vec<_> = (0..=MAX_TASKS).map(task).collect();
    assert!(faults(Value::Array(many))[0].contains("1001 tasks are more than 1000"));
}

#[test]
fn unknown_agents_and_roles_are_named_with_the_nearest() {
    let definition = toml(WORD_COUNT).unwrap();
    let agents = ["spliter", "merger"]
        .map(|name| name.parse().unwrap())
        .into();
    let all = unknown_targets(&definition, &agents, &BTreeSet::new());
    let words: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "task 'split': there is no agent 'splitter'; did you mean 'spliter'?",
            "task 'count': there is no role 'counter'"
        ]
    );
}

#[test]
fn what_a_text_says_in_two_ways_or_in_no_number_is_refused_with_its_line() {
    let json = |text: &str| parse_definition(text, DefinitionFormat::Json);
    let told = |read: Result<WorkflowDefinition, Vec<DefinitionError>>| {
        let faults = read.unwrap_err();
        let told = faults.iter().map(|it| (it.line, it.message.as_str()));
        told.map(|(line, message)| format!("{}: {message}", line.unwrap()))
            .collect::<Vec<_>>()
    };
    let twice = r#"{"name": "w", "tasks": [
        {"name": "a", "agent": "x", "payload": {"k": 1,
            "k": 2},
         "agent": "y"}, {"name": "b", "agent": "x"}]}"#;
    let words = |line, key| {
        format!("{line}: not JSON with one meaning: '{key}' stands in its object twice")
    };
    assert_eq!(told(json(twice)), [words(3, "k"), words(4, "agent")]);
    let task = "name = 'w'\n[[tasks]]\nname = 'a'\nagent = 'x'\npayload = ";
    for number in ["nan", "{ x = [1, -inf] }", "9223372036854775808"] {
        let told = told(toml(&format!("{task}{number}")));
        assert_eq!(
            told,
            ["5: a number that JSON cannot hold; write it as a text"]
        );
    }
    assert!(toml(&format!("{task}9223372036854775807")).is_ok());
    assert!(
        json("\u{feff}{\"name\": \"w\", \"tasks\": [{\"name\": \"a\", \"agent\": \"x\"}]}").is_ok()
    );
}
