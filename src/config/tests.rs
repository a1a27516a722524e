//! Claims about whole configurations.

mod defaults;
mod layers;
mod probes;
mod refusals;
mod reload;
mod secrets;
mod shown;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

/// A request of these variables alone: development, no files.
fn request(vars: &[(&str, &str)]) -> LoadRequest {
    let vars = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    LoadRequest {
        vars: vars.collect::<BTreeMap<_, _>>(),
        ..LoadRequest::default()
    }
}

/// Files that last as long as the test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Loads one file's text over the defaults of an environment.
fn load(environment: Environment, text: &str) -> Result<Config, InvalidConfig> {
    let files = Files::new();
    Config::load(LoadRequest {
        environment: Some(environment),
        files: vec![files.put("own.toml", text)],
        ..LoadRequest::default()
    })
}

/// What is refused of a file's text in development, one line each.
fn refused(text: &str) -> Vec<String> {
    match load(Environment::Development, text) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(Problem::to_string).collect(),
    }
}
