//! Where the values of a JSON text stand: JSON pointer to byte offset.
//!
//! The text has been read as JSON before; this only walks it again.

use std::collections::{BTreeMap, BTreeSet};

use super::reference::pointer_key;

/// The offset of every value that has a key or a place in a list (of the key, where it has one), and those
/// keys that an object has again: of them the last would count.
pub(super) fn json_offsets(text: &str) -> (BTreeMap<String, usize>, Vec<(String, usize)>) {
    let mut walk = Walk {
        bytes: text.as_bytes(),
        at: 0,
        found: BTreeMap::new(),
        again: Vec::new(),
    };
    walk.value("");
    (walk.found, walk.again)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    found: BTreeMap<String, usize>,
    again: Vec<(String, usize)>,
}

impl Walk<'_> {
    fn peek(&mut self) -> u8 {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self, pointer: &str) {
        match self.peek() {
            b'{' => self.members(pointer),
            b'[' => self.items(pointer),
            b'"' => drop(self.string()),
            _ => self.scalar(),
        }
    }

    fn members(&mut self, pointer: &str) {
        self.at += 1;
        let mut keys = BTreeSet::new();
        while self.peek() == b'"' {
            let start = self.at;
            let key = self.string();
            let inner = format!("{pointer}/{}", pointer_key(&key));
            if !keys.insert(key) {
                self.again.push((inner.clone(), start));
            }
            self.skip(b':');
            self.value(&inner);
            self.found.insert(inner, start);
            self.skip(b',');
        }
        self.skip(b'}');
    }

    fn items(&mut self, pointer: &str) {
        self.at += 1;
        let mut index = 0;
        while !matches!(self.peek(), b']' | 0) {
            let inner = format!("{pointer}/{index}");
            self.found.insert(inner.clone(), self.at);
            self.value(&inner);
            self.skip(b',');
            index += 1;
        }
        self.skip(b']');
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        let end = self.at.min(self.bytes.len());
        serde_json::from_slice(&self.bytes[start..end]).unwrap_or_default()
    }

    fn scalar(&mut self) {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",]}".contains(byte);
        while self.bytes.get(self.at).is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) {
        if self.peek() == byte {
            self.at += 1;
        }
    }
}
