//! One process from its spawn to its end: pipes, exit, what it leaves behind.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::exit::{Circumstances, reason};
use super::leash::Leash;
use super::pipes::Pipes;
use super::talk::{Outgoing, Talk};
use super::{Plan, Slot};
use crate::actors::agent::family::signal_group;
use crate::actors::agent::launcher::{Input, Launched};
use crate::actors::agent::proc;
use crate::actors::life::{Evidence, Life, LifeNote, Ready};
use crate::domain::agent::ProcessProtocol;
use crate::domain::exit::ExitReason;
use crate::domain::redaction::Redactor;

/// How long a new life waits for the process of the one before; a killed one is gone in
/// milliseconds, unless the kernel holds it.
const PREDECESSOR_GONE_WITHIN: Duration = Duration::from_secs(5);
/// From the end of a pipe to the end of its process.
const END_FOLLOWS_WITHIN: Duration = Duration::from_secs(1);
/// When a new process is looked at first: many that die do so soon.
const FIRST_LOOKS: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(500),
    Duration::from_secs(4),
];
/// And then.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// One process.
pub(super) struct Session {
    plan: Arc<Plan>,
    slot: Arc<Slot>,
    leash: Arc<Leash>,
    life: Life,
    talk: Option<Arc<Talk>>,
    unread: Option<mpsc::Receiver<Outgoing>>,
    predecessor: Option<watch::Receiver<bool>>,
    gone: watch::Sender<bool>,
}

/// Evidence of a child that nobody talks to: it lives.
pub(super) fn silent_evidence(leash: &Leash) -> Evidence {
    let mut shown = Evidence::default();
    leash.show(&mut shown);
    shown.since_sign = (leash.pid().is_some() && !shown.gone).then_some(Duration::ZERO);
    shown
}

impl Session {
    /// Takes the replica's place after the life before.
    pub(super) fn prepare(
        plan: Arc<Plan>,
        slot: Arc<Slot>,
        leash: Arc<Leash>,
        life: Life,
    ) -> (Self, Option<Arc<Talk>>) {
        let (gone, watch) = watch::channel(false);
        let launcher = &plan.environment.launcher;
        let predecessor = launcher.follow(&life.instance, watch);
        let talk = (plan.process.protocol == ProcessProtocol::Stdio).then(|| {
            let work = plan.environment.work.clone();
            Talk::begin(life.clone(), work, slot.log.clone(), leash.clone())
        });
        let (talk, unread) = talk.unzip();
        let spoken = talk.clone();
        let session = Self {
            plan,
            slot,
            leash,
            life,
            talk,
            unread,
            predecessor,
            gone,
        };
        (session, spoken)
    }

    /// The whole life; returns how it ended.
    pub(super) async fn live(mut self) -> ExitReason {
        self.wait_for_predecessor().await;
        let input = match self.talk {
            Some(_) => Input::Piped,
            None => Input::Empty,
        };
        let process = &self.plan.process;
        let mut launched = match self.plan.environment.launcher.launch(process, input).await {
            Ok(launched) => launched,
            Err(error) => {
                return ExitReason::StartFailed {
                    message: error.to_string(),
                };
            }
        };
        if !self.leash.attach(launched.pid) {
            return ExitReason::Shutdown;
        }
        self.hide(&launched.secrets);
        self.life.note(LifeNote::Spawned {
            pid: launched.pid,
            start_ticks: launched.start_ticks,
        });
        let conversation = self.talk.clone().zip(self.unread.take());
        let mut pipes = Pipes::open(&mut launched.child, &self.slot.log, conversation);
        self.greet(launched.pid).await;
        let ended = self.until_end(&mut launched, &mut pipes).await;
        self.leave(launched, pipes, ended).await
    }

    /// What the child was given as a secret is shown to nobody who reads what it says.
    fn hide(&self, secrets: &Redactor) {
        self.slot.log.begin(self.life.generation, secrets.clone());
        if let Some(talk) = &self.talk {
            talk.frames.hide(secrets.clone());
        }
    }

    async fn wait_for_predecessor(&mut self) {
        if let Some(mut gone) = self.predecessor.take() {
            // An error means that its session was lost, with its process.
            let wait = gone.wait_for(|gone| *gone);
            if timeout(PREDECESSOR_GONE_WITHIN, wait).await.is_err() {
                let instance = &self.life.instance;
                tracing::warn!(%instance, "the process of the life before is not gone yet");
            }
        }
    }

    /// Says hello; one that is only kept alive is ready when it runs its program.
    async fn greet(&self, pid: u32) {
        match &self.talk {
            Some(talk) => talk.hello(self.config()),
            None if runs_its_program(pid).await => self.life.ready(Ready::default()),
            None => {}
        }
    }

    /// `hello.config`: the agent's settings, and where artifacts lie.
    fn config(&self) -> Value {
        let artifacts = self.plan.environment.artifacts.root();
        let mut config = match self.plan.process.settings.clone() {
            Value::Null => json!({}),
            settings => settings,
        };
        if let Value::Object(config) = &mut config {
            config.insert("artifacts".to_owned(), json!(artifacts.to_string_lossy()));
        }
        config
    }

    /// Looks at the processes now and then, so that a death finds what they used.
    async fn keep_looking(&self) {
        let mut pauses = FIRST_LOOKS.into_iter();
        loop {
            let pause = pauses.next().unwrap_or(LOOK_EVERY);
            tokio::time::sleep(pause).await;
            if let Some(pid) = self.leash.pid() {
                // The last probe mostly did, and then nothing is read.
                self.leash.vitals.look(pid, pause - pause / 4);
            }
            self.plan.environment.launcher.oom_kills().look_on();
        }
    }

    /// Waits for the end of the process, and brings it about if the conversation is broken.
    async fn until_end(&self, launched: &mut Launched, pipes: &mut Pipes) -> Ended {
        let broken = tokio::select! {
            status = launched.child.wait() => return Ended::of(status),
            broken = pipes.broken() => broken,
            () = self.keep_looking() => return Ended::of(launched.child.wait().await),
        };
        // The end of its pipes is mostly the first sign of its own end.
        if let Ok(status) = timeout(END_FOLLOWS_WITHIN, launched.child.wait()).await {
            return Ended::of(status);
        }
        if self.leash.was_told() {
            // It hung up as told; the supervisor's deadline runs.
            return Ended::of(launched.child.wait().await);
        }
        self.leash.kill();
        match launched.child.wait().await {
            Ok(_) => Ended::Because(broken),
            Err(error) => Ended::of(Err(error)),
        }
    }

    /// Clears up after the process and says how it ended.
    async fn leave(self, launched: Launched, pipes: Pipes, ended: Ended) -> ExitReason {
        self.leash.detach();
        // What it forked goes with it; the mark finds what left the group.
        signal_group(launched.pid, Signal::KILL);
        self.gone.send_replace(true);
        let launcher = &self.plan.environment.launcher;
        launcher.end_family(launched.family.clone());
        drop(launched);
        let failure = pipes.finish().await;
        let reason = self.reason(ended, failure.as_deref());
        if let Some(talk) = &self.talk {
            self.leash.ended_with(talk.evidence());
            talk.give_back_undelivered();
        }
        reason
    }

    fn reason(&self, ended: Ended, exec_failure: Option<&str>) -> ExitReason {
        match ended {
            Ended::Because(reason) => reason,
            Ended::Status(status) => {
                let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
                let told = self.leash.was_told();
                let known = Circumstances {
                    told,
                    exec_failure,
                    success: &self.plan.process.success_exit_codes,
                    oom: killed && !told && self.plan.environment.launcher.oom_kills().take_one(),
                };
                reason(status, known)
            }
        }
    }
}

/// How a process ended.
enum Ended {
    Status(std::process::ExitStatus),
    Because(ExitReason),
}

impl Ended {
    fn of(status: std::io::Result<std::process::ExitStatus>) -> Self {
        match status {
            Ok(status) => Self::Status(status),
            Err(error) => Self::Because(ExitReason::Error {
                message: format!("the process cannot be waited for: {error}"),
            }),
        }
    }
}

/// Whether `pid` becomes the agent's program: till then its command line is `exec-agent`'s. It may take as
/// long as the supervisor gives a start; that ends the process, and with it this wait.
async fn runs_its_program(pid: u32) -> bool {
    /// The first wait; each next one is twice as long, so that a hundred that begin together do not
    /// cost more looks than work.
    const FIRST_LOOK: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(50);
    let mut wait = FIRST_LOOK;
    loop {
        match std::fs::read(format!("/proc/{pid}/cmdline")) {
            // Dead, or for a moment between two programs.
            Ok(line) if line.is_empty() => {
                if proc::stat(pid).is_none_or(|stat| stat.zombie) {
                    return false;
                }
            }
            Ok(line) if line.split(|byte| *byte == 0).nth(1) == Some(b"exec-agent") => {}
            Ok(_) => return true,
            Err(_gone) => return false,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}
