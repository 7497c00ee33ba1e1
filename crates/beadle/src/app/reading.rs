//! Reads files beside the runtime, with a time-out: a network file system that hangs stops nothing
//! else.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_repositories::policy::ReadingAt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The time without another file after which a file system counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads one after the other. A read that hangs keeps its thread, because no thread can be ended
/// from outside; until it has ended, no other read begins.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    at: ReadingAt,
    ended: JoinHandle<()>,
    /// Somebody has waited for it as long as is sensible.
    is_late: bool,
}

impl Reading {
    /// Runs `read`, which notes the file that it is at. Fails with the name of that file if the
    /// file system hangs.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&ReadingAt) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        self.read_within(PATIENCE, read).await
    }

    async fn read_within<T: Send + 'static>(
        &mut self,
        patience: Duration,
        read: impl FnOnce(&ReadingAt) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        // It hangs, or whoever waited for it was cut off.
        if let Some(before) = &mut self.under_way {
            let patience = if before.is_late { Duration::ZERO } else { patience };
            if end_of(&before.at, patience, &mut before.ended).await.is_none() {
                before.is_late = true;
                return Err(hangs(&before.at));
            }
            // What it found is old: its result is not used.
            self.under_way = None;
        }
        let at = ReadingAt::default();
        let (noted, (sender, receiver)) = (at.clone(), oneshot::channel());
        let ended = tokio::task::spawn_blocking(move || {
            let _ = sender.send(read(&noted)); // whoever waited may have gone
        });
        let under_way = self.under_way.insert(UnderWay { at, ended, is_late: false });
        if let Some(read) = end_of(&under_way.at, patience, receiver).await {
            self.under_way = None;
            return read.context("the thread that reads files panicked; the log says where");
        }
        under_way.is_late = true;
        Err(hangs(&under_way.at))
    }
}

/// Waits for the end of a read as long as it gets to other files: a large folder on a slow file
/// system takes its time. `None` if it stays at one.
async fn end_of<T>(
    at: &ReadingAt,
    patience: Duration,
    mut ended: impl Future<Output = T> + Unpin,
) -> Option<T> {
    let mut before = at.path();
    loop {
        if let Ok(end) = tokio::time::timeout(patience, &mut ended).await {
            return Some(end);
        }
        let path = at.path();
        if path == before {
            return None;
        }
        before = path;
    }
}

fn hangs(at: &ReadingAt) -> anyhow::Error {
    anyhow!(
        "cannot read {}: the file system does not answer\nhint: check its mount; Beadle retries when it answers",
        at.path().display()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_read_that_hangs_is_named_and_no_second_one_joins_it() {
        let mut reading = Reading::default();
        let (release, hanging) = channel::<()>();
        let soon = Duration::from_millis(10);
        let hung = reading.read_within(soon, move |at| {
            at.note(Path::new("policy/repos/shop.yml"));
            hanging.recv()
        });
        // The thread may begin after the end of its time.
        assert!(hung.await.unwrap_err().to_string().contains("the file system does not answer"));
        let (begun, begins) = channel();
        for _ in 0..100 {
            let begun = begun.clone();
            let looked = reading.read(move |_| begun.send(())).await;
            let why = looked.unwrap_err().to_string();
            if why.contains("policy/repos/shop.yml") {
                break;
            }
            tokio::time::sleep(soon).await;
        }
        let why = reading.read(|_| ()).await.unwrap_err().to_string();
        assert!(why.contains("cannot read policy/repos/shop.yml"), "{why}");
        assert!(begins.try_recv().is_err(), "a second read began");
        release.send(()).unwrap();
        while reading.read(|_| ()).await.is_err() {
            tokio::time::sleep(soon).await;
        }
    }

    #[tokio::test]
    async fn a_read_that_gets_to_other_files_is_waited_for() {
        let mut reading = Reading::default();
        let (_open, never) = channel::<()>();
        let read = reading.read_within(Duration::from_millis(300), move |at| {
            for file in 0..12 {
                at.note(Path::new(&format!("policy/repos/{file}.yml")));
                let _ = never.recv_timeout(Duration::from_millis(50)); // nothing comes
            }
        });
        read.await.unwrap();
    }

    #[tokio::test]
    async fn a_read_whose_waiter_was_cut_off_is_not_joined_either() {
        let mut reading = Reading::default();
        let (release, hanging) = channel::<()>();
        let soon = Duration::from_millis(10);
        let cut_off = reading.read(move |_| hanging.recv());
        assert!(tokio::time::timeout(soon, cut_off).await.is_err());
        let (begun, begins) = channel();
        assert!(reading.read_within(soon, move |_| begun.send(())).await.is_err());
        assert!(begins.try_recv().is_err(), "a second read began");
        drop(release);
        while reading.read(|_| ()).await.is_err() {
            tokio::time::sleep(soon).await;
        }
    }
}
