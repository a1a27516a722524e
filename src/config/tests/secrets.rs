//! Secrets: from variables and files, and in no output.

use proptest::prelude::*;

use super::*;
use crate::config::render::{ShowFormat, redacted_json, show, validate};

#[test]
fn every_secret_also_comes_from_a_file() {
    let files = Files::new();
    let url = files.put("url", "sqlite://from-file.db\n");
    for name in ["DATABASE_URL_FILE", "AGENT_SYSTEM__DATABASE__URL_FILE"] {
        let request = request(&[(name, url.to_str().unwrap())]);
        let config = Config::load(request.clone()).unwrap();
        assert_eq!(config.database().path, Path::new("from-file.db"));
        let shown = show(&request, ShowFormat::Toml, true).stdout;
        assert!(
            shown.contains(&format!("# variable {name}, file {}", url.display())),
            "{shown}"
        );
    }
}

#[test]
fn a_secret_given_twice_or_from_no_file_is_refused() {
    for (vars, says) in [
        (
            [("DATABASE_URL", "sqlite://a"), ("DATABASE_URL_FILE", "/x")],
            "DATABASE_URL is set as well",
        ),
        (
            [("LOG_LEVEL", "INFO"), ("DATABASE_URL_FILE", "/nowhere/x")],
            "the secret's file /nowhere/x cannot be read",
        ),
    ] {
        let error = Config::load(request(&vars)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Everything that could be printed of a request.
fn all_output(request: &LoadRequest) -> String {
    let mut out = String::new();
    for format in [ShowFormat::Toml, ShowFormat::Json] {
        for sources in [false, true] {
            let shown = show(request, format, sources);
            out.push_str(&shown.stdout);
            out.push_str(&shown.stderr);
        }
    }
    let validated = validate(request);
    out.push_str(&validated.stderr);
    out.push_str(&redacted_json(request).to_string());
    match Config::load(request.clone()) {
        Ok(config) => out.push_str(&format!("{config:?}")),
        Err(error) => out.push_str(&format!("{error} {error:?}")),
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_text_of_a_secret_is_in_any_output(secret in "[!-~]{0,10}Zq7[!-~]{0,30}") {
        let files = Files::new();
        let file = files.put("secret", &secret);
        let url = format!("redis://user:{secret}@host/0");
        let mut request = request(&[
            ("AGENT_SYSTEM__CACHE__URL", &url),
            ("AGENT_SYSTEM__DATABASE__URL", &secret),
            ("AGENT_SYSTEM__SECURITY__JWT__SECRET", &secret),
            ("AGENT_SYSTEM__SECURITY__ENCRYPTION__KEY_FILE", file.to_str().unwrap()),
            ("AGENT_SYSTEM__AGENTS__ECHO__ENV__SET__API_KEY", &secret),
            ("AGENT_SYSTEM__AGENTS__ECHO__SETTINGS__token", &secret),
        ]);
        prop_assert!(!all_output(&request).contains("Zq7"));
        request.vars.remove("AGENT_SYSTEM__DATABASE__URL");
        request.vars.remove("AGENT_SYSTEM__SECURITY__JWT__SECRET");
        request.vars.remove("AGENT_SYSTEM__SECURITY__ENCRYPTION__KEY_FILE");
        prop_assert!(!all_output(&request).contains("Zq7"));
    }
}

#[test]
fn a_secret_shows_itself_only_when_asked() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?}"), "… …");
    assert_eq!(secret.reveal(), "hunter2");
}
