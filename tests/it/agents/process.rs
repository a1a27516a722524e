//! Claims about processes: how they begin, end, and what they leave.

use agent_system::actors::agent::Registry;
use agent_system::actors::life::LifeNote;
use agent_system::domain::agent::{AgentProgram, EnvSpec, ProcessProtocol, ProcessSpec};
use agent_system::domain::exit::ExitReason;

use super::rig::{Rig, eventually, hello, output, process, sample, script, speaking};

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn kept_alive(text: &str) -> ProcessSpec {
    ProcessSpec {
        protocol: ProcessProtocol::None,
        ..script(text)
    }
}

fn start_failure(reason: ExitReason) -> String {
    match reason {
        ExitReason::StartFailed { message } => message,
        other => panic!("{other:?}"),
    }
}

#[actix_rt::test]
async fn kill_9_from_outside_is_seen_at_once_with_its_reason() {
    let rig = Rig::start(sample("echo"));
    rig.ready().await;
    let pid = rig.pid(0).await;
    // Nobody asks it anything.
    kill(pid);
    let expected = ExitReason::Signal {
        signal: 9,
        oom: false,
    };
    assert_eq!(rig.exit().await, expected);
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn a_life_that_follows_in_place_has_a_process_of_its_own() {
    let rig = Rig::start_with(
        AgentProgram::Process(sample("echo")),
        Registry::default(),
        1,
    );
    rig.ready().await;
    kill(rig.pid(0).await);
    let port = rig.ready_of(2).await.port.unwrap();
    assert_ne!(rig.pid(0).await, rig.pid(1).await);
    let task = super::rig::task(hello());
    let id = task.id;
    port.assign(task).unwrap();
    assert_eq!(output(rig.settled(id).await), hello());
}

#[actix_rt::test]
async fn the_port_of_a_life_that_has_ended_takes_nothing() {
    let rig = Rig::start(sample("echo"));
    let port = rig.port().await;
    kill(rig.pid(0).await);
    rig.exit().await;
    assert!(port.assign(super::rig::task(hello())).is_err());
}

#[actix_rt::test]
async fn a_command_that_does_not_exist_is_named() {
    for protocol in [
        ProcessProtocol::Stdio,
        ProcessProtocol::None,
        ProcessProtocol::Exec,
    ] {
        let rig = Rig::start(ProcessSpec {
            protocol,
            ..process(&["no-such-command"])
        });
        let message = start_failure(rig.exit().await);
        assert!(
            message.starts_with("command 'no-such-command' not found in PATH"),
            "{message}"
        );
        assert!(rig.memory.ready.lock().is_empty());
    }
}

#[actix_rt::test]
async fn a_file_that_is_no_program_and_a_missing_directory_are_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let rig = Rig::start(process(&[path]));
    let message = start_failure(rig.exit().await);
    let expected = format!("command '{path}' is not executable: ");
    assert!(message.starts_with(&expected), "{message}");
    let rig = Rig::start(ProcessSpec {
        directory: Some("/no/such/place".into()),
        ..sample("echo")
    });
    let message = start_failure(rig.exit().await);
    assert!(
        message.starts_with("directory '/no/such/place': "),
        "{message}"
    );
}

#[actix_rt::test]
async fn exit_codes_tell_success_from_failure() {
    for (code, expected) in [
        (0, ExitReason::Normal),
        (3, ExitReason::ExitCode { code: 3 }),
        // The program's own 127 is no failed start.
        (127, ExitReason::ExitCode { code: 127 }),
    ] {
        let rig = Rig::start(script(&format!("read -r hello; exit {code}")));
        assert_eq!(rig.exit().await, expected);
    }
}

#[actix_rt::test]
async fn one_that_is_never_ready_is_killed_without_a_trace() {
    let rig = Rig::start(script("sleep 1000"));
    rig.pid(0).await;
    rig.control.kill();
    assert_eq!(rig.exit().await, ExitReason::Killed);
    rig.no_process_left().await;
    assert!(rig.memory.ready.lock().is_empty());
}

#[actix_rt::test]
async fn one_that_is_killed_before_it_exists_never_comes_to_be() {
    let rig = Rig::start(script("sleep 1000"));
    rig.control.kill();
    assert_eq!(rig.exit().await, ExitReason::Killed);
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn a_term_that_is_ignored_leaves_the_kill_to_the_supervisor() {
    let rig = Rig::start(kept_alive(
        "trap 'echo I will not' TERM; echo begun; while :; do sleep 1000 & wait; done",
    ));
    rig.logged("begun").await;
    rig.control.stop();
    rig.logged("I will not").await;
    assert!(rig.memory.exits.lock().is_empty());
    rig.control.kill();
    assert_eq!(rig.exit().await, ExitReason::Killed);
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn an_end_that_was_ordered_is_a_shutdown_whatever_its_status() {
    for text in ["exec sleep 1000", "trap 'exit 9' TERM; sleep 1000 & wait"] {
        let rig = Rig::start(kept_alive(text));
        rig.ready().await;
        rig.control.stop();
        assert_eq!(rig.exit().await, ExitReason::Shutdown);
    }
}

#[actix_rt::test]
async fn grandchildren_go_with_their_family_even_in_a_session_of_their_own() {
    let rig = Rig::start(kept_alive(
        "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000",
    ));
    rig.ready().await;
    eventually("all have begun", async || {
        (rig.processes().len() >= 5).then_some(())
    })
    .await;
    kill(rig.pid(0).await);
    rig.exit().await;
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn pipes_held_open_by_another_do_not_hold_up_the_end() {
    let rig = Rig::start(kept_alive("setsid sleep 1000 & exit 4"));
    assert_eq!(rig.exit().await, ExitReason::ExitCode { code: 4 });
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn one_that_closes_its_stdout_and_stays_is_ended() {
    let rig = Rig::start(script("exec >&-; sleep 1000"));
    assert!(matches!(rig.exit().await, ExitReason::Protocol { .. }));
    rig.no_process_left().await;
}

#[actix_rt::test]
async fn what_it_said_last_comes_before_its_end() {
    let rig = Rig::start(kept_alive("echo out; echo err >&2; exit 1"));
    rig.exit().await;
    let notes = rig.memory.notes.lock().clone();
    let Some(LifeNote::LastWords(words)) = notes.last() else {
        panic!("{notes:?}");
    };
    let mut log = words.log.clone();
    log.sort();
    assert_eq!(log, ["err", "out"]);
}

#[actix_rt::test]
async fn only_what_is_named_is_in_its_environment_and_a_secret_is_read_at_each_start() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hush\n").unwrap();
    let rig = Rig::start(ProcessSpec {
        env: EnvSpec {
            pass: vec!["CARGO_PKG_NAME".into()],
            set: [("MODE".into(), "prod".into())].into(),
            secrets: [("KEY".into(), secret.path().to_owned())].into(),
        },
        ..kept_alive(
            "test \"$KEY\" = hush && echo RIGHT; env -u PWD -u SHLVL -u _ -u OLDPWD -u HOME -u LANG -u TZ -u TMPDIR -u PATH -u AGENT_SYSTEM_LIFE /usr/bin/env; exec sleep 1000",
        )
    });
    let mut log = eventually("all of it", async || {
        Some(rig.log()).filter(|log| log.len() >= 4)
    })
    .await;
    log.sort();
    assert_eq!(
        log,
        ["CARGO_PKG_NAME=agent-system", "KEY=…", "MODE=prod", "RIGHT"],
        "and what is secret is shown to the child alone"
    );
}

#[actix_rt::test]
async fn limits_hold_in_the_child() {
    let mut spec = kept_alive("ulimit -n; exec sleep 1000");
    spec.limits.open_files = Some(77);
    let rig = Rig::start(spec);
    rig.logged("77").await;
}

#[actix_rt::test]
async fn its_use_of_the_machine_is_shown_for_the_whole_tree() {
    let rig = Rig::start(speaking("true"));
    rig.ready().await;
    let evidence = rig.probe().await.unwrap();
    assert!(evidence.memory_bytes.unwrap() > 100_000, "{evidence:?}");
    assert!(evidence.cpu_seconds.is_some());
}
