//! Claims about what a child of the daemon is born with.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use crate::daemon::{Daemon, binary, eventually};

#[test]
fn what_the_daemon_was_started_with_reaches_no_child() {
    // Its own descriptors while `ls` runs: 0, 1 and 2, whatever `ls` opens for itself.
    const SHOW: &str = "ls /proc/$$/fd; :";
    let aside = tempfile::tempdir().unwrap();
    let seen = aside.path().join("seen");
    let seen = seen.display();
    let toml = format!(
        "[agents.job]\nkind = \"process\"\nprotocol = \"exec\"\ncommand = [\"sh\", \"-c\", \"{SHOW}\"]\n\
         [agents.asked]\nkind = \"process\"\ncommand = [\"agent-system\", \"sample-agent\", \"echo\"]\n\
         probes.readiness = {{ exec = [\"sh\", \"-c\", \"ls /proc/$$/fd >{seen}; grep -qx 0 {seen} && ! grep -qxE '7|9|131' {seen}\"] }}\n"
    );
    // A shell that opens files and becomes the daemon, which passes them on to whomever it starts.
    let opens = "exec 7</dev/null 9</dev/null 131</dev/null; exec \"$0\" \"$@\"";
    let shell = ["bash", "-c", opens].map(OsString::from);
    let program = shell.into_iter().chain([binary().into()]).collect();
    let daemon = Daemon::run_by(program, &toml);
    let open = |fd: u32| Path::new(&format!("/proc/{}/fd/{fd}", daemon.pid())).exists();
    assert!(
        open(7) && open(9) && open(131),
        "the daemon has them itself"
    );
    let (code, task) = daemon.post("/api/v1/tasks", r#"{"agent": "job", "payload": {}}"#);
    assert_eq!(code, 202, "{task}");
    let task: Value = serde_json::from_str(&task).unwrap();
    let task = daemon.end_of(task["id"].as_str().unwrap());
    assert_eq!(task["result"], json!("0\n1\n2"), "{task}");
    eventually("the probe sees none of them", || {
        let asked = daemon.json(&["agents", "get", "asked"]);
        (asked["state"] == "ready").then_some(())
    });
}
