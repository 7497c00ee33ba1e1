//! Reads files in a separate thread, with a timeout. So a network file system that does not answer
//! cannot delay other work.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_repositories::policy::ReadingAt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The maximum time that Beadle waits for one file. After this time, Beadle reports that the file
/// system does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A reader that runs only one read at a time. A read that never returns keeps its thread, because
/// a program cannot stop a running thread. The reader begins the next read only after the previous
/// read has ended.
#[derive(Debug, Default)]
pub(crate) struct FileReader {
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    at: ReadingAt,
    ended: JoinHandle<()>,
    /// True if a caller has waited for this read until the timeout.
    is_late: bool,
}

impl FileReader {
    /// Runs `read`. `read` reports each file before it reads the file. If the file system does not
    /// answer, the error contains the name of the last reported file.
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
        // The previous read has not returned, or the caller of that read was cancelled.
        if let Some(before) = &mut self.under_way {
            let patience = if before.is_late { Duration::ZERO } else { patience };
            if end_of(&before.at, patience, &mut before.ended).await.is_none() {
                before.is_late = true;
                return Err(hangs(&before.at));
            }
            // The earlier read has ended. The result is out of date, and no caller waits for this
            // result any more.
            self.under_way = None;
        }
        let at = ReadingAt::default();
        let (noted, (sender, receiver)) = (at.clone(), oneshot::channel());
        let ended = tokio::task::spawn_blocking(move || {
            let _ = sender.send(read(&noted)); // the caller may have ended
        });
        let under_way = self.under_way.insert(UnderWay { at, ended, is_late: false });
        if let Some(read) = end_of(&under_way.at, patience, receiver).await {
            self.under_way = None;
            return read.context("the thread that reads files panicked; the log shows where");
        }
        under_way.is_late = true;
        Err(hangs(&under_way.at))
    }
}

/// Waits until a read ends. A large folder on a slow file system takes a long time, so the function
/// continues to wait while the read moves from file to file. Returns `None` if the read stays at
/// one file for longer than `patience`.
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
    async fn the_error_names_the_file_of_a_hanging_read_and_no_second_read_begins() {
        let mut reader = FileReader::default();
        let (release, hanging) = channel::<()>();
        let soon = Duration::from_millis(10);
        let hung = reader.read_within(soon, move |at| {
            at.note(Path::new("policy/repos/shop.yml"));
            hanging.recv()
        });
        // The thread of this read might start so late that the time limit has already passed.
        assert!(hung.await.unwrap_err().to_string().contains("the file system does not answer"));
        let (begun, begins) = channel();
        for _ in 0..100 {
            let begun = begun.clone();
            let looked = reader.read(move |_| begun.send(())).await;
            let why = looked.unwrap_err().to_string();
            if why.contains("policy/repos/shop.yml") {
                break;
            }
            tokio::time::sleep(soon).await;
        }
        let why = reader.read(|_| ()).await.unwrap_err().to_string();
        assert!(why.contains("cannot read policy/repos/shop.yml"), "{why}");
        assert!(begins.try_recv().is_err(), "a second read began");
        release.send(()).unwrap();
        while reader.read(|_| ()).await.is_err() {
            tokio::time::sleep(soon).await;
        }
    }

    #[tokio::test]
    async fn a_caller_waits_for_a_read_that_continues_with_other_files() {
        let mut reader = FileReader::default();
        let (_open, never) = channel::<()>();
        let read = reader.read_within(Duration::from_millis(300), move |at| {
            for file in 0..12 {
                at.note(Path::new(&format!("policy/repos/{file}.yml")));
                let _ = never.recv_timeout(Duration::from_millis(50)); // nobody sends anything
            }
        });
        read.await.unwrap();
    }

    #[tokio::test]
    async fn no_second_read_begins_after_the_caller_of_the_first_is_cancelled() {
        let mut reader = FileReader::default();
        let (release, hanging) = channel::<()>();
        let soon = Duration::from_millis(10);
        let cut_off = reader.read(move |_| hanging.recv());
        assert!(tokio::time::timeout(soon, cut_off).await.is_err());
        let (begun, begins) = channel();
        assert!(reader.read_within(soon, move |_| begun.send(())).await.is_err());
        assert!(begins.try_recv().is_err(), "a second read began");
        drop(release);
        while reader.read(|_| ()).await.is_err() {
            tokio::time::sleep(soon).await;
        }
    }
}
