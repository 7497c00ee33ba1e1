//! `/group?key=KEY`: one group of a target. The key is in the query, because the name or id of a
//! group can contain any character. In a path, some proxies change special characters.

use beadle_engine::{Key, Store, Time};
use serde::Serialize;

use super::one::Work;
use super::things::GROUP;
use crate::pages::asked::{Asked, Refused};
use crate::pages::condition::{Thing, of_key};
use crate::pages::html::Html;
use crate::pages::parts::facts;
use crate::pages::view::View;
use crate::sign_in::Visitor;

/// One group: its state, its place in the queue, its unwritten changes, its holds and its journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct GroupPage {
    group: Thing,
    #[serde(flatten)]
    work: Work,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl GroupPage {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads one group. `targets` are the names of the configured targets.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    targets: &[String],
    asked: &Asked,
    now: Time,
) -> Result<GroupPage, Refused> {
    let Ok(key) = asked.key.parse::<Key>() else {
        let rule = format!("`key` must be a key such as `target-group:aws:corp/00g1`, found `{}`", asked.key);
        return Err(Refused::Invalid(rule));
    };
    let is_known = key.kind() == GROUP && targets.iter().any(|target| target == key.instance());
    let found = if is_known { of_key(store, &key, now).await? } else { None };
    let Some(group) = found else {
        return Err(Refused::NotFound(format!(
            "Beadle has no run of a group with the key `{key}`; the journal can have entries of the key"
        )));
    };
    Ok(GroupPage { work: Work::load(store, &key, now).await?, group, visitor: None })
}

impl View for GroupPage {
    const PLACE: &'static str = "/groups";

    fn title(&self) -> String {
        self.group.subject.clone()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let (own, work, visitor) = (&self.group, &self.work, self.visitor.as_ref());
        vec![
            facts(work.facts(own, now)),
            work.actions(&own.key, None, visitor),
            work.unwritten(&[]),
            work.holds(now),
            work.journal(&own.key, "The journal has no entry of this group.", (now, visitor)),
        ]
    }
}
