//! Remembers the organisation that a login belongs to. If an organisation is renamed or deleted,
//! another organisation can take the old login and install a public App. Beadle must not work on
//! the organisation that took the login.

use beadle_engine::{Metadata, Note, Store, StoreError};
use serde::{Deserialize, Serialize};

/// The id of the organisation that has a login.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct OrganisationId(u64);

impl Metadata for OrganisationId {
    const KIND: &'static str = "organisation-id";
    // Beadle must not treat an unreadable value as missing. Otherwise, another organisation could
    // take the login, and Beadle would remember the id of that organisation.
    const IS_NEEDED: bool = true;
}

fn note(login: &str) -> Note<OrganisationId> {
    Note::of(&[&login.to_lowercase()])
}

/// Returns a message if the login belonged to another organisation before. Returns `None` if the
/// login still belongs to the same organisation, or if Beadle remembers no organisation.
pub async fn another_organisation(
    store: &dyn Store,
    login: &str,
    id: u64,
) -> Result<Option<String>, StoreError> {
    let remembered = note(login).get(store).await?;
    Ok(message(login, remembered.map(|OrganisationId(before)| before), id))
}

/// Remembers that the login belongs to the organisation with this id.
pub async fn remember_organisation(store: &dyn Store, login: &str, id: u64) -> Result<(), StoreError> {
    note(login).put(store, &OrganisationId(id)).await
}

fn message(login: &str, before: Option<u64>, id: u64) -> Option<String> {
    let before = before.filter(|before| *before != id)?;
    Some(format!(
        "organisation `{login}` had the id {before}, but another organisation with the id {id} has this login now; \
         if the configuration means this organisation, set `app.installation` to the id of its installation"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_organisation_with_the_same_login_is_reported() {
        assert_eq!(message("acme", None, 7), None);
        assert_eq!(message("acme", Some(7), 7), None);
        let text = message("acme", Some(7), 8).unwrap();
        assert!(text.starts_with("organisation `acme` had the id 7, but another organisation with the id 8"));
        assert_eq!(note("Acme").name(), note("acme").name(), "logins have no case");
    }
}
