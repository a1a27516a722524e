//! Claims about the way down.

use super::*;

#[test]
fn workflows_that_an_older_schema_cannot_hold_are_cancelled_on_the_way_down_and_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    meddle(
        &path,
        "INSERT INTO workflows (key, id, name, state, definition, definition_hash, input, steps_left, created_at)
             VALUES (2, randomblob(16), 'waits', 'running', x'007b7d', 'h', x'007b7d', 1, 2),
                 (3, randomblob(16), 'undoes', 'running', x'007b7d', 'h', x'007b7d', 1, 2),
                 (4, randomblob(16), 'plain', 'running', x'007b7d', 'h', x'007b7d', 1, 2);
         INSERT INTO workflow_steps (workflow_key, name, position, definition, state, waiting_on, undoes)
             VALUES (2, 'ask', 0, x'007b7d', 'open', 1, NULL), (3, 'undo', 0, x'007b7d', 'waiting', 1, 'do'),
                 (4, 'do', 0, x'007b7d', 'open', 1, NULL);
         INSERT INTO tasks (id, workflow_key, name, step, queue, state, priority, rank, payload,
                 max_attempts, timeout_ms, run_at, created_at)
             SELECT randomblob(16), key, 'ask', 'ask', 'q', iif(key = 2, 'waiting', 'queued'), 5, 6,
                 x'0031', 3, 9, 10, 11 FROM workflows WHERE key > 1;",
    );
    migrate_down(&path, 4).unwrap();
    let after = dump(&path);
    let states = |table: &str| -> Vec<_> {
        after[table]
            .iter()
            .map(|row| row["state"].clone())
            .collect()
    };
    let texts = |texts: [&str; 4]| texts.map(|text| Value::Text(text.into()));
    assert_eq!(
        states("workflows"),
        texts(["running", "cancelled", "cancelled", "running"])
    );
    assert_eq!(
        states("tasks"),
        texts(["running", "cancelled", "cancelled", "queued"])
    );
    assert_eq!(
        states("workflow_steps"),
        texts(["open", "cancelled", "cancelled", "open"])
    );
    assert_eq!(
        after["tasks"][1]["reason"],
        Value::Text("schema_down".into())
    );
    let Value::Blob(error) = &after["workflows"][1]["error"] else {
        panic!("no error")
    };
    let error: crate::domain::task::TaskError = crate::persistence::codec::open(error).unwrap();
    assert_eq!(error.code, "schema_down");
    assert_eq!(after["workflows"][3]["finished_at"], Value::Null);
}

#[test]
fn a_down_script_that_was_mended_since_is_taken_instead_of_the_stored_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    meddle(
        &path,
        "UPDATE schema_history SET down_sql = 'SELECT no_such_function()' WHERE version = 8",
    );
    migrate_down(&path, 7).unwrap();
}
