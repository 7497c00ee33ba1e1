//! Records the last accepted address of each target, together with the kind of the target.

use beadle_engine::{Metadata, Note, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::config::{Config, TargetConfig};

/// The last accepted place of a target, such as `scim https://scim.example.com`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AcceptedTargetPlace(String);

impl Metadata for AcceptedTargetPlace {
    const KIND: &'static str = "accepted-target";
    const IS_NEEDED: bool = true;
}

fn note(name: &str) -> Note<AcceptedTargetPlace> {
    Note::of(&[name])
}

/// Returns the kind and the address of a target.
pub(super) fn place(config: &Config, file: &TargetConfig) -> String {
    match (&file.scim, &file.github) {
        (Some(scim), _) => format!("scim {}", scim.url.trim_end_matches('/')),
        (None, Some(teams)) => {
            let org = config.file.org.iter().find(|org| org.name == teams.org);
            let api = org.map_or("", |org| org.api.trim_end_matches('/'));
            format!("teams {} {api}", teams.org)
        }
        (None, None) => String::new(),
    }
}

/// Returns the last accepted place of the target with this name. Returns `None` if no service has
/// accepted a place.
pub(super) async fn of(store: &dyn Store, name: &str) -> Result<Option<String>, StoreError> {
    Ok(note(name).get(store).await?.map(|AcceptedTargetPlace(place)| place))
}

/// Records this place as the accepted place of the target with this name.
pub(super) async fn remember(store: &dyn Store, name: &str, place: String) -> Result<(), StoreError> {
    note(name).put(store, &AcceptedTargetPlace(place)).await
}

/// Returns whether a service has accepted the configured place of a target.
pub(super) async fn is_in_use(
    config: &Config,
    file: &TargetConfig,
    store: &dyn Store,
) -> Result<bool, StoreError> {
    Ok(of(store, &file.name).await?.is_some_and(|known| known == place(config, file)))
}

/// Returns whether a service uses the target at a place that is not the configured place. Either
/// the service has not seen the configured place yet, or the gate has not let the configured place
/// pass yet.
pub(crate) async fn is_used_elsewhere(
    config: &Config,
    file: &TargetConfig,
    store: &dyn Store,
) -> Result<bool, StoreError> {
    Ok(of(store, &file.name).await?.is_some_and(|known| known != place(config, file)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::app::store;

    /// Returns a configuration with the target `t`. `target` contains the lines of this target.
    pub(in crate::app) fn config(target: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        let text = format!(
            "[[org]]\nname = \"acme\"\npolicy = \"p\"\napp = {{ id = 1, key = \"env:K\" }}\n\
             [[okta]]\nname = \"corp\"\nurl = \"https://corp.example\"\ntoken = \"env:T\"\n\
             [[target]]\nname = \"t\"\n{target}\n\
             [[groups]]\nsource = \"corp\"\ntarget = \"t\"\ninclude = [\"a\"]\n"
        );
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    pub(in crate::app) const SCIM: &str =
        "scim = { url = \"https://x.example/scim/\", token = \"env:T\", dialect = \"rfc7644\" }";

    #[test]
    fn another_address_organisation_or_kind_is_another_place() {
        let of = |target: &str| {
            let config = config(target);
            place(&config, &config.file.target[0])
        };
        let places = [
            of(SCIM),
            of(&SCIM.replace("/scim/", "/other")),
            of("github = { org = \"acme\", match = [\"saml\"] }"),
        ];
        assert_eq!(places[0], "scim https://x.example/scim");
        assert!(places[2].starts_with("teams acme https://"), "{places:?}");
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 3);
        let other = SCIM.replace("env:T", "env:U");
        assert_eq!(of(&other), places[0], "another token is the same target");
    }

    #[tokio::test]
    async fn a_target_is_used_elsewhere_only_after_a_service_accepted_another_place() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let (own, moved) = (config(SCIM), config(&SCIM.replace("/scim/", "/other")));
        for (config, accepted, expected) in
            [(&own, false, (false, false)), (&own, true, (true, false)), (&moved, true, (false, true))]
        {
            if accepted {
                remember(store, "t", place(&own, &own.file.target[0])).await.unwrap();
            }
            let file = &config.file.target[0];
            let in_use = is_in_use(config, file, store).await.unwrap();
            let elsewhere = is_used_elsewhere(config, file, store).await.unwrap();
            assert_eq!((in_use, elsewhere), expected);
        }
    }
}
