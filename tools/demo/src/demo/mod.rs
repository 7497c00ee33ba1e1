//! `beadle demo`: the main job for real, before simulated vendors. Everything that it claims it reads back from their
//! state.

mod acts;
mod directory;
mod organisation;
mod service;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle::output::{Printer, Tone};
use beadle_sim::{Limits, Settings, Sim};

use service::Service;

use crate::{FAILED, FINE};

/// What every call to the simulated GitHub takes.
const LATENCY: Duration = Duration::from_millis(30);
/// What stands for the minute of the rate limits.
const MINUTE: Duration = Duration::from_secs(2);

pub(crate) async fn run(printer: &Printer) -> anyhow::Result<u8> {
    // Its folders and its service go with it, also when somebody has seen enough.
    tokio::select! {
        played = Box::pin(play(printer)) => played,
        _ = tokio::signal::ctrl_c() => {
            printer.note("interrupted; the demo's folder is removed");
            Ok(FAILED)
        }
    }
}

async fn play(printer: &Printer) -> anyhow::Result<u8> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let limits = Limits { minute: MINUTE, ..Limits::default() };
    let state = Some(organisation::state());
    let settings = Settings { limits, state, latency: LATENCY, record: false };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let ports = service::free_ports()?;
    organisation::write_files(folder.path(), &sim, &secret, ports, MINUTE)?;

    title(printer, "A simulated GitHub: the organisation `acme`, 40 repositories, some of them drifted");
    said(
        printer,
        "The policy (settings.yml) wants: private, no wiki, merged branches deleted, two teams and no others,",
    );
    said(printer, "and the default branch protected with one approval. Beadle is asked what it would do:");
    let plan = beadle(folder.path(), printer, &["plan"]).await?;
    if plan != Some(2) {
        bail!("`beadle plan` ended with {plan:?}, and 2 (changes are pending) was expected");
    }
    title(printer, "`beadle apply` makes it so");
    let applied = beadle_quietly(folder.path(), &["apply", "--yes"]).await?;
    for line in applied.lines().rev().take(1) {
        printer.line(format!("  {line}"));
    }
    let mut proof = Proof { printer, failed: false };
    let wrong = organisation::violations(&sim.state());
    proof.show(
        wrong.is_empty(),
        "every repository is as declared, read back from the simulator",
        &wrong.join("; "),
    );
    let again = beadle_quietly(folder.path(), &["plan"]).await?;
    proof.show(again.contains("nothing to change"), "a second plan finds nothing to change", &again);

    title(printer, "`beadle serve` runs, and things happen: each is a signed webhook, repaired in moments");
    let mut service = Service::start(folder.path(), ports).await?;
    sim.send_webhooks_to(beadle_sim::Hook { url: service.hook("github"), secret, organisation: false });
    acts::one_by_one(&sim, &mut proof).await?;

    title(printer, "A burst of 24 changes, and the service is killed (SIGKILL) in the middle of it");
    acts::burst(&sim, &mut service, folder.path(), &mut proof).await?;
    service.stop().await;

    directory::act(printer, &mut proof).await?;

    title(printer, if proof.failed { "Something above was not repaired" } else { "All of it was verified" });
    said(
        printer,
        "Next: `beadle example > beadle.toml`, a policy folder or mappings of groups, `beadle plan`.",
    );
    Ok(if proof.failed { FAILED } else { FINE })
}

/// Says what was verified, and remembers what was not.
struct Proof<'a> {
    printer: &'a Printer,
    failed: bool,
}

impl Proof<'_> {
    fn show(&mut self, holds: bool, what: &str, otherwise: &str) {
        if holds {
            self.printer.line(format!("  {} {what}", self.printer.paint(Tone::Good, "verified:")));
        } else {
            self.failed = true;
            self.printer
                .line(format!("  {} {what}: {otherwise}", self.printer.paint(Tone::Danger, "NOT SO:")));
        }
    }
}

fn title(printer: &Printer, text: &str) {
    printer.line("");
    printer.line(printer.paint(Tone::Heading, text));
}

fn said(printer: &Printer, text: &str) {
    printer.line(format!("  {text}"));
}

/// Runs this program again and prints what it prints.
async fn beadle(folder: &Path, printer: &Printer, args: &[&str]) -> anyhow::Result<Option<i32>> {
    let output = service::command(folder)?.args(args).output().await?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        printer.line(format!("  {line}"));
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        printer.note(format!("  {line}"));
    }
    Ok(output.status.code())
}

async fn beadle_quietly(folder: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = service::command(folder)?.args(args).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
