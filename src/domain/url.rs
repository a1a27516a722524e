//! Places on a network as settings name them: `http://HOST[:PORT][/PATH][?QUERY]` and `HOST:PORT`.
//!
//! Not here: names are not looked up.

use std::fmt;
use std::str::FromStr;

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlace(&'static str);

/// A host and a port. An IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Place {
    /// From an authority; a port that is left out is `default`.
    fn parse(text: &str, default: Option<u16>) -> Result<Self, InvalidPlace> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(inner) => inner
                .split_once(']')
                .ok_or(InvalidPlace("the bracket of its address is not closed"))?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| InvalidPlace(BAD_PORT))?),
            None if rest.is_empty() => default,
            None => return Err(InvalidPlace(BAD_PORT)),
        };
        let strange = |c: char| c.is_whitespace() || c.is_control() || "/?#@\\".contains(c);
        if host.is_empty() || host.contains(strange) {
            return Err(InvalidPlace("its host is no name and no address"));
        }
        match port {
            Some(port) if port > 0 => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(InvalidPlace(BAD_PORT)),
        }
    }
}

const BAD_PORT: &str = "its port is no number from 1 to 65535";

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A URL that is asked by plain HTTP. Shown without its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Where.
    pub place: Place,
    /// Begins with `/`.
    pub path: String,
    /// What stands behind `?`.
    pub query: Option<String>,
}

impl HttpUrl {
    /// The URL one segment further down, with the same query.
    #[must_use]
    pub fn below(&self, segment: &str) -> Self {
        let path = format!("{}/{segment}", self.path.trim_end_matches('/'));
        Self {
            path,
            ..self.clone()
        }
    }

    /// Path and query, as a request line has them.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The whole URL.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("http://{}{}", self.place, self.target())
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let rest = text
            .strip_prefix("http://")
            .ok_or(InvalidPlace("it does not begin with http://"))?;
        let (authority, below) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidPlace(
                "credentials do not belong into a URL; put them into headers",
            ));
        }
        if below.contains('#') {
            return Err(InvalidPlace("a fragment (#…) is never sent; leave it out"));
        }
        let plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
        if !below.chars().all(plain) {
            return Err(InvalidPlace(
                "its path or query holds a character that must be written as %XX",
            ));
        }
        let (path, query) = match below.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (below, None),
        };
        Ok(Self {
            place: Place::parse(authority, Some(80))?,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query,
        })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.place, self.path)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_put_together() {
        for (text, place, target) in [
            ("http://a", "a:80", "/"),
            ("http://a:8080/x/y?z=1", "a:8080", "/x/y?z=1"),
            ("http://[::1]:9/", "[::1]:9", "/"),
            ("http://a?z", "a:80", "/?z"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.place.to_string(), place);
            assert_eq!(url.target(), target);
        }
        let url: HttpUrl = "http://a/run/?key=k".parse().unwrap();
        assert_eq!(url.below("t").whole(), "http://a:80/run/t?key=k");
        assert_eq!(format!("{url:?}"), "http://a:80/run/");
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        for (text, part) in [
            ("https://a", "http://"),
            ("a:80", "http://"),
            ("http://", "host"),
            ("http://a:0", "port"),
            ("http://a:x/", "port"),
            ("http://u:p@a/", "headers"),
            ("http://a/ b", "%XX"),
            ("http://a/#b", "fragment"),
            ("http://[::1/", "bracket"),
        ] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["a", "a:", ":1", "a:99999", "[::1]"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
