//! Runs programs at the same time. The output of different programs is not mixed. At the end,
//! [`run`] prints the duration of each program in a table.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, PipeReader};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;

/// The maximum time between the end of a program and the end of its output. The output ends later,
/// or never, if the program leaves a process behind that can still write to the output.
const LEFTOVER: Duration = Duration::from_secs(10);

/// A program to run.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) command: Command,
}

/// The result of a job.
struct Ended {
    name: String,
    took: Duration,
    is_ok: bool,
}

/// Runs all jobs, at most `at_once` of them at the same time. Jobs start in the given order. If a
/// job fails, the other jobs still run, and the function returns an error at the end.
///
/// If a job prints the result of a libtest test, the function shows this line immediately. So a
/// developer can find a test that does not end. The function shows all other lines of a job
/// together when the job ends.
///
/// If a job prints nothing for the time `silence`, the function kills the job, and names the tests
/// of the job that have not ended.
pub(crate) fn run(jobs: Vec<Job>, at_once: usize, silence: Duration) -> anyhow::Result<()> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let ended = Mutex::new(Vec::new());
    let next = || queue.lock().pop_front();
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            while let Some(job) = next() {
                let one = run_one(job, silence)?;
                ended.lock().push(one);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread that ran a program panicked"),
        })
    })?;
    summary(&ended.into_inner())
}

#[expect(clippy::print_stdout, reason = "the output of the programs is what this is for")]
#[expect(clippy::disallowed_methods, reason = "a developer's command measures the real time")]
fn run_one(job: Job, silence: Duration) -> anyhow::Result<Ended> {
    let Job { name, mut command } = job;
    let begun = Instant::now();
    let (reader, writer) = std::io::pipe()?;
    let pipe = std::fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).ok();
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    println!("{name} begins");
    // The command holds the writing ends of the pipe. The reader reaches the end only after the
    // command closes them.
    drop(command);
    let output = Arc::new(Output::default());
    let (lines, read) = std::sync::mpsc::channel();
    let shared = Arc::clone(&output);
    // A scope would wait for this thread, and so for processes that the program leaves behind.
    std::thread::spawn(move || shared.read(reader, &lines));
    let (status, hangs) = wait(&mut child, &read, silence)?;
    if hangs {
        println!("{name} printed nothing for {} s, so it was killed", silence.as_secs());
        for test in &*output.running.lock() {
            println!("{name}: {test} had not ended");
        }
    }
    if !ends(&read) {
        let left = pipe.map(|pipe| holders(&pipe)).unwrap_or_default();
        println!("{name} ended, and left these processes behind: {left:?}");
    }
    println!("\n== {name}\n{}", output.held.lock().trim_end_matches('\n'));
    if !status.success() {
        println!("{name} ended with {status}");
    }
    Ok(Ended { name, took: begun.elapsed(), is_ok: status.success() })
}

/// The output of a program.
#[derive(Default)]
struct Output {
    /// The lines that are shown when the program ends.
    held: Mutex<String>,
    /// The slow tests that have not ended.
    running: Mutex<BTreeSet<String>>,
}

impl Output {
    /// Reads all lines. Sends a message for each line, and drops the sender at the end.
    #[expect(clippy::print_stdout, reason = "the results of tests are shown immediately")]
    fn read(&self, reader: PipeReader, lines: &std::sync::mpsc::Sender<()>) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            if is_of_one_test(&text) {
                print!("{text}");
                self.note(&text);
            } else {
                self.held.lock().push_str(&text);
            }
            line.clear();
            if lines.send(()).is_err() {
                return;
            }
        }
    }

    /// Notes whether a slow test is still running.
    fn note(&self, line: &str) {
        let Some(test) = line.split(' ').nth(1) else { return };
        let mut running = self.running.lock();
        if line.trim_end().ends_with(" seconds") {
            running.insert(test.to_owned());
        } else {
            running.remove(test);
        }
    }
}

/// Waits for the end of a program. Kills the program if it prints nothing for the time `silence`.
/// The second value is `true` if the program was killed.
#[expect(clippy::disallowed_methods, reason = "a developer's command measures the real time")]
fn wait(child: &mut Child, lines: &Receiver<()>, silence: Duration) -> anyhow::Result<(ExitStatus, bool)> {
    let mut last = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(()) => last = Instant::now(),
            Err(RecvTimeoutError::Timeout) => {}
            // The program has closed its output, so it prints nothing more.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(100)),
        }
        if last.elapsed() > silence {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
    }
}

/// Waits for the end of the output. Returns `false` if the output does not end in time.
#[expect(clippy::disallowed_methods, reason = "a developer's command measures the real time")]
fn ends(lines: &Receiver<()>) -> bool {
    let until = Instant::now() + LEFTOVER;
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // A process that is left behind can print all the time.
            Ok(()) if Instant::now() < until => {}
            Ok(()) | Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

/// Returns the command lines of the other processes that have this pipe open. Returns nothing on a
/// system without `/proc`.
fn holders(pipe: &Path) -> Vec<String> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    // The entries of processes are numbers. Other entries of `/proc` are words, such as `self`.
    let is_other = |process: &Path| {
        let id = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        id.is_some_and(|id| id != std::process::id())
    };
    let holds = |process: &Path| {
        folders(&process.join("fd")).iter().any(|fd| std::fs::read_link(fd).is_ok_and(|to| to == pipe))
    };
    let processes =
        folders(Path::new("/proc")).into_iter().filter(|process| is_other(process) && holds(process));
    let line = |process: PathBuf| std::fs::read_to_string(process.join("cmdline")).ok();
    processes.filter_map(line).map(|line| line.trim_end_matches('\0').replace('\0', " ")).collect()
}

/// Returns whether `line`, which is a line of libtest's output, contains the result of one test or
/// reports a slow test.
fn is_of_one_test(line: &str) -> bool {
    let ends = [" ... ok", " ... FAILED", " ... ignored", " seconds"];
    let line = line.trim_end();
    line.starts_with("test ")
        && !line.starts_with("test result")
        && ends.iter().any(|end| line.ends_with(end))
}

#[expect(clippy::print_stdout, reason = "the times are part of the output")]
fn summary(ended: &[Ended]) -> anyhow::Result<()> {
    println!("\n== times");
    for Ended { name, took, is_ok } in ended {
        println!("{:7.1} s  {:6}  {name}", took.as_secs_f64(), if *is_ok { "ok" } else { "FAILED" });
    }
    let failed: Vec<&str> = ended.iter().filter(|one| !one.is_ok).map(|one| one.name.as_str()).collect();
    if !failed.is_empty() {
        bail!("{} of {} test programs failed: {}", failed.len(), ended.len(), failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_mins(20);

    fn job(name: &str, script: &str) -> Job {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Job { name: name.to_owned(), command }
    }

    #[test]
    fn jobs_run_side_by_side() {
        // Each job waits for a file that the other job writes. So they end only if they run at the
        // same time.
        let folder = tempfile::tempdir().unwrap();
        let meets = |own: &str, other: &str| {
            let (own, other) = (folder.path().join(own), folder.path().join(other));
            let (own, other) = (own.display(), other.display());
            format!("touch {own}; for i in $(seq 100); do [ -e {other} ] && exit 0; sleep 0.1; done; exit 1")
        };
        run(vec![job("a", &meets("a", "b")), job("b", &meets("b", "a"))], 2, SILENCE).unwrap();
    }

    #[test]
    fn a_job_that_fails_is_named_and_the_others_run() {
        let folder = tempfile::tempdir().unwrap();
        let last = folder.path().join("last");
        let jobs = vec![job("a", "exit 3"), job("b", &format!("echo b; touch {}", last.display()))];
        let failed = run(jobs, 1, SILENCE).unwrap_err();
        assert_eq!(failed.to_string(), "1 of 2 test programs failed: a");
        assert!(last.exists());
    }

    #[test]
    fn a_process_that_is_left_behind_does_not_delay_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        run(vec![job("a", &format!("sleep 600 & echo $! >{}", pid.display()))], 1, SILENCE).unwrap();
        // The process still runs, and still has the output open.
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    }

    #[test]
    fn a_process_that_is_left_behind_is_found() {
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = std::fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
        let mut child = Command::new("sleep").arg("600.25").stdout(writer).spawn().unwrap();
        let found = holders(&pipe);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, ["sleep 600.25"]);
    }

    #[test]
    fn a_job_that_prints_nothing_is_killed_and_its_slow_tests_are_known() {
        let line = "test guard::a_hold has been running for over 60 seconds";
        let jobs = vec![job("a", &format!("echo '{line}'; exec sleep 600"))];
        let failed = run(jobs, 1, Duration::from_secs(1)).unwrap_err();
        assert_eq!(failed.to_string(), "1 of 1 test programs failed: a");
        let output = Output::default();
        output.note(line);
        output.note("test guard::another has been running for over 60 seconds");
        output.note("test guard::another ... ok");
        assert_eq!(output.running.into_inner(), BTreeSet::from(["guard::a_hold".to_owned()]));
    }

    #[test]
    fn lines_about_one_test_are_recognised() {
        assert!(is_of_one_test("test guard::a_hold ... ok\n"));
        assert!(is_of_one_test("test guard::a_hold ... FAILED\n"));
        assert!(is_of_one_test("test guard::a_hold has been running for over 60 seconds\n"));
        assert!(!is_of_one_test("test result: ok. 3 passed; 0 failed\n"));
        assert!(!is_of_one_test("running 3 tests\n"));
    }
}
