//! `beadle journal`: shows the writes, holds and refusals of Beadle, and their causes.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{AuthoredPolicies, Clock, Entry, EntryKind, History, Key, Listing, Risk, Store, Time};

use crate::app::groups::directories_and_targets::group_keys;
use crate::app::operations::key_names::{self as names, PAGE};
use crate::app::store;
use crate::cli::{JournalArgs, JournalFormat};
use crate::commands::FINE;
use crate::commands::shared::policies_behind_writes::WritePolicies;
use crate::config::Config;
use crate::journal::stories::Stories;
use crate::journal::stories_forwards::StoriesForwards;
use crate::journal::story::{Story, is_named};
use crate::output::journal_attribution::POLICIES;
use crate::output::journal_line::{is_shown, line};
use crate::output::left_out::LeftOut;
use crate::output::printer::Printer;

/// The time between two reads of new entries with `--follow`.
const POLL: Duration = Duration::from_secs(1);
/// The maximum time that `--follow` waits for the end of a run. After this time, `--follow` shows
/// the writes of the run.
const RUN: Duration = Duration::from_secs(30);

pub(crate) async fn run(config: &Config, args: &JournalArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let keys = match (&args.group, &args.repo, &args.key) {
        (Some(name), ..) => group_keys(config, &store, name).await?,
        (_, Some(name), _) => names::repository_keys(config, &store, name).await?,
        (_, _, Some(text)) => names::keys(config, &store, text).await?,
        _ => Vec::new(),
    };
    let clock = Clock::system();
    let organisations = config.orgs(None)?.into_iter().map(|org| org.name.clone()).collect();
    let since = args.since.map(|since| clock.now() - since);
    let search = Search { store, config, keys, organisations, since, args };
    let shown = match args.format {
        JournalFormat::Ndjson => {
            anyhow::ensure!(
                args.only.is_empty() && args.who.is_none(),
                "`--only` and `--who` need `--format text`\nhint: filter the JSON with a program such as `jq`"
            );
            search.export(&clock, printer).await?
        }
        JournalFormat::Text if args.follow => search.follow(&clock, printer).await?,
        JournalFormat::Text => search.list(printer).await?,
    };
    if shown == 0 {
        names::ensure_known(search.store.as_ref(), &search.keys).await?;
        printer.note(if search.keys.is_empty() && args.only.is_empty() && args.who.is_none() {
            "the journal has no entries"
        } else {
            "the journal has no such entries"
        });
    }
    Ok(FINE)
}

/// The entries that the command shows.
struct Search<'a> {
    store: Arc<dyn Store>,
    config: &'a Config,
    keys: Vec<Key>,
    /// The configured organisations.
    organisations: Vec<String>,
    since: Option<Time>,
    args: &'a JournalArgs,
}

impl Search<'_> {
    /// Prints the sentences, the newest first. Returns their number.
    async fn list(&self, printer: &Printer) -> anyhow::Result<usize> {
        let history = History {
            after: self.args.after,
            since: self.since,
            // The store can select the entries of one kind, or the writes with certain risks. The
            // store cannot combine both conditions in one search.
            kind: self.kind_of_store(),
            risks: if self.kinds().is_empty() { self.risks() } else { Vec::new() },
            limit: PAGE,
            ..History::default()
        };
        let mut stories = Stories::new(&self.store, &self.keys, &history);
        let mut policies = WritePolicies::new(&self.store, self.config);
        let mut authored = AuthoredPolicies::default();
        self.read_authored(&mut authored).await?;
        let (mut shown, mut has_policy) = (0, false);
        while let Some(story) = stories.next_story().await? {
            if !self.has(&story, &authored) {
                continue;
            }
            if shown == self.args.limit {
                // To count the older entries, Beadle would have to read the whole journal.
                LeftOut::Uncounted.note(("older entry", "older entries"), shown as u64, printer);
                break;
            }
            shown += 1;
            let story = policies.add_to(self.named(story).await?).await?;
            has_policy |= story.attribution.policy.is_some();
            printer.line(self.line(&story, printer));
            if printer.is_closed() {
                break;
            }
        }
        if authored.has_unread() {
            printer.note(AuthoredPolicies::unread_note("this author"));
        }
        if has_policy {
            printer.note(POLICIES);
        }
        Ok(shown)
    }

    /// With `--who`, finds the policies of the author in `--who` that came into force since the
    /// previous call.
    async fn read_authored(&self, authored: &mut AuthoredPolicies) -> anyhow::Result<()> {
        if let Some(who) = &self.args.who {
            authored.read_newer(self.store.as_ref(), &|author: &str| is_named(author, who)).await?;
        }
        Ok(())
    }

    /// Returns the line for a story. The line includes the number of the entry if the user wants
    /// this number.
    fn line(&self, story: &Story, printer: &Printer) -> String {
        let line = line(story, &self.organisations, printer);
        if self.args.numbers { format!("{}  {line}", story.entry.seq) } else { line }
    }

    /// If the entry of a story contains a key but no name, replaces the key with a name.
    async fn named(&self, mut story: Story) -> anyhow::Result<Story> {
        let entry = &mut story.entry;
        if (entry.subject.is_empty() || entry.subject == entry.key)
            && let Ok(key) = entry.key.parse::<Key>()
            && let Some(name) = names::name(self.store.as_ref(), &key).await?
        {
            entry.subject = name;
        }
        Ok(story)
    }

    /// Prints sentences in the order of the journal. Ends when the user stops the command, or when
    /// nobody reads the output any more. Returns the number of sentences.
    async fn follow(&self, clock: &Clock, printer: &Printer) -> anyhow::Result<usize> {
        let mut forwards = StoriesForwards::default();
        let mut authored = AuthoredPolicies::default();
        self.read_authored(&mut authored).await?;
        if authored.has_unread() {
            printer.note(AuthoredPolicies::unread_note("this author"));
        }
        let (mut after, mut shown) = (self.args.after, 0);
        if after == 0 && self.since.is_none() {
            let newest = self.store.newest_entries(History { limit: 1, ..History::default() }).await?;
            after = newest.first().map_or(0, |entry| entry.seq);
        }
        while !printer.is_closed() {
            let entries = self.page(&mut after).await?;
            let is_quiet = entries.is_empty();
            let mut stories: Vec<Story> = Vec::new();
            for entry in entries.into_iter().filter(|entry| self.is_of_keys(entry)) {
                stories.extend(forwards.take(entry));
            }
            if is_quiet {
                stories.extend(forwards.older_than(clock.now() - RUN));
            }
            // A new generation might have come into force since the last look.
            let mut policies = WritePolicies::new(&self.store, self.config);
            if !stories.is_empty() {
                self.read_authored(&mut authored).await?;
            }
            for story in stories.into_iter().filter(|story| self.has(story, &authored)) {
                shown += 1;
                let story = policies.add_to(self.named(story).await?).await?;
                printer.line(self.line(&story, printer));
            }
            if is_quiet {
                clock.sleep(POLL).await;
            }
        }
        Ok(shown)
    }

    /// Prints the entries as JSON, in the order of the journal. Returns their number.
    async fn export(&self, clock: &Clock, printer: &Printer) -> anyhow::Result<usize> {
        let (mut after, mut shown) = (self.args.after, 0);
        while !printer.is_closed() {
            let entries = self.page(&mut after).await?;
            if entries.is_empty() {
                if !self.args.follow {
                    break;
                }
                clock.sleep(POLL).await;
            }
            for entry in entries.iter().filter(|entry| self.is_of_keys(entry)) {
                shown += 1;
                printer.json(&serde_json::to_string(entry)?);
            }
        }
        Ok(shown)
    }

    /// Returns the next entries in the order of the journal. Sets `after` to the number of the last
    /// entry.
    async fn page(&self, after: &mut u64) -> anyhow::Result<Vec<Entry>> {
        // The store can filter by one key only.
        let key = self.keys.first().filter(|_| self.keys.len() == 1).map(ToString::to_string);
        let listing = Listing { after: *after, since: self.since, key, limit: PAGE };
        let entries = self.store.entries(listing).await?;
        *after = entries.last().map_or(*after, |last| last.seq);
        Ok(entries)
    }

    fn is_of_keys(&self, entry: &Entry) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|key| key.as_str() == entry.key)
    }

    /// Returns the risks of the writes that the user asked for.
    fn risks(&self) -> Vec<Risk> {
        self.args.only.iter().filter_map(|only| only.risk()).collect()
    }

    /// Returns the kinds of the entries that the user asked for.
    fn kinds(&self) -> Vec<EntryKind> {
        self.args.only.iter().filter_map(|only| only.kind()).collect()
    }

    /// Returns the kind that the store can select. Returns `None` for writes, because the line of a
    /// write also needs the result of the write and the end of its run.
    fn kind_of_store(&self) -> Option<EntryKind> {
        match self.kinds().as_slice() {
            [kind] if *kind != EntryKind::Intent && self.risks().is_empty() => Some(*kind),
            _ => None,
        }
    }

    /// Returns whether the command shows a story. `authored` contains the policies that the author
    /// in `--who` wrote.
    fn has(&self, story: &Story, authored: &AuthoredPolicies) -> bool {
        let risks = self.risks();
        let has_risk = || {
            let fields = story.change().map(|change| change.fields.as_slice()).unwrap_or_default();
            fields.iter().any(|field| risks.contains(&field.risk))
        };
        let is_of_kind = self.kinds().contains(&story.entry.kind);
        let is_of = |who: &String| story.is_about(who) || authored.asked_for(&story.entry);
        (self.args.numbers || is_of_kind || is_shown(story))
            && (self.args.only.is_empty() || is_of_kind || has_risk())
            && self.args.who.as_ref().is_none_or(is_of)
    }
}
