//! Fuzzes Okta's lists.

use beadle_engine::{Clock, Time};
use beadle_okta::{Credential, Okta};
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::list::{List, Paging};
use crate::seed::Seed;
use crate::wire::{ADDRESS, Vendor, finish, link, parameter};

fn id(row: usize) -> String {
    format!("00g{row}")
}

/// Returns a directory whose groups are the rows of the list.
fn vendor(list: List) -> std::sync::Arc<Vendor> {
    Vendor::new(move |address, _| {
        let page = parameter(address, "after").and_then(|after| after.parse().ok()).unwrap_or(0);
        let row = |row| json!({ "id": id(row), "profile": { "name": format!("Group {row}") } });
        let next = list.next(page).map(|next| format!("{ADDRESS}/api/v1/groups?after={next}&limit=200"));
        let headers = next.map_or_else(HeaderMap::new, |next| link(&next));
        list.answer(page, &Value::Array(list.rows(page, row, "id")), headers)
    })
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let list = List::of(&seed);
    let vendor = vendor(list.clone());
    let found = finish(async {
        let clock = Clock::simulated(Time(1_800_000_000_000));
        let token = Credential::Token(SecretString::from("token"));
        let okta = Okta::new(ADDRESS, "corp", token, 0, &clock, &vendor.settings());
        okta.expect("the address is valid").groups().await
    });
    let found = found.ok().map(|groups| groups.into_iter().map(|group| group.id).collect());
    list.check(Paging::Link, false, found, id);
}
