//! Claims about children that do the worst they can with their pipes and their end.

use std::os::unix::fs::PermissionsExt as _;

use agent_system::actors::work::{AgentOutcome, Receipt};
use agent_system::domain::agent::{ProcessProtocol, ProcessSpec};
use agent_system::domain::exit::ExitReason;
use agent_system::domain::ids::MessageId;
use agent_system::domain::message::{Message, MessageKind, NewMessage};
use agent_system::domain::timestamp::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::rig::{LONG, Rig, eventually, hello, output, process, sample, script, speaking, task};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// The most memory that this process has ever had, KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[actix_rt::test]
async fn one_that_exits_before_it_reads_hello_ends_with_its_own_code() {
    for text in ["exit 3", "exec <&-; sleep 0.02; exit 3"] {
        let rig = Rig::start(script(text));
        assert_eq!(rig.exit().await, ExitReason::ExitCode { code: 3 });
        rig.no_process_left().await;
    }
}

#[actix_rt::test]
async fn an_interpreter_that_does_not_exist_is_told_apart_from_the_script() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.to_str().unwrap();
    let message = format!(
        "command '{path}' names an interpreter that does not exist: correct its first line, or name the interpreter in `command`"
    );
    for protocol in [ProcessProtocol::Stdio, ProcessProtocol::None] {
        let rig = Rig::start(ProcessSpec {
            protocol,
            ..process(&[path])
        });
        let message = message.clone();
        assert_eq!(rig.exit().await, ExitReason::StartFailed { message });
    }
}

#[actix_rt::test]
async fn one_that_never_reads_gets_only_so_much_and_holds_up_nobody() {
    let rig = Rig::start(script(r#"echo '{"type":"ready"}'; exec sleep 1000"#));
    let port = rig.port().await;
    let payload = json!("x".repeat(4096));
    let taken = (0..10_000)
        .take_while(|_| port.assign(task(payload.clone())).is_ok())
        .count();
    assert!(taken < 1_000, "{taken}");
    let evidence = rig.probe().await.unwrap();
    assert!(!evidence.open_tasks.is_empty());
    let other = Rig::start(sample("echo"));
    assert_eq!(output(other.run(hello()).await), hello());
    // What it never read goes back without blame.
    signal(rig.pid(0).await, Signal::KILL);
    rig.exit().await;
    let settled = rig.memory.settled.lock();
    assert!(settled.len() > 100 && settled.len() < taken, "{settled:?}");
    let blameless = |outcome: &AgentOutcome| *outcome == AgentOutcome::Cancelled;
    assert!(settled.iter().all(|(.., outcome)| blameless(outcome)));
}

#[actix_rt::test]
async fn lines_without_end_on_both_pipes_take_no_memory() {
    let flood = "head -c 100000000 /dev/zero | tr '\\0' x";
    let rig = Rig::start(script(&format!(
        r#"{flood} >&2 & {flood}; wait; echo; echo >&2; echo '{{"type":"ready"}}'; while read -r line; do :; done"#
    )));
    let before = peak_kib();
    rig.port().await.assign(task(hello())).unwrap();
    let grown = peak_kib() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");
    let log = rig.probe().await.unwrap().log;
    let kept: usize = log.iter().map(String::len).sum();
    assert!(kept < 64 * 1024, "{kept}");
}

#[actix_rt::test]
async fn one_that_is_stopped_shows_no_sign_even_with_a_task_and_can_be_killed() {
    let silent = ProcessSpec {
        protocol: ProcessProtocol::None,
        ..process(&["sleep", "1000"])
    };
    for (spec, with_task) in [(speaking("true"), true), (silent, false)] {
        let rig = Rig::start(spec);
        let ready = rig.ready().await;
        if with_task {
            ready.port.unwrap().assign(task(hello())).unwrap();
        }
        assert!(rig.probe().await.is_some());
        let pid = rig.pid(0).await;
        signal(pid, Signal::STOP);
        eventually("no sign", async || {
            rig.probe().await.is_none().then_some(())
        })
        .await;
        signal(pid, Signal::CONT);
        eventually("a sign", async || rig.probe().await).await;
        signal(pid, Signal::STOP);
        rig.control.kill();
        assert_eq!(rig.exit().await, ExitReason::Killed);
        rig.no_process_left().await;
    }
}

#[actix_rt::test]
async fn one_that_takes_no_message_gets_only_so_many() {
    let reads = r#"echo '{"type":"ready"}'; while read -r line; do :; done"#;
    let rig = Rig::start(script(reads));
    let port = rig.port().await;
    let mut receipts = Vec::new();
    eventually("it gets no more", async || {
        let (told, taken) = tokio::sync::oneshot::channel();
        let receipt = Receipt::new(|taken| {
            told.send(taken).ok();
        });
        let refused = port.deliver(message(receipts.len()), receipt).is_err();
        if !refused {
            receipts.push(taken);
        }
        // While it reads what is written, there is room for more.
        (refused && receipts.len() >= 256).then_some(())
    })
    .await;
    assert_eq!(receipts.len(), 256);
    rig.control.kill();
    rig.exit().await;
    for receipt in receipts {
        let taken = tokio::time::timeout(LONG, receipt).await;
        assert!(!taken.unwrap().unwrap());
    }
}

fn message(n: usize) -> Message {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_le_bytes());
    let new = NewMessage {
        id: MessageId::from_bytes(id),
        from: None,
        to: "subject".parse().unwrap(),
        kind: MessageKind::Event,
        content: Value::Null,
        idempotency: None,
    };
    Message::waiting(&new, Timestamp::from_micros(0))
}

#[actix_rt::test]
async fn a_family_that_does_not_bury_its_dead_leaves_none_behind() {
    // The child of the shell dies while the shell, replaced, waits for nobody.
    let rig = Rig::start(ProcessSpec {
        protocol: ProcessProtocol::None,
        ..script("(until grep -qx sleep /proc/$$/comm; do :; done) & exec sleep 1000")
    });
    rig.ready().await;
    let pid = rig.pid(0).await;
    let zombies = || {
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let of = |child: &str| std::fs::read_to_string(format!("/proc/{child}/stat")).ok();
        let all = children.split_whitespace().filter_map(of);
        all.filter(|stat| stat.contains(") Z ")).count()
    };
    eventually("a zombie", async || (zombies() == 1).then_some(())).await;
    signal(pid, Signal::KILL);
    rig.exit().await;
    rig.no_process_left().await;
    // Its dead belong to whoever inherits them: nobody of this family is on the list any more.
    assert_eq!(zombies(), 0);
}
