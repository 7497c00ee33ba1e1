//! Storms with a crash while the store commits. After the crash, only a part of the last commit is
//! in the write-ahead log, or the last blocks of the log have other content.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use beadle_engine::store::prelude::*;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::inbox;

/// The size of a disk block, in bytes. Blocks are written in any order.
const BLOCK: usize = 512;

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| format!("{}: {error}", path.display())),
    }
}

/// Returns the log after a crash in the middle of the last commit. `before` is the log without this
/// commit, and `after` is the log with this commit.
fn crashed(random: &mut StdRng, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut log = after.to_vec();
    match random.random_range(0..4) {
        // The log ends anywhere.
        0 => log.truncate(random.random_range(before.len()..=after.len())),
        // The file already has its new length, but the new part has no content.
        1 => log[random.random_range(before.len()..=after.len())..].fill(0),
        // Some blocks have their new content, and the other blocks have no content.
        2 => {
            for block in log[before.len()..].chunks_mut(BLOCK) {
                if random.random_bool(0.3) {
                    block.fill(0);
                }
            }
        }
        // The disk wrote wrong values into some bytes.
        _ => {
            for _ in 0..random.random_range(1..20) {
                if before.len() < log.len() {
                    let at = random.random_range(before.len()..log.len());
                    log[at] ^= random.random_range(1..=u8::MAX);
                }
            }
        }
    }
    log
}

pub(crate) async fn run(random: &mut StdRng, folder: &Path) -> Result<(), String> {
    let path = folder.join("b.db");
    // This store has no thread, so the files change only during its calls.
    let store = SqliteStore::open_inline(&path, SqliteSettings::default());
    let store = store.map_err(|error| error.to_string())?;
    let count = random.random_range(1..12);
    for n in 0..count {
        if !inbox::give(&store, n).await {
            return Err(format!("delivery {n} was not accepted"));
        }
        if random.random_bool(0.1) {
            store.flush().await.map_err(|error| error.to_string())?;
        }
    }
    let accepted: BTreeSet<u32> = (0..count).collect();
    let (file, before) = (read(&path)?, read(&log_of(&path))?);
    if !inbox::give(&store, count).await {
        return Err("the last delivery was not accepted".into());
    }
    let after = read(&log_of(&path))?;
    if read(&path)? != file || !after.starts_with(&before) || after.len() == before.len() {
        return Err("a commit must only append to the log, see the settings of the connection".into());
    }
    let crashed_at = folder.join("crashed.db");
    let write = |path: &Path, content: &[u8]| {
        std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
    };
    write(&crashed_at, &file)?;
    write(&log_of(&crashed_at), &crashed(random, &before, &after))?;
    inbox::check(&crashed_at, &accepted, count + 1).await
}
