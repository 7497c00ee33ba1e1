//! Metadata: small values by name, such as a cursor, a remembered pair or a count.

use async_trait::async_trait;

use super::error::StoreError;

/// Keeps small values by name. [`crate::Note`] gives them a type.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// Returns a value.
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Lists the names that begin with `prefix`, each with its value, by name.
    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;
    /// Lists at most `limit` of the names that begin with `prefix` and come after the name `after`,
    /// each with its value, by name. An empty `after` lists from the first name on; the name `after`
    /// may be deleted by then. Fewer than `limit` names are the last ones.
    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError>;
    /// Deletes a value.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;
    /// Sets a value.
    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError>;
}
