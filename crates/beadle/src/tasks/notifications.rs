//! Sends notifications. Compares the present problems with the problems that each channel knows,
//! and sends the new problems.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_config::NotifyFile;
use beadle_engine::notify::{Ledger, Present, collect};
use beadle_engine::{BackgroundTask, Class, Failure, TaskStatus};
use futures::future::join_all;

use super::{LOOK, REMOTE};
use crate::app::service::Service;
use crate::notify::channel_sender::{SendFailure, Sender};
use crate::notify::journal_problems::Troubles;
use crate::notify::problems::{Names, find, instances};

/// The time limit for one message. In the ledger, the message stays marked as in progress for
/// longer than this limit. So two processes never open the same issue at the same time.
const SENDING: Duration = Duration::from_secs(50);

/// The maximum number of times that a process tries to record the result of a message. A try fails
/// if another process changes the ledger at the same time. If all tries fail, Beadle sends the
/// message again.
const REPLACED: u32 = 20;

/// The task that sends the notifications of all channels.
pub(super) struct Notifications {
    service: Arc<Service>,
    sender: Sender,
    names: Names,
    turn: AtomicUsize,
}

impl Notifications {
    pub(super) fn new(service: Arc<Service>) -> Self {
        for channel in &service.config().file.notify {
            service.metrics.channel(&channel.name);
        }
        Self { service, sender: Sender::default(), names: Names::default(), turn: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl BackgroundTask for Notifications {
    fn name(&self) -> String {
        "notifications".into()
    }

    fn period(&self) -> Duration {
        // The period must not be longer than the shortest `settle` of a channel.
        let settle = self.service.config().file.notify.iter().map(|channel| Duration::from(channel.settle));
        settle.min().unwrap_or(LOOK).clamp(Duration::from_secs(1), LOOK)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, now) = (&self.service, self.service.clock().now());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let troubles = Troubles::follow(service.store.as_ref(), turn, now).await?;
        let mut problems = troubles.problems(now);
        problems.extend(find(service, &troubles.place, &self.names, now).await?);
        let known = instances(service);
        problems.retain(|problem| known.contains(problem.topic.instance.as_str()));
        let present = collect(problems);
        let (mut sent, mut failures) = (0, Vec::new());
        let channels = &service.config().file.notify;
        // A receiver that does not answer must not delay the other channels.
        let mut telling = Vec::new();
        for channel in channels {
            telling.push(self.tell(channel, &present));
        }
        for (channel, told) in channels.iter().zip(join_all(telling).await) {
            match told {
                Ok(is_sent) => sent += usize::from(is_sent),
                Err(failure) => failures.push(format!("{}: {}", channel.name, failure.text)),
            }
        }
        if !failures.is_empty() {
            return Err(Failure::new(Class::Retry, failures.join("; ")));
        }
        Ok(if sent == 0 { TaskStatus::Idle } else { TaskStatus::Done(format!("{sent} sent")) })
    }
}

impl Notifications {
    /// Sends a message to one channel if there is something new to report. Returns whether the
    /// channel got a message.
    async fn tell(&self, channel: &NotifyFile, present: &Present) -> Result<bool, Failure> {
        let (service, store) = (&self.service, self.service.store.as_ref());
        // The search for problems can take minutes, and a receiver refuses a message with an old
        // time. So the function reads the clock only after the search.
        let now = service.clock().now();
        let (note, is_quiet) = (Ledger::note(&channel.name), channel.is_quiet(now));
        let stored = note.stored(store).await?;
        let before = stored.value.clone().unwrap_or_default();
        let mut ledger = before.clone();
        ledger.observe(&channel.name, present, &channel.rules(), is_quiet, now);
        let outgoing = ledger.begin(is_quiet, now);
        // If another process has changed the ledger in the meantime, that process sends the message.
        if ledger != before && !note.replace(store, &stored, &ledger).await? {
            return Ok(false);
        }
        // The receiver might be unavailable for hours. The task fails until the receiver answers
        // again.
        let Some(outgoing) = outgoing else {
            let why = ledger.failure(is_quiet);
            return why.map_or(Ok(false), |why| Err(Failure::new(Class::Retry, why)));
        };
        let sending = self.sender.send(&service.app, channel, &outgoing, now);
        let late = || SendFailure::new(format!("no answer within {} s", SENDING.as_secs()));
        let sent = tokio::time::timeout(SENDING, sending).await.unwrap_or_else(|_| Err(late()));
        service.metrics.notification(&channel.name, sent.is_ok());
        let now = service.clock().now();
        // Another process might change the ledger at the same time, for example to add a problem.
        // In the changed ledger, the message is still marked as in progress.
        for _ in 0..REPLACED {
            let stored = note.stored(store).await?;
            let mut ledger = stored.value.clone().unwrap_or_default();
            if !ledger.awaits(&outgoing.id) {
                break;
            }
            match &sent {
                Ok(()) => ledger.delivered(now),
                Err(failure) => {
                    if failure.refuses_content {
                        ledger.shorten();
                    }
                    ledger.failed(&failure.text, failure.retry_after.map(|wait| now + wait), now);
                }
            }
            if note.replace(store, &stored, &ledger).await? {
                break;
            }
        }
        sent.map(|()| true).map_err(|failure| Failure::new(Class::Retry, failure.text))
    }
}
