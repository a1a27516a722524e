//! Names where ids are: a task or workflow may be called by its name.
//!
//! Names of work are not unique. Who only looks gets the newest of that name, and is told that there
//! are others; who changes something must say which one is meant.

use super::context::Context;
use super::exit::{Failure, NOT_FOUND};
use super::show::field;
use super::wait::Work;
use crate::client::ClientError;
use crate::domain::name::nearest;

/// What is done with what is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is looked at.
    Look,
    /// It is changed.
    Change,
}

/// The id of what a text means: itself if it is one, else of the newest with that name.
///
/// # Errors
/// Nothing has that name (with the nearest one that something has), or several have it and one of
/// them is to be changed.
pub(super) async fn id(
    context: &Context,
    work: Work,
    text: &str,
    purpose: Purpose,
) -> Result<String, Failure> {
    if is_id(work, text) {
        return Ok(text.to_owned());
    }
    let filter = vec![("name", text.to_owned()), ("limit", "2".to_owned())];
    let answer = context.client.list(work.list(), filter).await?;
    let found = answer.value["items"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let Some(newest) = found.first().map(|item| field(item, "id")) else {
        return Err(unknown(context, work, text).await?);
    };
    if found.len() > 1 {
        let several = format!("several {} are named '{text}'", work.list());
        if purpose == Purpose::Change {
            let said = format!("{several}, the newest is {newest}; say which one by its id");
            return Err(Failure::usage(said));
        }
        context
            .out
            .note(&format!("{several}; this is the newest, {newest}"));
    }
    Ok(newest)
}

/// Whether a text can be nothing but an id; a slip in one is told by the daemon.
fn is_id(work: Work, text: &str) -> bool {
    text.strip_prefix(work.prefix())
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// That nothing has this name, with the nearest of the names of late.
async fn unknown(context: &Context, work: Work, text: &str) -> Result<Failure, ClientError> {
    let filter = vec![("limit", "500".to_owned())];
    let answer = context.client.list(work.list(), filter).await?;
    let items = answer.value["items"].as_array();
    let names = items
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str());
    let hint =
        nearest(text, names).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    let said = format!("no {} has the id or name '{text}'{hint}", work.noun());
    Ok(Failure::new(NOT_FOUND, said))
}
