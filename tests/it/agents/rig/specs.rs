//! What the agents of these tests run, and under which rules.

use std::time::Duration;

use agent_system::domain::agent::{
    AgentProgram, AgentSpec, OnStall, ProbePolicy, ProcessProtocol, ProcessSpec, StopPolicy,
};
use agent_system::domain::restart::{RestartPolicy, RestartType};
use serde_json::Value;

/// A child process as the tests want it: stopped fast.
pub(in crate::agents) fn process(command: &[&str]) -> ProcessSpec {
    ProcessSpec {
        command: command.iter().map(ToString::to_string).collect(),
        directory: None,
        protocol: ProcessProtocol::Stdio,
        env: Default::default(),
        limits: Default::default(),
        log: None,
        settings: Value::Null,
        success_exit_codes: vec![0],
        fatal_exit_codes: Vec::new(),
    }
}

/// A shell script that speaks the protocol.
pub(in crate::agents) fn script(text: &str) -> ProcessSpec {
    process(&["sh", "-c", text])
}

/// The settings of an agent that runs `runs`.
pub(in crate::agents) fn spec(runs: AgentProgram) -> AgentSpec {
    AgentSpec {
        name: "subject".parse().unwrap(),
        runs,
        role: None,
        group: None,
        replicas: 1,
        critical: false,
        restart: RestartPolicy {
            kind: RestartType::Permanent,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            factor: 2.0,
            full_jitter: true,
            stable_after: Duration::from_secs(60),
        },
        depends_on: Default::default(),
        concurrency: 1,
        queue: "default".parse().unwrap(),
        stall_timeout: Duration::from_secs(120),
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: Duration::from_secs(2),
            signal: 15,
            timeout: Duration::from_millis(300),
        },
        start_timeout: Duration::from_secs(30),
        liveness: ProbePolicy {
            enabled: true,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            failure_threshold: 3,
            success_threshold: 2,
        },
        probes: Default::default(),
        labels: Default::default(),
        spend: None,
    }
}

/// The binary's own sample agent.
pub(in crate::agents) fn sample(name: &str) -> ProcessSpec {
    process(&["agent-system", "sample-agent", name])
}

/// A shell loop that answers the protocol's `hello`, and with `on_task` its tasks: `$id`, `$lease`.
pub(in crate::agents) fn speaking(on_task: &str) -> ProcessSpec {
    script(&format!(
        r#"
        field() {{ printf %s "$1" | sed "s/.*\"$2\":\"\([^\"]*\)\".*/\1/"; }}
        while read -r line; do
            case "$line" in
                *'"type":"hello"'*) echo '{{"type":"ready"}}' ;;
                *'"type":"ping"'*) echo '{{"type":"pong","n":1}}' ;;
                *'"type":"task"'*) id=$(field "$line" id); lease=$(field "$line" lease_id); {on_task} ;;
            esac
        done"#
    ))
}
