//! `beadle demo`: runs the real program against simulated vendors. For each printed statement, the
//! demo checks the state of the simulated vendors.

mod acts;
mod directory;
mod narration;
mod organisation;
mod service;

use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle::output::Printer;
use beadle_sim::{Limits, Settings, Sim};

use narration::{Proof, beadle, beadle_quietly, narrate, title};
use service::Service;

use crate::{FAILED, FINE};

/// The delay before each answer from the simulated GitHub.
const LATENCY: Duration = Duration::from_millis(30);
/// The length of the minute in the simulated rate limits.
const MINUTE: Duration = Duration::from_secs(2);

pub(crate) async fn run(printer: &Printer) -> anyhow::Result<u8> {
    // The demo must remove its folders and stop its service, even after Ctrl-C.
    tokio::select! {
        played = Box::pin(play(printer)) => played,
        _ = tokio::signal::ctrl_c() => {
            printer.note("interrupted; the demo removed its files");
            Ok(FAILED)
        }
    }
}

async fn play(printer: &Printer) -> anyhow::Result<u8> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let limits = Limits { minute: MINUTE, ..Limits::default() };
    let state = Some(organisation::state());
    let settings = Settings { limits, state, latency: LATENCY, record: false };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let ports = service::free_ports()?;
    organisation::write_files(folder.path(), &sim, &secret, ports, MINUTE)?;

    title(
        printer,
        "1. Plan: a simulated GitHub organisation `acme` with 40 repositories, some of them drifted",
    );
    narrate(printer, "The policy declares for every repository: private, no wiki, merged branches deleted,");
    narrate(printer, "exactly two teams, and a default branch that requires one approval.");
    narrate(printer, "`beadle plan` shows the differences. It writes nothing.");
    printer.line("");
    let plan = beadle(folder.path(), printer, &["plan"]).await?;
    if plan != Some(2) {
        bail!("`beadle plan` must exit with 2 (changes are pending), found {plan:?}");
    }
    title(printer, "2. Apply: `beadle apply` writes these changes");
    let applied = beadle_quietly(folder.path(), &["apply", "--yes"]).await?;
    for line in applied.lines().rev().take(1) {
        printer.line(format!("  {line}"));
    }
    let mut proof = Proof { printer, failed: false };
    let wrong = organisation::violations(&sim.state());
    proof.show(
        wrong.is_empty(),
        "every repository matches the policy (read from the simulated GitHub)",
        &wrong.join("; "),
    );
    let again = beadle_quietly(folder.path(), &["plan"]).await?;
    proof.show(again.contains("nothing to change"), "a second plan has no changes", &again);

    title(printer, "3. Serve: people change repositories, GitHub sends webhooks, Beadle repairs the drift");
    narrate(printer, "`beadle serve` runs in the background.");
    let mut service = Service::start(folder.path(), ports).await?;
    sim.send_webhooks_to(beadle_sim::Hook { url: service.hook("github"), secret, organisation: false });
    acts::one_by_one(&sim, &mut proof).await?;

    title(printer, "4. Crash: 24 repositories change at once, and the service is killed (SIGKILL) meanwhile");
    acts::burst(&sim, &mut service, folder.path(), &mut proof).await?;
    service.stop().await;

    directory::act(printer, &mut proof).await?;

    let end = if proof.failed { "The demo failed: see FAILED above" } else { "The demo verified every step" };
    title(printer, end);
    narrate(
        printer,
        "Next: run `beadle example > beadle.toml` and edit the file, then run `beadle check` and `beadle plan`.",
    );
    narrate(
        printer,
        "A new organisation is in mode `observe`: Beadle shows the changes and writes none of them.",
    );
    Ok(if proof.failed { FAILED } else { FINE })
}
