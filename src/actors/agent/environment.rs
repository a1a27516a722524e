//! The environment of a child process: nothing of the daemon's but what its settings name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use crate::domain::agent::{EnvSpec, ProcessSpec};
use crate::domain::redaction::{Redactor, names_a_secret};
use crate::domain::trace::TraceParent;

/// Handed through to every child, where the daemon has them.
const ALWAYS_PASSED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// The largest secret, bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// How long reading one secret may take: it may lie on a file system that hangs.
const SECRET_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Why a child's environment could not be put together. Never holds a secret's value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("secret {variable} from file '{}': {reason}", file.display())]
    Secret {
        variable: String,
        file: PathBuf,
        reason: String,
    },
    #[error("variable {0} is no name a program can read, or its value holds a zero byte")]
    Variable(String),
}

/// Variables by name. Holds secrets: has no `Debug`.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Puts together what a child sees; secrets are read anew at each start, so that a rotated one
/// arrives with the next life.
pub(crate) async fn environment(spec: &EnvSpec) -> Result<Environment, EnvironmentError> {
    let mut environment = Environment::new();
    let passed = ALWAYS_PASSED
        .into_iter()
        .chain(spec.pass.iter().map(String::as_str));
    for variable in passed {
        if let Some(value) = std::env::var_os(variable) {
            environment.insert(variable.into(), value);
        }
    }
    for (variable, value) in &spec.set {
        environment.insert(variable.into(), value.into());
    }
    for (variable, file) in &spec.secrets {
        let secret = read_secret(file).await;
        let secret = secret.map_err(|reason| EnvironmentError::Secret {
            variable: variable.clone(),
            file: file.clone(),
            reason,
        })?;
        environment.insert(variable.into(), OsString::from_vec(secret));
    }
    check(environment)
}

/// The values of a child's environment that are secret: those read from files, and those whose
/// names say so.
pub(crate) fn secrets_of(spec: &EnvSpec, environment: &Environment) -> Redactor {
    let secret = environment.iter().filter(|(variable, _)| {
        let name = variable.to_string_lossy();
        spec.secrets.contains_key(name.as_ref()) || names_a_secret(&name)
    });
    Redactor::of(secret.map(|(_, value)| value.to_string_lossy().into_owned()))
}

/// A secret's bytes without the line's end that editors add.
pub(crate) async fn read_secret(file: &std::path::Path) -> Result<Vec<u8>, String> {
    let read = async {
        let file = tokio::fs::File::open(file).await?;
        let mut secret = Vec::new();
        file.take(MAX_SECRET_BYTES + 1)
            .read_to_end(&mut secret)
            .await?;
        Ok::<_, std::io::Error>(secret)
    };
    let mut secret = match tokio::time::timeout(SECRET_WITHIN, read).await {
        Ok(Ok(secret)) => secret,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_elapsed) => return Err(format!("no answer within {SECRET_WITHIN:?}")),
    };
    if secret.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("larger than {MAX_SECRET_BYTES} bytes"));
    }
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
    Ok(secret)
}

fn check(environment: Environment) -> Result<Environment, EnvironmentError> {
    let broken = environment.iter().find(|(variable, value)| {
        let name = variable.as_encoded_bytes();
        name.is_empty()
            || name.contains(&b'=')
            || name.contains(&0)
            || value.as_encoded_bytes().contains(&0)
    });
    match broken {
        Some((variable, _)) => Err(EnvironmentError::Variable(
            variable.to_string_lossy().into_owned(),
        )),
        None => Ok(environment),
    }
}

/// The process as it is started for a task of a trace: by the usual name of such a variable.
pub(crate) fn in_trace(process: &ProcessSpec, trace: Option<TraceParent>) -> Cow<'_, ProcessSpec> {
    let Some(trace) = trace else {
        return Cow::Borrowed(process);
    };
    let mut process = process.clone();
    let set = &mut process.env.set;
    set.insert("TRACEPARENT".to_owned(), trace.to_string());
    Cow::Owned(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(file: &std::path::Path) -> EnvSpec {
        EnvSpec {
            secrets: [("KEY".to_owned(), file.to_owned())].into(),
            ..EnvSpec::default()
        }
    }

    #[tokio::test]
    async fn only_what_is_named_reaches_the_child() {
        let spec = EnvSpec {
            pass: vec!["CARGO_MANIFEST_DIR".into(), "NOT_SET_ANYWHERE".into()],
            set: [("MODE".to_owned(), "prod".to_owned())].into(),
            ..EnvSpec::default()
        };
        let environment = environment(&spec).await.unwrap();
        let names: Vec<_> = environment
            .keys()
            .filter_map(|name| name.to_str())
            .collect();
        assert!(names.contains(&"CARGO_MANIFEST_DIR") && names.contains(&"MODE"));
        assert!(!names.contains(&"NOT_SET_ANYWHERE") && !names.contains(&"CARGO_PKG_NAME"));
    }

    #[tokio::test]
    async fn a_secret_loses_its_line_end_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " a b \n").unwrap();
        let environment = environment(&secret(file.path())).await.unwrap();
        assert_eq!(
            environment.get(&OsString::from("KEY")),
            Some(&" a b ".into())
        );
    }

    #[tokio::test]
    async fn a_missing_secret_is_named_with_its_file() {
        let error = environment(&secret("/no/such".as_ref()))
            .await
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("secret KEY from file '/no/such': ")
        );
    }

    #[tokio::test]
    async fn a_secret_with_a_zero_byte_is_refused_without_being_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush\0").unwrap();
        let error = environment(&secret(file.path()))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("KEY") && !error.contains("hush"), "{error}");
    }
}
