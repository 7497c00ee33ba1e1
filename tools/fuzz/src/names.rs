//! Fuzzes names that become a part of an address, a filter, a key or a note.

use beadle_engine::{Budgets, Clock, Key, KeyScope, Time, note};
use beadle_okta::{Credential, Okta};
use beadle_scim::{Api, Dialect, Reader};
use beadle_transport::Path;
use beadle_transport::path::segment;
use bytes::Bytes;
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use crate::wire::{ADDRESS, Vendor, finish, parameter};

pub(crate) fn run(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    in_an_address(&name);
    in_requests(&name);
    in_a_note(&name);
    in_a_key(&name);
}

fn in_an_address(name: &str) {
    let query = Path::at("search").query("q", name).query("page", 1).to_string();
    let (_, query) = query.split_once('?').expect("the path has a query");
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs, [("q", name), ("page", "1")].map(|(key, value)| (key.to_owned(), value.to_owned())));
    if segment(name).is_err() {
        return;
    }
    let path = Path::at("repos").value(name).then("labels").to_string();
    let inner = path.strip_prefix("repos/").and_then(|path| path.strip_suffix("/labels"));
    let inner = inner.expect("the literals are as they were");
    assert!(inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)), "{inner}");
    assert_eq!(percent_decode_str(inner).decode_utf8().as_deref(), Ok(name));
    // A server or a proxy can decode the address again.
    let mut read = inner.to_owned();
    loop {
        let hostile = |part: &str| matches!(part, "." | "..") || part.contains(char::is_control);
        assert!(!read.split(['/', '\\']).any(hostile), "{name:?} is a path: {read:?}");
        let decoded = percent_decode_str(&read).decode_utf8_lossy().into_owned();
        if decoded == read {
            return;
        }
        read = decoded;
    }
}

/// Checks that requests to Okta and to a SCIM server contain the whole name, and nothing else in
/// its place. The vendors answer each request with 404.
fn in_requests(name: &str) {
    let vendor = Vendor::new(|_, _| (404, HeaderMap::new(), Bytes::from_static(b"{}")));
    finish(async {
        let clock = Clock::simulated(Time(1_800_000_000_000));
        let token = Credential::Token(SecretString::from("token"));
        let okta = Okta::new(ADDRESS, "corp", token, 0, &clock, &vendor.settings());
        let okta = okta.expect("the address is valid");
        let (token, budgets) = (SecretString::from("token"), Budgets::new("aws", 0));
        let api = Api::new(ADDRESS, &token, Dialect::RFC7644, budgets, &clock, vendor.settings());
        let scim = Reader::new(api.expect("the address is valid"));
        // The results do not matter, because the vendors have no data. The function checks only the
        // requests.
        let _ = okta.group(name).await;
        let _ = okta.count(name).await;
        let _ = scim.group_named(name).await;
    });
    for address in vendor.asked() {
        let (path, query) = address.split_once('?').unwrap_or((address.as_str(), ""));
        match path.strip_prefix(ADDRESS) {
            Some("/api/v1/groups") => {
                assert_eq!(compared(&address, "id eq "), name, "{address}");
                let keys: Vec<_> = form_urlencoded::parse(query.as_bytes()).map(|(key, _)| key).collect();
                assert_eq!(keys, ["filter", "expand", "limit"], "{address}");
            }
            Some("/Groups") => assert_eq!(compared(&address, "displayName eq "), name, "{address}"),
            Some(path) => {
                let id = path.strip_prefix("/api/v1/groups/").expect("the path names a group");
                assert!(!id.contains('/') && query.is_empty(), "{address}");
                assert_eq!(percent_decode_str(id).decode_utf8().as_deref(), Ok(name), "{address}");
            }
            None => panic!("{address} is not the vendor's"),
        }
    }
}

/// Returns the value in a filter. The value must be one JSON string.
fn compared(address: &str, begin: &str) -> String {
    let filter = parameter(address, "filter").unwrap_or_default();
    let value = filter.strip_prefix(begin).and_then(|value| serde_json::from_str(value).ok());
    value.unwrap_or_else(|| panic!("{filter} has more than one value"))
}

/// Checks that the name of a note contains both parts of `name`.
fn in_a_note(name: &str) {
    let (first, last) = name.split_once('\n').unwrap_or((name, ""));
    let note = note("kind", &[first, last]);
    let parts = note.strip_prefix("kind:").and_then(|parts| parts.split_once(':'));
    let (read, rest) = parts.expect("a note has its parts");
    let read = read.replace("%3A", ":").replace("%00", "\0").replace("%25", "%");
    assert_eq!((read.as_str(), rest), (first, last.replace('\0', "%00").as_str()));
}

/// Checks that a key belongs to its instance, and to no other instance.
fn in_a_key(name: &str) {
    let (instance, id) = name.split_once('\n').unwrap_or((name, "1"));
    let key = Key::new("repository", instance, id);
    // PostgreSQL cannot store U+0000.
    let (instance, id) = (&instance.replace('\0', "\u{fffd}"), &*id.replace('\0', "\u{fffd}"));
    assert_eq!((key.kind(), key.id()), ("repository", id));
    assert_eq!(key.instance(), instance.replace(':', "%3A"));
    let scope = KeyScope::new("repository", instance);
    let (from, to) = scope.bounds();
    assert!(scope.covers(&key) && from <= key.as_str() && key.as_str() < to.as_str(), "{key}");
    assert!(!KeyScope::new("repository", &format!("{instance}2")).covers(&key), "{key}");
    if !instance.is_empty() && !id.is_empty() {
        assert_eq!(key.as_str().parse::<Key>(), Ok(key));
    }
}
