//! Probes and remote services: one means a probe, places that can be asked, headers that can be
//! sent.

use super::Judge;
use crate::config::tree::Node;
use crate::domain::agent::HttpSpec;
use crate::domain::probe::for_replica;
use crate::domain::url::{HttpUrl, Place};

/// The ways to ask.
const MEANS: [&str; 4] = ["protocol", "http", "tcp", "exec"];

/// Headers that requests have of their own.
const OURS: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-attempt",
    "x-lease-id",
];

/// All probes of an agent.
pub(super) fn probes(agent: &str, judge: &mut Judge<'_>) {
    let speaks = speaks(agent, judge);
    for probe in ["startup", "liveness", "readiness"] {
        let key = format!("{agent}.probes.{probe}");
        let named: Vec<&str> = MEANS
            .into_iter()
            .filter(|means| asks_by(&format!("{key}.{means}"), judge))
            .collect();
        match named.as_slice() {
            [] if probe == "readiness" && judge.is_set(&key) => {
                judge.refuse(
                    &key,
                    "asks by nothing: name one of protocol, http, tcp, exec",
                );
            }
            [] => {}
            ["protocol"] => {
                if let Err(protocol) = &speaks {
                    let message = format!("protocol = \"{protocol}\" leaves nothing to ask by");
                    judge.refuse(&format!("{key}.protocol"), message);
                }
            }
            [_] => {}
            several => {
                let message = format!("asks by {}: choose one", several.join(" and "));
                judge.refuse(&key, message);
            }
        }
        places(&key, judge);
    }
}

/// Whether a user asks by this means.
fn asks_by(key: &str, judge: &Judge<'_>) -> bool {
    let refused = judge.node(key).and_then(Node::as_value);
    judge.is_set(key) && refused.and_then(toml::Value::as_bool) != Some(false)
}

/// Whether it can be asked by its protocol; if not, the protocol.
fn speaks(agent: &str, judge: &Judge<'_>) -> Result<(), String> {
    match judge.text(&format!("{agent}.protocol")) {
        None | Some("stdio") => Ok(()),
        Some(protocol) => Err(protocol.to_owned()),
    }
}

fn places(key: &str, judge: &mut Judge<'_>) {
    url(&format!("{key}.http"), judge);
    let tcp = format!("{key}.tcp");
    let place = judge
        .text(&tcp)
        .map(|text| for_replica(text, 0).parse::<Place>());
    if let Some(Err(error)) = place {
        judge.refuse(&tcp, format!("not HOST:PORT: {error}"));
    }
    let exec = format!("{key}.exec");
    let list = judge.node(&exec).and_then(Node::as_value);
    let list = list.and_then(toml::Value::as_array);
    let empty = list.is_some_and(|words| {
        words
            .first()
            .and_then(toml::Value::as_str)
            .is_none_or(str::is_empty)
    });
    if empty {
        judge.refuse(&exec, "empty: name a program");
    }
}

/// A URL that this version can ask; one that begins with `https://` is refused elsewhere.
fn url(key: &str, judge: &mut Judge<'_>) {
    let Some(text) = judge.text(key).filter(|text| !text.starts_with("https://")) else {
        return;
    };
    if let Err(error) = for_replica(text, 0).parse::<HttpUrl>() {
        judge.refuse(key, format!("cannot be asked: {error}"));
    }
}

/// What belongs to an `http` agent.
pub(super) fn remote(agent: &str, spec: &HttpSpec, judge: &mut Judge<'_>) {
    url(&format!("{agent}.url"), judge);
    let settings = format!("{agent}.settings");
    if judge.is_set(&settings) {
        judge.refuse(
            &settings,
            "a remote service is not greeted, so nothing can be passed to it; use headers or the payload",
        );
    }
    let secrets = format!("{agent}.headers.secrets");
    for name in spec.headers.secrets.keys() {
        header_name(&secrets, name, judge);
        if spec
            .headers
            .set
            .keys()
            .any(|set| set.eq_ignore_ascii_case(name))
        {
            judge.refuse(&secrets, format!("{name} is set as well; choose one"));
        }
    }
    let set = format!("{agent}.headers.set");
    for (name, value) in &spec.headers.set {
        header_name(&set, name, judge);
        if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            judge.refuse(
                &set,
                format!("the value of {name} holds a character that no header may have"),
            );
        }
    }
}

fn header_name(key: &str, name: &str, judge: &mut Judge<'_>) {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        judge.refuse(key, format!("'{name}' is no name of a header"));
    } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        judge.refuse(key, format!("{name} is set by the daemon itself"));
    }
}
