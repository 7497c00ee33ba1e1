//! The address of a PostgreSQL database.

use std::fmt;

/// The address of a PostgreSQL database. The address can contain a password, so `Debug` and
/// `Display` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// Parses an address such as `postgres://beadle@db.example.com/beadle`. Returns `None` if the
    /// text has another scheme. The store checks the parameters when it opens.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = text.split_once("://")?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return None;
        }
        Some(if rest.is_empty() {
            Err("the address of a database must name a host: use `postgres://HOST/DATABASE`".into())
        } else if rest.split_once('?').is_some_and(|(_, query)| query.contains('@')) {
            // The `?` might be a part of the password. `Display` would then print the end of the
            // password like a parameter.
            Err("the address of a database must not contain `@` after `?`: write `?` in a password as `%3F`, and `@` \
                 in a parameter as `%40`"
                .into())
        } else {
            Ok(Self(text.to_owned()))
        })
    }

    /// Returns the whole address, with the password.
    pub fn with_password(&self) -> &str {
        &self.0
    }

    /// Returns whether the address contains a password.
    pub fn has_password(&self) -> bool {
        self.to_string() != self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, base) = base.split_once("://").unwrap_or(("postgres", base));
        // A password might contain `@` and `/` by mistake. The host begins after the last `@`.
        match base.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split_once(':').map_or(user, |(user, _)| user);
                write!(f, "{scheme}://{user}@{host}")?;
            }
            None => write!(f, "{scheme}://{base}")?,
        }
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("password=")) {
            write!(f, "{separator}{pair}")?;
            separator = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_address_has_no_password() {
        for (text, printed) in [
            ("postgres://u:secret@h/b", "postgres://u@h/b"),
            ("postgres://u:secret@h/b?schema=s", "postgres://u@h/b?schema=s"),
            ("postgresql://u:se:cr@et@h/b", "postgresql://u@h/b"),
            ("postgres://h/b?password=secret&schema=s", "postgres://h/b?schema=s"),
            (
                "postgres://u@/b?host=/run/postgresql&schema=s",
                "postgres://u@/b?host=/run/postgresql&schema=s",
            ),
        ] {
            let url = PostgresUrl::parse(text).unwrap().unwrap();
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (printed, printed));
            assert_eq!(url.has_password(), text != printed, "{text}");
            assert_eq!(url.with_password(), text);
        }
        for text in
            ["postgres://u:a?secret@h/b", "postgres://u:p@a?secret@h/b?schema=s", "postgres://h/b?user=a@b"]
        {
            let why = PostgresUrl::parse(text).unwrap().unwrap_err();
            assert!(why.contains("%3F") && !why.contains("secret"), "{why}");
        }
        assert!(PostgresUrl::parse("dynamodb://beadle").is_none());
        assert!(PostgresUrl::parse("beadle.db").is_none());
    }
}
