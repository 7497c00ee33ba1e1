//! The answers that the setup needs: from options, or from the operator at a terminal.

use anyhow::{Context as _, bail};
use reqwest::Url;

use crate::cli::InitArgs;
use crate::output::printer::Printer;

/// The path of the webhook listener.
const HOOKS: &str = "/hooks/github";
/// The maximum length of an account's login at GitHub, in characters.
const LOGIN: usize = 39;
/// The maximum length of an App's name at GitHub, in characters.
const APP_NAME: usize = 34;

/// The values that the operator wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// The login of the organisation.
    pub(super) org: String,
    /// The address of the REST API.
    pub(super) api: String,
    /// The address of GitHub's website.
    pub(super) web: String,
    /// The address that receives GitHub's webhooks, if the operator already has one.
    pub(super) webhook_url: Option<String>,
    /// The name of the new App.
    pub(super) app_name: String,
    /// The folder of the policy, exactly as the setup writes it to `beadle.toml`.
    pub(super) policy: String,
}

/// Returns the answers. If an option is missing and `can_ask` is true, asks for the answer on a
/// terminal.
pub(super) fn collect(args: &InitArgs, can_ask: bool, printer: &Printer) -> anyhow::Result<Answers> {
    let org = match &args.org {
        Some(org) => org.clone(),
        None if can_ask => ask(printer, "Login of the organisation at GitHub, such as acme:")?,
        None => bail!("the organisation is missing\nhint: set `--org ORG`"),
    };
    let webhook_url = match &args.webhook_url {
        Some(url) => Some(url.clone()),
        None if can_ask => {
            let question = "Public address of this service for webhooks, such as \
                            https://beadle.example.com (empty: none yet):";
            Some(ask(printer, question)?).filter(|url| !url.is_empty())
        }
        None => None,
    };
    complete(args, org, webhook_url.as_deref())
}

/// Checks the answers and adds the values that follow from them.
fn complete(args: &InitArgs, org: String, webhook_url: Option<&str>) -> anyhow::Result<Answers> {
    check_login(&org)?;
    let app_name = match &args.app_name {
        Some(name) if name.is_empty() || name.chars().count() > APP_NAME => {
            bail!("`--app-name` must have 1 to {APP_NAME} characters")
        }
        Some(name) => name.clone(),
        None => format!("beadle-{org}").chars().take(APP_NAME).collect(),
    };
    Ok(Answers {
        web: website(&args.api)?,
        api: args.api.trim_end_matches('/').to_owned(),
        webhook_url: webhook_url.map(hook_address).transpose()?,
        app_name,
        policy: args.policy.clone(),
        org,
    })
}

fn ask(printer: &Printer, question: &str) -> anyhow::Result<String> {
    printer.ask(question);
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer).context("cannot read the answer")? == 0 {
        bail!("no answer: the input has ended");
    }
    Ok(answer.trim().to_owned())
}

/// Checks that a text has the form of an organisation's login. Beadle inserts the login into
/// addresses.
fn check_login(org: &str) -> anyhow::Result<()> {
    let is_login = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if org.is_empty() || org.len() > LOGIN || !org.chars().all(is_login) {
        bail!(
            "invalid organisation `{}`: a login has 1 to {LOGIN} letters, digits and hyphens\n\
             hint: copy it from the address https://github.com/ORG",
            org.escape_debug()
        );
    }
    Ok(())
}

/// Parses a web address. `what` is the name of the option.
fn address(text: &str, what: &str) -> anyhow::Result<Url> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    parsed.with_context(|| {
        format!(
            "invalid address `{}` in `{what}`: it must be an address such as `https://example.com`",
            text.escape_debug()
        )
    })
}

/// Returns the address of the website that belongs to a REST API.
fn website(api: &str) -> anyhow::Result<String> {
    let url = address(api, "--api")?;
    let text = url.as_str().trim_end_matches('/').to_owned();
    // An Enterprise Server has the API below its website.
    if let Some(server) = text.strip_suffix("/api/v3") {
        return Ok(server.to_owned());
    }
    // Without the path `/api/v3`, a server answers with its website, and the setup would fail at a
    // later step. A server without TLS is a simulator, so it needs no path.
    if url.scheme() == "https" && !text.starts_with("https://api.") {
        bail!(
            "`--api {text}` is not the address of GitHub's REST API\n\
             hint: for an Enterprise Server, set `--api {text}/api/v3`"
        );
    }
    Ok(text.replacen("://api.", "://", 1))
}

/// Returns the address of the webhook listener for the public address of the service.
fn hook_address(text: &str) -> anyhow::Result<String> {
    let mut url = address(text, "--webhook-url")?;
    let host = url.host_str().unwrap_or_default();
    if host == "localhost" || host.starts_with("127.") || host == "[::1]" {
        bail!(
            "GitHub cannot send webhooks to `{host}`\n\
             hint: set `--webhook-url` to the public address of a proxy in front of `beadle serve`, or leave it out"
        );
    }
    if url.path() == "/" {
        url.set_path(HOOKS);
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(api: &str) -> InitArgs {
        InitArgs {
            org: None,
            webhook_url: None,
            api: api.to_owned(),
            policy: "policy".to_owned(),
            app_name: None,
            app_id: None,
            port: 0,
            yes: true,
        }
    }

    fn answers(api: &str, org: &str, hook: Option<&str>) -> anyhow::Result<Answers> {
        complete(&args(api), org.to_owned(), hook)
    }

    #[test]
    fn the_website_follows_from_the_api() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.github.com/", "https://github.com"),
            ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
            ("https://api.octocorp.ghe.com", "https://octocorp.ghe.com"),
            ("http://127.0.0.1:7070", "http://127.0.0.1:7070"),
        ] {
            assert_eq!(answers(api, "acme", None).unwrap().web, web, "{api}");
        }
        for api in ["api.github.com", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x#y"] {
            assert!(answers(api, "acme", None).is_err(), "{api}");
        }
        let error = answers("https://ghe.example.com/", "acme", None).unwrap_err().to_string();
        assert!(error.contains("`--api https://ghe.example.com/api/v3`"), "{error}");
    }

    #[test]
    fn a_login_that_is_none_is_refused() {
        for org in ["acme", "Acme-Labs", "a", "old_name", &"x".repeat(39)] {
            answers("https://api.github.com", org, None).unwrap();
        }
        let long = "x".repeat(40);
        for org in ["", ".", "..", "a/b", "a b", "a\"b", "a\nb", "a?b", "ä", "a%2e", &long] {
            assert!(answers("https://api.github.com", org, None).is_err(), "{org:?}");
        }
    }

    #[test]
    fn an_app_has_a_name_that_github_accepts() {
        let org = "x".repeat(39);
        let name = answers("https://api.github.com", &org, None).unwrap().app_name;
        assert_eq!((name.len(), name.starts_with("beadle-x")), (APP_NAME, true));
        let long = InitArgs { app_name: Some("x".repeat(35)), ..args("https://api.github.com") };
        assert!(complete(&long, "acme".to_owned(), None).is_err());
    }

    #[test]
    fn webhooks_go_to_the_listener_of_a_public_address() {
        let hook = |url: &str| answers("https://api.github.com", "acme", Some(url));
        for (given, expected) in [
            ("https://beadle.example.com", "https://beadle.example.com/hooks/github"),
            ("https://x.example.com/", "https://x.example.com/hooks/github"),
            ("https://x.example.com/in/hooks/github", "https://x.example.com/in/hooks/github"),
        ] {
            assert_eq!(hook(given).unwrap().webhook_url.as_deref(), Some(expected));
        }
        for given in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]/", "beadle.example.com"]
        {
            assert!(hook(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_missing_organisation_is_named_if_nobody_can_be_asked() {
        let error = collect(&args("https://api.github.com"), false, &Printer::plain()).unwrap_err();
        assert!(error.to_string().contains("--org"), "{error}");
    }
}
