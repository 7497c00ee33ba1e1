//! `/repositories` and `/groups`: the last run of each repository, or of each group.

use beadle_engine::{LastRun, RunState, Store, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, contains};
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::parts::{choice, field, filter, more, paragraph, runs, table};
use crate::pages::view::View;

/// The kind of the keys of repositories.
pub(in crate::pages) const REPOSITORY: &str = "repository";
/// The kind of the keys of groups.
pub(in crate::pages) const GROUP: &str = "target-group";

/// The number of rows of a page.
const ROWS: usize = 100;
/// The number of rows that are read from the store at once.
const READ: u32 = 500;
/// The number of rows that one search looks at. The next page continues where it stopped.
const MOST: usize = 20_000;

/// One page of last runs.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Runs {
    /// The runs, sorted by instance and name.
    runs: Vec<LastRun>,
    /// The place after which the next page begins; `None` after the last page.
    next: Option<String>,
    #[serde(skip)]
    asked: Asked,
    /// The names of the instances that have such keys.
    #[serde(skip)]
    instances: Vec<String>,
}

/// The page of repositories.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(in crate::pages) struct Repositories(pub(in crate::pages) Runs);

/// The page of groups.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(in crate::pages) struct Groups(pub(in crate::pages) Runs);

/// Reads one page of last runs.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    kind: &'static str,
    asked: &Asked,
    instances: Vec<String>,
) -> Result<Runs, Refused> {
    let state = match asked.state.as_str() {
        "" => None,
        name => Some(RunState::named(name).ok_or_else(|| unknown_state(name))?),
    };
    let wanted = asked.text.to_lowercase();
    let mut found: Vec<LastRun> = Vec::new();
    let mut looked = 0;
    let mut after = asked.after.clone();
    loop {
        let page = LastRun::page(store, (kind, asked.instance.as_str()), &after, READ).await?;
        looked += page.runs.len();
        for run in page.runs {
            if found.len() >= ROWS {
                let next = found.last().map(LastRun::place);
                return Ok(Runs { runs: found, next, asked: asked.clone(), instances });
            }
            if state.is_none_or(|state| run.state == state) && contains(&run.subject, &wanted) {
                found.push(run);
            }
        }
        match page.next {
            Some(next) if looked < MOST => after = next,
            next => return Ok(Runs { runs: found, next, asked: asked.clone(), instances }),
        }
    }
}

fn unknown_state(name: &str) -> Refused {
    let states = RunState::ALL.map(RunState::as_str).join(", ");
    Refused::Invalid(format!("`state` must be one of {states}, found `{name}`"))
}

impl Runs {
    fn content(
        &self,
        (place, of): (&'static str, &'static str),
        empty: &'static str,
        now: Time,
    ) -> Vec<Html> {
        let Asked { instance, state, text: wanted, .. } = &self.asked;
        let instances = self.instances.iter().map(String::as_str);
        let form = filter(
            place,
            vec![
                choice("instance", of, instances, instance),
                choice("state", "State", RunState::ALL.map(RunState::as_str), state),
                field("text", "Name contains", wanted),
            ],
        );
        let next = self.next.as_ref().map(|next| {
            let link = Link::to(place).with("instance", instance).with("state", state);
            link.with("text", wanted).with("after", next)
        });
        let rows = runs(&self.runs, now);
        let hint = "The state is that of the last run. The time of an unchanged state can be an hour old.";
        vec![
            form,
            table("By name", &["Name", "State", "Why", "Last run"], rows, empty),
            more(next, "Next page"),
            paragraph([text(hint)]),
        ]
    }
}

impl View for Repositories {
    const PLACE: &'static str = "/repositories";

    fn title(&self) -> String {
        "Repositories".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let empty = "No repository matches. Beadle shows a repository after its first run.";
        self.0.content((Self::PLACE, "Organisation"), empty, now)
    }
}

impl View for Groups {
    const PLACE: &'static str = "/groups";

    fn title(&self) -> String {
        "Groups".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let empty = "No group matches. Beadle shows a group after its first run.";
        self.0.content((Self::PLACE, "Target"), empty, now)
    }
}
