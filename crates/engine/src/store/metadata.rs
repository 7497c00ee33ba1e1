//! Small values that a store keeps by name, such as a cursor or a count.

use async_trait::async_trait;
use futures::future::try_join_all;

use super::error::StoreError;

/// If a store has no call that reads several values, the store reads this number of values at the
/// same time.
const AT_ONCE: usize = 16;

/// Stores small values by name. [`crate::Note`] gives the values a type.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// Returns the value with this name, if there is one.
    async fn get(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Returns the values with these names, in the order of the names. The result for a name
    /// without a value is `None`.
    async fn get_all(&self, names: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let mut values = Vec::with_capacity(names.len());
        for part in names.chunks(AT_ONCE) {
            let reads: Vec<_> = part.iter().map(|name| self.get(name)).collect();
            values.extend(try_join_all(reads).await?);
        }
        Ok(values)
    }
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
    /// Deletes the value with this name.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;
    /// Stores a value under this name.
    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError>;
    /// Stores a value under this name if the present value is still `before`. `None` means that
    /// there is no value with this name. Returns whether this call stored the value. If several
    /// processes replace the same value at the same time, only one process gets `true`.
    async fn replace(&self, name: &str, before: Option<&str>, value: &str) -> Result<bool, StoreError>;
}
