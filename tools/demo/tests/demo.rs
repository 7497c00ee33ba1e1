//! Tests of the demo as a person runs it.
#![expect(clippy::disallowed_methods, reason = "the real binary runs in real time")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The maximum time that the test waits until the demo's service has started.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_interrupted_demo_removes_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_beadle-demo"));
    demo.arg("demo").env("TMPDIR", folder.path());
    demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut demo = demo.spawn().unwrap();
    let entries = |of: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    // After the service has started, the demo can handle the signal.
    let begun = Instant::now();
    while !entries(folder.path()).iter().any(|inside| inside.join("serve.log").exists()) {
        assert!(begun.elapsed() < PATIENCE && demo.try_wait().unwrap().is_none(), "the demo has no service");
        std::thread::sleep(Duration::from_millis(50));
    }
    let id = demo.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
}
