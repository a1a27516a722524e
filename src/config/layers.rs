//! The layers, read and laid over one another: embedded files, files, variables, flags.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LoadRequest;
use super::environment::Environment;
use super::keys::ROOT;
use super::problem::Problem;
use super::shape::{self, Findings};
use super::source::Source;
use super::tree::{Table, lay_over};
use super::variables::{self, Variable, Variables};
use super::{dotenv, parse};

/// The embedded defaults.
pub(super) const DEFAULTS: (&str, &str) =
    ("default.toml", include_str!("../../config/default.toml"));
/// The embedded sample agents.
const SAMPLES: (&str, &str) = ("samples.toml", include_str!("../../config/samples.toml"));
/// The largest configuration file, bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// All layers as one, before its values are understood.
pub(super) struct Layers {
    /// Where the daemon runs.
    pub(super) environment: Environment,
    /// Where it writes.
    pub(super) data_dir: PathBuf,
    /// Every value that fits its kind, with its source, defaults filled in.
    pub(super) tree: Table,
    /// Variables of the `.env` file.
    pub(super) dotenv: Variables,
    /// The Rust agents that can be run, if that is known.
    pub(super) actors: Option<Vec<String>>,
    /// What is wrong so far.
    pub(super) problems: Vec<Problem>,
    /// What may surprise.
    pub(super) warnings: Vec<String>,
}

/// Reads all layers.
pub(super) fn read(request: &LoadRequest) -> Layers {
    let mut problems = Vec::new();
    let environment = environment(request, &mut problems);
    let dotenv = match &request.dotenv {
        Some(path) if environment.reads_dotenv() => dotenv::read(path, &mut problems),
        _ => Variables::new(),
    };
    refuse_late_environment(&dotenv, &mut problems);
    let vars = all_variables(request, &dotenv);

    let mut shipped = embedded(DEFAULTS, &mut problems);
    lay_over(
        &mut shipped,
        embedded(environment.embedded(), &mut problems),
    );
    let mut users = Table::new();
    for path in &request.files {
        lay_over(&mut users, file(path, &mut problems));
    }
    if environment == Environment::Development && !variables::declares(users.get("agents")) {
        lay_over(&mut shipped, embedded(SAMPLES, &mut problems));
    }
    let mut tree = shipped.clone();
    lay_over(&mut tree, users);
    let set_by_variables = variables::layer(&vars, &tree, &mut problems);
    lay_over(&mut tree, set_by_variables);
    let set_by_flags = variables::flags(&request.flags, &tree, &mut problems);
    lay_over(&mut tree, set_by_flags);

    let mut findings = Findings::default();
    shape::check(&mut tree, &ROOT, "", &mut findings);
    let accepted = tree;
    let mut tree = shipped;
    lay_over(&mut tree, accepted);
    shape::fill(&mut tree, &ROOT, "", &mut findings);
    problems.append(&mut findings.problems);
    Layers {
        environment,
        actors: request.actors.clone(),
        data_dir: data_dir(request, environment, &vars),
        tree,
        warnings: variables::misspelt(&vars),
        dotenv,
        problems,
    }
}

fn environment(request: &LoadRequest, problems: &mut Vec<Problem>) -> Environment {
    const NAME: &str = "AGENT_SYSTEM_ENV";
    let named = request.vars.get(NAME).filter(|word| !word.is_empty());
    match (request.environment, named.map(|word| word.parse())) {
        (Some(environment), _) | (None, Some(Ok(environment))) => environment,
        (None, None) => Environment::default(),
        (None, Some(Err(error))) => {
            let error: super::InvalidEnvironment = error;
            problems.push(Problem {
                key: NAME.to_owned(),
                message: error.to_string(),
                source: Some(Source::Variable {
                    name: NAME.into(),
                    dotenv: None,
                }),
            });
            Environment::default()
        }
    }
}

/// `.env` is read in some environments only, so it cannot choose one.
fn refuse_late_environment(dotenv: &Variables, problems: &mut Vec<Problem>) {
    const NAME: &str = "AGENT_SYSTEM_ENV";
    if let Some(variable) = dotenv.get(NAME) {
        problems.push(Problem {
            key: NAME.to_owned(),
            message: "a .env file is read after the environment was chosen; set the variable itself, or give --env".to_owned(),
            source: Some(variable.source(NAME)),
        });
    }
}

/// The process's variables over those of the `.env` file.
fn all_variables(request: &LoadRequest, dotenv: &Variables) -> Variables {
    let mut vars = dotenv.clone();
    vars.extend(request.vars.iter().map(|(name, value)| {
        let value = value.clone();
        (
            name.clone(),
            Variable {
                value,
                dotenv: None,
            },
        )
    }));
    vars
}

fn data_dir(request: &LoadRequest, environment: Environment, vars: &Variables) -> PathBuf {
    let named = |name: &str| vars.get(name).map(|v| &v.value).filter(|v| !v.is_empty());
    if let Some(directory) = &request.data_dir {
        return directory.clone();
    }
    match (named("AGENT_SYSTEM_DATA_DIR"), environment) {
        (Some(directory), _) => directory.into(),
        (None, Environment::Testing) => {
            let run = uuid::Uuid::from_bytes(crate::clock::new_id());
            let temp = named("TMPDIR").map_or("/tmp", String::as_str);
            Path::new(temp).join(format!("agent-system-testing-{}", run.simple()))
        }
        (None, _) => "./data".into(),
    }
}

/// An embedded file.
pub(super) fn embedded(
    (file, text): (&'static str, &'static str),
    problems: &mut Vec<Problem>,
) -> Table {
    parse::table(text, &|line| Source::Embedded { file, line }, problems)
}

/// A file of the user's.
fn file(path: &Path, problems: &mut Vec<Problem>) -> Table {
    let shown: Arc<str> = path.display().to_string().into();
    match read_bounded(path, MAX_FILE_BYTES) {
        Ok(text) => {
            let source = |line| Source::File {
                path: shown.clone(),
                line,
            };
            parse::table(&text, &source, problems)
        }
        Err(message) => {
            problems.push(Problem {
                key: format!("--config {shown}"),
                message,
                source: None,
            });
            Table::new()
        }
    }
}

/// The text of a file that is not larger than it may be, whatever its size says (a pipe has none).
pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> Result<String, String> {
    let fail = |e: std::io::Error| format!("cannot be read: {e}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(max_bytes + 1)
        .read_to_string(&mut text)
        .map_err(fail)?;
    if text.len() as u64 > max_bytes {
        return Err(format!("is too large: at most {max_bytes} bytes"));
    }
    Ok(text)
}
