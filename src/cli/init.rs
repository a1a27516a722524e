//! `init`: a configuration and an agent to begin with, for somebody's own directory.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::context::Context;
use super::exit::{CONFLICT, Failure};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Where the files are written; made if it is missing
    #[arg(default_value = ".")]
    directory: PathBuf,
}

/// The files, by name.
const FILES: [(&str, &str); 2] = [
    ("agents.toml", include_str!("init/agents.toml")),
    ("agent.py", include_str!("init/agent.py")),
];

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let paths = FILES.map(|(name, _)| args.directory.join(name));
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(taken(there));
    }
    std::fs::create_dir_all(&args.directory).map_err(|error| failed(&args.directory, &error))?;
    for ((_, text), path) in FILES.iter().zip(&paths) {
        write(path, text)?;
    }
    let written = json!({"directory": args.directory, "files": paths});
    context.out.value(&written, "directory", |_| {
        let lines: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        lines.join("\n")
    })?;
    context.out.note(&format!(
        "next, in {}:\n  agent-system agents test greeter --config agents.toml\n  agent-system serve --config agents.toml",
        args.directory.display()
    ));
    Ok(())
}

/// Writes a file that is not there yet, and never over one that is.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => failed(path, &error),
    })
}

fn taken(path: &Path) -> Failure {
    let why = format!(
        "{} is there already; name another directory",
        path.display()
    );
    Failure::new(CONFLICT, why)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
