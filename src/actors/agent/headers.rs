//! Headers that a remote service asks for: from settings, and from files where they are secret.

use hyper::header::{HeaderName, HeaderValue};

use super::environment::read_secret;
use crate::domain::agent::HeaderSpec;

/// Headers by name. Values from files are marked as sensitive: their `Debug` shows nothing.
pub(crate) type Headers = Vec<(HeaderName, HeaderValue)>;

/// Why headers could not be put together. Never holds a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("header {name} from file '{}': {reason}", file.display())]
    Secret {
        name: String,
        file: std::path::PathBuf,
        reason: String,
    },
    #[error("header {0} has a name or a value that no header may have")]
    Invalid(String),
}

/// Puts headers together; secrets are read anew each time, so that a rotated one arrives.
pub(crate) async fn read(spec: &HeaderSpec) -> Result<Headers, HeaderError> {
    let mut headers = Headers::new();
    for (name, value) in &spec.set {
        headers.push(header(name, value.as_bytes())?);
    }
    for (name, file) in &spec.secrets {
        let value = read_secret(file).await;
        let value = value.map_err(|reason| HeaderError::Secret {
            name: name.clone(),
            file: file.clone(),
            reason,
        })?;
        let (name, mut value) = header(name, &value)?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let invalid = || HeaderError::Invalid(name.to_owned());
    let value = HeaderValue::from_bytes(value).map_err(|_| invalid())?;
    Ok((name.parse().map_err(|_| invalid())?, value))
}

/// An error with all that caused it, in one line.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |mut words, cause| {
        let cause = cause.to_string();
        if !words.ends_with(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_header_comes_from_its_file_and_shows_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "Bearer hunter2\n").unwrap();
        let spec = HeaderSpec {
            set: [("x-team".to_owned(), "news".to_owned())].into(),
            secrets: [("Authorization".to_owned(), file.path().to_owned())].into(),
        };
        let headers = read(&spec).await.unwrap();
        assert_eq!(headers[1].1, "Bearer hunter2");
        let shown = format!("{headers:?} {spec:?}");
        assert!(
            shown.contains("x-team") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn a_value_that_no_header_may_have_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\ntwo").unwrap();
        let spec = HeaderSpec {
            secrets: [("X-Key".to_owned(), file.path().to_owned())].into(),
            ..HeaderSpec::default()
        };
        let error = read(&spec).await.unwrap_err().to_string();
        assert!(error.contains("X-Key") && !error.contains("two"), "{error}");
    }
}
