//! Adds a fault to a list in an answer. A careful client can notice this fault. There are three
//! kinds of faults: the list has a wrong total, a row appears twice, or a row does not show its
//! identity.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;

/// How a list is wrong.
#[derive(Clone, Copy, Debug)]
enum ListFault {
    /// The last row is missing.
    Missing,
    /// All rows are missing.
    Empty,
    /// The last row is missing, and the first row appears twice instead.
    Doubled,
    /// The last row is null.
    Null,
    /// The last row has the id of the first row.
    WrongId,
    /// The last row has no id.
    NoId,
}

/// The faults of a list that states its total.
const COUNTED: &[ListFault] =
    &[ListFault::Missing, ListFault::Empty, ListFault::Doubled, ListFault::Null, ListFault::WrongId];
/// The faults of a list that states no total. A client cannot notice that a row is missing from
/// this list. So each of these faults leaves a trace.
const UNCOUNTED: &[ListFault] = &[ListFault::Doubled, ListFault::Null, ListFault::WrongId, ListFault::NoId];

/// The fields that a client uses to address an entry. The most common field comes first.
const IDS: &[&str] = &["id", "databaseId", "number"];

/// A list inside an answer: the path to the object that contains it, and the key of the list there.
#[derive(Clone, Debug)]
struct Place {
    object: String,
    key: &'static str,
    is_counted: bool,
}

/// Makes one list of an answer wrong. Returns whether the answer has changed.
pub(super) fn spoil(body: &mut Value, random: &mut StdRng) -> bool {
    let before = body.clone();
    if let Some(rows) = body.as_array_mut() {
        if let Some(fault) = UNCOUNTED.choose(random) {
            change(rows, *fault);
        }
        return *body != before;
    }
    let mut places = Vec::new();
    find(body, "", &mut places);
    let Some(place) = places.choose(random) else { return false };
    let faults = if place.is_counted { COUNTED } else { UNCOUNTED };
    let rows = body.pointer_mut(&place.object).and_then(|object| object[place.key].as_array_mut());
    if let (Some(rows), Some(fault)) = (rows, faults.choose(random)) {
        change(rows, *fault);
    }
    *body != before
}

/// Finds the lists that a client of the vendor reads. These are GraphQL's connections, the
/// `Resources` of SCIM answers, and some REST lists. REST puts these lists into an object together
/// with their total.
fn find(value: &Value, at: &str, places: &mut Vec<Place>) {
    let has_rows = |list: &Value| list.as_array().is_some_and(|rows| !rows.is_empty());
    match value {
        Value::Object(map) => {
            let mut add = |key, is_counted| places.push(Place { object: at.to_owned(), key, is_counted });
            for key in ["nodes", "edges"] {
                if map.contains_key("totalCount") && map.get(key).is_some_and(has_rows) {
                    add(key, true);
                }
            }
            // A list with cursors also has a total. But a client cannot rely on this total, because
            // the list ends only with a page that has no cursor.
            if map.get("Resources").is_some_and(has_rows) {
                add("Resources", false);
            }
            if map.contains_key("total_count")
                && let Some(key) = COUNTED_LISTS.iter().find(|key| map.get(**key).is_some_and(has_rows))
            {
                add(*key, true);
            }
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                find(inner, &format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (n, inner) in items.iter().enumerate() {
                find(inner, &format!("{at}/{n}"), places);
            }
        }
        _ => {}
    }
}

/// The keys of the lists that GitHub's REST API returns with their total.
const COUNTED_LISTS: &[&str] = &[
    "branch_policies",
    "custom_deployment_protection_rules",
    "custom_roles",
    "environments",
    "repositories",
    "roles",
    "runner_groups",
    "secrets",
    "variables",
];

fn change(rows: &mut Vec<Value>, fault: ListFault) {
    match fault {
        ListFault::Missing => {
            rows.pop();
        }
        ListFault::Empty => rows.clear(),
        ListFault::Doubled if rows.len() > 1 => {
            let first = rows[0].clone();
            rows.pop();
            rows.push(first);
        }
        // A list with one row becomes longer than its total.
        ListFault::Doubled => rows.extend(rows.first().cloned()),
        ListFault::Null => {
            if let Some(row) = rows.last_mut() {
                *row = Value::Null;
            }
        }
        ListFault::WrongId if rows.len() > 1 => {
            let first = rows.first().and_then(id_of).map(|(field, id)| (field, id.clone()));
            if let (Some((field, id)), Some(row)) = (first, rows.last_mut()) {
                set_id(row, field, Some(id));
            }
        }
        ListFault::WrongId => {}
        ListFault::NoId => {
            let field = rows.last().and_then(id_of).map(|(field, _)| field);
            if let (Some(field), Some(row)) = (field, rows.last_mut()) {
                set_id(row, field, None);
            }
        }
    }
}

/// Returns the id of a row, with its field. Returns `None` if the row is about a person. In an
/// edge, the node has the id.
fn id_of(row: &Value) -> Option<(&'static str, &Value)> {
    let is_edge = row["node"].is_object();
    let (holder, fields) = if is_edge { (&row["node"], &IDS[..1]) } else { (row, IDS) };
    // Beadle addresses people by their logins.
    if holder.get("login").is_some() {
        return None;
    }
    fields.iter().find_map(|field| Some((*field, holder.get(*field).filter(|id| !id.is_null())?)))
}

/// If a row has an id, replaces or removes the id.
fn set_id(row: &mut Value, field: &str, id: Option<Value>) {
    let is_edge = row["node"].is_object();
    let holder = if is_edge { &mut row["node"] } else { row };
    let Some(map) = holder.as_object_mut().filter(|map| map.contains_key(field)) else { return };
    match id {
        Some(id) => map.insert(field.to_owned(), id),
        None => map.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_list_can_be_noticed() {
        let list = json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }]);
        let connection = json!({ "data": { "node": { "labels": { "totalCount": 2, "nodes": list } } } });
        let counted = json!({ "total_count": 2, "secrets": list });
        for whole in [list.clone(), connection, counted] {
            let mut random = StdRng::seed_from_u64(1);
            let mut changed = 0;
            for _ in 0..50 {
                let mut wrong = whole.clone();
                changed += usize::from(spoil(&mut wrong, &mut random));
                assert_eq!(wrong["total_count"], whole["total_count"]);
            }
            assert_eq!(changed, 50, "{whole}");
        }
    }

    #[test]
    fn a_list_without_a_total_never_becomes_a_shorter_list_of_the_same_rows() {
        let whole = json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }]);
        for seed in 0..50 {
            let mut wrong = whole.clone();
            spoil(&mut wrong, &mut StdRng::seed_from_u64(seed));
            assert_eq!(wrong.as_array().unwrap().len(), 2, "{wrong}");
        }
    }

    #[test]
    fn an_answer_without_a_list_stays_as_it_is() {
        let mut body = json!({ "id": 1, "topics": ["a"] });
        assert!(!spoil(&mut body, &mut StdRng::seed_from_u64(1)));
    }
}
