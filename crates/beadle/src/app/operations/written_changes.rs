//! Finds the writes of Beadle in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::guard::is_undo;
use beadle_engine::journal::{Happened, IntendedChange, OperatorAction, RunCounts, SweepEnd};
use beadle_engine::{Change, Detail, Entry, EntryKind, History, Key, Listing, Mode, Store, Time};

use crate::app::operations::key_names::PAGE;

mod codes;
mod repeated_writes;

use codes::{digests, is_code, is_policy};
use repeated_writes::assign_repairs;

/// A change that Beadle wrote or might have written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The number of the journal entry that Beadle stored before the write.
    seq: u64,
    at: Time,
    pub(crate) key: Key,
    /// The name of the key at the time of the write, such as `acme/widgets`.
    pub(crate) subject: String,
    pub(crate) change: Change<()>,
    /// The generation of the policy that was in force, or the name of the undo that wrote the
    /// change. `None` if this version cannot read it.
    pub(crate) generation: Option<String>,
    /// The earlier generation that first asked for the change. `None` if `generation` itself first
    /// asked for it.
    first_asked: Option<String>,
    /// True if the vendor confirmed the write.
    is_confirmed: bool,
}

impl Written {
    /// Returns the generation that first asked for the change, or the name of the undo that wrote
    /// the change. Returns `None` if this version cannot read it.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.first_asked.as_deref().or(self.generation.as_deref())
    }

    /// Returns the number of the write in the journal.
    pub(crate) fn number(&self) -> u64 {
        self.seq
    }

    /// Returns a confirmed write of the policy `g1`, for tests.
    #[cfg(test)]
    pub(crate) fn example(key: &Key, subject: &str, change: Change<()>) -> Self {
        let (key, subject, generation) = (key.clone(), subject.to_owned(), Some("g1".to_owned()));
        Self { seq: 1, at: Time(0), key, subject, change, generation, first_asked: None, is_confirmed: true }
    }

    /// Returns a write that another policy first asked for, for tests.
    #[cfg(test)]
    pub(crate) fn first_asked_by(self, policy: &str) -> Self {
        Self { first_asked: Some(policy.to_owned()), ..self }
    }

    /// Returns whether this write is later than `other` and has the same key.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        self.key == other.key && self.seq > other.seq
    }
}

/// Returns the confirmed later writes to the keys of the selected writes, from the oldest to the
/// newest. A later write is newer than the oldest selected write, and is not itself selected.
pub(crate) async fn others_after(store: &dyn Store, selected: &[Written]) -> anyhow::Result<Vec<Written>> {
    let Some(oldest) = selected.iter().map(|one| one.seq).min() else { return Ok(Vec::new()) };
    let own: BTreeSet<u64> = selected.iter().map(|one| one.seq).collect();
    let keys: BTreeSet<&Key> = selected.iter().map(|one| &one.key).collect();
    // If there is only one key, Beadle reads only the entries of this key, because that list is
    // shorter.
    let only = keys.first().filter(|_| keys.len() == 1).map(ToString::to_string);
    let listing = Listing { after: oldest, key: only, limit: PAGE, ..Listing::default() };
    let is_other = |one: &Written| keys.contains(&one.key) && !own.contains(&one.seq);
    let mut found = writes(store, listing, is_other).await?;
    found.retain(|one| one.is_confirmed);
    Ok(found)
}

/// The writes that an operator named.
#[derive(Debug, Default)]
pub(crate) struct NamedWrites {
    /// The things that the operator named, such as `run 1234`.
    pub(crate) titles: Vec<String>,
    /// The writes, from the oldest to the newest.
    pub(crate) writes: Vec<Written>,
    /// The generations of the named policies.
    pub(crate) policies: BTreeSet<String>,
    /// The writes that an earlier policy first asked for. Beadle made these writes while a named
    /// policy was in force.
    pub(crate) of_others: Vec<Written>,
    /// The generations of the named policies that wrote nothing.
    pub(crate) idle: BTreeSet<String>,
}

/// The writes that one word of an operator specifies.
struct OfWord {
    /// The thing that the word specifies, such as `run 1234`.
    title: String,
    /// The generation of the policy, if the word specifies a policy.
    policy: Option<String>,
    writes: Vec<Written>,
}

/// The writes that an operator specified with several words. The maps contain each write under its
/// number in the journal.
#[derive(Default)]
struct FoundWrites {
    titles: Vec<String>,
    writes: BTreeMap<u64, Written>,
    policies: BTreeSet<String>,
    of_others: BTreeMap<u64, Written>,
    idle: BTreeSet<String>,
}

impl FoundWrites {
    /// Adds the writes that one word specifies.
    fn add(&mut self, OfWord { title, policy, writes }: OfWord) {
        let is_own = |one: &Written| {
            policy.as_deref().is_none_or(|policy| one.asked().is_none_or(|asked| asked == policy))
        };
        let is_idle = writes.is_empty();
        let (own, others): (Vec<Written>, Vec<Written>) = writes.into_iter().partition(is_own);
        self.writes.extend(own.into_iter().map(|one| (one.seq, one)));
        self.of_others.extend(others.into_iter().map(|one| (one.seq, one)));
        self.titles.push(title);
        self.idle.extend(policy.clone().filter(|_| is_idle));
        self.policies.extend(policy);
    }

    fn named(mut self) -> NamedWrites {
        // If another word also specifies a write, the write does not count as a write of another
        // policy.
        self.of_others.retain(|seq, _| !self.writes.contains_key(seq));
        NamedWrites {
            titles: self.titles,
            idle: self.idle,
            writes: self.writes.into_values().collect(),
            policies: self.policies,
            of_others: self.of_others.into_values().collect(),
        }
    }
}

/// Returns all writes after a time, from the oldest to the newest. The order of the entries is the
/// order of their numbers. The times of the entries can be in another order, because the clock
/// might have been ahead when Beadle stored an old entry. So the function finds the newest entry
/// that is older than the time, and returns only the writes after this entry.
pub(crate) async fn since(store: &dyn Store, since: Time) -> anyhow::Result<Vec<Written>> {
    let after = newest(store, History::default(), |entry| entry.at < since).await?;
    let listing = Listing { after, since: Some(since), limit: PAGE, ..Listing::default() };
    writes(store, listing, |_| true).await
}

/// Returns the number of the newest wanted entry of a list, or 0 if there is none. `is_wanted`
/// decides whether an entry is wanted.
async fn newest(
    store: &dyn Store,
    mut history: History,
    is_wanted: impl Fn(&Entry) -> bool,
) -> anyhow::Result<u64> {
    history.limit = PAGE;
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        if let Some(found) = entries.iter().find(|entry| is_wanted(entry)) {
            return Ok(found.seq);
        }
        let Some(last) = entries.last() else { return Ok(0) };
        history.before = Some(last.seq);
    }
}

/// Returns the writes that these words specify, from the oldest to the newest. A word is the number
/// of an entry in the journal, the digest of a change, the code of an approved group of changes, or
/// the generation of a policy.
pub(crate) async fn named(store: &dyn Store, words: &[String]) -> anyhow::Result<NamedWrites> {
    let mut found = FoundWrites::default();
    let mut codes: Vec<String> = Vec::new();
    for word in words {
        if is_code(word) {
            codes.push(word.to_ascii_lowercase());
            continue;
        }
        let number = word.parse::<u64>().ok().filter(|number| *number > 0).with_context(|| {
            format!(
                "invalid run `{word}`: use the number of an entry in the journal, the digest of a change or a \
                 group, or the generation of a policy\n\
                 hint: see `beadle journal --numbers`"
            )
        })?;
        found.add(of_entry(store, number).await?);
    }
    if codes.is_empty() {
        return Ok(found.named());
    }
    let digests = digests(store, codes).await?;
    // `of_keys` finds the writes whose generation this version cannot read.
    let is_of_code = |code: &str, one: &Written| one.generation.is_some() && is_of_policy(one, (code, None));
    let is_wanted = |one: &Written| {
        let digest = one.change.digest(&one.key);
        digests.iter().any(|(code, own)| own.contains(&digest) || is_of_code(code, one))
    };
    let all = writes(store, Listing { limit: PAGE, ..Listing::default() }, is_wanted).await?;
    for (code, own) in &digests {
        let is_named = |one: &&Written| own.contains(&one.change.digest(&one.key));
        let its: Vec<Written> = all.iter().filter(is_named).cloned().collect();
        if !its.is_empty() {
            let title = if own.len() > 1 { format!("group {code}") } else { format!("change {code}") };
            found.add(OfWord { title, policy: None, writes: its });
            continue;
        }
        let of_code = all.iter().filter(|one| is_of_code(code, one));
        let keys: BTreeSet<Key> = of_code.map(|one| one.key.clone()).collect();
        let writes = of_keys(store, (code.as_str(), None), &keys).await?;
        if writes.is_empty() && !is_policy(store, code).await? {
            bail!(
                "the journal has no write of a change, of an approved group or of a policy with the code `{code}`\n\
                 hint: if this is the code of a policy, the policy wrote nothing"
            );
        }
        found.add(OfWord { title: format!("policy {code}"), policy: Some(code.clone()), writes });
    }
    Ok(found.named())
}

/// Returns the writes that belong to the entry with this number in the journal: a run, a sweep, a
/// policy, an undo or a single write.
async fn of_entry(store: &dyn Store, number: u64) -> anyhow::Result<OfWord> {
    let listing = Listing { after: number - 1, limit: 1, ..Listing::default() };
    let entry = store.entries(listing).await?.into_iter().find(|entry| entry.seq == number);
    let entry = entry.with_context(|| format!("the journal has no entry with the number {number}"))?;
    let of_key = Listing { key: Some(entry.key.clone()), limit: PAGE, ..Listing::default() };
    let (kind, writes) = match (&entry.detail, entry.kind) {
        (Detail::Run(counts), _) => ("run", of_run(writes(store, of_key, |_| true).await?, number, counts)),
        (Detail::Sweep(end), _) => ("sweep", of_sweep(store, &entry, end).await?),
        (Detail::Policy(policy), _) => {
            let writes = of_generation(store, &policy.in_force, Some(&entry.subject)).await?;
            let generation = policy.in_force.clone();
            return Ok(OfWord { title: format!("policy {generation}"), policy: Some(generation), writes });
        }
        (Detail::Operator(OperatorAction::Undid { undid, .. }), _) => {
            ("undo", of_undo(store, &entry, undid).await?)
        }
        (_, EntryKind::Intent | EntryKind::Result) => {
            let intent = entry.intent.unwrap_or(number);
            ("write", writes(store, of_key, |one| one.seq == intent).await?)
        }
        (_, other) => bail!(
            "entry {number} of the journal has the kind `{}`: specify a run, a sweep, a write, the beginning of an \
             undo, or a policy that came into force",
            other.as_str()
        ),
    };
    Ok(OfWord { title: format!("{kind} {number}"), policy: None, writes })
}

/// Selects the writes of a run from all writes of the run's key. These are the newest writes before
/// the entry of the run.
fn of_run(all: Vec<Written>, number: u64, counts: &RunCounts) -> Vec<Written> {
    let mut left = counts.written;
    let mut found: Vec<Written> = Vec::new();
    for one in all.into_iter().rev().filter(|one| one.seq < number) {
        if left == 0 {
            break;
        }
        left -= usize::from(one.is_confirmed);
        found.push(one);
    }
    found.reverse();
    found
}

/// Returns the writes to an organisation or a target during a sweep. The writes of an undo that
/// somebody ran at the same time do not belong to the sweep.
async fn of_sweep(store: &dyn Store, entry: &Entry, end: &SweepEnd) -> anyhow::Result<Vec<Written>> {
    // The key of the entry is `sweep:ORG`, because a sweep has no id.
    let instance = entry.key.split_once(':').map(|(_, instance)| instance);
    let instance = instance.with_context(|| format!("entry {} does not name its organisation", entry.seq))?;
    // The stored duration is rounded down.
    let begun = entry.at - Duration::from_secs(end.took_s + 1);
    // If the clock jumped during the sweep, the duration is wrong. But the sweep began after the
    // end of the previous sweep.
    let of_key = History { before: Some(entry.seq), key: Some(entry.key.clone()), ..History::default() };
    let after = newest(store, of_key, |other| matches!(other.detail, Detail::Sweep(_))).await?;
    let listing = Listing { after, since: Some(begun), limit: PAGE, ..Listing::default() };
    let is_its = |one: &Written| {
        one.seq < entry.seq
            && one.at <= entry.at
            && one.key.instance() == instance
            && !one.generation.as_deref().is_some_and(is_undo)
    };
    writes(store, listing, is_its).await
}

/// Returns the writes of an undo to an organisation. `begun` is the entry that Beadle stored at the
/// beginning of the undo. Each write of an undo has the name of the undo. Several undos can have
/// the same name, because an operator can repeat an undo.
async fn of_undo(store: &dyn Store, begun: &Entry, name: &str) -> anyhow::Result<Vec<Written>> {
    let is_same = |entry: &Entry| match &entry.detail {
        Detail::Operator(OperatorAction::Undid { undid, .. }) => undid == name,
        _ => false,
    };
    let listing = Listing { after: begun.seq, limit: PAGE, ..Listing::default() };
    let of_key = Listing { key: Some(begun.key.clone()), ..listing.clone() };
    let next = oldest(store, of_key, is_same).await?;
    let is_its = |one: &Written| {
        // A write whose generation this version cannot read might belong to this undo.
        one.generation.as_deref().is_none_or(|own| own == name)
            && next.is_none_or(|next| one.seq < next)
            && one.key.instance().eq_ignore_ascii_case(&begun.subject)
    };
    writes(store, listing, is_its).await
}

/// Returns the number of the oldest wanted entry of a list. Returns `None` if there is none.
async fn oldest(
    store: &dyn Store,
    mut listing: Listing,
    is_wanted: impl Fn(&Entry) -> bool,
) -> anyhow::Result<Option<u64>> {
    loop {
        let entries = store.entries(listing.clone()).await?;
        if let Some(found) = entries.iter().find(|entry| is_wanted(entry)) {
            return Ok(Some(found.seq));
        }
        let Some(last) = entries.last() else { return Ok(None) };
        listing.after = last.seq;
    }
}

/// Returns whether a generation of a policy first asked for a write, or was in force during the
/// write. If `organisation` is set, only the writes to this organisation count.
fn is_of_policy(one: &Written, (generation, organisation): (&str, Option<&str>)) -> bool {
    // If this version of Beadle cannot read the generation of a write, the write might belong to
    // the generation that the caller asks for.
    let was_in_force = one.generation.as_deref().is_none_or(|own| own == generation);
    (was_in_force || one.first_asked.as_deref() == Some(generation))
        && organisation.is_none_or(|name| one.key.instance().eq_ignore_ascii_case(name))
}

/// Returns the writes that a generation of a policy first asked for, and the writes that Beadle
/// made while this generation was in force. A later repair of the same values counts too. If
/// `organisation` is set, returns only the writes to this organisation. The place of a write in the
/// journal does not matter, because a run of an earlier generation can end after a later generation
/// came into force.
async fn of_generation(
    store: &dyn Store,
    generation: &str,
    organisation: Option<&str>,
) -> anyhow::Result<Vec<Written>> {
    let of = (generation, organisation);
    let whole = Listing { limit: PAGE, ..Listing::default() };
    let found = writes(store, whole, |one| is_of_policy(one, of)).await?;
    let keys: BTreeSet<Key> = found.into_iter().map(|one| one.key).collect();
    of_keys(store, of, &keys).await
}

/// Returns the writes of a policy, as [`of_generation`] does. `keys` contains the keys of these
/// writes. A later repair of the same values counts too, so the function reads all writes of these
/// keys.
async fn of_keys(
    store: &dyn Store,
    of: (&str, Option<&str>),
    keys: &BTreeSet<Key>,
) -> anyhow::Result<Vec<Written>> {
    let is_of_keys = |one: &Written| {
        // A write that this version cannot read has no aspect. Such a write stops the undo only if
        // it might belong to this policy.
        if one.change.aspect.is_empty() { is_of_policy(one, of) } else { keys.contains(&one.key) }
    };
    let whole = Listing { limit: PAGE, ..Listing::default() };
    let mut all = writes(store, whole, is_of_keys).await?;
    assign_repairs(store, &mut all).await?;
    all.retain(|one| is_of_policy(one, of));
    Ok(all)
}

/// Returns the wanted writes of a list, from the oldest to the newest. Leaves out the writes that
/// certainly did not happen. Returns an error if this version cannot read a wanted write. Without
/// the unreadable write, the result would be incomplete. For a run, the result would also contain
/// writes of the previous run, because [`of_run`] takes as many writes as the run made.
async fn writes(
    store: &dyn Store,
    mut listing: Listing,
    is_wanted: impl Fn(&Written) -> bool,
) -> anyhow::Result<Vec<Written>> {
    let mut found: BTreeMap<u64, Written> = BTreeMap::new();
    loop {
        let entries = store.entries(listing.clone()).await?;
        let Some(last) = entries.last() else { break };
        listing.after = last.seq;
        for entry in entries {
            match (entry.detail, entry.intent) {
                (Detail::Change(IntendedChange { change, generation, first_asked, .. }), None) => {
                    let Ok(key) = entry.key.parse::<Key>() else { continue };
                    let (seq, at, subject) = (entry.seq, entry.at, entry.subject);
                    let (generation, is_confirmed) = (Some(generation), false);
                    let one =
                        Written { seq, at, key, subject, change, generation, first_asked, is_confirmed };
                    if is_wanted(&one) {
                        found.insert(seq, one);
                    }
                }
                (Detail::Result(result), Some(intent)) => {
                    if result.written == Happened::No && result.unknown != Some(true) {
                        found.remove(&intent);
                    } else if let Some(one) = found.get_mut(&intent) {
                        one.is_confirmed = result.written == Happened::Yes;
                    }
                }
                // If only a newer version knows the kind of an entry, the entry might also be a
                // write.
                (Detail::Other(other), None)
                    if matches!(entry.kind, EntryKind::Intent | EntryKind::Other) =>
                {
                    let Ok(key) = entry.key.parse::<Key>() else { continue };
                    let (seq, at, subject, change) = (entry.seq, entry.at, entry.subject, unread());
                    let text = |name: &str| other.get(name)?.as_str().map(str::to_owned);
                    let (generation, first_asked) = (text("generation"), text("first_asked"));
                    let is_confirmed = false;
                    let one =
                        Written { seq, at, key, subject, change, generation, first_asked, is_confirmed };
                    if is_wanted(&one) {
                        bail!(newer(seq));
                    }
                }
                (Detail::Other(_), Some(intent)) if found.contains_key(&intent) => bail!(newer(entry.seq)),
                _ => {}
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Returns a placeholder for a change that this version cannot read.
fn unread() -> Change<()> {
    Change {
        aspect: String::new(),
        what: String::new(),
        fields: Vec::new(),
        mode: Mode::Observe,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    }
}

fn newer(seq: u64) -> String {
    format!(
        "this version of Beadle cannot read entry {seq} of the journal, because another version wrote it\n\
         hint: use the newest version of Beadle that has used this store, or name later writes"
    )
}

#[cfg(test)]
mod tests;
