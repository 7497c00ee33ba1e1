//! `beadle store copy`: a state that moves from a file to a table, or back.

use anyhow::{Context as _, bail};
use beadle_engine::{Clock, Copied};

use crate::app::store;
use crate::app::store_location::StoreLocation;
use crate::commands::FINE;
use crate::config::Config;
use crate::output::printer::Printer;
use crate::output::progress::Progress;

pub(crate) async fn copy(
    config: &Config,
    from: StoreLocation,
    to: StoreLocation,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let (from, to) = (from.absolute(), to.absolute());
    if let StoreLocation::File(path) = &from
        && !path.exists()
    {
        bail!("there is no {from}");
    }
    if from == to {
        bail!("{from} cannot be copied into itself");
    }
    let source = store::open_at(config, &from).await.with_context(|| from.to_string())?;
    make(config, &to, printer).await.with_context(|| to.to_string())?;
    let target = store::open_at(config, &to).await.with_context(|| to.to_string())?;
    let progress = Progress::new("copying deliveries", printer);
    let told = |done, total| progress.at(done, total);
    let (window, now) = (config.longest_window() * 2, Clock::system().now());
    let copied = beadle_engine::copy(source.as_ref(), target.as_ref(), window, now, &told).await;
    progress.end();
    let Copied { keys, deliveries, entries, holds, notes, pauses } =
        copied.with_context(|| format!("{from} is not copied into {to}"))?;
    // The file alone is the copy from here on, whatever takes it next.
    target.flush().await.with_context(|| format!("the copy {to} is incomplete"))?;
    printer.line(format!(
        "{to} has what {from} has: {keys} keys, {deliveries} deliveries, {entries} journal entries, {holds} held changes, \
         {pauses} pauses, {notes} notes"
    ));
    Ok(FINE)
}

/// Makes a table, where there is none, whose items expire and which can be restored. A file is made when it is opened.
#[cfg(feature = "aws")]
async fn make(config: &Config, place: &StoreLocation, printer: &Printer) -> anyhow::Result<()> {
    if let StoreLocation::Table { .. } = place {
        let table = store::open_table(config, place).await?;
        table.create_table().await?;
        // Whoever may only write items copies all the same.
        for done in [table.expire().await, table.protect().await] {
            if let Err(error) = done {
                printer.note(format!("{place}: {error}; do it where tables are made"));
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
