//! Fuzzes lists of SCIM servers, by index and by cursor. Also fuzzes the list of members inside a
//! group.

use std::collections::HashSet;
use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Time};
use beadle_scim::{Api, Dialect, Reader};
use bytes::Bytes;
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

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

fn reader(vendor: &Arc<Vendor>, dialect: Dialect) -> Reader {
    let clock = Clock::simulated(Time(1_800_000_000_000));
    let (token, budgets) = (SecretString::from("token"), Budgets::new("aws", 0));
    let api = Api::new(ADDRESS, &token, dialect, budgets, &clock, vendor.settings());
    Reader::new(api.expect("the address is valid"))
}

/// Reads the members inside a group. The body of the input is the group.
fn members(body: &[u8]) {
    let Ok(group) = serde_json::from_slice::<Value>(body) else { return };
    let body = Bytes::copy_from_slice(body);
    let vendor = Vendor::new(move |_, _| (200, HeaderMap::new(), body.clone()));
    let found = finish(async { reader(&vendor, Dialect::RFC7644).members("g1").await });
    let Ok(Some(found)) = found else { return };
    let members = &group["members"];
    assert!(members.is_null() || members.is_array(), "no list of members is an empty list: {members}");
    let is_group =
        |member: &&Value| member["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("group"));
    let people = members.as_array().into_iter().flatten().filter(|member| !is_group(member));
    let ids: HashSet<String> = people
        .map(|person| match &person["value"] {
            Value::String(id) if !id.is_empty() => id.clone(),
            Value::Number(id) => id.to_string(),
            other => panic!("a member has no id: {other}"),
        })
        .collect();
    assert_eq!(found.into_iter().map(|member| member.id).collect::<HashSet<_>>(), ids);
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let (paging, dialect) = match seed.value("paging") {
        Some("none") => return members(seed.body),
        Some("cursor") => (Paging::Cursor, Dialect::AWS),
        _ => (Paging::Index, Dialect::RFC7644),
    };
    let list = List::of(&seed);
    let vendor = vendor(list.clone(), paging);
    let found = finish(async { reader(&vendor, dialect).groups().await });
    let whole = found.ok().filter(|listed| listed.short.is_none() && listed.odd.is_empty());
    let found = whole.map(|listed| listed.rows.into_iter().map(|group| group.id).collect());
    list.check(paging, paging == Paging::Index, found, id);
}
