//! A daemon of a test's own: the real binary, free ports, a data directory that is thrown away.
//!
//! Everything waits on a condition with a bound. Whatever a test leaves running is ended by pid.

mod http;
mod process;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use http::http;
pub(crate) use process::{is_running, signal, start_ticks};

/// How long anything may take before a test gives up: far longer than on the slowest machine, as it
/// costs nothing where things go well.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// What the machine does beside the tests is no claim of theirs: no share of it is too much, unless
/// a test says so.
pub(crate) const ANY_LOAD: &str = "
    [monitoring.thresholds]
    cpu = { warning = 99, critical = 100 }
    memory = { warning = 99, critical = 100 }
    disk = { warning = 99, critical = 100 }
";
/// States that a task does not leave.
const ENDS: [&str; 5] = ["succeeded", "failed", "cancelled", "timed_out", "dead"];

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_agent-system"))
}

/// A command of the binary that sees nothing of the caller's environment but `PATH` and `HOME`.
pub(crate) fn agent_system() -> Command {
    in_clean_surroundings(Command::new(binary()))
}

fn in_clean_surroundings(mut command: Command) -> Command {
    command.env_clear();
    for key in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Waits until `condition` gives a value.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let pause = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        let held = pause.0.lock().unwrap();
        drop(pause.1.wait_timeout(held, GLANCE).unwrap());
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Option<Child>,
    /// What runs the daemon: the binary, or a command in front of its arguments.
    program: Vec<OsString>,
    config: Option<PathBuf>,
    variables: Vec<(String, String)>,
    data: tempfile::TempDir,
    /// `127.0.0.1:PORT` of the API.
    pub(crate) api: String,
    /// `127.0.0.1:PORT` of the metrics.
    pub(crate) metrics: String,
}

impl Daemon {
    /// Starts the development environment with its sample agents; returns when it is ready.
    pub(crate) fn start() -> Self {
        Self::start_with(vec![binary().into()], None)
    }

    /// Starts with a configuration of the test's own.
    pub(crate) fn configured(toml: &str) -> Self {
        Self::start_with(vec![binary().into()], Some(toml))
    }

    /// Starts with a configuration, by a command that becomes the daemon with what follows it.
    pub(crate) fn run_by(program: Vec<OsString>, toml: &str) -> Self {
        Self::start_with(program, Some(toml))
    }

    /// Starts with a data directory that was prepared; gives the daemon's further variables.
    pub(crate) fn prepared(
        toml: &str,
        prepare: impl FnOnce(&Path) -> Vec<(String, String)>,
    ) -> Self {
        let mut daemon = Self::not_yet(vec![binary().into()], Some(toml));
        std::fs::create_dir(daemon.data_dir()).unwrap();
        daemon.variables = prepare(&daemon.data_dir());
        daemon.start_again();
        daemon
    }

    fn start_with(program: Vec<OsString>, toml: Option<&str>) -> Self {
        let mut daemon = Self::not_yet(program, toml);
        daemon.start_again();
        daemon
    }

    /// One that was never started, with the development environment's sample agents.
    pub(crate) fn unstarted() -> Self {
        Self::not_yet(vec![binary().into()], None)
    }

    fn not_yet(program: Vec<OsString>, toml: Option<&str>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = toml.map(|text| {
            let path = data.path().join("test.toml");
            std::fs::write(&path, text).unwrap();
            path
        });
        Self {
            child: None,
            program,
            config,
            variables: Vec::new(),
            data,
            api: String::new(),
            metrics: String::new(),
        }
    }

    /// Gives the next life another configuration.
    pub(crate) fn reconfigure(&self, toml: &str) {
        std::fs::write(self.config.as_ref().unwrap(), toml).unwrap();
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("store")
    }

    /// What the daemon has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// The database, of which no copy is needed: reading disturbs nobody.
    pub(crate) fn database(&self) -> PathBuf {
        self.data_dir().join("agent-system.db")
    }

    /// Starts the next life on the same data directory; returns when it is ready.
    pub(crate) fn start_again(&mut self) {
        self.spawn_again();
        eventually("the daemon is ready", || {
            self.assert_alive();
            (self.get("/readyz").0 == 200).then_some(())
        });
    }

    /// Starts the next life on the same data directory; returns when it says where it listens.
    pub(crate) fn spawn_again(&mut self) {
        self.launch();
        self.learn_addresses(self.pid());
    }

    /// Starts the next life and waits for nothing.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "the daemon still runs");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.data.path().join("log"))
            .unwrap();
        let mut command = in_clean_surroundings(Command::new(&self.program[0]));
        command.args(&self.program[1..]);
        let any_load = write_file(self.data.path(), "any-load.toml", ANY_LOAD.as_bytes());
        command.arg("serve").arg("--data-dir").arg(self.data_dir());
        command.arg("--config").arg(any_load);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
            .envs(self.variables.iter().cloned())
            .env("AGENT_SYSTEM__SERVER__PORT", "0")
            .env("AGENT_SYSTEM__MONITORING__METRICS_PORT", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn learn_addresses(&mut self, pid: u32) {
        let path = self.data_dir().join("daemon.json");
        let about = eventually("the daemon says where it listens", || {
            self.assert_alive();
            let text = std::fs::read_to_string(&path).ok()?;
            serde_json::from_str::<Value>(&text)
                .ok()
                .filter(|about| about["pid"] == pid)
        });
        self.api = about["api"].as_str().unwrap().to_owned();
        self.metrics = about["metrics"].as_str().unwrap().to_owned();
    }

    fn assert_alive(&mut self) {
        let status = self.child.as_mut().unwrap().try_wait().unwrap();
        assert!(
            status.is_none(),
            "the daemon ended with {status:?}:\n{}",
            self.log()
        );
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end; gives the exit code, or `None` after a signal.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let status = eventually("the daemon ends", || child.try_wait().unwrap());
        status.code()
    }

    /// `kill -9`, and the next life.
    pub(crate) fn crash_and_start_again(&mut self) {
        self.signal("KILL");
        self.wait();
        self.start_again();
    }

    /// Runs the command line against this daemon.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        agent_system()
            .env("AGENT_SYSTEM_URL", format!("http://{}", self.api))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs the command line, which must succeed; gives what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.cli(arguments);
        assert!(
            output.status.success(),
            "{arguments:?} ended with {}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        output.stdout
    }

    /// Runs the command line with `-o json`, which must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        serde_json::from_slice(&self.ok(&all)).unwrap()
    }

    /// `GET`; the status and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http(&self.api, "GET", path, &[], "")
    }

    /// `POST` of a JSON text; the status and the body.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        http(
            &self.api,
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body,
        )
    }

    /// Waits for the end of a task; gives the task.
    pub(crate) fn end_of(&self, task: &str) -> Value {
        let path = format!("/api/v1/tasks/{task}?wait=5s");
        eventually("the task ends", || {
            let task: Value = serde_json::from_str(&self.get(&path).1).ok()?;
            let state = task["state"].as_str()?;
            ENDS.contains(&state).then_some(task)
        })
    }

    /// Waits until an agent is ready; gives its process. A daemon is ready before its agents are.
    pub(crate) fn ready_pid(&self, agent: &str) -> u32 {
        eventually("the agent is ready", || {
            let agent = self.json(&["agents", "get", agent]);
            let pid = agent["pid"].as_u64();
            let pid = pid.filter(|_| agent["state"] == "ready")?;
            u32::try_from(pid).ok()
        })
    }

    /// What the journal has of these types, oldest first. It is stored behind what it tells of: what
    /// must be there is waited for.
    pub(crate) fn events(&self, types: &str) -> Vec<Value> {
        let page = self.json(&["events", "--types", types, "--limit", "500"]);
        page["items"].as_array().unwrap().clone()
    }

    /// The page of metrics.
    pub(crate) fn metrics_page(&self) -> String {
        http(&self.metrics, "GET", "/metrics", &[], "").1
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                eprintln!("{}", self.log());
            }
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A file made by the test, below the daemon's own temporary directory.
pub(crate) fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
