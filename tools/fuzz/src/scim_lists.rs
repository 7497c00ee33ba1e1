//! Lists of SCIM servers, by index and by cursor.

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Time};
use beadle_scim::{Api, Dialect, Reader};
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::json;

use crate::list::{List, Paging};
use crate::seed::Seed;
use crate::wire::{ADDRESS, Vendor, finish, parameter};

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

fn id(row: usize) -> String {
    format!("group-{row}")
}

/// Returns a server whose groups are the rows of the list.
fn vendor(list: List, paging: Paging) -> Arc<Vendor> {
    Vendor::new(move |address, _| {
        let number = |name| parameter(address, name).and_then(|value| value.parse::<usize>().ok());
        let page = match paging {
            Paging::Index => list.page_at(number("startIndex").unwrap_or(1).saturating_sub(1)),
            Paging::Cursor | Paging::Link => number("cursor").unwrap_or(0),
        };
        let row = |row| json!({ "id": id(row), "displayName": format!("Group {row}") });
        let mut body = json!({ "schemas": [SCHEMA], "Resources": list.rows(page, row, "id") });
        match paging {
            Paging::Index => body["totalResults"] = json!(list.total()),
            Paging::Cursor | Paging::Link => {
                body["nextCursor"] = json!(list.next(page).map(|next| next.to_string()));
            }
        }
        list.answer(page, &body, HeaderMap::new())
    })
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let (paging, dialect) = match seed.value("paging") {
        Some("cursor") => (Paging::Cursor, Dialect::AWS),
        _ => (Paging::Index, Dialect::RFC7644),
    };
    let list = List::of(&seed);
    let vendor = vendor(list.clone(), paging);
    let found = finish(async {
        let clock = Clock::simulated(Time(1_800_000_000_000));
        let (token, budgets) = (SecretString::from("token"), Budgets::new("aws", 0));
        let api = Api::new(ADDRESS, &token, dialect, budgets, &clock, vendor.settings());
        Reader::new(api.expect("the address is valid")).groups().await
    });
    let whole = found.ok().filter(|listed| listed.short.is_none() && listed.odd.is_empty());
    let found = whole.map(|listed| listed.rows.into_iter().map(|group| group.id).collect());
    list.check(paging, paging == Paging::Index, found, id);
}
