//! `/holds`: the changes that the guard holds.

use beadle_engine::{Hold, Store, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, contains, number};
use crate::pages::detail;
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{code, faint, field, filter, moment, more, paragraph, subject, table};
use crate::pages::view::View;

/// The number of holds of a page.
const ROWS: usize = 100;

/// One page of held changes.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Holds {
    /// The number of all holds that match.
    total: usize,
    /// The holds, with the oldest one first.
    holds: Vec<Hold>,
    /// The number of holds to skip for the next page; `None` on the last page.
    next: Option<usize>,
    #[serde(skip)]
    asked: Asked,
}

/// Reads one page of held changes.
pub(in crate::pages) async fn load(store: &dyn Store, asked: &Asked) -> Result<Holds, Refused> {
    let skip = number("skip", &asked.skip)?.map_or(0, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
    let wanted = asked.text.to_lowercase();
    let is_wanted = |hold: &Hold| {
        let Hold { subject, change, why, .. } = hold;
        [subject, &change.aspect, &change.what, why].into_iter().any(|text| contains(text, &wanted))
    };
    let mut holds = store.holds().await?;
    holds.retain(is_wanted);
    let total = holds.len();
    let holds: Vec<Hold> = holds.into_iter().skip(skip).take(ROWS).collect();
    let end = skip.saturating_add(holds.len());
    Ok(Holds { total, holds, next: (end < total).then_some(end), asked: asked.clone() })
}

/// Returns a table of holds.
pub(in crate::pages) fn table_of(holds: &[Hold], now: Time) -> Html {
    let row = |hold: &Hold| {
        let approved = match &hold.approved_by {
            Some(by) => text(format!("approved by {by}")),
            None => code(format!("beadle approve {}", hold.digest)),
        };
        vec![
            subject(hold.key.as_str(), &hold.subject),
            detail::change(&hold.change),
            text(&hold.why),
            joined([moment(hold.since, now), faint(format!(" policy {}", hold.generation))]),
            approved,
        ]
    };
    table(
        "The oldest holds first",
        &["Name", "Change", "Why", "Since", "Approval"],
        holds.iter().map(row).collect(),
        "The guard holds no change.",
    )
}

impl View for Holds {
    const PLACE: &'static str = "/holds";

    fn title(&self) -> String {
        "Holds".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let next = self
            .next
            .map(|next| Link::to(Self::PLACE).with("text", &self.asked.text).with("skip", &next.to_string()));
        vec![
            filter(Self::PLACE, vec![field("text", "Name, change or reason contains", &self.asked.text)]),
            paragraph([text(match self.total {
                1 => "1 hold".to_owned(),
                total => format!("{total} holds"),
            })]),
            table_of(&self.holds, now),
            more(next, "Next page"),
        ]
    }
}
