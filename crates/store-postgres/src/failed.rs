//! The reasons why a call failed. The store later converts a reason into one of its errors.

use std::error::Error as _;

use beadle_engine::StoreError;
use beadle_engine::store::json_reason;
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// The reason why a call failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The transaction could not begin.
    Begin(tokio_postgres::Error),
    /// A statement failed.
    Sql(tokio_postgres::Error),
    /// The pool has no connection.
    Pool(PoolError),
    /// At the moment, the store cannot work with the server or with the server's settings.
    Unusable(String),
    /// A stored value cannot be read.
    Damaged(String),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Failed {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<serde_json::Error> for Failed {
    /// Converts the error about a value that cannot be written as JSON. For stored JSON that cannot
    /// be read, use [`Failed::damaged_json`] instead.
    fn from(error: serde_json::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl Failed {
    /// Creates the error for a stored value that cannot be read.
    pub(crate) fn damaged(why: impl std::fmt::Display) -> Self {
        Self::Damaged(why.to_string())
    }

    /// Creates the error for stored JSON that cannot be read. The error quotes no stored value.
    pub(crate) fn damaged_json(error: &serde_json::Error) -> Self {
        Self::Damaged(json_reason(error))
    }

    /// If a row cannot be read, adds two facts to the error: the name of the row, and what to do.
    pub(crate) fn of_row(self, name: impl std::fmt::Display) -> Self {
        match self {
            Self::Damaged(why) => Self::Damaged(format!(
                "{name}: {why}: correct the row in the database or restore it from a backup"
            )),
            other => other,
        }
    }

    /// Returns the error for a failure that happened before the commit. If the connection ended,
    /// the transaction stored nothing. So the store can repeat the transaction on another
    /// connection.
    pub(crate) fn before_commit(self) -> Self {
        // If the server ends a connection on purpose, it reports the reason.
        let is_ended = |code: &SqlState| {
            let ends = ["08", "57P", "25P03"];
            ends.iter().any(|class| code.code().starts_with(class))
        };
        match self {
            Self::Sql(error) if error.code().is_none_or(is_ended) => Self::Begin(error),
            other => other,
        }
    }

    /// Returns whether every other request would fail in the same way. The cause is then the
    /// connection or the server, not the data of the request.
    pub(crate) fn is_for_all(&self) -> bool {
        match self {
            Self::Damaged(_) => false,
            Self::Begin(_) | Self::Pool(_) | Self::Unusable(_) => true,
            Self::Sql(error) => error.code().is_none_or(|code| {
                // The error of a slow statement has the same class as the error of a server that
                // stops.
                let is_of_server =
                    ["08", "25", "53", "57", "58"].contains(&code.code().get(..2).unwrap_or(""));
                is_of_server && *code != SqlState::QUERY_CANCELED
            }),
        }
    }

    /// Returns PostgreSQL's code for this error, if the server reported one.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Begin(error) | Self::Sql(error) | Self::Pool(PoolError::Backend(error)) => error.code(),
            Self::Pool(_) | Self::Unusable(_) | Self::Damaged(_) => None,
        }
    }

    /// Describes the reason for a person.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Begin(error) | Self::Sql(error) | Self::Pool(PoolError::Backend(error)) => describe(error),
            Self::Pool(error) => error.to_string(),
            Self::Unusable(why) | Self::Damaged(why) => why.clone(),
        }
    }

    /// Returns the error of the store.
    pub(crate) fn into_error(self, doing: &'static str) -> StoreError {
        self.error(doing)
    }

    /// Returns the error of the store for one of several calls that failed together.
    pub(crate) fn error(&self, doing: &'static str) -> StoreError {
        // The migration creates all tables and columns. If a table or a column is missing, another
        // version of Beadle or a person has changed the schema. The table of the journal's counter
        // must have exactly one row.
        let is_damage = matches!(self, Self::Damaged(_))
            || self.code().is_some_and(|code| {
                [
                    &SqlState::CARDINALITY_VIOLATION,
                    &SqlState::DATA_CORRUPTED,
                    &SqlState::INDEX_CORRUPTED,
                    &SqlState::INVALID_TEXT_REPRESENTATION,
                    &SqlState::UNDEFINED_COLUMN,
                    &SqlState::UNDEFINED_TABLE,
                ]
                .contains(&code)
            });
        let why = self.why();
        if is_damage { StoreError::Corrupt { doing, why } } else { StoreError::Unavailable { doing, why } }
    }
}

/// Returns a function that turns the reason into the error of the store.
pub(crate) fn error_of(doing: &'static str) -> impl FnOnce(Failed) -> StoreError {
    move |failed| failed.into_error(doing)
}

/// Describes an error. The library's own text contains neither the server's message nor the cause.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(reported) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", reported.message(), reported.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
