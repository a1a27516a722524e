//! `init`, as a newcomer meets it: what it writes works as it stands, and nothing is written over.

use crate::daemon::{agent_system, write_file};

#[test]
fn what_init_writes_is_valid_and_its_agent_passes_its_test_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fleet");
    let run = |arguments: &[&str]| {
        let mut command = agent_system();
        command.args(arguments).current_dir(folder.path());
        if place.is_dir() && arguments[0] != "init" {
            command.current_dir(&place);
        }
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, said) = run(&["init", "fleet"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "fleet/agents.toml\nfleet/agent.py\n")
    );
    assert_eq!(
        run(&["config", "validate", "--config", "agents.toml"]).0,
        Some(0)
    );
    let (code, said) = run(&["agents", "test", "greeter", "--config", "agents.toml"]);
    assert_eq!(code, Some(0), "{said}");
    write_file(&place, "agent.py", b"mine");
    std::fs::remove_file(place.join("agents.toml")).unwrap();
    assert_eq!(run(&["init", "fleet"]).0, Some(5));
    assert_eq!(std::fs::read(place.join("agent.py")).unwrap(), b"mine");
    assert!(
        !place.join("agents.toml").exists(),
        "half of it was written"
    );
}
