//! Names of artifacts: `OWNER/FILE`, both of letters, digits, `_`, `-` and `.`, so that no name
//! leads out of the directory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{UNFINISHED, UPLOADS};

/// The longest owner, and the longest file name, in bytes.
const MAX_SEGMENT: usize = 128;

/// A checked name, `OWNER/FILE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactName(String);

/// Why a text names no artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no artifact: expected OWNER/FILE of letters, digits, '_', '-' and '.'")]
pub struct InvalidArtifactName(String);

impl ArtifactName {
    /// A new name for what a client uploads.
    pub(super) fn new_upload() -> Self {
        let digits: String = crate::clock::new_id()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!("{UPLOADS}/{digits}"))
    }

    /// The name of what a client uploads under a key of its own: the same for the same key.
    pub(super) fn upload_of(key: &str) -> Self {
        let digest = super::sha256_hex(key.as_bytes());
        Self(format!("{UPLOADS}/key-{}", &digest[..32]))
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the owner.
    #[must_use]
    pub fn file(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, file)| file)
    }
}

/// Whether a text may be an owner or a file name.
pub(super) fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_SEGMENT).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('.')
        && !text.ends_with(UNFINISHED)
}

impl FromStr for ArtifactName {
    type Err = InvalidArtifactName;
    fn from_str(text: &str) -> Result<Self, InvalidArtifactName> {
        match text.split_once('/') {
            Some((owner, file)) if is_segment(owner) && is_segment(file) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidArtifactName(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for ArtifactName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ArtifactName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for good in ["uploads/a", "wfl_1/chunk-0001", "tsk_1/a.b"] {
            assert!(good.parse::<ArtifactName>().is_ok(), "{good}");
        }
        for bad in [
            "", "a", "/a", "a/", "../a", "a/..", "a/b/c", "a/.b", "a/b c", "a\0/b", "a/b.tmp",
        ] {
            assert!(bad.parse::<ArtifactName>().is_err(), "{bad}");
        }
    }
}
