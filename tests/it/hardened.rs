//! The daemon as a hardened container runs it: a root that cannot be written, a user without rights
//! and without a home, and somebody else as process 1.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, binary};

/// Whom nobody knows.
const UID: u32 = 10001;

/// In a mount name space of its own, where only the daemon's directory can be written.
const HARDEN: &str = r#"
    set -e
    own=$(dirname "$4")
    chown 10001:10001 "$own"
    mount --bind "$own" "$own"
    mount -o remount,bind,ro /
    unset HOME
    exec setpriv --reuid=10001 --regid=10001 --clear-groups "$@"
"#;

/// Whether this machine lets a test do that.
fn may_harden() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    rustix::process::geteuid().is_root() && tried.is_ok_and(|status| status.success())
}

#[test]
fn it_works_on_a_root_that_cannot_be_written_as_a_user_without_rights_and_not_as_process_1() {
    let hardened = may_harden();
    let shell = ["unshare", "--mount", "sh", "-c", HARDEN, "sh"].map(OsString::from);
    let program: Vec<OsString> = match hardened {
        true => shell.into_iter().chain([binary().into()]).collect(),
        // Where it may not, at least the user has no rights here.
        false => vec![binary().into()],
    };
    let mut daemon = Daemon::run_by(
        program,
        r#"
        [agents.echo]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]

        [agents.who]
        kind = "process"
        protocol = "exec"
        command = ["sh", "-c", "id -u; touch /var/tmp/$$ 2>/dev/null && rm /var/tmp/$$ && echo writable"]
        success_exit_codes = [0, 1]
        "#,
    );
    assert_ne!(daemon.pid(), 1);
    let run = |agent: &str| -> Value {
        let body = json!({"agent": agent, "payload": {"n": 1}}).to_string();
        let (status, task) = daemon.post("/api/v1/tasks", &body);
        assert_eq!(status, 202, "{task}");
        let task: Value = serde_json::from_str(&task).unwrap();
        daemon.end_of(task["id"].as_str().unwrap())
    };
    assert_eq!(run("echo")["result"], json!({"n": 1}));
    if hardened {
        assert_eq!(run("who")["result"], UID, "and nothing else can be written");
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
    assert!(Path::new(&daemon.database()).exists());
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.log());
}
