//! Remembers when an owner of the organisation might have accepted new permissions of the App. A
//! token keeps the permissions that the installation had when GitHub created the token. So every
//! process that uses the store gets a new token after this time.

use beadle_engine::{Metadata, Note, StoreError, Time};
use serde::{Deserialize, Serialize};

use crate::read::Reader;

/// The time at which an owner might have accepted new permissions. The time comes from the clock of
/// the process that learned of the new permissions.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AcceptedPermissions(Time);

impl Metadata for AcceptedPermissions {
    const KIND: &'static str = "accepted-permissions";
}

fn note(organisation: &str) -> Note<AcceptedPermissions> {
    Note::of(&[&organisation.to_lowercase()])
}

impl Reader {
    /// Forgets the App's token, so that this process gets a new token for its next request. Other
    /// processes get a new token when they call [`Self::heed_accepted_permissions`]. If an owner of
    /// the organisation has accepted new permissions, only a new token has them. This method itself
    /// sends no request. It does nothing if the credential is a token.
    ///
    /// # Errors
    ///
    /// Returns the error of the store. The other processes then keep their tokens.
    pub async fn drop_token(&self) -> Result<(), StoreError> {
        if !self.api().is_app() {
            return Ok(());
        }
        let now = self.clock().now();
        if let Some(store) = self.store() {
            note(self.organisation()).put(store.as_ref(), &AcceptedPermissions(now)).await?;
        }
        self.api().drop_token(now).await;
        Ok(())
    }

    /// Forgets the App's token if another process called [`Self::drop_token`] after this process
    /// requested the token. This process then gets a new token for its next request. Reads one note
    /// from the store and sends no request. It does nothing if the credential is a token.
    ///
    /// # Errors
    ///
    /// Returns the error of the store.
    pub async fn heed_accepted_permissions(&self) -> Result<(), StoreError> {
        let Some(store) = self.store().filter(|_| self.api().is_app()) else { return Ok(()) };
        if let Some(AcceptedPermissions(at)) = note(self.organisation()).get(store.as_ref()).await? {
            self.api().heed_accepted_permissions(at).await;
        }
        Ok(())
    }
}
