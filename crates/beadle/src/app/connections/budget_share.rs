//! Shares the budget of one credential among processes. If processes use the same credential, they
//! tell each other through the store how much of the budget they have spent.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Store, StoreError, WritePace};
use beadle_github::Api;
use beadle_transport::{Sharing, sharing};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::OrgConfig;

/// The maximum time that a process waits for the store while the process gives its share back.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns the time between two updates of a share.
pub(crate) fn period(file: &OrgConfig) -> Duration {
    let minute: Duration = file.budget.minute.into();
    sharing::LOOK.min(minute / 20).max(Duration::from_millis(20))
}

/// A record that shows how this process uses the credential of an organisation. Each process that
/// uses the credential has its own record.
pub(crate) struct BudgetShare {
    sharing: Sharing,
    store: Arc<dyn Store>,
    pace: WritePace,
    organisation: String,
}

impl BudgetShare {
    /// Creates the record of this process. The other processes see the record after its first
    /// update.
    pub(crate) fn new(file: &OrgConfig, (api, pace): (&Api, &WritePace), store: &Arc<dyn Store>) -> Self {
        let process = format!("{:016x}", rand::random::<u64>());
        Self {
            sharing: Sharing::new(api.client().clone(), &process),
            store: store.clone(),
            pace: pace.clone(),
            organisation: file.name.clone(),
        }
    }

    /// Reports the spending of this process to the store. Adapts this process's budget and pace to
    /// the spending of the other processes.
    pub(crate) async fn update(&mut self) -> Result<(), StoreError> {
        let processes = self.sharing.look(self.store.as_ref()).await?;
        self.pace.share(processes);
        Ok(())
    }

    /// Does the same as [`Self::update`], but logs an error instead of returning it.
    pub(crate) async fn try_update(&mut self) {
        if let Err(error) = self.update().await {
            tracing::debug!(organisation = self.organisation, %error, "share of the GitHub budget not updated in the store, retrying");
        }
    }

    /// Gives this process's share of the budget back to the other processes. If the store does not
    /// answer in time, the other processes still notice that this process has ended, because this
    /// process no longer updates its share.
    pub(crate) async fn leave(&mut self) {
        let left = tokio::time::timeout(PATIENCE, self.sharing.leave(self.store.as_ref())).await;
        let error = match left {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store did not answer in time".to_owned(),
        };
        tracing::debug!(
            organisation = self.organisation,
            error,
            "share of the GitHub budget not released in the store, other processes use it later"
        );
    }
}

/// A share that a command updates in a spawned task until the command ends. The service does not
/// use this type, because a background task updates its shares.
pub(crate) struct SpawnedShare {
    updates: JoinHandle<()>,
    stop: CancellationToken,
}

impl SpawnedShare {
    /// Updates the share immediately. Then starts a task that updates the share regularly. So a
    /// command keeps its share while it waits for an answer at the terminal.
    pub(crate) async fn begin(
        file: &OrgConfig,
        (api, pace): (&Api, &WritePace),
        store: &Arc<dyn Store>,
    ) -> Self {
        let mut share = BudgetShare::new(file, (api, pace), store);
        share.try_update().await;
        let (every, clock): (Duration, Clock) = (period(file), api.clock().clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let updates = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    () = clock.sleep(every) => share.try_update().await,
                }
            }
            share.leave().await;
        });
        Self { updates, stop }
    }

    /// Ends all shares of a command.
    pub(crate) async fn end_all(shares: impl IntoIterator<Item = Self>) {
        for share in shares {
            share.end().await;
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        // The task might be waiting for a store that does not answer.
        if tokio::time::timeout(PATIENCE, &mut self.updates).await.is_err() {
            self.updates.abort();
        }
    }
}

impl Drop for SpawnedShare {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
