//! `beadle store copy`: copies a store from one place to another, such as from a file to a table.

use anyhow::{Context as _, bail};
use beadle_engine::{Clock, Copied};

use crate::app::store;
use crate::commands::FINE;
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use beadle_config::StoreLocation;

pub(crate) async fn copy(
    config: &Config,
    from: StoreLocation,
    to: StoreLocation,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let (from, to) = (from.absolute(), to.absolute());
    if !store::is_there(config, &from).await.with_context(|| from.to_string())? {
        bail!("the store {from} does not exist");
    }
    if from == to {
        bail!("the two stores must be different, found {from} twice");
    }
    let source = store::open_at(config, &from).await.with_context(|| from.to_string())?;
    make(config, &to, printer).await.with_context(|| to.to_string())?;
    let target = store::open_at(config, &to).await.with_context(|| to.to_string())?;
    let progress = Progress::new("copying deliveries", printer);
    let on_progress = |done, total| progress.at(done, total);
    let (window, now) = (config.longest_window() * 2, Clock::system().now());
    let copied = beadle_engine::copy(source.as_ref(), target.as_ref(), window, now, &on_progress).await;
    progress.end();
    let Copied { keys, deliveries, entries, holds, notes, pauses } =
        copied.with_context(|| format!("cannot copy {from} into {to}"))?;
    // After this step, the file alone is the complete copy. The copy does not need its write-ahead
    // log any more.
    target.flush().await.with_context(|| format!("the copy {to} is incomplete"))?;
    printer.line(format!(
        "copied {from} to {to}: {}, {}, {}, {}, {}, {}",
        counted(keys, "key", "keys"),
        counted(deliveries, "delivery", "deliveries"),
        counted(entries, "journal entry", "journal entries"),
        counted(holds, "held change", "held changes"),
        counted(pauses, "pause", "pauses"),
        counted(notes, "note", "notes")
    ));
    Ok(FINE)
}

/// Creates the table if it does not exist, and enables the expiry of items and point-in-time
/// recovery. Other stores do not need this step, because Beadle creates the file or the schema when
/// it opens them.
#[cfg(feature = "aws")]
async fn make(config: &Config, place: &StoreLocation, printer: &Printer) -> anyhow::Result<()> {
    if let StoreLocation::Table { .. } = place {
        let table = store::open_table(config, place).await?;
        table.create_table().await?;
        // An error here is only a warning, because the copy works even if the caller is only
        // allowed to read and write items.
        for done in [table.expire().await, table.protect().await] {
            if let Err(error) = done {
                printer.note(format!("{place}: {error}; change this setting where you create tables"));
            }
        }
    }
    Ok(())
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS' SDK it asks AWS")]
async fn make(_: &Config, _: &StoreLocation, _: &Printer) -> anyhow::Result<()> {
    Ok(())
}
