//! A connection to the database. A test can cut this connection. During the cut, nothing arrives,
//! and no connection ends. A network that drops packets behaves in the same way. After the cut, all
//! delayed data arrives.

use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// The name of the socket in the folder of a server.
const SOCKET: &str = ".s.PGSQL.5432";

/// A socket that passes everything on to a server.
pub(super) struct Detour {
    folder: TempDir,
    is_cut: watch::Sender<bool>,
}

impl Detour {
    /// Opens a socket that passes everything on to a server. `server` is the folder of the server's
    /// own socket.
    pub(super) fn open(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (is_cut, server) = (watch::Sender::new(false), server.join(SOCKET));
        let cut = is_cut.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (cut, server) = (cut.clone(), server.clone());
                tokio::spawn(async move {
                    until_open(cut.clone()).await;
                    // The server is unavailable during a failover.
                    let Ok(server) = UnixStream::connect(server).await else { return };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = forward(from_client, to_server, cut.clone()) => {}
                        () = forward(from_server, to_client, cut) => {}
                    }
                });
            }
        });
        Self { folder, is_cut }
    }

    /// Returns the address of a database through this socket.
    pub(super) fn url(&self, url: &str, server: &Path) -> String {
        url.replace(server.to_str().unwrap(), self.folder.path().to_str().unwrap())
    }

    pub(super) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    pub(super) fn heal(&self) {
        self.is_cut.send_replace(false);
    }
}

/// Waits until the connection is not cut any more.
async fn until_open(mut cut: watch::Receiver<bool>) {
    // It is possible that the test has ended.
    let _ = cut.wait_for(|is_cut| !is_cut).await;
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cut: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        until_open(cut.clone()).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
