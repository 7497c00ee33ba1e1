//! A process among those that use a credential, for as long as it does.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Store, WritePace};
use beadle_github::Api;
use beadle_transport::{Sharing, sharing};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::wiring::Org;
use crate::config;

/// A process that ends waits no longer for the store.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells others what this process spends, until it is ended or dropped.
pub(crate) struct BudgetShare {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

struct One {
    sharing: Sharing,
    store: Arc<dyn Store>,
    pace: WritePace,
    organisation: String,
}

impl One {
    async fn look(&mut self) {
        match self.sharing.look(self.store.as_ref()).await {
            Ok(processes) => self.pace.share(processes),
            Err(error) => {
                tracing::debug!(organisation = self.organisation, %error, "what others spend is not known");
            }
        }
    }
}

impl BudgetShare {
    /// Looks at the others once, and goes on in the background.
    pub(crate) async fn begin(
        file: &config::OrgConfig,
        (api, pace): (&Api, &WritePace),
        store: &Arc<dyn Store>,
        stop: &CancellationToken,
    ) -> Self {
        let process = format!("{:016x}", rand::random::<u64>());
        let mut one = One {
            sharing: Sharing::new(api.client().clone(), &process),
            store: store.clone(),
            pace: pace.clone(),
            organisation: file.name.clone(),
        };
        one.look().await;
        let minute: Duration = file.budget.minute.into();
        let every = sharing::LOOK.min(minute / 20).max(Duration::from_millis(20));
        let (clock, stop) = (api.clock().clone(), stop.child_token());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    () = clock.sleep(every) => one.look().await,
                }
            }
            if let Err(error) = one.sharing.leave(one.store.as_ref()).await {
                tracing::debug!(%error, "the others will notice by themselves that this process is gone");
            }
        });
        Self { task, stop }
    }

    /// Of a command, which shares where there is a store.
    pub(crate) async fn where_stored(org: &Org, store: Option<&Arc<dyn Store>>) -> Option<Self> {
        let client = (&org.api, &org.pace);
        Some(Self::begin(&org.file, client, store?, &CancellationToken::new()).await)
    }

    /// A command ends.
    pub(crate) async fn end_all(shared: impl IntoIterator<Item = Self>) {
        for one in shared {
            one.end().await;
        }
    }

    /// Leaves the whole budget to the others.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
