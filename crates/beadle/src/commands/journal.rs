//! `beadle journal`.

use beadle_engine::{Clock, Entry, EntryKind, Listing};

use crate::cli::{JournalArgs, JournalFormat};
use crate::commands::FINE;
use crate::config::Config;
use crate::directory::called;
use crate::printer::{Printer, Tone};
use crate::wiring;

/// Entries in one read, so that a long journal is never held as a whole.
const PAGE: u32 = 1000;

pub(crate) async fn run(config: &Config, args: &JournalArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = wiring::existing(config).await?;
    let since = args.since.map(|since| Clock::system().now() - since);
    let keys: Vec<String> = match &args.group {
        Some(name) => called(config, &store, name).await?.iter().map(ToString::to_string).collect(),
        None => Vec::new(),
    };
    // One key is asked for; of several, what belongs to none is passed over.
    let key = args.key.clone().or_else(|| keys.first().filter(|_| keys.len() == 1).cloned());
    let mut after = args.after;
    loop {
        let listing = Listing { after, since, key: key.clone(), limit: PAGE };
        let entries = store.entries(listing).await?;
        let Some(last) = entries.last() else { return Ok(FINE) };
        after = last.seq;
        for entry in entries.iter().filter(|entry| keys.is_empty() || keys.contains(&entry.key)) {
            match args.format {
                JournalFormat::Ndjson => printer.line(serde_json::to_string(entry)?),
                JournalFormat::Text => printer.line(text(entry, printer)),
            }
        }
    }
}

fn text(entry: &Entry, printer: &Printer) -> String {
    let detail = match entry.kind {
        EntryKind::Intent => {
            let detail = &entry.detail;
            let fields = detail["fields"].as_array().into_iter().flatten();
            let fields: Vec<String> = fields
                .map(|field| {
                    format!(
                        "{}: {} → {}",
                        field["name"].as_str().unwrap_or_default(),
                        field["before"],
                        field["after"]
                    )
                })
                .collect();
            let what = detail["what"].as_str().unwrap_or_default();
            format!("{} {what} {}", detail["aspect"].as_str().unwrap_or_default(), fields.join("; "))
        }
        EntryKind::Result => {
            let intent = entry.intent.unwrap_or_default();
            format!("of {intent}: {}", entry.detail)
        }
        _ => entry.detail.to_string(),
    };
    let kind = printer.paint(Tone::Heading, format!("{:8}", entry.kind.as_str()));
    format!("{:6}  {}  {kind}  {:30}  {detail}", entry.seq, entry.at, entry.subject)
}
