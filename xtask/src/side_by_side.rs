//! Runs programs at the same time. The output of different programs is not mixed. At the end,
//! [`run`] prints the duration of each program in a table.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

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
pub(crate) fn run(jobs: Vec<Job>, at_once: usize) -> anyhow::Result<()> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let ended = Mutex::new(Vec::new());
    let next = || queue.lock().pop_front();
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            while let Some(job) = next() {
                let one = run_one(job)?;
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
fn run_one(job: Job) -> anyhow::Result<Ended> {
    let Job { name, mut command } = job;
    let begun = Instant::now();
    let (reader, writer) = std::io::pipe()?;
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    println!("{name} begins");
    // The command holds the writing ends of the pipe. The reader reaches the end only after the
    // command closes them.
    drop(command);
    let mut held = format!("\n== {name}\n");
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if is_of_one_test(&text) {
            print!("{text}");
        } else {
            held.push_str(&text);
        }
        line.clear();
    }
    let status = child.wait()?;
    print!("{held}");
    if !status.success() {
        println!("{name} ended with {status}");
    }
    Ok(Ended { name, took: begun.elapsed(), is_ok: status.success() })
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
        run(vec![job("a", &meets("a", "b")), job("b", &meets("b", "a"))], 2).unwrap();
    }

    #[test]
    fn a_job_that_fails_is_named_and_the_others_run() {
        let folder = tempfile::tempdir().unwrap();
        let last = folder.path().join("last");
        let jobs = vec![job("a", "exit 3"), job("b", &format!("echo b; touch {}", last.display()))];
        let failed = run(jobs, 1).unwrap_err();
        assert_eq!(failed.to_string(), "1 of 2 test programs failed: a");
        assert!(last.exists());
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
