//! Wakes the workers of several processes. If a commit lets a worker claim a key earlier, the
//! process that made the commit sends a notification. A listener in each process receives the
//! notification and rings the bell.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::StoreError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use crate::address::Address;
use crate::failed::Failed;
use crate::hang::answered;
use crate::pipeline::PATIENCE;
use crate::{PostgresStore, sql, tls};

/// How long the listener waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);
/// How often the listener checks that the server still answers.
const CHECK: Duration = Duration::from_secs(60);

/// Receives the notifications of the other processes, on a separate connection, until the listener
/// is dropped.
pub struct PostgresListener {
    task: JoinHandle<()>,
}

impl PostgresListener {
    /// Starts to listen, and rings `bell` at each notification. While there is no connection, the
    /// workers find due keys at their regular checks. After each new connection, the listener rings
    /// the bell once, because a notification might have been lost.
    pub fn start(url: &str, bell: Arc<Notify>) -> Result<Self, StoreError> {
        let address = Address::parse(url)
            .map_err(|why| StoreError::Unavailable { doing: "listening for due keys", why })?;
        let task = tokio::spawn(async move {
            let mut is_known = false;
            loop {
                let listened = listen(&address, &bell, &mut is_known).await;
                if let Err(failed) = listened
                    && !is_known
                {
                    is_known = true;
                    let why = failed.why();
                    tracing::warn!(why, "notifications of the database unavailable, workers poll the queue");
                }
                tokio::time::sleep(RECONNECT).await;
            }
        });
        Ok(Self { task })
    }
}

impl Drop for PostgresListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects and listens, until the connection fails. A server that hangs can accept a connection
/// and never answer, so the connection has a limit too. `is_known` is `true` if the log already
/// contains the present outage. The value becomes `false` when the listener listens again.
async fn listen(address: &Address, bell: &Notify, is_known: &mut bool) -> Result<(), Failed> {
    let channel = address.channel();
    if address.config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = answered(address.config.connect(NoTls)).await?;
        return receive(&client, connection, &channel, bell, is_known).await;
    }
    let tls = tls::connector(address.authorities.as_deref()).map_err(Failed::Unusable)?;
    let (client, connection) = answered(address.config.connect(tls)).await?;
    receive(&client, connection, &channel, bell, is_known).await
}

async fn receive<S, T>(
    client: &Client,
    mut connection: Connection<S, T>,
    channel: &str,
    bell: &Notify,
    is_known: &mut bool,
) -> Result<(), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let messages = async {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message? {
                bell.notify_one();
            }
        }
        Ok::<(), Failed>(())
    };
    tokio::select! {
        ended = messages => ended,
        ended = subscribe(client, channel, bell, is_known) => ended,
    }
}

/// Asks for the notifications, and checks from time to time that the server still answers. Returns
/// only if an error occurs.
async fn subscribe(client: &Client, channel: &str, bell: &Notify, is_known: &mut bool) -> Result<(), Failed> {
    // The address allows only names that need no quotes.
    answered(client.batch_execute(&format!("LISTEN {channel}"))).await?;
    *is_known = false;
    bell.notify_one();
    loop {
        tokio::time::sleep(CHECK).await;
        answered(client.batch_execute("")).await?;
    }
}

impl PostgresStore {
    /// Notifies the other processes that a key can be claimed. The function returns no error. If
    /// the notification is lost, the workers find the key at their next regular check.
    pub(crate) async fn announce(&self) {
        let sent = async {
            let client = self.pool.get().await?;
            sql::execute(&client, "SELECT pg_notify($1::text, '')", &[&self.channel]).await
        };
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(failed)) => tracing::debug!(why = failed.why(), "notification of due keys not sent"),
            Err(_) => tracing::debug!("notification of due keys not sent, all connections are in use"),
        }
    }
}
