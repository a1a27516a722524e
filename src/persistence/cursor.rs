//! Positions in lists: opaque outside, the last row's integer key inside.

use super::{Result, StoreError};
use crate::domain::query::{MAX_PAGE_LIMIT, Page, PageRequest};

/// A page's bounds as a query needs them: one row more than the limit tells whether more follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Rows below this key, newest first.
    pub(crate) below: i64,
    limit: usize,
}

impl Bounds {
    /// The bounds of a request.
    pub(crate) fn of(page: &PageRequest) -> Result<Self> {
        let below = page.cursor.as_deref().map_or(Ok(i64::MAX), decode)?;
        let limit = page.limit.clamp(1, MAX_PAGE_LIMIT) as usize;
        Ok(Self { below, limit })
    }

    /// Rows to fetch.
    pub(crate) fn rows(self) -> i64 {
        i64::try_from(self.limit)
            .unwrap_or(i64::MAX)
            .saturating_add(1)
    }

    /// The page of the rows that came, each with its key.
    pub(crate) fn page<T>(self, mut rows: Vec<(i64, T)>) -> Page<T> {
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor = rows
            .last()
            .filter(|_| has_more)
            .map(|(key, _)| encode(*key));
        let items = rows.into_iter().map(|(_, item)| item).collect();
        Page {
            items,
            next_cursor,
            has_more,
        }
    }
}

fn encode(key: i64) -> String {
    format!("{key:x}")
}

fn decode(cursor: &str) -> Result<i64> {
    let key = i64::from_str_radix(cursor, 16).ok().filter(|key| *key > 0);
    key.ok_or_else(|| {
        let cursor: String = cursor.chars().take(80).collect();
        StoreError::Cursor(cursor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(limit: u32, cursor: Option<String>) -> PageRequest {
        PageRequest { limit, cursor }
    }

    #[test]
    fn the_next_page_begins_after_the_last_row_of_this_one() {
        let bounds = Bounds::of(&request(2, None)).unwrap();
        assert_eq!(bounds.rows(), 3);
        let page = bounds.page(vec![(9, "a"), (8, "b"), (3, "c")]);
        assert_eq!((page.items, page.has_more), (vec!["a", "b"], true));
        let next = Bounds::of(&request(2, page.next_cursor)).unwrap();
        assert_eq!(next.below, 8);
        let last = next.page(vec![(3, "c")]);
        assert_eq!((last.next_cursor, last.has_more), (None, false));
    }

    #[test]
    fn a_cursor_of_another_making_is_refused() {
        for bad in ["", "zz", "-1", "0", "é"] {
            assert!(Bounds::of(&request(1, Some(bad.into()))).is_err(), "{bad}");
        }
    }
}
