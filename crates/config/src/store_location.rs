//! Where Beadle keeps its own state: in a file, in a table or in a database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::postgres_url::PostgresUrl;

/// Where Beadle keeps its own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// An SQLite file.
    File(PathBuf),
    /// A DynamoDB table.
    Table {
        /// The name of the table in DynamoDB.
        name: String,
        /// The region of the table, if it differs from the region in the AWS configuration.
        region: Option<String>,
        /// The address of DynamoDB, if it is not the public AWS address.
        endpoint: Option<String>,
    },
    /// A PostgreSQL schema.
    Postgres(PostgresUrl),
}

impl StoreLocation {
    /// Makes a relative path absolute. The path comes from the command line, so it is relative to
    /// the current folder.
    #[must_use]
    pub fn absolute(self) -> Self {
        match self {
            Self::File(path) => Self::File(std::path::absolute(&path).unwrap_or(path)),
            other @ (Self::Table { .. } | Self::Postgres(_)) => other,
        }
    }
}

/// The forms of a location, for error messages.
const PLACES: &str = "a path, `dynamodb://TABLE` or `postgres://HOST/DATABASE`";

impl FromStr for StoreLocation {
    type Err = String;

    /// Parses the path of a file, `dynamodb://TABLE` with optional parameters (`?region=`,
    /// `&endpoint=`), or the address of a PostgreSQL database.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(url) = PostgresUrl::parse(text) {
            return url.map(Self::Postgres);
        }
        let Some(rest) = text.strip_prefix("dynamodb://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => Err(format!("invalid store `{scheme}://`: use {PLACES}")),
                None if text.is_empty() => Err(format!("a store must not be empty: use {PLACES}")),
                None => Ok(Self::File(text.into())),
            };
        };
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(3..=255).contains(&name.len()) || !name.chars().all(fits) {
            return Err(format!(
                "invalid name of a table `{name}`: use 3 to 255 letters, digits, `_`, `-` or `.`"
            ));
        }
        let (mut region, mut endpoint) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("region", value)) => region = Some(value.to_owned()),
                Some(("endpoint", value)) => endpoint = Some(value.to_owned()),
                _ => return Err(format!("invalid option `{pair}` of a table: use `region=` or `endpoint=`")),
            }
        }
        Ok(Self::Table { name: name.to_owned(), region, endpoint })
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Table { name, .. } => write!(f, "dynamodb://{name}"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_path_a_table_or_a_database() {
        let table = |region: Option<&str>, endpoint: Option<&str>| StoreLocation::Table {
            name: "beadle".into(),
            region: region.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
        };
        assert_eq!("state/beadle.db".parse(), Ok(StoreLocation::File("state/beadle.db".into())));
        assert_eq!("dynamodb://beadle".parse(), Ok(table(None, None)));
        assert_eq!(
            "dynamodb://beadle?region=eu-west-1&endpoint=http://127.0.0.1:1".parse(),
            Ok(table(Some("eu-west-1"), Some("http://127.0.0.1:1")))
        );
        let database = "postgres://u@db.example.com/beadle".parse::<StoreLocation>();
        assert_eq!(database.unwrap().to_string(), "postgres://u@db.example.com/beadle");
        for wrong in
            ["", "dynamodb://", "dynamodb://a b c", "mysql://x", "postgres://", "dynamodb://beadle?regoin=x"]
        {
            assert!(wrong.parse::<StoreLocation>().is_err(), "{wrong}");
        }
    }
}
