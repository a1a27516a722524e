//! `agent-system exec-agent [flags] -- CMD…`: the last step between the daemon and an agent's program.
//!
//! It runs in the child, so that the daemon itself can use `posix_spawn` (a hook between fork and
//! exec would forbid it): binds the child's life to the daemon's, keeps back what descriptors the daemon
//! was started with, sets limits and the mark by which everything the agent starts can be found again,
//! then becomes the program.
//!
//! With `--order stdin` it waits for the rest of its arguments there, so that the launcher can keep
//! some at the ready: the next life of an agent then costs one `exec`, and no start of a large
//! binary. The order is written by [`sealed`]; what follows it on stdin is the program's.
//!
//! A failure is one line on stderr that begins with [`FAILURE_MARK`], and the shell's exit codes:
//! 127 not found, 126 not executable, 125 anything else.

mod descriptors;
mod stdin;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Resource, Rlimit, Signal};

pub(crate) use stdin::sealed;

/// Begins the line that says why the program could not be started.
pub(crate) const FAILURE_MARK: &str = "agent-system exec-agent failed: ";

/// The variable by which everything that an agent starts is found again: `OWNER:PID:START_TICKS`.
pub(crate) const LIFE_VARIABLE: &str = "AGENT_SYSTEM_LIFE";

/// The first word of a command that means this very binary.
pub(crate) const THIS_BINARY: &str = "agent-system";

/// Where the kernel shows the running program's own file, even after it was replaced or removed.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const OTHER: u8 = 125;

/// Whether an exit code may come from here and not from the program.
pub(crate) fn is_failure_code(code: i32) -> bool {
    (i32::from(OTHER)..=i32::from(NOT_FOUND)).contains(&code)
}

/// Becomes the program, or says why not.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let order = Order::parse(arguments).and_then(Order::complete);
    let failure = match order.map(|order| order.map(Order::carry_out)) {
        Ok(Some(Ok(never))) => match never {},
        // Nobody needs it any more.
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(Err(failure))) | Err(failure) => failure,
    };
    // Nobody is left to tell if stderr is gone; the exit code still says it.
    let _told = writeln!(io::stderr(), "{FAILURE_MARK}{}", failure.message);
    ExitCode::from(failure.code)
}

struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn other(message: impl Into<String>) -> Self {
        Self {
            code: OTHER,
            message: message.into(),
        }
    }
}

/// What the launcher asked for.
#[derive(Debug, Default, PartialEq)]
struct Order {
    parent: Option<i32>,
    /// The rest of the order comes on stdin.
    to_come: bool,
    /// The value of [`LIFE_VARIABLE`].
    life: OsString,
    /// The environment, if it is not this process's own.
    environment: Option<Vec<(OsString, OsString)>>,
    /// The program reads nothing.
    no_input: bool,
    directory: Option<PathBuf>,
    limits: Vec<(Limit, u64)>,
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Memory,
    OpenFiles,
    Processes,
}

impl Order {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let mut order = Self::default();
        order.take_all(arguments)?;
        if order.command.is_empty() && !order.to_come {
            return Err(Failure::other("usage: exec-agent [flags] -- COMMAND…"));
        }
        Ok(order)
    }

    fn take_all(&mut self, mut arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
        while let Some(flag) = arguments.next() {
            if flag == "--" {
                self.command = arguments.collect();
                break;
            }
            let value = arguments.next().ok_or_else(|| {
                Failure::other(format!("flag {} needs a value", flag.to_string_lossy()))
            })?;
            self.take(&flag, value)?;
        }
        Ok(())
    }

    /// Waits for what is to come; `None` if nothing ever does. From here on it ends with its
    /// parent, so that one that waits is never left behind.
    fn complete(mut self) -> Result<Option<Self>, Failure> {
        die_with_parent(self.parent)?;
        descriptors::keep_the_first_three()
            .map_err(|error| Failure::other(format!("descriptors of the daemon: {error}")))?;
        if self.to_come {
            let Some(rest) = stdin::read()? else {
                return Ok(None);
            };
            self.to_come = false;
            self.take_all(rest.into_iter())?;
        }
        Ok(Some(self))
    }

    fn take(&mut self, flag: &OsStr, value: OsString) -> Result<(), Failure> {
        match flag.to_str() {
            Some("--parent") => self.parent = Some(number(&value)?),
            Some("--order") => self.to_come = value == "stdin",
            Some("--life") => self.life = value,
            Some("--input") => self.no_input = value == "none",
            Some("--environment") => self.environment = Some(Vec::new()),
            Some("--variable") => self.variable(&value),
            Some("--directory") => self.directory = Some(value.into()),
            Some("--memory") => self.limits.push((Limit::Memory, number(&value)?)),
            Some("--open-files") => self.limits.push((Limit::OpenFiles, number(&value)?)),
            Some("--processes") => self.limits.push((Limit::Processes, number(&value)?)),
            _ => {
                let flag = flag.to_string_lossy();
                return Err(Failure::other(format!("unknown flag {flag}")));
            }
        }
        Ok(())
    }

    fn variable(&mut self, line: &OsStr) {
        let line = line.as_bytes();
        let name_ends = line.iter().position(|byte| *byte == b'=');
        let (name, value) = line.split_at(name_ends.unwrap_or(line.len()));
        let value = value.get(1..).unwrap_or_default();
        let (name, value) = (OsStr::from_bytes(name), OsStr::from_bytes(value));
        let environment = self.environment.get_or_insert_default();
        environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where programs are looked for.
    fn path(&self) -> OsString {
        match &self.environment {
            None => std::env::var_os("PATH").unwrap_or_default(),
            Some(all) => {
                let path = all.iter().find(|(name, _)| name == "PATH");
                path.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        }
    }

    fn carry_out(self) -> Result<Infallible, Failure> {
        if self.no_input {
            stdin::close().map_err(|error| Failure::other(format!("/dev/null: {error}")))?;
        }
        if let Some(directory) = &self.directory {
            std::env::set_current_dir(directory).map_err(|error| {
                Failure::other(format!(
                    "directory '{}': {error}: create it, or correct `directory`",
                    directory.display()
                ))
            })?;
        }
        for (limit, value) in &self.limits {
            set_limit(*limit, *value)
                .map_err(|error| Failure::other(format!("limit {limit:?} of {value}: {error}")))?;
        }
        let (name, rest) = self
            .command
            .split_first()
            .ok_or_else(|| Failure::other("no command"))?;
        let mut program = program(name);
        if let Some(environment) = &self.environment {
            program.env_clear();
            program.envs(environment.iter().map(|(name, value)| (name, value)));
        }
        let error = program.args(rest).env(LIFE_VARIABLE, &self.life).exec();
        Err(exec_failure(name, &error, &self.path()))
    }
}

fn number<T: std::str::FromStr>(value: &OsStr) -> Result<T, Failure> {
    value
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::other(format!("'{}' is no number", value.to_string_lossy())))
}

/// Asks the kernel to kill this process when the thread that spawned it ends. The daemon may have
/// died before the request was made, so it is looked for afterwards.
fn die_with_parent(parent: Option<i32>) -> Result<(), Failure> {
    let Some(parent) = parent else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::other(format!("parent-death signal: {error}")))?;
    if rustix::process::getppid() != Pid::from_raw(parent) {
        return Err(Failure::other("the daemon is gone"));
    }
    Ok(())
}

/// Lowers a limit; one that the daemon does not have itself cannot be given and is cut to its own.
fn set_limit(limit: Limit, value: u64) -> io::Result<()> {
    let resource = match limit {
        Limit::Memory => Resource::As,
        Limit::OpenFiles => Resource::Nofile,
        Limit::Processes => Resource::Nproc,
    };
    let ours = rustix::process::getrlimit(resource).maximum;
    let value = Some(ours.map_or(value, |ours| ours.min(value)));
    let limits = Rlimit {
        current: value,
        maximum: value,
    };
    Ok(rustix::process::setrlimit(resource, limits)?)
}

/// The value of [`LIFE_VARIABLE`] in everything that one life starts.
pub(crate) fn mark_of(owner: &str, pid: u32, start_ticks: u64) -> String {
    format!("{owner}:{pid}:{start_ticks}")
}

fn program(name: &OsStr) -> Command {
    if name == THIS_BINARY {
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0(name);
        command
    } else {
        Command::new(name)
    }
}

fn exec_failure(name: &OsStr, error: &io::Error, path: &OsStr) -> Failure {
    let shown = name.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Failure {
            code: NOT_FOUND,
            message: not_found(&shown, path),
        },
        io::ErrorKind::PermissionDenied => Failure {
            code: NOT_EXECUTABLE,
            message: format!(
                "command '{shown}' is not executable: give it the right to run (chmod +x), or name its interpreter in `command`"
            ),
        },
        _ => Failure {
            code: NOT_EXECUTABLE,
            message: format!("command '{shown}' cannot be executed: {error}"),
        },
    }
}

fn not_found(shown: &str, path: &OsStr) -> String {
    if !shown.contains('/') {
        let path = path.to_string_lossy();
        return format!(
            "command '{shown}' not found in PATH ({path}): install it, or give its whole path"
        );
    }
    if std::path::Path::new(shown).exists() {
        // The kernel says "not found" of the interpreter, not of the script.
        return format!(
            "command '{shown}' names an interpreter that does not exist: correct its first line, or name the interpreter in `command`"
        );
    }
    format!("command '{shown}' does not exist: correct `command`, or `directory` if it is relative")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Order, String> {
        Order::parse(words.iter().map(OsString::from)).map_err(|failure| failure.message)
    }

    #[test]
    fn flags_end_at_two_dashes_and_the_rest_is_the_command() {
        let order = parse(&["--parent", "7", "--memory", "9", "--", "sh", "--parent"]);
        let expected = Order {
            parent: Some(7),
            limits: vec![(Limit::Memory, 9)],
            command: vec!["sh".into(), "--parent".into()],
            ..Order::default()
        };
        assert_eq!(order, Ok(expected));
    }

    #[test]
    fn an_order_from_stdin_reads_like_one_of_arguments() {
        let words = [
            "--input",
            "none",
            "--variable",
            "A=b=c",
            "--variable",
            "E=",
            "--",
            "sh",
            "",
        ];
        let sealed = sealed(words.iter().map(OsString::from));
        let (length, body) = sealed.split_at(4);
        assert_eq!(
            u32::from_le_bytes(length.try_into().unwrap()) as usize,
            body.len()
        );
        assert_eq!(
            body,
            b"--input\0none\0--variable\0A=b=c\0--variable\0E=\0--\0sh\0\0"
        );
        let order = parse(&words).unwrap();
        let expected = [("A", "b=c"), ("E", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(order.environment, Some(expected.to_vec()));
        assert!(order.no_input);
        assert_eq!(order.command, ["sh", ""]);
    }

    #[test]
    fn an_unknown_flag_a_missing_value_and_a_missing_command_are_refused_by_name() {
        for (words, text) in [
            (&["--what", "1", "--", "sh"][..], "unknown flag --what"),
            (&["--parent"], "flag --parent needs a value"),
            (&["--parent", "x", "--", "sh"], "'x' is no number"),
            (&["--parent", "1"], "usage: exec-agent [flags] -- COMMAND…"),
        ] {
            assert_eq!(parse(words), Err(text.to_owned()));
        }
    }
}
