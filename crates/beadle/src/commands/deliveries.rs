//! `beadle deliveries`.

use anyhow::Context as _;
use beadle_engine::{Clock, Listing};

use crate::cli::ListArgs;
use crate::commands::FINE;
use crate::config::Config;
use crate::printer::{Printer, Tone};
use crate::wiring;

pub(crate) async fn run(config: &Config, args: &ListArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = wiring::existing(config).await?;
    if let Some(id) = &args.body {
        let body = store.body("github", id).await?;
        let body = body.with_context(|| format!("no body of a delivery `{id}` is kept"))?;
        printer.line(String::from_utf8_lossy(&body));
        return Ok(FINE);
    }
    let since = args.since.map(|since| Clock::system().now() - since);
    let listing = Listing { after: 0, since, key: args.key.clone(), limit: args.limit };
    let rows = store.deliveries(listing).await?;
    if rows.is_empty() && !args.json {
        printer.line("no deliveries");
    }
    for row in rows {
        if args.json {
            printer.line(serde_json::to_string(&row)?);
            continue;
        }
        let keys: Vec<&str> = row.keys.iter().map(beadle_engine::Key::as_str).collect();
        let keys = if keys.is_empty() { "nothing to look at".into() } else { keys.join(" ") };
        printer.line(format!(
            "{}  {}  {:34}  {}",
            row.received,
            row.id,
            row.event,
            printer.paint(Tone::Faint, keys)
        ));
    }
    Ok(FINE)
}
