//! Remembers the permissions that the App's token had after the last event about permissions. A
//! token keeps the permissions that the installation had when GitHub created the token. Every
//! process that uses the store therefore gets a new token if the permissions of its token differ
//! from the remembered permissions.

use beadle_engine::{Failure, Metadata, Note, StoreError, Time};
use beadle_transport::TransportError;
use serde::{Deserialize, Serialize};

use crate::credential_digest::CredentialDigest;
use crate::read::Reader;

/// The permissions of the token that a process requested after an event.
#[derive(Serialize, Deserialize)]
struct AppPermissions {
    /// The time at which the process stored this note about permissions. The same permissions can
    /// come back later. The time then distinguishes the later note from the earlier note.
    at: Time,
    /// The digest of the App and of the permissions of the token.
    permissions: CredentialDigest,
}

impl Metadata for AppPermissions {
    const KIND: &'static str = "app-permissions";
}

fn note(organisation: &str) -> Note<AppPermissions> {
    Note::of(&[&organisation.to_lowercase()])
}

impl Reader {
    /// Makes this process get a new token of the App before its next request. If an owner of the
    /// organisation has accepted new permissions, only a new token has them. This method itself
    /// sends no request. This method does nothing if the credential is a token.
    pub async fn drop_token(&self) {
        self.api().drop_token().await;
    }

    /// Replaces the token of the App after an event that can change the permissions of the App. The
    /// method compares the permissions of the new token with the permissions after the last event
    /// of this kind. If the permissions differ, the other processes get a new token when they call
    /// [`Self::heed_accepted_permissions`]. Many events change no permissions, and then the other
    /// processes keep their tokens. This method does nothing if the credential is a token.
    ///
    /// # Errors
    ///
    /// Returns the error of the store, or GitHub's refusal to create the new token. If an error
    /// occurs, the other processes keep their tokens.
    pub async fn renew_token(&self) -> Result<(), Failure> {
        if !self.api().is_app() {
            return Ok(());
        }
        self.drop_token().await;
        let Some(store) = self.store() else { return Ok(()) };
        let permissions = self.api().access().await.map_err(TransportError::from)?.digest;
        let note = note(self.organisation());
        let before = note.get(store.as_ref()).await?;
        if before.is_none_or(|before| before.permissions != permissions) {
            let at = self.clock().now();
            note.put(store.as_ref(), &AppPermissions { at, permissions }).await?;
        }
        Ok(())
    }

    /// Makes this process get a new token of the App before its next request, if another process
    /// called [`Self::renew_token`] and the permissions that it found differ from the permissions
    /// of this process's token. Reads one note from the store and sends no request. This method
    /// does nothing if the credential is a token.
    ///
    /// # Errors
    ///
    /// Returns the error of the store.
    pub async fn heed_accepted_permissions(&self) -> Result<(), StoreError> {
        let Some(store) = self.store().filter(|_| self.api().is_app()) else { return Ok(()) };
        if let Some(AppPermissions { at, permissions }) =
            note(self.organisation()).get(store.as_ref()).await?
        {
            self.api().heed_accepted_permissions(at, permissions).await;
        }
        Ok(())
    }
}
