//! The registration of the App: the local page, the manifest, and the exchange of the code.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use beadle_engine::Clock;
use beadle_github::{AppRegistration, Endpoint, RegisteredApp};
use beadle_repositories::AppNeeds;
use beadle_server::{AppForm, AppSetup, ReturnedCode, serve};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::commands::init::answers::Answers;
use crate::output::printer::Printer;
use crate::stop_signals::StopSignals;

/// The maximum time that the command waits for the browser to receive the last answer.
const GRACE: Duration = Duration::from_secs(5);
/// A placeholder for the address of the webhook listener while webhooks are off. GitHub requires an
/// address.
const NO_HOOK: &str = "https://example.com/hooks/github";

/// Saves the secrets of an App. Returns an error if Beadle cannot save the secrets.
pub(super) type Save<'a> = dyn Fn(&RegisteredApp) -> anyhow::Result<()> + 'a;

/// Serves the local page until GitHub has created the App and `save` has saved it.
pub(super) async fn register(
    answers: &Answers,
    needs: &AppNeeds,
    port: u16,
    save: &Save<'_>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let endpoint = Endpoint::new(&answers.api);
    let settings = beadle_transport::ClientSettings::default();
    let client = AppRegistration::new(&endpoint, &clock, settings).map_err(anyhow::Error::msg)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        anyhow!(
            "cannot listen on {address}: {error}\nhint: set another `--port`, or leave it out for a free one"
        )
    })?;
    let address = listener.local_addr()?;
    let state = format!("{:032x}", rand::random::<u128>());
    let form = AppForm {
        action: format!("{}/organizations/{}/settings/apps/new?state={state}", answers.web, answers.org),
        manifest: manifest(answers, needs, &AppSetup::return_address(address)).to_string(),
        organisation: answers.org.clone(),
        rights: levels(needs).map(|(name, level)| format!("{name}: {level}")).collect(),
    };
    let (setup, mut codes) = AppSetup::new(form, state, address);
    // The command catches signals before it shows the address, because the operator might interrupt
    // the command as soon as the address is visible.
    let mut signals = StopSignals::catch().context("cannot catch signals")?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, setup.router(), stop.clone(), GRACE));
    printer.line(format!("Open this page in a browser, signed in to GitHub as an owner of {}:", answers.org));
    printer.line(format!("  http://{address}/"));
    let registered = exchange(&client, &answers.org, &mut codes, &mut signals, (save, printer)).await;
    // When this receiver is dropped, the local page answers the browsers that still wait.
    drop(codes);
    stop.cancel();
    serving.await?;
    registered
}

/// Waits for a code from the browser, and exchanges the code. Ends when the App is saved, or when
/// the setup must begin again.
async fn exchange(
    client: &AppRegistration,
    org: &str,
    codes: &mut mpsc::Receiver<ReturnedCode>,
    signals: &mut StopSignals,
    (save, printer): (&Save<'_>, &Printer),
) -> anyhow::Result<()> {
    loop {
        // The operator can interrupt the command only here. GitHub shows the private key only once,
        // so the operator must not interrupt the exchange or the save.
        let returned = tokio::select! {
            returned = codes.recv() => returned.context("the local page ended")?,
            _ = signals.next() => bail!("interrupted: no App was created, and no file was written"),
        };
        let ReturnedCode { code, next } = returned;
        let (answer, result) = match client.exchange(&code).await {
            Ok(app) => match check_owner(&app, org).and_then(|()| save(&app)) {
                Ok(()) => (Ok(installation_page(&app.page)), Some(Ok(()))),
                Err(error) => (Err(format!("{error:#}")), Some(Err(error))),
            },
            Err(error) if matches!(error.status(), Some(404 | 422)) => {
                let error = anyhow!(
                    "GitHub does not accept the code of the App: a code is valid once, for one hour\n\
                     hint: if {org} has the App already, delete it in the organisation's settings, then run `beadle init` again"
                );
                (Err(format!("{error:#}")), Some(Err(error)))
            }
            // If GitHub did not receive the code, the code is still valid.
            Err(error) => {
                let why = error.to_string().replace(&code, "CODE");
                let why = format!(
                    "cannot exchange the code of the App: {why}; reload the page in the browser to retry"
                );
                printer.note(&why);
                (Err(why), None)
            }
        };
        let _ = next.send(answer); // the operator may have closed the page
        if let Some(result) = result {
            return result;
        }
    }
}

/// Checks that the new App belongs to the organisation. An owner might have signed in to GitHub
/// with the wrong account.
fn check_owner(app: &RegisteredApp, org: &str) -> anyhow::Result<()> {
    if app.owner.eq_ignore_ascii_case(org) {
        return Ok(());
    }
    bail!(
        "the new App belongs to `{}`, not to `{org}`, so `beadle init` wrote no file\n\
         hint: delete the App {}, then run `beadle init` again as an owner of {org}",
        app.owner,
        app.page
    )
}

/// Returns the address of the page on which people install an App.
pub(super) fn installation_page(page: &str) -> String {
    format!("{}/installations/new", page.trim_end_matches('/'))
}

/// Returns the permissions with their levels. GitHub gives the permission to read metadata to every
/// App.
fn levels(needs: &AppNeeds) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = needs.permissions.iter().map(|(name, level)| (*name, level.as_str()));
    own.chain(std::iter::once(("metadata", "read")))
}

/// Returns the manifest of the App.
///
/// <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>
fn manifest(answers: &Answers, needs: &AppNeeds, return_address: &str) -> Value {
    let permissions: Map<String, Value> =
        levels(needs).map(|(name, level)| (name.to_owned(), json!(level))).collect();
    json!({
        "name": answers.app_name,
        "description": "Beadle keeps the repositories of the organisation as its policy declares.",
        "url": format!("{}/{}", answers.web, answers.org),
        "hook_attributes": {
            "url": answers.webhook_url.as_deref().unwrap_or(NO_HOOK),
            "active": answers.webhook_url.is_some(),
        },
        "redirect_url": return_address,
        "public": false,
        "default_permissions": permissions,
        "default_events": needs.events,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use secrecy::SecretString;

    use super::*;

    fn answers(webhook_url: Option<&str>) -> Answers {
        Answers {
            org: "acme".to_owned(),
            api: "https://api.github.com".to_owned(),
            web: "https://github.com".to_owned(),
            webhook_url: webhook_url.map(str::to_owned),
            app_name: "beadle-acme".to_owned(),
            policy: "policy".to_owned(),
        }
    }

    #[test]
    fn a_manifest_asks_for_what_the_policy_needs() {
        let needs = beadle_repositories::app_needs(&BTreeSet::from(["repository", "labels"]));
        let hook = "https://beadle.example.com/hooks/github";
        let made = manifest(&answers(Some(hook)), &needs, "http://127.0.0.1:1/created");
        assert_eq!(
            made["default_permissions"],
            json!({
                "administration": "write", "contents": "read", "issues": "write", "members": "read",
                "metadata": "read", "organization_custom_properties": "read",
            })
        );
        let events = made["default_events"].as_array().unwrap();
        assert!(events.contains(&json!("label")) && events.contains(&json!("repository")));
        assert_eq!(made["hook_attributes"], json!({ "url": hook, "active": true }));
        assert_eq!((&made["public"], &made["url"]), (&json!(false), &json!("https://github.com/acme")));
    }

    #[test]
    fn without_a_public_address_webhooks_are_off() {
        let needs = beadle_repositories::app_needs(&BTreeSet::from(["repository"]));
        let made = manifest(&answers(None), &needs, "http://127.0.0.1:1/created");
        // GitHub requires an address here, even if GitHub never uses it.
        assert_eq!(made["hook_attributes"], json!({ "url": NO_HOOK, "active": false }));
    }

    #[test]
    fn an_app_of_another_account_is_refused() {
        let app = |owner: &str| RegisteredApp {
            id: 1,
            owner: owner.to_owned(),
            page: "https://github.com/apps/beadle-acme".to_owned(),
            key: SecretString::from("s3cret"),
            webhook_secret: None,
        };
        check_owner(&app("ACME"), "acme").unwrap();
        let error = check_owner(&app("mona"), "acme").unwrap_err().to_string();
        assert!(error.contains("`mona`") && !error.contains("s3cret"), "{error}");
        assert_eq!(
            installation_page(&app("acme").page),
            "https://github.com/apps/beadle-acme/installations/new"
        );
    }
}
