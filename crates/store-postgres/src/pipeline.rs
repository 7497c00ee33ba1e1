//! Sends several statements of a transaction without waiting for the answer to each statement. The
//! server runs them in the order of their arrival, so they need only one round trip.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool_postgres::Client;
use tokio_postgres::Row;

use crate::failed::Failed;
use crate::hang::answered;
use crate::sql::Call;

/// Begins a transaction. The description of the crate explains the isolation level. The setting
/// `beadle.open` lasts until the transaction ends, and [`IS_OPEN`] checks this setting.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL beadle.open = 'on'";
/// A condition that each writing statement of [`begin`] must have. Outside a transaction, the
/// condition is an error. The server might be unable to begin the transaction, for example because
/// an administrator cancelled the statement `BEGIN`. Without the condition, the server would then
/// commit the statement immediately, without the rest of the transaction.
pub(crate) const IS_OPEN: &str = "current_setting('beadle.open')::boolean";
/// How long a call waits until its notification is sent. The call has stored its data already, and
/// the sender of a webhook waits for the answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

type Answer = Result<Vec<Row>, Failed>;

enum State<'a> {
    Waiting(Pin<Box<dyn Future<Output = Answer> + Send + 'a>>),
    Done(Answer),
}

/// The statements that were sent together, in order.
struct Sent<'a>(Vec<State<'a>>);

impl<'a> Sent<'a> {
    /// Sends a statement. A prepared statement is sent when its future is polled for the first
    /// time.
    fn send(&mut self, mut call: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>) {
        let state = match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => State::Done(answer),
            Poll::Pending => State::Waiting(call),
        };
        self.0.push(state);
    }

    /// Returns whether a statement has failed already, for example because it could not be sent.
    fn has_failed(&self) -> bool {
        self.0.iter().any(|state| matches!(state, State::Done(Err(_))))
    }

    /// Waits for all answers. If statements failed, returns the error of the first failed
    /// statement, because this error causes the later errors.
    async fn answers(mut self) -> Result<Vec<Vec<Row>>, Failed> {
        poll_fn(|context| {
            let mut is_over = true;
            for state in &mut self.0 {
                if let State::Waiting(call) = state {
                    match call.as_mut().poll(context) {
                        Poll::Ready(answer) => *state = State::Done(answer),
                        Poll::Pending => is_over = false,
                    }
                }
            }
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let answers = self.0.into_iter().filter_map(|state| match state {
            State::Done(answer) => Some(answer),
            State::Waiting(_) => None,
        });
        answers.collect()
    }
}

/// An open transaction. If this value is dropped before its commit, the transaction is rolled back.
pub(crate) struct Open<'a> {
    client: &'a Client,
    is_open: bool,
}

/// Begins a transaction and runs its first statements, in one round trip. `begin` is [`BEGIN`], and
/// can contain further statements that have no result. A statement that writes needs the condition
/// [`IS_OPEN`]. Returns the rows of each statement.
///
/// If the connection fails, the error is [`Failed::Begin`], and the transaction stored nothing.
pub(crate) async fn begin<'a>(
    client: &'a Client,
    begin: &str,
    calls: &[Call],
) -> Result<(Open<'a>, Vec<Vec<Row>>), Failed> {
    let open = Open { client, is_open: true };
    let mut sent = Sent(Vec::with_capacity(calls.len() + 1));
    sent.send(Box::pin(
        async move { answered(client.batch_execute(begin)).await.map(|()| Vec::<Row>::new()) },
    ));
    for call in calls {
        sent.send(Box::pin(call.run(client)));
    }
    let mut rows = sent.answers().await.map_err(Failed::before_commit)?;
    let rows = rows.split_off(1);
    Ok((open, rows))
}

impl Open<'_> {
    /// Runs the last statements and commits, in one round trip. Returns the rows of each statement.
    /// `after` runs after the commit, even if the commit failed. A failure of `after` changes
    /// nothing.
    pub(crate) async fn commit(
        mut self,
        calls: &[Call],
        after: Option<&Call>,
    ) -> Result<Vec<Vec<Row>>, Failed> {
        let client = self.client;
        let mut sent = Sent(Vec::with_capacity(calls.len() + 2));
        for call in calls {
            sent.send(Box::pin(call.run(client)));
        }
        // If a statement of a transaction failed, the server rolls the transaction back, even if
        // the client asks for a commit. But the server cannot know about a statement that was never
        // sent.
        if sent.has_failed() {
            return sent.answers().await;
        }
        sent.send(Box::pin(async move {
            answered(client.batch_execute("COMMIT")).await.map(|()| Vec::<Row>::new())
        }));
        if let Some(after) = after {
            sent.send(Box::pin(async move {
                match tokio::time::timeout(PATIENCE, after.run(client)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(failed)) => {
                        tracing::debug!(why = failed.why(), "notification of due keys not sent");
                    }
                    Err(_) => {
                        tracing::debug!("notification of due keys not sent, the server does not answer");
                    }
                }
                Answer::Ok(Vec::new())
            }));
        }
        let answers = sent.answers().await;
        self.is_open = false;
        let mut rows = answers?;
        rows.truncate(calls.len());
        Ok(rows)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // The first poll sends the statement, and nobody needs its answer. Later statements of
            // the connection run after the rollback.
            let rollback = pin!(self.client.batch_execute("ROLLBACK"));
            let _ = rollback.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}
