//! Serves HTTP on a socket. Limits the time for the headers of a request. Finishes the open
//! requests before it ends.

use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The time limit for receiving the headers of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Serves `router` on the socket until `stop` is cancelled. After that, accepts no new connection,
/// and waits at most `grace` for the open requests to end.
pub async fn serve(listener: TcpListener, router: axum::Router, stop: CancellationToken, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The usual cause of this error is that the process has no free file descriptor.
                // When another connection ends, a file descriptor becomes free.
                tracing::error!(%error, "HTTP connection not accepted, retrying");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true); // a failure only makes small answers slower
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP connection ended early");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await; // open connections are cut after the time limit
}
