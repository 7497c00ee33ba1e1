//! The options about budgets and stored answers. The application passes these options to the
//! clients of vendors.

use std::sync::Arc;

use beadle_engine::{Lane, Store};

/// The options of every client that one [`crate::app::application::App`] opens.
#[derive(Clone)]
pub(crate) struct ClientOptions {
    /// The store for the answers of vendors. The clients keep the answers in this store, so that
    /// the next run can reuse them.
    pub(crate) store: Option<Arc<dyn Store>>,
    /// True if a call waits when the budget is used up. A command waits until its call is possible.
    /// In the service, the call fails, and the service runs the key again later.
    pub(crate) patient: bool,
    /// The number of processes that divide the budget, if these processes cannot report their
    /// spending to a common store.
    pub(crate) parts: u64,
    /// The lane of all calls that are not for a key.
    pub(crate) lane: Lane,
}

impl ClientOptions {
    /// The options of a command that waits for budgets and keeps no answers in a store.
    pub(crate) const PATIENT: Self = Self { store: None, patient: true, parts: 1, lane: Lane::Manual };

    /// Returns the options of a process that runs keys.
    pub(crate) fn of_service(store: &Arc<dyn Store>) -> Self {
        Self { store: Some(store.clone()), ..Self::default() }
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { store: None, patient: false, parts: 1, lane: Lane::Manual }
    }
}
