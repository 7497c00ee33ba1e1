//! Fuzzes GitHub's lists: plain REST lists, REST lists inside an object with a total, and GraphQL
//! lists.

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader};
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::list::{List, Paging};
use crate::seed::Seed;
use crate::wire::{ADDRESS, Vendor, finish, link, parameter};

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Counted,
    Graph,
}

fn id(row: usize) -> String {
    // An id is a number that is greater than 0.
    (row + 1).to_string()
}

/// Returns a simulated vendor with an organisation. A list of the organisation has the rows of
/// `list`.
fn vendor(list: List, form: Form) -> Arc<Vendor> {
    Vendor::new(move |address, body| {
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let after = sent["variables"]["after"].as_str().map(str::to_owned);
        let page = parameter(address, "page").or(after).and_then(|page| page.parse().ok()).unwrap_or(0);
        let next = list.next(page);
        if form == Form::Graph {
            let node = |row: usize| {
                json!({ "databaseId": row + 1, "id": format!("R_{row}"), "name": format!("repository-{row}"),
                        "isArchived": false, "visibility": "PRIVATE" })
            };
            let repositories = json!({
                "totalCount": list.total(),
                "nodes": list.rows(page, node, "databaseId"),
                "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next.map(|next| next.to_string()) },
            });
            let body = json!({ "data": { "organization": { "repositories": repositories } } });
            return list.answer(page, &body, HeaderMap::new());
        }
        let rows = list.rows(page, |row| json!({ "id": row + 1, "name": format!("hook {row}") }), "id");
        let next = next.map(|next| format!("{ADDRESS}/orgs/acme/hooks?per_page=100&page={next}"));
        let headers = next.map_or_else(HeaderMap::new, |next| link(&next));
        let body = match form {
            Form::Counted => json!({ "total_count": list.total(), "hooks": rows }),
            Form::Plain | Form::Graph => Value::Array(rows),
        };
        list.answer(page, &body, headers)
    })
}

/// Returns the same text for two rows about the same thing: the id, or the whole row if the row is
/// about an account. If the id is 0, the text is the whole row too, because an id of 0 does not
/// count.
fn identity(row: &Value) -> String {
    match &row["id"] {
        id if *id != 0 && row["login"].is_null() => id.to_string(),
        _ => row.to_string(),
    }
}

/// Reads the list. Returns `None` if the reader reports that the list is unknown.
async fn read(reader: &Reader, form: Form) -> Option<Vec<String>> {
    let ids = |rows: Vec<Value>| -> Vec<String> { rows.iter().map(identity).collect() };
    match form {
        Form::Plain => reader.list_of_organisation("hooks", &["id"]).await.ok().map(ids),
        Form::Counted => reader.rows_of_organisation("hooks", "hooks", &["id"]).await.ok().map(ids),
        Form::Graph => {
            let rows = reader.index().await.ok()?;
            Some(rows.into_iter().map(|row| row.id.to_string()).collect())
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let form = match seed.value("form") {
        Some("counted") => Form::Counted,
        Some("graph") => Form::Graph,
        _ => Form::Plain,
    };
    let list = List::of(&seed);
    let vendor = vendor(list.clone(), form);
    let found = finish(async {
        let clock = Clock::simulated(Time(1_800_000_000_000));
        let token = Credential::Token(SecretString::from("token"));
        let budgets = Budgets::new("acme", 0);
        let api = Api::new(&Endpoint::new(ADDRESS), "acme", token, budgets, &clock, vendor.settings());
        read(&Reader::new(api.expect("the address is valid"), Asks::default()), form).await
    });
    let paging = if form == Form::Graph { Paging::Cursor } else { Paging::Link };
    list.check(paging, form != Form::Plain, found, id);
}
