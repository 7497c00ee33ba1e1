//! Files and folders of a repository. The simulator returns the same files for every `ref`.
//!
//! <https://docs.github.com/rest/repos/contents>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Reply, wants_raw};
use crate::github::{address, commits};

/// Returns the entry of a file or a folder of the repository `found`. `file` is the text of the
/// file, or `None` for a folder.
fn entry(org: &str, found: &Value, path: &str, file: Option<&str>) -> Value {
    let repository = found["name"].as_str().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let place = address::path(path);
    let url = format!("https://api.github.com/repos/{org}/{repository}/contents/{place}");
    let (kind, sha) = match file {
        Some(text) => ("file", commits::id("blob", text)),
        None => ("dir", commits::tree(&found["contents"], path)),
    };
    json!({
        "type": kind, "size": file.map_or(0, str::len), "name": name, "path": path, "sha": sha,
        "url": url, "git_url": url, "html_url": url, "download_url": url,
        "_links": { "self": url, "git": url, "html": url },
    })
}

/// Answers `GET /repos/{owner}/{repo}/contents/{path}`. The answer is a file or the list of a
/// folder's entries.
pub(super) fn answer(call: &Call<'_>, org: &str, found: &Value, path: &str) -> Reply {
    if let Some(content) = found["contents"].get(path) {
        let content = content.as_str().unwrap_or_default();
        if wants_raw(call.accept) {
            return Reply::raw(content);
        }
        let mut shown = entry(org, found, path, Some(content));
        shown["encoding"] = json!("base64");
        shown["content"] = json!(STANDARD.encode(content));
        return Reply::json(200, shown);
    }
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries = BTreeMap::new();
    for (file, content) in found["contents"].as_object().into_iter().flatten() {
        let Some(rest) = file.strip_prefix(&folder) else { continue };
        let (name, file) = match rest.split_once('/') {
            Some((name, _)) => (name, None),
            None => (rest, Some(content.as_str().unwrap_or_default())),
        };
        let place = format!("{folder}{name}");
        let shown = entry(org, found, &place, file);
        entries.insert(place, shown);
    }
    if entries.is_empty() {
        return Reply::not_found();
    }
    Reply::json(200, entries.into_values().collect())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn asked(accept: &str, found: &Value, path: &str) -> Reply {
        let method = Method::GET;
        let (sender, path_of_call) = ("beadle-app", Vec::new());
        let call =
            Call { method: &method, path: path_of_call, query: &[], body: &Value::Null, sender, accept };
        answer(&call, "acme", found, path)
    }

    #[test]
    fn a_raw_file_is_returned_on_request() {
        let found = json!({ "name": "admin", "contents": { "a/b.yml": "x: \"1\"\n" } });
        for accept in ["application/vnd.github.v3.raw", "application/vnd.github.raw+json, text/plain"] {
            let reply = asked(accept, &found, "a/b.yml");
            assert!(reply.is_raw());
            assert_eq!(reply.text(), "x: \"1\"\n");
        }
        assert!(!asked("application/vnd.github+json", &found, "a/b.yml").is_raw());
        assert!(!asked("application/vnd.github.raw", &found, "a").is_raw());
    }

    #[test]
    fn a_folder_lists_its_files_and_folders() {
        let found = json!({ "name": "admin", "contents": {
            ".github/settings.yml": "a", ".github/repos/shop.yml": "b", ".github/repos/till.yml": "c" } });
        let listed = |path: &str| {
            let body = asked("", &found, path).body.unwrap();
            let entries = body.as_array().unwrap().clone();
            entries.iter().map(|entry| (entry["type"].clone(), entry["path"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(
            listed(".github"),
            [(json!("dir"), json!(".github/repos")), (json!("file"), json!(".github/settings.yml"))]
        );
        assert_eq!(listed(""), [(json!("dir"), json!(".github"))]);
        assert_eq!(asked("", &found, ".github/settings.yml").body.unwrap()["content"], "YQ==");
        assert_eq!(asked("", &found, "nothing").status, 404);
    }
}
