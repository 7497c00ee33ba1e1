//! `/repositories/ORG/NAME`: one repository.

use std::collections::BTreeMap;

use beadle_engine::{LastRead, Store, Time};
use serde::Serialize;

use super::one::Work;
use super::policy::{waiver_row, waiver_table};
use super::things::REPOSITORY;
use crate::pages::asked::Refused;
use crate::pages::condition::{Thing, called};
use crate::pages::facts::{Facts, UndoneFacts, WaiverFacts};
use crate::pages::html::{Html, text};
use crate::pages::operation_forms::{end_undo_form, undo_repository_link};
use crate::pages::parts::{code, facts, moment, section, table};
use crate::pages::ruling_form::{WaiverValues, waiver_form};
use crate::pages::view::View;
use crate::sign_in::{ScopeRequest, Visitor};

/// One repository: its state, its waivers, the values that an undo restored, its place in the
/// queue, its holds and its journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct RepositoryPage {
    repository: Thing,
    /// The waivers that cover the repository. The waiver that ends first comes first.
    waivers: Vec<WaiverFacts>,
    /// The values that Beadle only observes, because an undo restored them.
    undone: Vec<UndoneFacts>,
    /// Maps the name of a part to the time of its latest read. The map has only those parts that
    /// some sweeps do not read.
    read: BTreeMap<String, Time>,
    #[serde(flatten)]
    work: Work,
    /// The key paths that the form of a waiver suggests.
    #[serde(skip)]
    waivable: Vec<String>,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl RepositoryPage {
    /// Returns the page with this visitor.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads one repository. `waivable` has the key paths that the form of a waiver suggests.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    known: &dyn Facts,
    (owner, name): (&str, &str),
    waivable: Vec<String>,
    now: Time,
) -> Result<RepositoryPage, Refused> {
    let subject = format!("{owner}/{name}");
    let names = known.names();
    let instance = names.iter().find(|instance| instance.eq_ignore_ascii_case(owner));
    let found = match instance {
        Some(instance) => called(store, REPOSITORY, (instance, subject.as_str())).await?,
        None => None,
    };
    let Some(repository) = found else {
        let why =
            format!("Beadle has no run of a repository `{subject}`, or the repository has another name now");
        return Err(Refused::NotFound(why));
    };
    let read = LastRead::note(&repository.key).get(store).await?.unwrap_or_default();
    Ok(RepositoryPage {
        read: read.parts.into_iter().map(|(part, read)| (part, read.at)).collect(),
        waivers: known.waivers(repository.key.instance(), name).await?,
        undone: known.undone(&repository.key).await?,
        work: Work::load(store, &repository.key, now).await?,
        repository,
        waivable,
        visitor: None,
    })
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
        vec![
            facts(work.facts(own, now)),
            work.actions(&own.key, Some(&scope), visitor),
            section("Waivers", [waivers, waiver]),
            section("Undone values", [undone(&self.undone, now), end_undo, undo]),
            section("Last reads", [read(&self.read, now)]),
            work.holds(now),
            work.journal(&own.key, "The journal has no entry of this repository.", (now, visitor)),
        ]
    }
}
