//! What the daemon stands on: configuration, data directory, disk, clock, limits, ports, database,
//! the programs of its agents.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use super::findings::{Finding, Level};
use crate::config::Config;
use crate::domain::agent::{AgentProgram, AgentSpec, ProcessSpec};
use crate::persistence::lock::Lock;
use crate::persistence::{OpenError, disk, offline};

/// Files that the daemon opens beside connections and pipes: database, readers, logs, listeners.
const OWN_FILES: u64 = 64;
/// Pipes of a process agent.
const FILES_A_PROCESS: u64 = 3;
/// No clock is before this binary: 2025-01-01.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// How far what was written may lie in the future.
const AHEAD: Duration = Duration::from_secs(60);

/// Looks at all of it.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let owner = Lock::owner(config.data_dir());
    let mut found = vec![
        configuration(config),
        data_directory(config.data_dir()),
        lock(config.data_dir(), owner),
        disk_space(config),
        clock(&config.database().path),
        open_files(config),
    ];
    found.extend(ports(config, owner.is_some()));
    found.push(database(&config.database().path));
    found.extend(commands(config));
    found
}

fn configuration(config: &Config) -> Finding {
    let said = format!(
        "valid: environment {}, {} agents",
        config.environment().as_str(),
        config.agents().len()
    );
    match config.warnings() {
        [] => Finding::ok("configuration", said),
        warnings => Finding::warning(
            "configuration",
            format!("{said}; {}", warnings.join("; ")),
            "look at agent-system config show --sources",
        ),
    }
}

/// The directory itself, or what it would be made in.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let exists = path.ancestors().find(|it| it.exists());
    exists.map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn data_directory(data_dir: &Path) -> Finding {
    let (shown, place) = (data_dir.display(), existing(data_dir));
    let probe = place.join(format!(".agent-system-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) if data_dir.is_dir() => {
            Finding::ok("data directory", format!("{shown} is writable"))
        }
        Ok(()) => Finding::ok(
            "data directory",
            format!("{shown} is made at the first start"),
        ),
        Err(error) => Finding::critical(
            "data directory",
            format!("{} cannot be written: {error}", place.display()),
            "make it writable for this user, or choose another by --data-dir",
        ),
    }
}

fn lock(data_dir: &Path, owner: Option<Option<u32>>) -> Finding {
    let shown = data_dir.display();
    match owner {
        None => Finding::ok("lock", format!("nobody holds {shown}")),
        Some(None) => Finding::ok("lock", format!("{shown} is held by another process")),
        Some(Some(pid)) => Finding::ok("lock", format!("{shown} is held by process {pid}")),
    }
}

fn disk_space(config: &Config) -> Finding {
    let place = existing(config.data_dir());
    let (Some(free), Some(used)) = (disk::free_bytes(&place), disk::used_ratio(&place)) else {
        return Finding::ok(
            "disk",
            "the file system does not say how much room there is",
        );
    };
    let mib = free / (1 << 20);
    let said = format!(
        "{:.0} % used, {mib} MiB free at {}",
        used * 100.0,
        place.display()
    );
    let limits = config.monitoring().health.disk;
    match judged(used, limits.warning, limits.critical) {
        Level::Ok => Finding::ok("disk", said),
        level => {
            let way_out = "make room; agent-system db prune removes what retention allows";
            Finding::bad(level, "disk", said, way_out)
        }
    }
}

fn judged(value: f64, warning: f64, critical: f64) -> Level {
    if value > critical {
        Level::Critical
    } else if value > warning {
        Level::Warning
    } else {
        Level::Ok
    }
}

/// A clock that is wrong by years, or stands before what was written last.
fn clock(database: &Path) -> Finding {
    const SET_IT: &str =
        "set the clock, and have it kept (NTP): run_at, schedules and retention go by it";
    let now = SystemTime::now();
    if now < SystemTime::UNIX_EPOCH + EARLIEST {
        return Finding::critical("clock", "it stands before this program was built", SET_IT);
    }
    let written = std::fs::metadata(database).and_then(|it| it.modified());
    match written {
        Ok(written) if written > now + AHEAD => {
            let ahead = written.duration_since(now).unwrap_or_default().as_secs();
            let said =
                format!("the database was last written {ahead} s from now: the clock went back");
            Finding::warning("clock", said, SET_IT)
        }
        _ => Finding::ok("clock", crate::clock::now().to_string()),
    }
}

fn open_files(config: &Config) -> Finding {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Finding::ok("open files", "without a limit");
    };
    let processes = config.agents().values().filter(|it| process(it).is_some());
    let replicas: u64 = processes.map(|it| u64::from(it.replicas)).sum();
    let agents = OWN_FILES + replicas * FILES_A_PROCESS;
    let needed = agents + u64::from(config.server().max_connections);
    let said = format!("{limit} allowed, up to {needed} needed");
    let way_out = "raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=), or lower server.max_connections";
    match limit {
        _ if limit >= needed => Finding::ok("open files", said),
        _ if limit >= agents => Finding::warning("open files", said, way_out),
        _ => Finding::critical("open files", said, way_out),
    }
}

fn process(spec: &AgentSpec) -> Option<&ProcessSpec> {
    match &spec.runs {
        AgentProgram::Process(process) => Some(process),
        AgentProgram::Actor { .. } | AgentProgram::Http(_) => None,
    }
}

/// Both ports: free, or our daemon's.
fn ports(config: &Config, runs: bool) -> [Finding; 2] {
    let (server, monitoring) = (config.server(), config.monitoring());
    let about = std::fs::read(config.data_dir().join("daemon.json"));
    let about: Value = about.map_or(Value::Null, |it| {
        serde_json::from_slice(&it).unwrap_or_default()
    });
    let wanted = [
        ("port", "server.port", "api", server.host, server.port),
        (
            "metrics port",
            "monitoring.metrics_port",
            "metrics",
            monitoring.metrics_host,
            monitoring.metrics_port,
        ),
    ];
    wanted.map(|(name, key, ours, host, port)| {
        let ours = about[ours].as_str().filter(|_| runs);
        port_is(name, key, SocketAddr::new(host, port), ours)
    })
}

fn port_is(name: &str, key: &str, address: SocketAddr, ours: Option<&str>) -> Finding {
    if let Some(ours) = ours {
        return Finding::ok(name, format!("the daemon listens on {ours}"));
    }
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => Finding::ok(name, "any free one"),
        Ok(_) => Finding::ok(name, format!("{address} is free")),
        Err(error) => Finding::critical(
            name,
            format!("cannot listen on {address}: {error}"),
            &format!("end who listens there, or set {key} to another port (0: any free one)"),
        ),
    }
}

fn database(path: &Path) -> Finding {
    const NAME: &str = "database";
    let looked = offline::status(path).and_then(|status| Ok((status, offline::faults(path)?)));
    let (status, faults) = match looked {
        Ok(looked) => looked,
        Err(OpenError::Missing(_)) => {
            return Finding::ok(
                NAME,
                format!("{} is made at the first start", path.display()),
            );
        }
        Err(error) => {
            let way_out = "mend what is named; agent-system db restore brings a backup back";
            return Finding::critical(NAME, error.to_string(), way_out);
        }
    };
    if let Some(first) = faults.first() {
        let way_out =
            "stop the daemon and bring the last backup back: agent-system db restore FILE";
        return Finding::critical(NAME, format!("damaged: {first}"), way_out);
    }
    let (has, knows) = (status.schema_version, status.latest_version);
    let said = format!("whole; schema version {has} of {knows}");
    match has.cmp(&knows) {
        std::cmp::Ordering::Equal => Finding::ok(NAME, said),
        std::cmp::Ordering::Less => {
            let way_out = "the next start brings it up, or agent-system db migrate up";
            Finding::warning(NAME, said, way_out)
        }
        std::cmp::Ordering::Greater => {
            let way_out = "use the newer binary that wrote it, or its agent-system db migrate down";
            Finding::critical(NAME, said, way_out)
        }
    }
}

/// The programs of process agents, by what is missing.
fn commands(config: &Config) -> Vec<Finding> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut found = 0;
    for spec in config.agents().values() {
        let Some(process) = process(spec) else {
            continue;
        };
        match unfound(process) {
            None => found += 1,
            Some(why) => missing.entry(why).or_default().push(spec.name.to_string()),
        }
    }
    if missing.is_empty() {
        return vec![Finding::ok(
            "commands",
            format!("the programs of {found} process agents are there"),
        )];
    }
    let bad = |(why, agents): (String, Vec<String>)| {
        let said = format!("{why} ({})", agents.join(", "));
        let way_out =
            "install it, give its whole path in `command`, or the right to run (chmod +x)";
        Finding::critical("commands", said, way_out)
    };
    missing.into_iter().map(bad).collect()
}

/// Why the program of an agent would not be found.
fn unfound(process: &ProcessSpec) -> Option<String> {
    let program = process.command.first()?;
    if program == "agent-system" {
        return None;
    }
    if program.contains('/') {
        let base = process.directory.clone().unwrap_or_default();
        let path = base.join(program);
        return match is_program(&path) {
            true => None,
            false if path.exists() => Some(format!("{} is not executable", path.display())),
            false => Some(format!("{} does not exist", path.display())),
        };
    }
    let set = process.env.set.get("PATH").map(OsString::from);
    let path = set.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|it| is_program(&it.join(program)));
    (!is_there).then(|| format!("'{program}' is not in PATH"))
}

fn is_program(path: &Path) -> bool {
    let about = std::fs::metadata(path);
    about.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
