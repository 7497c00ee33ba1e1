//! `beadle journal`: prints what Beadle wrote, held and refused.

use beadle_engine::journal::IntendedChange;
use beadle_engine::{Clock, Detail, Entry, Listing};
use serde_json::Value;

use crate::app::directories_and_targets::group_keys;
use crate::app::store;
use crate::cli::{JournalArgs, JournalFormat};
use crate::commands::FINE;
use crate::commands::names::{self, PAGE};
use crate::config::Config;
use crate::output::escape::{self, VALUE};
use crate::output::journal_sentence::sentence;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(config: &Config, args: &JournalArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let since = args.since.map(|since| Clock::system().now() - since);
    let asked = match (&args.group, &args.key) {
        (Some(name), _) => group_keys(config, &store, name).await?,
        (None, Some(text)) => names::keys(config, &store, text).await?,
        (None, None) => Vec::new(),
    };
    let keys: Vec<String> = asked.iter().map(ToString::to_string).collect();
    // The store can filter by one key only. For several keys, this function filters.
    let key = keys.first().filter(|_| keys.len() == 1).cloned();
    let mut after = args.after;
    let mut shown = 0_usize;
    loop {
        let listing = Listing { after, since, key: key.clone(), limit: PAGE };
        let entries = store.entries(listing).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        for entry in entries.iter().filter(|entry| keys.is_empty() || keys.contains(&entry.key)) {
            shown += 1;
            match args.format {
                JournalFormat::Ndjson => printer.json(&serde_json::to_string(entry)?),
                JournalFormat::Text => printer.line(text(entry, printer)),
            }
        }
    }
    if shown == 0 {
        names::ensure_known(store.as_ref(), &asked).await?;
        printer.note(if keys.is_empty() {
            "the journal has no entries"
        } else {
            "the journal has no entries for this key"
        });
    }
    Ok(FINE)
}

fn text(entry: &Entry, printer: &Printer) -> String {
    let detail = match (&entry.detail, entry.intent) {
        (Detail::Change(IntendedChange { change, .. }), _) => {
            let fields = change
                .fields
                .iter()
                .map(|field| format!("{}: {} → {}", field.name, value(&field.before), value(&field.after)));
            format!("{} {} {}", change.aspect, change.what, fields.collect::<Vec<_>>().join("; "))
        }
        (detail, Some(intent)) => format!("of {intent}: {}", escape::cut(&detail.to_string(), DETAIL)),
        (detail, None) => {
            let text = sentence(detail).unwrap_or_else(|| detail.to_string());
            escape::cut(&text, DETAIL)
        }
    };
    let kind = printer.paint(Tone::Heading, format!("{:8}", entry.kind.as_str()));
    let subject = escape::cut(&entry.subject, VALUE);
    format!("{:6}  {}  {kind}  {subject:30}  {detail}", entry.seq, entry.at)
}

/// The maximum number of characters of an entry's detail in the text output. `--format ndjson`
/// prints the whole detail.
const DETAIL: usize = 4 * VALUE;

fn value(value: &Value) -> String {
    escape::cut(&value.to_string(), VALUE)
}
