//! Pull requests.
//!
//! <https://docs.github.com/rest/pulls/pulls>

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::shapes;
use crate::github::world::{World, now};

/// The time of every pull request.
const DATED: &str = "2026-01-01T00:00:00Z";

/// The id of every fork. No repository of a state has this id.
const FORK: u64 = 990_000_001;

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/pulls`.
pub(super) fn answer(world: &World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let wanted = call.query.iter().find(|(key, _)| key == "state");
            let state = wanted.map_or("open", |(_, state)| state.as_str());
            let pulls = found["pulls"].as_object().into_iter().flatten();
            let pulls = pulls.filter(|(_, pull)| state == "all" || pull["state"] == state);
            page(call, pulls.map(|(number, pull)| shown(world, org, found, number, pull)).collect())
        }
        ("GET", [number]) => match found["pulls"].get(*number) {
            Some(pull) => Reply::json(200, shown(world, org, found, number, pull)),
            None => Reply::not_found(),
        },
        ("GET", [number, "reviews"]) => match found["pulls"].get(*number) {
            Some(pull) => {
                let reviews = pull["reviews"].as_array().into_iter().flatten().enumerate();
                let web = format!(
                    "https://github.com/{org}/{}/pull/{number}",
                    found["name"].as_str().unwrap_or_default()
                );
                page(call, reviews.map(|(at, review)| reviewed(world, &web, pull, at, review)).collect())
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}

/// Returns a review. The entry has the `user` and the `state`, and can have the `commit` of the
/// review.
fn reviewed(world: &World, web: &str, pull: &Value, at: usize, review: &Value) -> Value {
    let commit = review["commit"].as_str().or(pull["head"].as_str());
    let user = shapes::sender(world, review["user"].as_str().unwrap_or("octocat"));
    let (html, api) = (format!("{web}#pullrequestreview-{at}"), "https://api.github.com/");
    json!({
        "id": at + 1, "node_id": format!("PRR_kwDO{at:08}"), "user": user, "body": "", "state": review["state"],
        "html_url": html, "pull_request_url": api, "submitted_at": now(), "commit_id": commit,
        "author_association": "MEMBER", "_links": { "html": { "href": html }, "pull_request": { "href": api } },
    })
}

/// Returns a pull request in REST's form. Webhooks use the same form.
pub(crate) fn shown(world: &World, org: &str, found: &Value, number: &str, pull: &Value) -> Value {
    let name = found["name"].as_str().unwrap_or_default();
    let id = pull["id"].as_u64().unwrap_or_default();
    let user = shapes::sender(world, pull["user"].as_str().unwrap_or("octocat"));
    let owner = shapes::repository(world, org, found, true)["owner"].clone();
    let repository = format!("https://api.github.com/repos/{org}/{name}");
    let (api, web) =
        (format!("{repository}/pulls/{number}"), format!("https://github.com/{org}/{name}/pull/{number}"));
    let issue = format!("{repository}/issues/{number}");
    let head = pull["head"].as_str().unwrap_or_default();
    let is_fork = pull["fork"] == json!(true);
    let (from, from_user) = if is_fork { ("someone", user.clone()) } else { (org, owner.clone()) };
    let is_merged = pull["merged"] == json!(true);
    let is_open = pull["state"] == "open";
    let link = |href: String| json!({ "href": href });
    let side = |label: String, reference: &Value, sha: &str, user: &Value| {
        let repo = shapes::repository(world, org, found, false);
        json!({ "label": label, "ref": reference, "sha": sha, "user": user, "repo": repo })
    };
    let base_commit = found["head_commit"].as_str().map_or_else(|| "1".repeat(40), str::to_owned);
    let base = format!("{org}:{}", pull["base"].as_str().unwrap_or_default());
    let named = pull["branch"].as_str().map_or_else(|| format!("change-{number}"), str::to_owned);
    let branch = json!(named);
    let mut shown = json!({
        "url": api, "id": id, "node_id": format!("PR_kwDO{id:08}"), "number": number.parse::<u64>().unwrap_or_default(),
        "html_url": web, "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "issue_url": issue, "commits_url": format!("{api}/commits"),
        "review_comments_url": format!("{api}/comments"),
        "review_comment_url": format!("{repository}/pulls/comments{{/number}}"),
        "comments_url": format!("{issue}/comments"), "statuses_url": format!("{repository}/statuses/{head}"),
        "state": pull["state"], "locked": false, "title": pull["title"], "user": user, "body": null, "labels": [],
        "head": side(format!("{from}:{named}"), &branch, head, &from_user),
        "base": side(base, &pull["base"], &base_commit, &owner),
        "_links": {
            "self": link(api.clone()), "html": link(web.clone()), "issue": link(issue.clone()),
            "comments": link(format!("{issue}/comments")), "review_comments": link(format!("{api}/comments")),
            "review_comment": link(format!("{repository}/pulls/comments{{/number}}")),
            "commits": link(format!("{api}/commits")), "statuses": link(format!("{repository}/statuses/{head}")),
        },
    });
    if is_fork {
        shown["head"]["repo"]["id"] = json!(FORK);
    }
    let more = json!({
        "milestone": null, "created_at": DATED, "updated_at": DATED,
        "closed_at": (!is_open).then_some(DATED), "merged_at": is_merged.then_some(DATED),
        "merge_commit_sha": pull["merge_commit"], "assignee": null, "assignees": [], "requested_reviewers": [],
        "requested_teams": [], "draft": false, "author_association": "NONE", "auto_merge": null,
        "merged": is_merged, "mergeable": null, "mergeable_state": "unknown", "merged_by": null,
        "comments": 0, "review_comments": 0, "maintainer_can_modify": false, "commits": 1, "additions": 1,
        "deletions": 0, "changed_files": 1,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        shown[key] = value.clone();
    }
    shown
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::github::rest;

    #[test]
    fn open_pull_requests_are_listed_and_a_closed_one_is_found_by_its_number() {
        let pulls = json!({ "7": { "contents": { "a": "1" } }, "8": { "state": "closed", "fork": true } });
        let repos = json!({ "admin": { "branches": { "main": {} }, "pulls": pulls } });
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": repos } } }));
        let mut read = |path: &str| {
            let (method, path) = (Method::GET, path.split('/').collect());
            let call = Call {
                method: &method,
                path,
                query: &[],
                body: &Value::Null,
                sender: "beadle-app",
                accept: "",
            };
            rest::answer(&mut world, &call)
        };
        let listed = read("repos/acme/admin/pulls").body.unwrap();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["number"]), (1, &json!(7)));
        let closed = read("repos/acme/admin/pulls/8").body.unwrap();
        assert_eq!((&closed["state"], &closed["base"]["ref"]), (&json!("closed"), &json!("main")));
        assert_eq!(closed["head"]["sha"].as_str().map(str::len), Some(40));
        assert_eq!(read("repos/acme/admin/pulls/9").status, 404);
    }
}
