//! The fixed sections: URLs, limits in order, what an environment wants named.

use super::Judge;
use crate::config::{AuthMode, CacheBackend, Config};

pub(super) fn check(config: &Config, judge: &mut Judge<'_>) {
    database(config, judge);
    cache(config, judge);
    security(config, judge);
    ports(config, judge);
    thresholds(judge);
    let database = config.database();
    judge.ordered(
        ("database.retry.backoff", database.retry_backoff),
        ("database.retry.max_backoff", database.retry_max_backoff),
    );
    let root = &config.supervisor().root;
    judge.ordered(
        ("supervisor.quarantine.min", root.quarantine_min),
        ("supervisor.quarantine.max", root.quarantine_max),
    );
}

fn database(config: &Config, judge: &mut Judge<'_>) {
    const KEY: &str = "database.url";
    const HOW: &str = "sqlite://PATH (sqlite:///abs/path is absolute) or postgres://USER@HOST/NAME";
    let Some(url) = judge.text(KEY) else {
        if config.environment().names_its_database() {
            let environment = config.environment();
            let message = format!(
                "missing: {environment} wants its database named; set {KEY} in a --config file, or DATABASE_URL: {HOW}"
            );
            judge.missing(KEY, message);
        }
        return;
    };
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let wrong = match scheme {
        "sqlite" if rest.is_empty() => Some("names no file".to_owned()),
        "sqlite" if rest.contains('?') => Some("takes no parameters after '?'".to_owned()),
        "sqlite" if rest == ":memory:" => {
            Some("the embedded database is a file: an acknowledged write must survive".to_owned())
        }
        "sqlite" => None,
        "postgres" | "postgresql" if rest.is_empty() => Some("names no server".to_owned()),
        "postgres" | "postgresql" => None,
        _ => Some("is of an unknown kind".to_owned()),
    };
    if let Some(wrong) = wrong {
        judge.refuse(KEY, format!("{wrong}; allowed are {HOW}"));
    }
}

fn cache(config: &Config, judge: &mut Judge<'_>) {
    const KEY: &str = "cache.url";
    let Some(url) = judge.text(KEY) else {
        if config.cache().backend == CacheBackend::Redis {
            judge.missing(
                KEY,
                "missing: cache.backend is \"redis\"; set cache.url in a --config file, or REDIS_URL: redis://HOST:6379/0; or set cache.backend = \"memory\"",
            );
        }
        return;
    };
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        judge.refuse(
            KEY,
            "is of an unknown kind; allowed are redis://HOST:PORT/N and rediss://HOST:PORT/N",
        );
    }
}

/// The shortest secret that signs tokens, bytes.
const MIN_JWT_SECRET: usize = 32;

fn security(config: &Config, judge: &mut Judge<'_>) {
    let host = config.server().host;
    if config.security().auth == AuthMode::OffOnLoopback && !host.is_loopback() {
        let message = format!(
            "not in this version: server.host is {host}, no loopback address, so credentials would be required; set server.host = \"127.0.0.1\", or security.auth = \"off\" to leave the API open"
        );
        judge.refuse("security.auth", message);
    }
    if judge
        .text("security.jwt.secret")
        .is_some_and(|secret| secret.len() < MIN_JWT_SECRET)
    {
        judge.refuse(
            "security.jwt.secret",
            format!("shorter than {MIN_JWT_SECRET} bytes"),
        );
    }
    let is_key = |text: &str| {
        let digits = text.trim_end_matches('=');
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        digits.len() == 43 && digits.bytes().all(base64)
    };
    if judge
        .text("security.encryption.key")
        .is_some_and(|key| !is_key(key))
    {
        judge.refuse("security.encryption.key", "not 32 bytes in base64");
    }
    let origins = judge
        .node("security.cors.origins")
        .and_then(|node| node.as_value());
    let origins = origins
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let is_origin = |text: &str| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|host| !host.is_empty() && !host.contains('/'))
    };
    for origin in origins
        .iter()
        .filter_map(toml::Value::as_str)
        .filter(|o| !is_origin(o))
    {
        judge.refuse(
            "security.cors.origins",
            format!("'{origin}' is no origin such as https://ops.example"),
        );
    }
    let endpoint = judge
        .text("monitoring.tracing.endpoint")
        .unwrap_or_default();
    if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://")
    {
        judge.refuse(
            "monitoring.tracing.endpoint",
            "not a URL such as http://HOST:4317",
        );
    }
}

fn ports(config: &Config, judge: &mut Judge<'_>) {
    let (server, monitoring) = (config.server(), config.monitoring());
    let same_port = server.port != 0 && server.port == monitoring.metrics_port;
    let same_host = server.host == monitoring.metrics_host
        || server.host.is_unspecified()
        || monitoring.metrics_host.is_unspecified();
    if same_port && same_host {
        let message = format!(
            "{} is server.port as well; choose another, or 0",
            server.port
        );
        judge.refuse("monitoring.metrics_port", message);
    }
}

fn thresholds(judge: &mut Judge<'_>) {
    for figure in [
        "cpu", "memory", "disk", "pool", "database", "queue", "errors",
    ] {
        let key = format!("monitoring.thresholds.{figure}");
        let number = |which: &str| {
            let value = judge.node(&format!("{key}.{which}"))?.as_value()?;
            value
                .as_float()
                .or_else(|| value.as_integer().map(|n| n as f64))
        };
        if let (Some(warning), Some(critical)) = (number("warning"), number("critical"))
            && warning >= critical
        {
            let message = format!("{warning} is not below critical, which is {critical}");
            judge.refuse(&format!("{key}.warning"), message);
        }
    }
}
