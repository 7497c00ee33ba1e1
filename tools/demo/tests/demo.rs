//! Tests of the demo as a person runs it.
#![expect(clippy::disallowed_methods, reason = "the real binary runs in real time")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The maximum time that the test waits for one step of the demo.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running demo. The demo is killed when this value is dropped.
struct Demo(Child);

impl Demo {
    fn has_ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

#[test]
fn an_interrupted_demo_removes_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_beadle-demo"));
    demo.arg("demo").env("TMPDIR", folder.path());
    demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut demo = Demo(demo.spawn().unwrap());
    let entries = |of: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    // After the service has started, the demo can handle the signal.
    let begun = Instant::now();
    while !entries(folder.path()).iter().any(|inside| inside.join("serve.log").exists()) {
        assert!(begun.elapsed() < PATIENCE && demo.has_ended().unwrap().is_none(), "the demo has no service");
        std::thread::sleep(Duration::from_millis(50));
    }
    let sent = Command::new("kill").args(["-INT", &demo.0.id().to_string()]).output().unwrap();
    assert!(sent.status.success(), "{sent:?}");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = demo.has_ended().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "the demo did not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(1));
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
}
