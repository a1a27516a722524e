//! The codec of sealed columns: everything users wrote that the database never looks inside
//! (payloads, results, errors, contents of messages, logs of crashes).
//!
//! The first byte is the format: 0 plain JSON. 1 (compressed) and 2 (encrypted) are taken but not
//! written by this version; a column in a format nobody here knows is refused by its number.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Plain JSON follows.
const PLAIN_JSON: u8 = 0;

/// Why a sealed column could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// Written by a newer version, or damaged.
    #[error("sealed column in format {0}, which this version cannot read")]
    UnknownFormat(u8),
    /// Not even a format.
    #[error("sealed column without content")]
    Empty,
    /// The content is not what its format says.
    #[error("sealed column is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
}

/// The column for a value.
pub(crate) fn seal<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut column = vec![PLAIN_JSON];
    serde_json::to_writer(&mut column, value)?;
    Ok(column)
}

/// The value of a column.
pub(crate) fn open<T: DeserializeOwned>(column: &[u8]) -> Result<T, CodecError> {
    match column.split_first() {
        Some((&PLAIN_JSON, json)) => Ok(serde_json::from_slice(json)?),
        Some((&format, _)) => Err(CodecError::UnknownFormat(format)),
        None => Err(CodecError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_sealed_value_comes_back_and_its_first_byte_is_the_format() {
        let value = json!({"text": "grüß", "n": [1, 2.5, null]});
        let column = seal(&value).unwrap();
        assert_eq!(column[0], PLAIN_JSON);
        assert_eq!(open::<Value>(&column).unwrap(), value);
    }

    #[test]
    fn an_unknown_format_an_empty_column_and_garbage_are_three_errors() {
        assert!(matches!(
            open::<Value>(&[7, 1]),
            Err(CodecError::UnknownFormat(7))
        ));
        assert!(matches!(open::<Value>(&[]), Err(CodecError::Empty)));
        assert!(matches!(open::<Value>(b"\0{"), Err(CodecError::Damaged(_))));
    }
}
