//! How domain values stand in columns: ids as 16 bytes, instants as microseconds, states and names
//! as words, what users wrote sealed.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::agent::Desired;
use crate::domain::health::HealthStatus;
use crate::domain::ids::{
    CrashId, EventId, LeaseId, MessageId, RecoveryRunId, SessionId, TaskId, WorkflowId,
};
use crate::domain::message::{MessageKind, MessageState};
use crate::domain::name::Name;
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::workflow::WorkflowState;
use crate::persistence::codec;

macro_rules! id_columns {
    ($($id:ident),*) => {$(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(Self::from_bytes)
            }
        }
    )*};
}

id_columns!(
    CrashId,
    EventId,
    LeaseId,
    MessageId,
    RecoveryRunId,
    SessionId,
    TaskId,
    WorkflowId
);

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_micros().into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_micros)
    }
}

impl ToSql for TraceParent {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for TraceParent {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Name {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// A word that stands for no value of its column.
#[derive(Debug, thiserror::Error)]
#[error("'{word}' is no {what}")]
struct UnknownWord {
    word: String,
    what: &'static str,
}

fn word_column<T>(
    value: ValueRef<'_>,
    what: &'static str,
    known: impl FnOnce(&str) -> Option<T>,
) -> FromSqlResult<T> {
    let word = value.as_str()?;
    known(word).ok_or_else(|| {
        FromSqlError::other(UnknownWord {
            word: word.into(),
            what,
        })
    })
}

macro_rules! word_columns {
    ($($state:ty, $what:literal, $to:expr, $from:expr;)*) => {$(
        impl ToSql for $state {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let to: fn($state) -> &'static str = $to;
                Ok(to(*self).into())
            }
        }

        impl FromSql for $state {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                word_column(value, $what, $from)
            }
        }
    )*};
}

word_columns! {
    TaskState, "state of a task", TaskState::as_str, TaskState::from_word;
    WorkflowState, "state of a workflow", WorkflowState::as_str, WorkflowState::from_word;
    HealthStatus, "level of health", HealthStatus::as_str, health_status;
    Desired, "desired state", desired_word, desired;
    MessageState, "state of a message", MessageState::as_str, MessageState::from_word;
    MessageKind, "type of a message", MessageKind::as_str, kind_of_old;
}

fn health_status(word: &str) -> Option<HealthStatus> {
    use HealthStatus::{Critical, Healthy, Unknown, Warning};
    [Healthy, Warning, Critical, Unknown]
        .into_iter()
        .find(|status| status.as_str() == word)
}

/// Types were free words once; those that are none of today's were agreed upon by the two.
fn kind_of_old(word: &str) -> Option<MessageKind> {
    Some(MessageKind::from_word(word).unwrap_or(MessageKind::Custom))
}

const fn desired_word(desired: Desired) -> &'static str {
    match desired {
        Desired::Running => "running",
        Desired::Stopped => "stopped",
        Desired::Paused => "paused",
    }
}

fn desired(word: &str) -> Option<Desired> {
    [Desired::Running, Desired::Stopped, Desired::Paused]
        .into_iter()
        .find(|desired| desired_word(*desired) == word)
}

/// A sealed column: written as `Sealed(&value)`, read as `Sealed<T>`.
pub(crate) struct Sealed<T>(pub(crate) T);

impl<T: Serialize> ToSql for Sealed<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        codec::seal(&self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl<T: DeserializeOwned> FromSql for Sealed<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        codec::open(value.as_blob()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A JSON text column that is read by people and may be looked into.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(&self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A count that has no sign, in an INTEGER column; beyond its range it stands at the range's end.
pub(crate) struct Count(pub(crate) u64);

impl ToSql for Count {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_i64()
            .map(|count| Self(u64::try_from(count).unwrap_or(0)))
    }
}
