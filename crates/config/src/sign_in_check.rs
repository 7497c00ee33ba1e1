//! Checks the sign-in of the pages.

use beadle_secrets::Reference;

use crate::{File, Invalid, KeyPath, did_you_mean};

/// Returns whether an address consists only of a scheme, a host and an optional port. An
/// unencrypted address must belong to this machine.
fn is_origin(url: &str) -> bool {
    let (host, is_local_only) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(host), _) => (host, false),
        (None, Some(host)) => (host, true),
        (None, None) => return false,
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
    if host.is_empty() || !host.chars().all(is_name) {
        return false;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            name
        }
        _ => host,
    };
    // A browser omits the default port of the scheme, so the configured address must not contain
    // this port.
    let has_default_port = host.ends_with(if is_local_only { ":80" } else { ":443" });
    let is_local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    !name.is_empty() && !has_default_port && (is_local || !is_local_only)
}

/// Returns whether the address of an issuer is encrypted, or belongs to this machine.
fn is_issuer(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    let is_local = local.iter().any(|start| url.starts_with(start));
    (url.starts_with("https://") || is_local) && !url.contains(['?', '#', ' ', '@'])
}

impl File {
    /// Checks the sign-in of the pages.
    pub(crate) fn check_sign_in(&self) -> Result<(), Invalid> {
        let Some(sign_in) = &self.server.sign_in else { return Ok(()) };
        let table = KeyPath::new("server").key("sign_in");
        if !is_origin(sign_in.origin()) {
            let found = sign_in.url.escape_debug();
            let rule = format!("be an address such as `https://beadle.example.com`, found `{found}`");
            let hint =
                "only an address of this machine, such as `http://127.0.0.1:8081`, may begin with `http://`";
            return Err(Invalid::must(table.key("url"), &rule).hint(Some(hint.into())));
        }
        // Behind a proxy, other machines can reach the whole listener, not only the pages.
        if !sign_in.is_local() && self.server.operator_token.is_none() {
            let what = "`server.sign_in` is used behind a proxy, so `server.operator_token` is required";
            let hint = "the token protects `/metrics`, `/tasks` and `/reload`, which the proxy can reach too";
            return Err(Invalid::new(table.key("url"), what).hint(Some(hint.into())));
        }
        let secret = match (&sign_in.github, &sign_in.oidc) {
            (Some(github), None) => {
                if !self.org.iter().any(|org| org.name == github.org) {
                    let at = table.key("github").key("org");
                    let what = format!("`{at}`: there is no [[org]] `{}`", github.org.escape_debug());
                    let names = self.org.iter().map(|org| org.name.as_str());
                    return Err(Invalid::new(at, what).hint(did_you_mean(&github.org, names)));
                }
                (table.key("github"), &github.client_secret)
            }
            (None, Some(oidc)) => {
                if !is_issuer(&oidc.issuer) {
                    let found = oidc.issuer.escape_debug();
                    let rule = format!("be an address that begins with `https://`, found `{found}`");
                    return Err(Invalid::must(table.key("oidc").key("issuer"), &rule));
                }
                (table.key("oidc"), &oidc.client_secret)
            }
            (Some(_), Some(_)) => {
                let what = "`server.sign_in` has both `github` and `oidc`: set only one of them";
                return Err(Invalid::new(table.key("oidc"), what));
            }
            (None, None) => {
                let what = "`server.sign_in` has no provider: set `github` or `oidc`";
                return Err(Invalid::new(table, what));
            }
        };
        let at = secret.0.key("client_secret");
        secret.1.parse::<Reference>().map_err(|error| {
            let what = format!("`{at}`: {error}");
            Invalid::new(at.clone(), what)
        })?;
        let roles = [
            ("viewers", &sign_in.viewers),
            ("operators", &sign_in.operators),
            ("approvers", &sign_in.approvers),
        ];
        if roles.iter().all(|(_, names)| names.is_empty()) {
            let what = "`server.sign_in` gives nobody a role: set `viewers`, `operators` or `approvers`";
            return Err(Invalid::new(table, what));
        }
        for (key, names) in roles {
            if names.iter().any(|name| name.trim().is_empty()) {
                return Err(Invalid::must(table.key(key), "not have an empty name"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Source;

    fn parse(lines: &str) -> Result<File, String> {
        let text = format!("{lines}\n[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n");
        File::parse(&Source::new(Path::new("beadle.toml"), text)).map_err(|error| error.to_string())
    }

    const GITHUB: &str = "github = { org = \"acme\", client_id = \"Iv1.0\", client_secret = \"env:S\" }";
    const OIDC: &str =
        "oidc = { issuer = \"https://example.okta.com\", client_id = \"c\", client_secret = \"env:S\" }";

    #[test]
    fn a_complete_sign_in_is_accepted() {
        for provider in [GITHUB, OIDC] {
            let lines = format!(
                "[server]\noperator_token = \"env:T\"\n[server.sign_in]\nurl = \"https://beadle.example.com/\"\n{provider}\nviewers = [\"staff\"]\n"
            );
            let file = parse(&lines).unwrap();
            let sign_in = file.server.sign_in.unwrap();
            assert_eq!(sign_in.origin(), "https://beadle.example.com");
            assert_eq!(sign_in.references().len(), 1);
        }
    }

    #[test]
    fn an_incomplete_sign_in_is_refused() {
        let token = "[server]\noperator_token = \"env:T\"\n";
        let https = "url = \"https://beadle.example.com\"";
        let local = "url = \"http://127.0.0.1:8081\"";
        let roles = "approvers = [\"security\"]";
        for (before, url, provider, roles, part) in [
            ("", https, GITHUB, roles, "`server.operator_token` is required"),
            (token, "url = \"http://beadle.example.com\"", GITHUB, roles, "`server.sign_in.url` must be"),
            (token, "url = \"https://a.example/path\"", GITHUB, roles, "`server.sign_in.url` must be"),
            (token, "url = \"https://u@a.example\"", GITHUB, roles, "`server.sign_in.url` must be"),
            (token, "url = \"https://a.example:443\"", GITHUB, roles, "`server.sign_in.url` must be"),
            ("", local, "", roles, "has no provider"),
            ("", local, GITHUB, "", "gives nobody a role"),
            ("", local, GITHUB, "viewers = [\" \"]", "not have an empty name"),
        ] {
            let error =
                parse(&format!("{before}[server.sign_in]\n{url}\n{provider}\n{roles}\n")).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
        let both = format!("[server.sign_in]\n{local}\n{GITHUB}\n{OIDC}\n{roles}\n");
        assert!(parse(&both).unwrap_err().contains("both `github` and `oidc`"));
        let other = GITHUB.replace("acme", "acne");
        let error = parse(&format!("[server.sign_in]\n{local}\n{other}\n{roles}\n")).unwrap_err();
        assert!(error.contains("there is no [[org]] `acne`"), "{error}");
        let plain = OIDC.replace("https:", "http:");
        let error = parse(&format!("[server.sign_in]\n{local}\n{plain}\n{roles}\n")).unwrap_err();
        assert!(error.contains("begins with `https://`"), "{error}");
        let open = GITHUB.replace("env:S", "hunter2");
        let error = parse(&format!("[server.sign_in]\n{local}\n{open}\n{roles}\n")).unwrap_err();
        assert!(
            error.contains("server.sign_in.github.client_secret") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn an_unencrypted_address_leads_to_this_machine() {
        for (url, is_fine) in [
            ("https://beadle.example.com", true),
            ("https://beadle.example.com:8443", true),
            ("http://127.0.0.1:8081", true),
            ("http://localhost:8081", true),
            ("http://[::1]:8081", true),
            ("http://localhost", true),
            ("http://127.0.0.1.evil.example", false),
            ("http://localhost@evil.example", false),
            ("https://", false),
            ("https://:8443", false),
            ("https://a.example:port", false),
            ("ftp://a.example", false),
            ("//a.example", false),
        ] {
            assert_eq!(is_origin(url), is_fine, "{url}");
        }
    }
}
