//! `/repositories/ORG/NAME`: one repository.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Change, Entry, Hold, LastRead, Store, Time, UnwrittenChange};
use serde::Serialize;

use super::one::Work;
use super::policy::{waiver_row, waiver_table};
use super::things::REPOSITORY;
use crate::pages::asked::Refused;
use crate::pages::condition::{Thing, called};
use crate::pages::facts::{AskedLine, CoveringWaivers, Facts, UndoneFacts, WaiverFacts};
use crate::pages::html::{Html, joined, text};
use crate::pages::lines::{HasLines, Lines};
use crate::pages::link::Link;
use crate::pages::operation_forms::{end_undo_form, undo_repository_link};
use crate::pages::parts::{code, facts, link, moment, paragraph, section, table};
use crate::pages::ruling_form::{WAIVER_PATH, WaiverValues, waiver_form};
use crate::pages::unreadable::unreadable_list;
use crate::pages::view::View;
use crate::sign_in::{Role, ScopeRequest, SignIn, Visitor};

/// One repository: its state, its waivers, the values that an undo restored, its place in the
/// queue, its holds and its journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct RepositoryPage {
    repository: Thing,
    /// The waivers that cover the repository. The waiver that ends first comes first.
    waivers: Vec<WaiverFacts>,
    /// The names of the organisation's stored waivers that this version cannot read. Each of these
    /// waivers might cover the repository.
    unreadable_waivers: Vec<String>,
    /// The values that Beadle only observes, because an undo restored them.
    undone: Vec<UndoneFacts>,
    /// Maps the name of a part to the time of its latest read. The map contains only those parts
    /// that some sweeps do not read.
    read: BTreeMap<String, Time>,
    #[serde(flatten)]
    work: Work,
    /// The key paths that the form of a waiver suggests.
    #[serde(skip)]
    waivable: Vec<String>,
    /// For each unwritten change, the paths of the keys that its values belong to.
    #[serde(skip)]
    keys: Vec<Vec<String>>,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl RepositoryPage {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

impl HasLines for RepositoryPage {
    fn asked_lines(&self) -> BTreeSet<AskedLine> {
        self.work.asked_lines()
    }

    fn changes(&self) -> Vec<&Change<()>> {
        self.work.changes()
    }

    fn entries(&self) -> &[Entry] {
        self.work.entries()
    }

    fn holds(&self) -> Vec<&Hold> {
        self.work.held()
    }

    fn with_lines(self, lines: Lines) -> Self {
        Self { work: self.work.with_lines(lines), ..self }
    }
}

/// Returns the paths of the keys that the values of a change belong to. A person can exempt each of
/// these keys.
fn keys_of(sign_in: &SignIn, organisation: &str, change: &UnwrittenChange) -> Vec<String> {
    let part = &change.part;
    let key = |value: &String| {
        sign_in.key_of_value(organisation, (part.aspect.as_str(), part.what.as_str(), value.as_str()))
    };
    // The form separates keys with commas.
    let is_whole = |key: &String| !key.contains(',');
    let mut keys: Vec<String> = part.values.iter().filter_map(key).filter(is_whole).collect();
    keys.dedup();
    keys
}

/// Reads one repository. Without a sign-in, the page has no links for waivers.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    known: &dyn Facts,
    (owner, name): (&str, &str),
    sign_in: Option<&SignIn>,
    now: Time,
) -> Result<RepositoryPage, Refused> {
    let subject = format!("{owner}/{name}");
    let names = known.names();
    let instance = names.iter().find(|instance| instance.eq_ignore_ascii_case(owner));
    let found = match instance {
        Some(instance) => called(store, REPOSITORY, (instance, subject.as_str()), now).await?,
        None => None,
    };
    let Some(repository) = found else {
        let why =
            format!("Beadle has no run of a repository `{subject}`, or the repository has another name now");
        return Err(Refused::NotFound(why));
    };
    let read = LastRead::note(&repository.key).get(store).await?.unwrap_or_default();
    let CoveringWaivers { waivers, unreadable } = known.waivers(repository.key.instance(), name).await?;
    let work = Work::load(store, &repository.key, now).await?;
    let keys: Option<Vec<Vec<String>>> =
        sign_in.map(|sign_in| work.pending().iter().map(|one| keys_of(sign_in, owner, one)).collect());
    Ok(RepositoryPage {
        read: read.parts.into_iter().map(|(part, read)| (part, read.at)).collect(),
        waivers,
        unreadable_waivers: unreadable,
        undone: known.undone(&repository.key).await?,
        work,
        repository,
        waivable: sign_in.map(|sign_in| sign_in.waivable_keys(owner)).unwrap_or_default(),
        keys: keys.unwrap_or_default(),
        visitor: None,
    })
}

/// Returns the links that begin a waiver of these keys, if the person has the right to exempt keys.
fn waiver_links(visitor: Option<&Visitor>, repository: &str, keys: &[String]) -> Html {
    if visitor.is_none_or(|visitor| visitor.role < Role::Approver) {
        return Html::default();
    }
    let of_key = |key: &String| {
        let to = Link::to(WAIVER_PATH).with("repository", repository).with("keys", key);
        paragraph([link(&to, format!("Waive {key}"))])
    };
    joined(keys.iter().map(of_key))
}

fn undone(values: &[UndoneFacts], now: Time) -> Html {
    let row = |value: &UndoneFacts| {
        vec![
            text(format!("{} {}", value.aspect, value.what)),
            code(&value.name),
            text(&value.by),
            moment(value.at, now),
        ]
    };
    table(
        "Values that Beadle only observes, because an operator undid them",
        &["Part", "Value", "Undone by", "Last undo"],
        values.iter().map(row).collect(),
        "No value is undone.",
    )
}

fn read(parts: &BTreeMap<String, Time>, now: Time) -> Html {
    let row = |(part, at): (&String, &Time)| vec![text(part), moment(*at, now)];
    table(
        "Parts that a sweep compares with their last answers, unless they are due",
        &["Part", "Last read by a sweep"],
        parts.iter().map(row).collect(),
        "The next sweep reads all parts.",
    )
}

impl View for RepositoryPage {
    const PLACE: &'static str = "/repositories";

    fn title(&self) -> String {
        self.repository.subject.clone()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let (own, work) = (&self.repository, &self.work);
        let visitor = self.visitor.as_ref();
        let row = |waiver: &WaiverFacts| waiver_row(own.key.instance(), waiver, (now, visitor));
        let waivers = self.waivers.iter().map(row).collect();
        let waivers = waiver_table(waivers, "No waiver covers this repository.");
        let scope = ScopeRequest::Repository(own.subject.clone());
        let end_undo = match self.undone.as_slice() {
            [] => Html::default(),
            _ => end_undo_form(visitor, &scope),
        };
        let undo = undo_repository_link(visitor, &own.subject);
        let values = WaiverValues { repository: &own.subject, ..WaiverValues::default() };
        let waiver = waiver_form(visitor, values, &self.waivable);
        let of_change = |keys: &Vec<String>| waiver_links(visitor, &own.subject, keys);
        let links: Vec<Html> = self.keys.iter().map(of_change).collect();
        vec![
            facts(work.facts(own, now)),
            work.actions(&own.key, Some(&scope), visitor),
            work.unwritten(&links),
            section("Waivers", [waivers, unreadable_list(&self.unreadable_waivers), waiver]),
            section("Undone values", [undone(&self.undone, now), end_undo, undo]),
            section("Last reads", [read(&self.read, now)]),
            work.holds(now),
            work.journal(&own.key, "The journal has no entry of this repository.", (now, visitor)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Finding, Key};

    use super::*;
    use crate::exchange::store;
    use crate::pages::condition::Condition;

    #[tokio::test]
    async fn the_page_names_all_problems_and_the_waivers_that_this_version_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let key = Key::new("repository", "acme", 1);
        let page = RepositoryPage {
            waivers: Vec::new(),
            unreadable_waivers: vec!["the waiver b of acme".to_owned()],
            undone: Vec::new(),
            read: BTreeMap::new(),
            work: Work::load(store.as_ref(), &key, Time(5)).await.unwrap(),
            repository: Thing {
                key,
                subject: "acme/shop".to_owned(),
                state: Condition::Held,
                why: "the guard holds 1 change".to_owned(),
                since: Time(1),
                pending: 0,
                further: vec![Finding {
                    state: Condition::Contested,
                    why: "another writer undoes the changes of labels".to_owned(),
                    since: Time(1),
                }],
            },
            waivable: Vec::new(),
            keys: Vec::new(),
            visitor: None,
        };
        let shown: String = page.content(Time(5)).iter().map(Html::as_str).collect();
        for part in [
            "the waiver b of acme",
            "the guard holds 1 change",
            ">contested</span>",
            "another writer undoes the changes of labels",
        ] {
            assert!(shown.contains(part), "{part} {shown}");
        }
    }

    #[test]
    fn only_an_approver_gets_the_links_that_begin_a_waiver() {
        let keys = ["labels[a&b]".to_owned()];
        for role in [Role::Viewer, Role::Operator] {
            let visitor = Visitor::example(role);
            assert_eq!(waiver_links(Some(&visitor), "acme/shop", &keys), Html::default());
        }
        assert_eq!(waiver_links(None, "acme/shop", &keys), Html::default());
        let shown = waiver_links(Some(&Visitor::example(Role::Approver)), "acme/shop", &keys);
        let to = "/waivers?repository=acme%2Fshop&amp;keys=labels%5Ba%26b%5D";
        let expected = format!("<p><a href=\"{to}\">Waive labels[a&amp;b]</a></p>");
        assert_eq!(shown.as_str(), expected);
    }
}
