//! Requests to read the configuration again. The operator listener sends these requests. The
//! service handles one request after the other.

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// A request for a reload. The answer contains the changes of the reload, or the reason why the
/// service keeps its configuration.
pub type ReloadRequest = oneshot::Sender<Result<Value, String>>;

/// Sends requests for a reload to the service.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<ReloadRequest>);

impl Reloads {
    /// Creates a sender and a receiver of requests. The receiver is for the service.
    pub fn channel() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Asks for a reload, and waits until the reload has ended.
    pub async fn ask(&self) -> Result<Value, String> {
        let stopping = || "the service stops".to_owned();
        let (request, answer) = oneshot::channel();
        self.0.send(request).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}
