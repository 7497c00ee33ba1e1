//! Computes the cost of a query before the query runs.
//!
//! <https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>

use graphql_parser::query::SelectionSet;
use serde_json::Value;

use super::{Run, Text};

pub(super) const MOST_NODES: u64 = 500_000;

/// Returns the cost in points, and the maximum number of nodes that the answer can have.
pub(super) fn cost<'a>(run: &Run<'a>, selection: &'a SelectionSet<'a, Text>) -> (u64, u64) {
    let (requests, nodes) = count(run, selection, 1);
    ((requests / 100).max(1), nodes)
}

fn count<'a>(run: &Run<'a>, selection: &'a SelectionSet<'a, Text>, times: u64) -> (u64, u64) {
    let (mut requests, mut nodes) = (0, 0);
    for item in &selection.items {
        use graphql_parser::query::Selection::{Field, FragmentSpread, InlineFragment};
        let (more_requests, more_nodes) = match item {
            Field(field) => {
                let arguments = run.arguments(field);
                let pages = arguments.get("first").or(arguments.get("last")).and_then(Value::as_u64);
                let ids = arguments.get("ids").and_then(Value::as_array).map(|ids| ids.len() as u64);
                let inner = times * pages.or(ids).unwrap_or(1);
                let own = (u64::from(pages.is_some()) * times, pages.map_or(0, |_| inner));
                let below = count(run, &field.selection_set, inner);
                (own.0 + below.0, own.1 + below.1)
            }
            InlineFragment(fragment) => count(run, &fragment.selection_set, times),
            FragmentSpread(spread) => match run.fragments.get(spread.fragment_name.as_str()) {
                Some(fragment) => count(run, &fragment.selection_set, times),
                None => (0, 0),
            },
        };
        requests += more_requests;
        nodes += more_nodes;
    }
    (requests, nodes)
}
