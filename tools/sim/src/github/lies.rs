//! Puts errors into the rows of lists, if a test asks for such errors. For example, a row is
//! repeated or missing, or the same page comes again and again.

use http::Uri;
use serde_json::Value;

use crate::faults::{Fault, Lie};
use crate::github::rest::Reply;

fn tells(fault: Option<&Fault>, lie: Lie) -> bool {
    fault.is_some_and(|fault| fault.lies.contains(&lie))
}

/// Returns the address that the simulator answers. Because of a fault, this address can differ from
/// the requested address.
pub(crate) fn asked(uri: &Uri, fault: Option<&Fault>) -> Uri {
    if !tells(fault, Lie::FirstPageAgain) {
        return uri.clone();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "page" && name != "cursor" {
            query.append_pair(&name, &value);
        }
    }
    format!("{}?{}", uri.path(), query.finish()).parse().unwrap_or_else(|_| uri.clone())
}

/// Changes the list in a REST answer according to a fault.
pub(crate) fn rest(reply: &mut Reply, fault: &Fault, uri: &Uri) {
    if fault.lies.is_empty() {
        return;
    }
    let Some(list) = reply.body.as_mut().and_then(list_of) else { return };
    spoil(list, fault, true);
    let had_cursor = reply.headers.iter().any(|(name, _)| *name == "x-sim-next-cursor");
    if tells(Some(fault), Lie::EndsEarly) || tells(Some(fault), Lie::FirstPageAgain) {
        reply.headers.retain(|(name, _)| !name.starts_with("x-sim-"));
    }
    if tells(Some(fault), Lie::FirstPageAgain) {
        let asked = |wanted: &str| {
            let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            query.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let cursor = asked("cursor").or(had_cursor.then(|| "v1_0".to_owned()));
        let next = if let Some(cursor) = cursor {
            ("x-sim-next-cursor", format!("{cursor}0"))
        } else {
            let page = asked("page").and_then(|page| page.parse::<u64>().ok()).unwrap_or(1);
            ("x-sim-next-page", (page + 1).to_string())
        };
        reply.headers.push(next);
    }
}

/// Returns whether a fault replaces every page of this connection with the first page.
pub(crate) fn begins_again(fault: Option<&Fault>) -> bool {
    tells(fault, Lie::FirstPageAgain)
}

/// Changes a GraphQL connection according to a fault. `after` is the cursor that the query
/// requested.
pub(crate) fn connection(shown: &mut Value, fault: &Fault, after: Option<&str>) {
    let mut rows = 0;
    for list in ["nodes", "edges"] {
        if let Some(list) = shown.get_mut(list).and_then(Value::as_array_mut) {
            rows = list.len();
            spoil(list, fault, false);
        }
    }
    let Some(info) = shown.get_mut("pageInfo").and_then(Value::as_object_mut) else { return };
    if tells(Some(fault), Lie::EndsEarly) {
        info.insert("hasNextPage".into(), false.into());
    }
    if tells(Some(fault), Lie::FirstPageAgain) {
        // The cursor still changes from page to page, so only the rows show that something is
        // wrong.
        let start: usize = after.and_then(|after| after.strip_prefix("cursor:")?.parse().ok()).unwrap_or(0);
        info.insert("hasNextPage".into(), true.into());
        info.insert("endCursor".into(), format!("cursor:{}", start + rows.max(1)).into());
    }
}

/// Returns the list in a body. The body either is the list, or contains exactly one list.
fn list_of(body: &mut Value) -> Option<&mut Vec<Value>> {
    match body {
        Value::Array(list) => Some(list),
        Value::Object(map) => map.values_mut().find_map(Value::as_array_mut),
        _ => None,
    }
}

fn spoil(list: &mut Vec<Value>, fault: &Fault, is_rest: bool) {
    for lie in &fault.lies {
        match lie {
            Lie::RowTwice => list.extend(list.first().cloned()),
            Lie::RowMissing => {
                list.pop();
            }
            Lie::NullRow => {
                if let Some(row) = list.last_mut() {
                    *node_of(row) = Value::Null;
                }
            }
            Lie::NoIdentity => {
                let map = list.last_mut().and_then(|row| node_of(row).as_object_mut());
                match (map, is_rest) {
                    (Some(map), true) => {
                        map.remove(&fault.field);
                    }
                    // GraphQL returns every requested field, so a missing field becomes null.
                    (Some(map), false) => {
                        map.insert(fault.field.clone(), Value::Null);
                    }
                    (None, _) => {}
                }
            }
            Lie::FirstPageAgain | Lie::EndsEarly => {}
        }
    }
}

/// Returns the node of an edge.
fn node_of(row: &mut Value) -> &mut Value {
    if row.get("node").is_some() { &mut row["node"] } else { row }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(lies: &[Lie]) -> Fault {
        Fault { lies: lies.to_vec(), field: "id".into(), ..Fault::default() }
    }

    fn listed(lies: &[Lie], uri: &str) -> Reply {
        let mut reply = Reply::json(200, json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }]));
        reply.headers.push(("x-sim-next-page", "2".into()));
        rest(&mut reply, &fault(lies), &uri.parse().unwrap());
        reply
    }

    #[test]
    fn a_list_of_rest_has_the_requested_faults() {
        let body = |lies: &[Lie]| listed(lies, "/x").body.unwrap();
        assert_eq!(body(&[Lie::RowTwice]), json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }, { "id": 1 }]));
        assert_eq!(body(&[Lie::RowMissing]), json!([{ "id": 1 }, { "id": 2 }]));
        assert_eq!(body(&[Lie::RowMissing, Lie::RowTwice]), json!([{ "id": 1 }, { "id": 2 }, { "id": 1 }]));
        assert_eq!(body(&[Lie::NullRow]), json!([{ "id": 1 }, { "id": 2 }, null]));
        assert_eq!(body(&[Lie::NoIdentity]), json!([{ "id": 1 }, { "id": 2 }, {}]));
        assert!(listed(&[Lie::EndsEarly], "/x").headers.is_empty());
        let again = listed(&[Lie::FirstPageAgain], "/x?page=7&per_page=3");
        assert_eq!(again.headers, [("x-sim-next-page", "8".to_owned())]);
    }

    #[test]
    fn a_repeated_first_page_has_an_address_without_a_cursor() {
        let uri: Uri = "/x?per_page=3&page=7&cursor=v1_1".parse().unwrap();
        assert_eq!(asked(&uri, Some(&fault(&[Lie::FirstPageAgain]))).to_string(), "/x?per_page=3");
        assert_eq!(asked(&uri, Some(&fault(&[Lie::EndsEarly]))), uri);
    }

    #[test]
    fn a_connection_has_the_requested_faults() {
        let whole = json!({
            "totalCount": 2, "edges": [{ "node": { "id": "A" } }, { "node": { "id": "B" } }],
            "pageInfo": { "hasNextPage": true, "endCursor": "cursor:2" },
        });
        let told = |lies: &[Lie]| {
            let mut shown = whole.clone();
            connection(&mut shown, &fault(lies), Some("cursor:4"));
            shown
        };
        assert_eq!(told(&[Lie::NullRow])["edges"][1], json!({ "node": null }));
        assert_eq!(told(&[Lie::NoIdentity])["edges"][1], json!({ "node": { "id": null } }));
        let missing = told(&[Lie::RowMissing]);
        assert_eq!((missing["edges"].as_array().unwrap().len(), &missing["totalCount"]), (1, &json!(2)));
        assert_eq!(told(&[Lie::EndsEarly])["pageInfo"]["hasNextPage"], json!(false));
        assert_eq!(
            told(&[Lie::FirstPageAgain])["pageInfo"],
            json!({ "hasNextPage": true, "endCursor": "cursor:6" })
        );
    }
}
