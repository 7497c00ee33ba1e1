//! Small values that a store keeps by name, such as a cursor or a count.

use async_trait::async_trait;

use super::error::StoreError;

/// Stores small values by name. [`crate::Note`] gives the values a type.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// Returns the value that has this name, if there is one.
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Lists all names that begin with `prefix`, each with its value. The list is sorted by name.
    async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;
    /// Lists names that begin with `prefix` and come after the name `after`, each with its value.
    /// The list is sorted by name and has at most `limit` entries. If `after` is empty, the list
    /// begins with the first name. The name `after` need not exist any more. A list with fewer than
    /// `limit` entries is the last page.
    async fn notes_page(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError>;
    /// Deletes the value that has this name.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;
    /// Stores a value under this name.
    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError>;
    /// Stores a value under this name if the present value is still `before`. `None` means that
    /// there is no value with this name. Returns whether this call stored the value: if several
    /// processes replace the same value at the same time, only one of them gets `true`.
    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError>;
}
