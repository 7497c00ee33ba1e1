//! Limits how long a call waits for an answer of the server.
//!
//! The server itself ends a slow statement, and the system closes a connection if the other side is
//! gone. This limit is for a third case, in which a server hangs, for example on its disk, but its
//! system still confirms the received data. After a failover, another server could answer, but the
//! connections still belong to the server that hangs.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, const_mutex};

use crate::failed::Failed;

/// The time limit for a statement. This limit is above the limit of the server, so that a slow
/// statement ends with the error of the server.
const LIMIT: Duration = Duration::from_secs(75);

/// The latest time when a server did not answer. If a server hangs, all connections to the server
/// hang. So all connections share this time.
static HUNG: Mutex<Option<Instant>> = const_mutex(None);

/// Waits for an answer of the server, but no longer than the limit.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failed> {
    within(LIMIT, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failed> {
    if let Ok(answer) = tokio::time::timeout(limit, answer).await {
        return Ok(answer?);
    }
    *HUNG.lock() = Some(tokio::time::Instant::now().into_std());
    Err(Failed::Unusable(format!("no answer from the server within {} s", limit.as_secs())))
}

/// Returns whether a connection of this age might belong to a server that hangs.
pub(crate) fn is_suspect(created: Instant) -> bool {
    HUNG.lock().is_some_and(|hung| created <= hung)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_server_that_does_not_answer_ends_the_call_and_its_connections() {
        let before = tokio::time::Instant::now().into_std();
        assert!(within(LIMIT, ready(Ok(7))).await.is_ok_and(|answer| answer == 7));
        assert!(!is_suspect(before));
        let failed = within(Duration::from_millis(1), pending::<Result<(), _>>()).await.err().unwrap();
        assert!(failed.why().contains("no answer"), "{failed:?}");
        assert!(is_suspect(before));
        let after = tokio::time::Instant::now().into_std() + Duration::from_millis(1);
        assert!(!is_suspect(after), "a new connection can lead to another server");
    }
}
