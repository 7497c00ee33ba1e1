//! `[notify.email]`: a channel that sends e-mail.

use std::net::IpAddr;

use beadle_secrets::Reference;
use serde::Deserialize;

use crate::{Invalid, KeyPath};

/// The maximum number of recipients. RFC 5321 (4.5.3.1.8) requires each SMTP server to accept this
/// number.
const RECIPIENTS: usize = 100;

/// `[notify.email]`: the SMTP server, its credential, and the addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyEmailFile {
    /// The name or the IP address of the SMTP server.
    pub server: String,
    /// The port of the server. The default depends on `tls`.
    port: Option<u16>,
    /// The encryption of the connection.
    #[serde(default)]
    pub tls: EmailTls,
    /// A reference to the name that Beadle uses to sign in to the server.
    pub user: Option<String>,
    /// A reference to the password of `user`.
    pub password: Option<String>,
    /// The address of the sender.
    pub from: String,
    /// The addresses of the recipients.
    pub to: Vec<String>,
}

/// The encryption of the connection to an SMTP server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmailTls {
    /// The connection begins with TLS.
    #[default]
    Implicit,
    /// The connection begins in plain text, and must change to TLS before anything else.
    Starttls,
    /// The connection is in plain text. Beadle allows this only for a server on this machine.
    None,
}

impl NotifyEmailFile {
    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            EmailTls::Implicit => 465,
            EmailTls::Starttls => 587,
            EmailTls::None => 25,
        })
    }

    /// Returns the references to all secrets of the channel.
    pub(crate) fn references(&self) -> impl Iterator<Item = &String> {
        self.user.iter().chain(&self.password)
    }

    /// Checks the table at the path `table`.
    pub(crate) fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        let server = self.server.escape_debug();
        if !is_host(&self.server) {
            let rule = format!("be the name or the IP address of a server, found `{server}`");
            let hint = "write it as `smtp.example.com`, and the port as `port`";
            return Err(Invalid::must(table.key("server"), &rule).hint(Some(hint.into())));
        }
        if self.port == Some(0) {
            return Err(Invalid::must(table.key("port"), "be at least 1, found 0"));
        }
        if self.tls == EmailTls::None && !is_loopback(&self.server) {
            let rule = format!("not be `none` for the server `{server}`, which is not on this machine");
            let hint = "use `implicit` or `starttls`: without TLS, others can read the password";
            return Err(Invalid::must(table.key("tls"), &rule).hint(Some(hint.into())));
        }
        if self.user.is_some() != self.password.is_some() {
            let (set, missing) =
                if self.user.is_some() { ("user", "password") } else { ("password", "user") };
            let what = format!("`{table}` has `{set}` and no `{missing}`: set both or none");
            return Err(Invalid::new(table.key(set), what));
        }
        for (key, reference) in [("user", &self.user), ("password", &self.password)] {
            let Some(Err(error)) = reference.as_ref().map(|reference| reference.parse::<Reference>()) else {
                continue;
            };
            let at = table.key(key);
            let what = format!("`{at}`: {error}");
            return Err(Invalid::new(at, what));
        }
        if self.to.is_empty() || self.to.len() > RECIPIENTS {
            let rule = format!("have 1 to {RECIPIENTS} addresses, found {}", self.to.len());
            return Err(Invalid::must(table.key("to"), &rule));
        }
        Ok(())
    }
}

/// Returns whether a text can be the name or the address of a server.
fn is_host(server: &str) -> bool {
    let is_name = |text: &str| {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(is_fine)
    };
    is_name(server) || server.parse::<IpAddr>().is_ok()
}

/// Returns whether a server is on this machine.
fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{ConfigError, File, Source};

    fn parse(email: &str) -> Result<File, ConfigError> {
        let org = "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n";
        let text = format!("{org}[[notify]]\nname = \"mail\"\n[notify.email]\n{email}\n");
        File::parse(&Source::new(Path::new("beadle.toml"), text))
    }

    const ADDRESSES: &str = "from = \"beadle@example.com\"\nto = [\"ops@example.com\"]\n";

    #[test]
    fn the_port_follows_the_encryption() {
        for (lines, port) in [
            ("server = \"smtp.example.com\"", 465),
            ("server = \"smtp.example.com\"\ntls = \"starttls\"", 587),
            ("server = \"localhost\"\ntls = \"none\"", 25),
            ("server = \"127.0.0.1\"\nport = 2525\ntls = \"none\"", 2525),
            ("server = \"::1\"\nport = 2525\ntls = \"none\"", 2525),
            ("server = \"a.b\"\nuser = \"env:U\"\npassword = \"env:P\"", 465),
        ] {
            let file = parse(&format!("{ADDRESSES}{lines}")).unwrap();
            assert_eq!(file.notify[0].email.as_ref().unwrap().port(), port, "{lines}");
        }
    }

    #[test]
    fn only_a_server_of_this_machine_may_be_without_tls() {
        for (lines, said) in [
            (
                "server = \"smtp.example.com\"\ntls = \"none\"",
                ":11: `notify.email.tls` must not be `none` for the server `smtp.example.com`",
            ),
            ("server = \"127.0.0.1.example.com\"\ntls = \"none\"", "which is not on this machine"),
            ("server = \"localhost.example.com\"\ntls = \"none\"", "which is not on this machine"),
            (
                "server = \"smtp.example.com:25\"",
                ":10: `notify.email.server` must be the name or the IP address of a server",
            ),
            ("server = \"https://smtp.example.com\"", "`notify.email.server` must be the name"),
            ("server = \"a.b\"\nport = 0", "`notify.email.port` must be at least 1"),
            ("server = \"a.b\"\nuser = \"env:U\"", "has `user` and no `password`: set both or none"),
            ("server = \"a.b\"\npassword = \"env:P\"", "has `password` and no `user`"),
            (
                "server = \"a.b\"\nuser = \"env:U\"\npassword = \"hunter2\"",
                ":12: `notify.email.password`: a secret must be a reference",
            ),
            ("server = \"a.b\"\ntls = \"maybe\"", "maybe"),
        ] {
            let error = parse(&format!("{ADDRESSES}{lines}")).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{lines}: {error}");
        }
        let error = parse("server = \"a.b\"\nfrom = \"a@b.c\"\nto = []").unwrap_err().to_string();
        assert!(error.contains("`notify.email.to` must have 1 to 100 addresses, found 0"), "{error}");
    }
}
