//! Runs programs in tests. A program does not inherit the output of the test program, and does not
//! outlive its test. A reader of the test program's output waits until every process that inherited
//! the output has ended.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The maximum time of a command and of a request. nextest ends a test after the same time.
pub(crate) const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The result of running the binary.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Runs a command to its end. In the meantime, the simulations continue to answer.
    pub(crate) async fn of(mut command: Command, args: &[&str]) -> Self {
        command.args(args);
        let output = output(command).await;
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

/// Runs a command to its end, and returns its output. If the test ends first, for example with a
/// panic, the command is killed. A thread that waited for the command would delay the end of the
/// test, because a runtime of tokio waits for its threads.
pub(crate) async fn output(command: Command) -> Output {
    run(command, Stdio::piped()).await
}

/// Does the same as [`output`], but the command writes its errors to a file.
pub(crate) async fn output_with_log(command: Command, log: File) -> Output {
    run(command, log.into()).await
}

async fn run(mut command: Command, errors: Stdio) -> Output {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn();
    let child = child.unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    ended.unwrap_or_else(|_| panic!("it did not end within {} s: {shown}", LIMIT.as_secs())).unwrap()
}

/// Sends a signal to a process.
#[track_caller]
pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

/// A program, and the processes that the program starts. The program and these processes are killed
/// when the value is dropped.
pub(crate) struct ProcessGroup(Child);

impl ProcessGroup {
    /// Starts a program that starts other processes.
    pub(crate) fn start(mut command: Command) -> Self {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The shell has its own `kill`. A negative number means the group.
        let script = "kill -s KILL -- \"-$0\"";
        let _ = Command::new("sh").args(["-c", script, &self.0.id().to_string()]).output();
        let _ = self.0.kill(); // the process has probably ended
        let _ = self.0.wait();
    }
}

/// Returns whether a process runs. A killed process can still be in the list of processes.
fn is_running(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until a program has written a line with the number of a process to a file.
async fn until_written(file: &std::path::Path) -> String {
    for _ in 0..3000 {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(number) = text.strip_suffix('\n') {
            return number.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing is in {}", file.display());
}

async fn until_ended(process: &str) {
    for _ in 0..3000 {
        if !is_running(process) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the process {process} still runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_its_test_stops_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0\"; exec sleep 600"]).arg(&file);
    let process = tokio::select! {
        output = output(command) => panic!("{output:?}"),
        process = until_written(&file) => process,
    };
    until_ended(&process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_of_a_program_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process");
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 600 & echo $! > \"$0\"; wait"]).arg(&file);
    let group = ProcessGroup::start(command);
    let process = until_written(&file).await;
    assert!(is_running(&process));
    drop(group);
    until_ended(&process).await;
}
