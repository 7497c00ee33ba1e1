//! Files and folders of a repository. There is one state of them, whatever `ref` is asked for.
//!
//! <https://docs.github.com/rest/repos/contents>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Reply;

fn entry(org: &str, repository: &str, kind: &str, path: &str, size: usize) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    let url = format!("https://api.github.com/repos/{org}/{repository}/contents/{path}");
    json!({
        "type": kind, "size": size, "name": name, "path": path, "sha": "0".repeat(40),
        "url": url, "git_url": url, "html_url": url, "download_url": url,
        "_links": { "self": url, "git": url, "html": url },
    })
}

/// Answers `GET /repos/{owner}/{repo}/contents/{path}`: a file, or the entries of a folder.
pub(super) fn answer(org: &str, found: &Value, path: &str) -> Reply {
    let repository = found["name"].as_str().unwrap_or_default();
    let text = |text: &Value| text.as_str().unwrap_or_default().to_owned();
    if let Some(content) = found["contents"].get(path) {
        let content = text(content);
        let mut shown = entry(org, repository, "file", path, content.len());
        shown["encoding"] = json!("base64");
        shown["content"] = json!(STANDARD.encode(content));
        return Reply::json(200, shown);
    }
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries = BTreeMap::new();
    for (file, content) in found["contents"].as_object().into_iter().flatten() {
        let Some(rest) = file.strip_prefix(&folder) else { continue };
        let (name, kind, size) = match rest.split_once('/') {
            Some((name, _)) => (name, "dir", 0),
            None => (rest, "file", text(content).len()),
        };
        let place = format!("{folder}{name}");
        let shown = entry(org, repository, kind, &place, size);
        entries.insert(place, shown);
    }
    if entries.is_empty() {
        return Reply::not_found();
    }
    Reply::json(200, entries.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_its_files_and_folders() {
        let found = json!({ "name": "admin", "contents": {
            ".github/settings.yml": "a", ".github/repos/shop.yml": "b", ".github/repos/till.yml": "c" } });
        let listed = |path: &str| {
            let body = answer("acme", &found, path).body.unwrap();
            let entries = body.as_array().unwrap().clone();
            entries.iter().map(|entry| (entry["type"].clone(), entry["path"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(
            listed(".github"),
            [(json!("dir"), json!(".github/repos")), (json!("file"), json!(".github/settings.yml"))]
        );
        assert_eq!(listed(""), [(json!("dir"), json!(".github"))]);
        assert_eq!(answer("acme", &found, ".github/settings.yml").body.unwrap()["content"], "YQ==");
        assert_eq!(answer("acme", &found, "nothing").status, 404);
    }
}
