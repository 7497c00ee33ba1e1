//! Storms in a separate process. The shell limits the size of the process's files, or gives the
//! process a small disk. The shell then runs this test program again.
//!
//! If a write exceeds the maximum file size, it ends in the middle: the first part is written, and
//! the rest fails with an error. SQLite treats this error as an error of the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::{inbox, number};

/// The name of the test that is the child.
const CHILD: &str = "child::accepts_what_it_can";
/// The environment variables that control the child.
const FOLDER: &str = "DISKS_FOLDER";
const GIVEN: &str = "DISKS_GIVEN";
const KIND: &str = "DISKS_KIND";
/// The value of [`KIND`] for a child with a small disk. This child checks the store after the
/// deliveries.
const FULL: u64 = 1;

/// Runs the child in a shell. `script` prepares the process and then runs the command in the
/// script's arguments. Returns which deliveries the store accepted, by their numbers.
fn child(
    before: &[&str],
    script: &str,
    folder: &Path,
    given: u32,
    kind: u64,
) -> Result<BTreeSet<u32>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut words = before.iter().copied().chain(["sh", "-c", script, "sh"]);
    let mut command = Command::new(words.next().unwrap_or("sh"));
    command.args(words).arg(folder).arg(program).args(["--exact", CHILD, "--nocapture"]);
    command.env(FOLDER, folder).env(GIVEN, given.to_string()).env(KIND, kind.to_string());
    let output = command.output().map_err(|error| format!("sh: {error}"))?;
    let out = String::from_utf8_lossy(&output.stdout);
    // libtest can print the name of the test earlier in the same line.
    let accepted = out.lines().filter_map(|line| line.split("accepted ").nth(1)?.trim().parse().ok());
    if output.status.success() {
        return Ok(accepted.collect());
    }
    Err(format!("the child failed: {out}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Runs a storm in which writes fail in the middle of the log, the file or the shared memory.
/// Afterwards the disk works again.
pub(crate) async fn failing(random: &mut StdRng, folder: &Path) -> Result<(), String> {
    // The shell counts blocks of 512 bytes.
    let blocks: u32 = random.random_range(1..4_000);
    let given = random.random_range(5..60);
    let script = format!("trap '' XFSZ; ulimit -f {blocks} || exit 3; shift; exec \"$@\"");
    let accepted = child(&[], &script, folder, given, 0)?;
    inbox::check(&folder.join("b.db"), &accepted, given).await
}

/// Runs a storm in which the disk is full, and later read-only. Only the child sees this disk, so
/// the child also checks the content of the store. Returns the name of the storm.
pub(crate) fn full(random: &mut StdRng, folder: &Path) -> Result<&'static str, String> {
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    let tried = Command::new(namespace[0]).args(&namespace[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return Ok("not full, because this system gives no namespace to a process");
    }
    let size = random.random_range(200..2_000);
    let script = format!("mount -t tmpfs -o size={size}k tmpfs \"$1\" || exit 3; cd /; shift; exec \"$@\"");
    child(&namespace, &script, folder, 300, FULL).map(|_| "full")
}

/// Runs as the child. Without the environment variables, this test does nothing, so a normal test
/// run can include it.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the parent gives the folder")]
async fn accepts_what_it_can() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let path = folder.join("b.db");
    let given = number(GIVEN).and_then(|given| u32::try_from(given).ok()).unwrap();
    let Ok(store) = SqliteStore::open(&path, SqliteSettings::default()) else { return };
    let mut accepted = BTreeSet::new();
    for n in 0..given {
        if inbox::give(&store, n).await {
            accepted.insert(n);
            println!("\naccepted {n}");
        }
    }
    if number(KIND) == Some(FULL) {
        let count = u32::try_from(accepted.len()).unwrap();
        assert!(count < given, "the disk was not full");
        drop(store);
        end_full(folder, &path, &accepted, given).await;
    }
}

/// Checks a store on a full disk. At first, the disk is read-only. Later, the disk has more room.
async fn end_full(folder: &Path, path: &Path, accepted: &BTreeSet<u32>, given: u32) {
    mount(folder, "remount,ro").await;
    if let Ok(store) = SqliteStore::open(path, SqliteSettings::default()) {
        assert!(!inbox::give(&store, given).await, "a read-only disk accepted a delivery");
    }
    // The connections of a process share the files that SQLite opened. While a connection is open
    // that was opened on the read-only disk, a new connection cannot write either.
    until_closed(folder).await;
    mount(folder, "remount,rw,size=64m").await;
    inbox::check(path, accepted, given).await.unwrap();
}

/// Waits until this process has no open file in a folder. The threads of a store close its files a
/// moment after the store is closed.
async fn until_closed(folder: &Path) {
    let is_inside = |link: std::fs::DirEntry| {
        std::fs::read_link(link.path()).is_ok_and(|target| target.starts_with(folder))
    };
    for _ in 0..500 {
        if !std::fs::read_dir("/proc/self/fd").unwrap().flatten().any(is_inside) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the files of the store stay open");
}

/// Changes the options of the disk.
async fn mount(folder: &Path, options: &str) {
    for _ in 0..100 {
        let mounted = Command::new("mount").args(["-o", options]).arg(folder).output().unwrap();
        if mounted.status.success() {
            return;
        }
        // The threads of a store close its file a moment after the store is closed.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the disk does not take the options {options}");
}
