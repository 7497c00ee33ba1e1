//! Finds the senders whose webhooks the intake accepts. The intake uses no other part of
//! `beadle.toml` and contains no vendor clients, so it starts fast.

use std::collections::HashMap;

use beadle_config::File;
use beadle_hooks::github::OrgFacts;
use beadle_secrets::{SecretError, SecretStore, SecretString};
use beadle_server::Senders;

/// Returns the senders with readable secrets. For each other sender, returns the name and the
/// error.
pub(crate) fn senders(
    file: &File,
    secret_store: &SecretStore,
    known: &HashMap<String, OrgFacts>,
) -> (Senders, Vec<(String, SecretError)>) {
    let mut senders = Senders::default();
    let mut missing = Vec::new();
    for org in &file.org {
        match values(secret_store, &org.webhook_secrets) {
            Ok(secrets) => {
                let known = known.get(&org.name).cloned().unwrap_or_default();
                senders.github.push(file.github_sender(org, secrets, known));
            }
            Err(error) => missing.push((org.name.clone(), error)),
        }
    }
    if let Some(from) = &file.installations {
        match values(secret_store, &from.webhook_secrets) {
            Ok(secrets) => senders.github.extend(file.installations_sender(secrets)),
            Err(error) => missing.push(("[installations]".to_owned(), error)),
        }
    }
    for okta in &file.okta {
        match okta.sender(|references| values(secret_store, references)) {
            Ok(sender) => senders.okta.push(sender),
            Err(error) => missing.push((okta.name.clone(), error)),
        }
    }
    (senders, missing)
}

fn values(secret_store: &SecretStore, references: &[String]) -> Result<Vec<SecretString>, SecretError> {
    let mut values = Vec::new();
    for reference in references {
        values.append(&mut secret_store.valid(&reference.parse()?)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_config::{InstallationState, Installed, Source};
    use beadle_engine::Time;
    use beadle_secrets::ExposeSecret;

    use super::*;

    const FILE: &str = r#"
        [[org]]
        name = "acme"
        app = { id = 7, key = "env:NONE" }
        webhook_secrets = ["file:a", "file:b"]
        policy = "policy"
        [[org.dispatch]]
        name = "police"
        on = "repository.created"
        repository = "cop"
        workflow = "police.yml"
        ref = "main"

        [[org]]
        name = "bare"
        token = "env:NONE"
        policy = "policy"

        [[okta]]
        name = "corp"
        url = "https://corp.okta.com"
        token = "env:NONE"
        hook_secrets = ["file:c"]
        hook_header = "X-Hook"
        hook_key = { header = "X-Key", secrets = ["file:d"] }

        [[okta]]
        name = "quiet"
        url = "https://quiet.okta.com"
        token = "env:NONE"
        hook_secrets = ["file:missing"]

        [[target]]
        name = "teams"
        [target.github]
        org = "acme"
        match = ["mail"]
    "#;

    fn exposed(secrets: &[SecretString]) -> Vec<&str> {
        secrets.iter().map(ExposeSecret::expose_secret).collect()
    }

    #[test]
    fn a_missing_secret_affects_only_its_own_sender() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::write(folder.path().join(name), format!("value-{name}")).unwrap();
        }
        let file = File::parse(&Source::new(Path::new("beadle.toml"), FILE)).unwrap();
        let secret_store = SecretStore::new(folder.path().to_owned());
        let (senders, missing) = senders(&file, &secret_store, &HashMap::new());
        let [acme, bare] = &senders.github[..] else { panic!("{:?}", senders.github) };
        assert_eq!((acme.instance.as_str(), acme.app_id, acme.keeps_teams), ("acme", Some(7), true));
        assert_eq!(exposed(&acme.secrets), ["value-a", "value-b"]);
        assert_eq!(
            (acme.dispatches[0].name.as_str(), acme.dispatches[0].event.as_str()),
            ("police", "repository.created")
        );
        assert_eq!((bare.instance.as_str(), bare.app_id, bare.keeps_teams), ("bare", None, false));
        assert!(bare.secrets.is_empty() && bare.dispatches.is_empty());
        let [corp] = &senders.okta[..] else { panic!("{:?}", senders.okta) };
        let headers: Vec<_> =
            corp.header_secrets.iter().map(|one| (one.header.as_str(), exposed(&one.values))).collect();
        assert_eq!(headers, [("x-hook", vec!["value-c"]), ("x-key", vec!["value-d"])]);
        assert_eq!(missing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["quiet"]);
    }

    #[test]
    fn the_app_of_the_installations_is_a_sender_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "value-a").unwrap();
        let text = "[installations]\napp = { id = 7, key = \"env:NONE\" }\nwebhook_secrets = [\"file:a\"]\n\
                    organisations = [\"*\"]\npolicy = \"base\"\n";
        let mut file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        let references: Vec<String> = file.sender_references().iter().map(ToString::to_string).collect();
        assert_eq!(references, ["file:a"]);
        let installed = Installed {
            login: "other".into(),
            organisation: 3,
            installation: 9,
            state: InstallationState::Active,
            since: Time(0),
        };
        file.take_in(&[installed]);
        let secret_store = SecretStore::new(folder.path().to_owned());
        let (senders, missing) = senders(&file, &secret_store, &HashMap::new());
        let [other, app] = &senders.github[..] else { panic!("{:?}", senders.github) };
        assert_eq!((other.instance.as_str(), other.takes_installations), ("other", false));
        assert_eq!(
            (app.app_id, app.takes_installations, exposed(&app.secrets)),
            (Some(7), true, vec!["value-a"])
        );
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn only_the_references_of_senders_are_read() {
        let file = File::parse(&Source::new(Path::new("beadle.toml"), FILE)).unwrap();
        let references: Vec<String> = file.sender_references().iter().map(ToString::to_string).collect();
        assert_eq!(references, ["file:a", "file:b", "file:c", "file:d", "file:missing"]);
    }
}
