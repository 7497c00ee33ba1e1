//! The address of a store: a URL with the parameters of the database, of TLS and of the schema.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::failed::describe;

/// The schema that the store uses if the URL names no schema.
const SCHEMA: &str = "beadle";
/// The maximum length of a schema's name. The name of the channel for notifications contains the
/// schema's name, and PostgreSQL truncates a name after 63 bytes.
const LONGEST: usize = 40;

/// The time limit for a new connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The time limit for the confirmation of sent data. A dead connection must end long before a lease
/// ends.
const UNCONFIRMED: Duration = Duration::from_secs(15);
/// How long a connection is silent before the system checks it, and how often the system checks.
const CHECK: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// The time limits of each session. A call of a store reaches one of these limits only if the
/// database has a problem. A transaction that stays open without a statement belongs to a process
/// that was stopped or has lost the connection. The locks of this transaction must not block other
/// processes.
const SESSION: &str =
    "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=15s";

/// A parsed address.
#[derive(Clone)]
pub(crate) struct Address {
    /// The parameters of the connection.
    pub(crate) config: Config,
    /// The schema that contains the tables.
    pub(crate) schema: String,
    /// A file with the certificates of certificate authorities. One of these authorities must have
    /// signed the server's certificate. `None` means the authorities that the system trusts.
    pub(crate) authorities: Option<PathBuf>,
}

impl Address {
    /// Parses a URL such as `postgres://beadle:PASSWORD@db.example.com/beadle?schema=beadle`. An
    /// error never contains the URL, because the URL can contain a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if query.contains('@') {
            // Without this check, an error about a password with a question mark would show the
            // part of the password after this mark.
            return Err("the address must not contain `@` after `?`: write `?` in a password as `%3F`".into());
        }
        let (mut schema, mut mode, mut authorities) = (SCHEMA.to_owned(), None, None);
        let mut other = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("schema", value)) => value.clone_into(&mut schema),
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => {
                    let path = percent_decode_str(value).decode_utf8();
                    let path = path.map_err(|_| "`sslrootcert` must be a path in UTF-8".to_owned())?;
                    authorities = Some(PathBuf::from(path.into_owned()));
                }
                _ => other.push(pair),
            }
        }
        check_schema(&schema)?;
        let url = if other.is_empty() { base.to_owned() } else { format!("{base}?{}", other.join("&")) };
        let mut config = url.parse::<Config>().map_err(|error| describe(&error))?;
        let mut hosts = config.get_hosts().iter();
        let Some(first) = hosts.next() else {
            return Err("the address must name a host, or a folder with a socket in `host=`".into());
        };
        let is_local = is_socket(first) && hosts.all(is_socket);
        config.ssl_mode(tls_mode(mode, is_local)?);
        complete(&mut config, &schema);
        Ok(Self { config, schema, authorities })
    }

    /// Returns the name of the channel that the processes use to wake each other.
    pub(crate) fn channel(&self) -> String {
        format!("beadle_due_{}", self.schema)
    }
}

/// Adds the parameters that the URL does not set.
fn complete(config: &mut Config, schema: &str) {
    // After a failover, the old primary might still answer. Only the new primary accepts writes.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let given = config.get_options().unwrap_or_default().to_owned();
    // PostgreSQL uses the last value of a setting. The options in the address can change the
    // limits. The options must not change the schema, because the migrations look up the schema by
    // its name.
    config.options(format!("{SESSION} {given} -c search_path={schema}"));
    if config.get_application_name().is_none() {
        config.application_name("beadle");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNCONFIRMED);
    }
    let (idle, interval, retries) = CHECK;
    config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
}

#[cfg(unix)]
fn is_socket(host: &Host) -> bool {
    matches!(host, Host::Unix(_))
}

#[cfg(not(unix))]
fn is_socket(_: &Host) -> bool {
    false
}

/// Returns whether to use TLS. With TLS, the store always checks the server's certificate. Without
/// this check, anybody between Beadle and the server could read the password. The function also
/// refuses the modes in which a connection uses TLS only if the server offers TLS, for the same
/// reason.
fn tls_mode(mode: Option<&str>, is_local: bool) -> Result<SslMode, String> {
    match mode {
        None if is_local => Ok(SslMode::Disable),
        None | Some("require" | "verify-full") => Ok(SslMode::Require),
        Some("disable") => Ok(SslMode::Disable),
        Some(other) => Err(format!("invalid `sslmode={other}`: use `verify-full`, `require` or `disable`")),
    }
}

/// Returns an error if the name would need quotes in SQL.
fn check_schema(name: &str) -> Result<(), String> {
    let mut letters = name.chars();
    let is_first = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    // Names that begin with `pg_` belong to PostgreSQL.
    if is_first && letters.all(fits) && name.len() <= LONGEST && !name.starts_with("pg_") {
        return Ok(());
    }
    Err(format!(
        "invalid `schema={name}`: use at most {LONGEST} lower-case letters, digits or `_`, and begin with a letter"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Address {
        Address::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"))
    }

    #[test]
    fn tls_is_used_and_checked_unless_the_address_refuses_it() {
        for (url, mode) in [
            ("postgres://u@db.example.com/b", SslMode::Require),
            ("postgresql://u@db.example.com/b?sslmode=verify-full", SslMode::Require),
            ("postgres://u@db.example.com/b?sslmode=require", SslMode::Require),
            ("postgres://u@db.example.com/b?sslmode=disable", SslMode::Disable),
            ("postgres://u@/b?host=/run/postgresql", SslMode::Disable),
            ("postgres://u@db.example.com,db2.example.com/b", SslMode::Require),
        ] {
            assert_eq!(parse(url).config.get_ssl_mode(), mode, "{url}");
        }
        for weak in ["prefer", "allow", "verify-ca", ""] {
            let url = format!("postgres://u:secret@db.example.com/b?sslmode={weak}");
            let why = Address::parse(&url).err().unwrap();
            assert!(why.contains("sslmode") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn the_authorities_and_the_schema_come_from_the_address() {
        let address = parse("postgres://u@h/b?sslrootcert=/etc/my%20ca.pem&schema=team_1&connect_timeout=9");
        assert_eq!(address.authorities, Some("/etc/my ca.pem".into()));
        assert_eq!((address.schema.as_str(), address.channel().as_str()), ("team_1", "beadle_due_team_1"));
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(9)));
        let options = address.config.get_options().unwrap().to_owned();
        assert!(options.ends_with(" -c search_path=team_1"), "{options}");
        let address = parse("postgres://u@h/b?options=-c%20statement_timeout=9s%20-c%20search_path=public");
        let options = address.config.get_options().unwrap().to_owned();
        assert!(
            options.ends_with("-c statement_timeout=9s -c search_path=public -c search_path=beadle"),
            "{options}"
        );
        assert_eq!(parse("postgres://u@h/b").schema, "beadle");
    }

    #[test]
    fn an_invalid_address_is_refused_without_its_password() {
        for url in [
            "postgres://u:secret@/b",
            "postgres://u:secret@h/b?schema=Team",
            "postgres://u:secret@h/b?schema=pg_x",
            "postgres://u:secret@h/b?schema=a-b",
            "postgres://u:secret@h/b?colour=red",
            "postgres://u:secret@h:port/b",
            "postgres://u:a?secret@h/b",
            "postgres://u:a?secret@h/b?schema=s",
        ] {
            let why = Address::parse(url).err().unwrap_or_else(|| panic!("{url}"));
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
