//! The signal SIGHUP makes the service read its configuration again.

/// The signal that tells the service to read its configuration again.
#[cfg(unix)]
pub(crate) struct ReloadSignal(tokio::signal::unix::Signal);

#[cfg(unix)]
impl ReloadSignal {
    /// Begins to catch the signal. Before this call, the signal kills the process. After this call,
    /// a signal waits for the next call of [`Self::next`].
    pub(crate) fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The signal that tells the service to read its configuration again. This system has no such
/// signal.
#[cfg(not(unix))]
pub(crate) struct ReloadSignal;

#[cfg(not(unix))]
impl ReloadSignal {
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
