//! The problems that one channel knows, and the message that is on its way to the channel.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::problem::{Found, Line, Members, Present, ProblemKind, Topic};
use crate::backoff::backoff;
use crate::clock::Time;
use crate::note::{Metadata, Note};

/// While problems still change, a message waits for at most [`Rules::settle`] times this number. A
/// problem or a topic counts as ended only after it has been gone for [`Rules::settle`] times this
/// number. The wait is necessary because the guard forgets its holds after a new generation of the
/// policy, and the next runs hold the changes again.
const LONGEST: u32 = 10;
/// The maximum number of topics in one message.
const ITEMS: usize = 20;
/// The period of [`Rules::most_per_hour`].
const HOUR: Duration = Duration::from_secs(3600);
/// The maximum time that the ledger remembers an ended problem while other problems of its topic
/// keep changing.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The wait after the first failed try. The wait doubles with each further try.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait between two tries.
const CAP: Duration = Duration::from_secs(15 * 60);
/// How long a message counts as being sent. No other process sends the message in this time. If the
/// process ends before the message is sent, the message is sent again after this time.
const SENDING: Duration = Duration::from_secs(60);

/// The rules of one channel.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The kinds of problems that Beadle reports to the channel.
    pub kinds: BTreeSet<ProblemKind>,
    /// How long the problems must stay the same before Beadle makes a message. One message
    /// therefore contains all problems of an incident.
    pub settle: Duration,
    /// The maximum number of messages in an hour. Further problems wait for the next message.
    pub most_per_hour: usize,
}

/// The change of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The topic has problems now, and had none before.
    Opened,
    /// The topic has further problems.
    Updated,
    /// The topic has no problems any more.
    Recovered,
}

/// One topic of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The topic.
    pub topic: Topic,
    /// The change of the topic.
    pub state: State,
    /// Since when the topic has had problems.
    pub since: Time,
    /// The number of problems that are new in this message.
    pub new: u64,
    /// The problems; none if the topic has recovered.
    #[serde(flatten)]
    pub found: Found,
}

/// A message that is on its way. A repeated message has the same content, except in two cases: the
/// receiver refused the content, or an older version repeats the message without the topics that it
/// does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The id of the message. A receiver can use the id to recognise a repeated message.
    pub id: String,
    /// The time when the message was made.
    pub at: Time,
    /// The topics of the message.
    #[serde(deserialize_with = "known")]
    pub items: Vec<Item>,
    /// The number of tries.
    pub attempts: u32,
    /// The reason why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The time of the next try.
    not_before: Time,
}

/// A topic with the problems that a channel knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    topic: Topic,
    since: Time,
    members: Members,
    /// Since when the channel no longer knows the problems of the topic exactly. `None` if the
    /// channel knows the problems exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    differs: Option<Time>,
}

/// A topic with problems that differ from those that the channel knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Changing {
    topic: Topic,
    /// A hash of the problems. If the problems change, the hash changes too.
    state: u32,
    /// True if the topic has problems that the channel does not know.
    #[serde(default)]
    is_news: bool,
    /// The time when the topic began to differ from what the channel knows. If the topic got its
    /// first new problem later, this field contains the time of this problem.
    first: Time,
    /// The time of the last change.
    last: Time,
}

/// A topic with the problems that a channel knows, in its stored form.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum StoredTold {
    Known(Told),
    /// A topic of a kind that only a newer version knows.
    Newer(Value),
}

impl<'de> Deserialize<'de> for StoredTold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if is_of_newer_kind(&value) {
            return Ok(Self::Newer(value));
        }
        serde_json::from_value(value).map(Self::Known).map_err(D::Error::custom)
    }
}

/// [`Ledger`] in its stored form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredLedger {
    told: Vec<StoredTold>,
    #[serde(deserialize_with = "known")]
    changing: Vec<Changing>,
    outbox: Option<Outgoing>,
    sent: Vec<Time>,
    made: u64,
}

/// The ledger of one channel. A single write of the store stores the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredLedger", into = "StoredLedger")]
pub struct Ledger {
    told: Vec<Told>,
    /// The topics of kinds that only a newer version knows. They stay in the ledger, so that a
    /// newer version does not repeat messages about these topics, and still reports when the topics
    /// end.
    newer: Vec<Value>,
    changing: Vec<Changing>,
    outbox: Option<Outgoing>,
    /// The times of the messages in the last hour.
    sent: Vec<Time>,
    /// The number of messages that were made.
    made: u64,
}

impl From<StoredLedger> for Ledger {
    fn from(stored: StoredLedger) -> Self {
        let StoredLedger { told: all, changing, outbox, sent, made } = stored;
        let (mut told, mut newer) = (Vec::new(), Vec::new());
        for one in all {
            match one {
                StoredTold::Known(one) => told.push(one),
                StoredTold::Newer(one) => newer.push(one),
            }
        }
        // A newer version makes a message about the missing topics again, because the ledger has
        // not recorded that the channel knows these topics.
        let outbox = outbox.filter(|outgoing| !outgoing.items.is_empty());
        Self { told, newer, changing, outbox, sent, made }
    }
}

impl From<Ledger> for StoredLedger {
    fn from(ledger: Ledger) -> Self {
        let Ledger { told, newer, changing, outbox, sent, made } = ledger;
        let newer = newer.into_iter().map(StoredTold::Newer);
        let told = told.into_iter().map(StoredTold::Known).chain(newer).collect();
        Self { told, changing, outbox, sent, made }
    }
}

/// Reads a list, and leaves out the elements with a topic of a kind that only a newer version
/// knows.
fn known<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let all = Vec::<Value>::deserialize(deserializer)?.into_iter();
    let known = all.filter(|value| !is_of_newer_kind(value));
    known.map(|value| serde_json::from_value(value).map_err(D::Error::custom)).collect()
}

/// Returns whether a stored element has a topic of a kind that only a newer version knows.
fn is_of_newer_kind(value: &Value) -> bool {
    let kind = &value["topic"]["kind"];
    kind.is_string() && ProblemKind::deserialize(kind).is_err()
}

impl Metadata for Ledger {
    const KIND: &'static str = "notify";
    const IS_NEEDED: bool = true;
}

impl Ledger {
    /// Returns the note that contains the ledger of a channel.
    pub fn note(channel: &str) -> Note<Self> {
        Note::of(&[channel])
    }

    /// Returns the message that is on its way, if there is one.
    pub fn outbox(&self) -> Option<&Outgoing> {
        self.outbox.as_ref()
    }

    /// Compares the present problems with those that the channel knows. The function makes a
    /// message under three conditions: something is new, no other message is on its way, and the
    /// rules allow a message now.
    pub fn observe(&mut self, channel: &str, present: &Present, rules: &Rules, is_quiet: bool, now: Time) {
        self.told.retain(|told| rules.kinds.contains(&told.topic.kind));
        self.sent.retain(|at| *at <= now && now.since(*at) < HOUR);
        self.forget_ended(present, now);
        self.changing = self.compare(present, rules, now);
        if self.outbox.is_some() || is_quiet || self.sent.len() >= rules.most_per_hour {
            return;
        }
        // A message waits until no topic with new problems changes any more, so that it contains
        // the whole incident. A topic that changes all the time must not delay the other topics
        // forever. An ended problem does not change the time of the message.
        let is_settled = |one: &Changing| now.since(one.last) >= rules.settle;
        let is_late = |one: &Changing| now.since(one.first) >= rules.settle * LONGEST;
        let news = || self.changing.iter().filter(|one| one.is_news);
        if news().all(is_settled) || news().any(is_late) {
            let is_over = |one: &Changing| now.since(one.last) >= rules.settle * LONGEST;
            self.compose(channel, present, is_over, now);
        }
    }

    /// Forgets problems that ended long ago. If a forgotten problem comes back, it counts as new.
    /// If the problems of a topic do not change, the ledger forgets the topic's ended problems
    /// earlier, see [`Self::compose`].
    fn forget_ended(&mut self, present: &Present, now: Time) {
        for told in &mut self.told {
            let found = present.get(&told.topic).filter(|found| found.members != told.members);
            let Some(found) = found else {
                told.differs = None;
                continue;
            };
            // A time in the future was stored while the clock was ahead.
            let since = told.differs.map_or(now, |since| since.min(now));
            told.differs = Some(since);
            if now.since(since) >= REMEMBERED {
                told.members = told.members.within(&found.members);
                told.differs = None;
            }
        }
    }

    /// Returns the topics with problems that differ from those that the channel knows.
    fn compare(&self, present: &Present, rules: &Rules, now: Time) -> Vec<Changing> {
        let wanted = present.keys().filter(|topic| rules.kinds.contains(&topic.kind));
        let topics: BTreeSet<&Topic> = wanted.chain(self.told.iter().map(|told| &told.topic)).collect();
        let mut changing = Vec::new();
        for topic in topics {
            let (told, found) = (self.told(topic), present.get(topic));
            if told.map(|told| &told.members) == found.map(|found| &found.members) {
                continue;
            }
            let state = found.map_or(0, |found| found.members.fingerprint());
            let is_new = |found: &Found| told.is_none_or(|told| found.members.new_since(&told.members) > 0);
            let is_news = found.is_some_and(is_new);
            let before = self.changing.iter().find(|before| before.topic == *topic);
            let same = before.filter(|before| before.state == state);
            let same_kind = before.filter(|before| before.is_news == is_news);
            // A time in the future was stored while the clock was ahead.
            let first = same_kind.map_or(now, |before| before.first.min(now));
            let last = same.map_or(now, |before| before.last.min(now));
            changing.push(Changing { topic: topic.clone(), state, is_news, first, last });
        }
        changing
    }

    /// Makes a message about the topics that have changed since the last message. A topic without a
    /// new problem is left out if its ended problems can still come back.
    fn compose(&mut self, channel: &str, present: &Present, is_over: impl Fn(&Changing) -> bool, now: Time) {
        let mut items = Vec::new();
        for changing in std::mem::take(&mut self.changing) {
            let must_wait = !changing.is_news && !is_over(&changing);
            if must_wait || items.len() == ITEMS {
                self.changing.push(changing);
                continue;
            }
            let Changing { topic, first, .. } = changing;
            let told = self.told.iter_mut().find(|told| told.topic == topic);
            let item = match (told, present.get(&topic)) {
                (Some(told), Some(found)) => {
                    let new = found.members.new_since(&told.members);
                    if new == 0 {
                        // Some problems ended. If an ended problem comes back, it counts as new.
                        told.members.clone_from(&found.members);
                        continue;
                    }
                    Item { topic, state: State::Updated, since: told.since, new, found: found.clone() }
                }
                (None, Some(found)) => Item {
                    topic,
                    state: State::Opened,
                    since: first,
                    new: found.members.count,
                    found: found.clone(),
                },
                (Some(told), None) => {
                    let (state, since) = (State::Recovered, told.since);
                    Item { topic, state, since, new: 0, found: Found::default() }
                }
                (None, None) => continue,
            };
            items.push(item);
        }
        if items.is_empty() {
            return;
        }
        self.made += 1;
        let id = id(channel, self.made, &items);
        self.outbox = Some(Outgoing { id, at: now, items, attempts: 0, failure: None, not_before: now });
    }

    /// Begins to send the message that is on its way, if it is due. Returns a copy of the message.
    /// The caller must store the ledger before it sends the message, so that no other process also
    /// sends the message.
    pub fn begin(&mut self, is_quiet: bool, now: Time) -> Option<Outgoing> {
        let outgoing = self.outbox.as_mut().filter(|_| !is_quiet)?;
        // If the time is more than an hour away, it was stored while the clock was ahead.
        if outgoing.not_before > now && outgoing.not_before.since(now) <= HOUR {
            return None;
        }
        outgoing.attempts = outgoing.attempts.saturating_add(1);
        outgoing.not_before = now + SENDING;
        Some(outgoing.clone())
    }

    /// Returns the reason why the last try to send the message failed. Returns `None` if the
    /// message has been sent since then. In quiet hours there is no next try, so the result is also
    /// `None`.
    pub fn failure(&self, is_quiet: bool) -> Option<&str> {
        self.outbox.as_ref().filter(|_| !is_quiet)?.failure.as_deref()
    }

    /// Returns whether the message with this id is on its way. After a long interruption, another
    /// process might have sent the message. The result of this process's own try is then out of
    /// date.
    pub fn awaits(&self, id: &str) -> bool {
        self.outbox.as_ref().is_some_and(|outgoing| outgoing.id == id)
    }

    /// Records that the channel has the message.
    pub fn delivered(&mut self, now: Time) {
        let Some(outgoing) = self.outbox.take() else { return };
        for Item { topic, state, since, found, .. } in outgoing.items {
            let before = self.told.iter().position(|told| told.topic == topic);
            let before = before.map(|at| self.told.remove(at));
            let (members, differs) = match before {
                // The channel also knows the problems of earlier messages. If one of these problems
                // ended just now and immediately comes back, it does not count as new.
                Some(before) => (found.members.with(&before.members), before.differs),
                None => (found.members, None),
            };
            if state != State::Recovered {
                self.told.push(Told { topic, since, members, differs });
            }
        }
        self.sent.push(now);
    }

    /// Records that a try failed. If the receiver named a time, the next try is not before
    /// `retry_after`.
    pub fn failed(&mut self, why: &str, retry_after: Option<Time>, now: Time) {
        if let Some(outgoing) = self.outbox.as_mut() {
            outgoing.failure = Some(why.to_owned());
            let own = now + backoff(&outgoing.id, outgoing.attempts, FIRST, CAP);
            let asked = retry_after.map_or(own, |at| at.min(now + HOUR));
            outgoing.not_before = own.max(asked);
        }
    }

    /// Removes everything except the titles from the message, because the receiver refused the
    /// content. Otherwise, one text that the receiver does not accept would stop all later
    /// messages.
    pub fn shorten(&mut self) {
        for item in self.outbox.iter_mut().flat_map(|outgoing| &mut outgoing.items) {
            item.found.lines.clear();
            item.found.more = item.found.members.count;
        }
    }

    fn told(&self, topic: &Topic) -> Option<&Told> {
        self.told.iter().find(|told| told.topic == *topic)
    }
}

impl Item {
    /// Returns the number of problems.
    pub fn count(&self) -> u64 {
        self.found.members.count
    }

    /// Returns the problems, grouped by their text.
    pub fn lines(&self) -> &[Line] {
        &self.found.lines
    }
}

/// Returns the id of a message. The id has no characters that need an encoding in a header. Two
/// processes that make the same message at the same time give it the same id. The hash contains the
/// start time of each topic's problems, so no later message has this id.
fn id(channel: &str, number: u64, items: &[Item]) -> String {
    let content = serde_json::to_string(items).unwrap_or_default();
    let hash = Sha256::digest(format!("{channel}\0{number}\0{content}"));
    hash.iter().take(12).fold("msg_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
