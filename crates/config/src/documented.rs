//! Tests that docs/configuration.md describes exactly the keys that the configuration file can
//! have, and that the examples in the repository are valid.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{
    AppFile, AttributesFile, BudgetFile, CommentApprovalFile, DispatchFile, EXAMPLE, File, GateFile,
    GithubSignInFile, GroupGuardFile, GroupsFile, GuardFile, HookKeyFile, IdentityStoreFile,
    InstallationsFile, NotifyEmailFile, NotifyFile, NotifyIssuesFile, NotifyWebhookFile, OidcSignInFile,
    OktaAppFile, OktaFile, OrgFile, RecoveryFile, RepositorySource, RetentionFile, ScimFile, ServerFile,
    SignInFile, Source, StoreFile, TargetBudgetFile, TargetFile, TeamsFile, TracesFile, WaiversFile,
    WorkerFile,
};

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// Returns the keys of a table. The keys come from the error for an unknown key, because this error
/// lists all keys.
fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = toml::from_str::<T>("no_key_has_this_name = 1") else {
        panic!("the shape accepts an unknown key");
    };
    let words = error.message().split('`').skip(1).step_by(2);
    words.skip(1).map(str::to_owned).collect()
}

/// Returns the text of the page from a heading to the next heading.
fn section(heading: &str) -> &'static str {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading: {heading}"));
    let text = &PAGE[start + 1 + heading.len()..];
    text.find("\n#").map_or(text, |end| &text[..end])
}

/// Returns the keys in the first column of the tables below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let cells = section(heading).lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    // The removed prefix contains the first backtick. So after the split at backticks, the first,
    // the third and every other odd part is a key.
    cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|key| is_key(key)).map(str::to_owned).collect()
}

fn is_key(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_page_has_exactly_the_keys_of_each_table() {
    let tables = [
        ("## `[store]`", keys::<StoreFile>()),
        ("## `[server]`", keys::<ServerFile>()),
        ("### `[server.sign_in]`", keys::<SignInFile>()),
        ("### `[server.sign_in.github]`", keys::<GithubSignInFile>()),
        ("### `[server.sign_in.oidc]`", keys::<OidcSignInFile>()),
        ("## `[retention]`", keys::<RetentionFile>()),
        ("## `[recovery]`", keys::<RecoveryFile>()),
        ("## `[worker]`", keys::<WorkerFile>()),
        ("## `[[org]]`", keys::<OrgFile>()),
        ("### `app` of `[[org]]`", keys::<AppFile>()),
        ("### `[org.guard]` and `[target.guard]`", keys::<GuardFile>()),
        ("### `[org.gate]`", keys::<GateFile>()),
        ("### `[org.waivers]`", keys::<WaiversFile>()),
        ("### `[org.budget]`", keys::<BudgetFile>()),
        ("### `[[org.dispatch]]`", keys::<DispatchFile>()),
        ("## `[installations]`", keys::<InstallationsFile>()),
        ("## `[[okta]]`", keys::<OktaFile>()),
        ("## `[[target]]`", keys::<TargetFile>()),
        ("### `[target.scim]`", keys::<ScimFile>()),
        ("### `[target.github]`", keys::<TeamsFile>()),
        ("### `[target.attributes]`", keys::<AttributesFile>()),
        ("### `[target.group_guard]`", keys::<GroupGuardFile>()),
        ("### `[target.budget]`", keys::<TargetBudgetFile>()),
        ("## `[[groups]]`", keys::<GroupsFile>()),
        ("## `[[notify]]`", keys::<NotifyFile>()),
        ("### `[notify.email]`", keys::<NotifyEmailFile>()),
        ("## `[traces]`", keys::<TracesFile>()),
    ];
    for (heading, keys) in tables {
        assert!(!keys.is_empty(), "{heading}");
        assert_eq!(documented(heading), keys, "{heading}");
    }
}

#[test]
fn the_page_has_a_section_for_each_table() {
    let mut first = documented("## The first lines");
    for key in keys::<File>() {
        let has_section = ["[[", "["].iter().any(|open| {
            let close = open.replace('[', "]");
            PAGE.contains(&format!("\n## `{open}{key}{close}`\n"))
        });
        assert!(has_section || first.remove(&key), "{key} is not on the page");
    }
    assert!(first.is_empty(), "keys that do not exist: {first:?}");
}

#[test]
fn the_page_has_the_keys_of_tables_in_a_row() {
    for (heading, row, keys) in [
        ("## `[[org]]`", "policy", keys::<RepositorySource>()),
        ("## `[[org]]`", "base", keys::<RepositorySource>()),
        ("## `[[org]]`", "approve_by_comment", keys::<CommentApprovalFile>()),
        ("## `[[okta]]`", "app", keys::<OktaAppFile>()),
        ("## `[[okta]]`", "hook_key", keys::<HookKeyFile>()),
        ("### `[target.scim]`", "identity_store", keys::<IdentityStoreFile>()),
        ("## `[[notify]]`", "webhook", keys::<NotifyWebhookFile>()),
        ("## `[[notify]]`", "github", keys::<NotifyIssuesFile>()),
    ] {
        let begin = format!("| `{row}` |");
        let row = section(heading).lines().find(|line| line.starts_with(&begin)).unwrap();
        for key in keys {
            assert!(row.contains(&format!("`{key}`")), "{key}: {row}");
        }
    }
}

#[test]
fn the_examples_of_the_repository_are_valid() {
    for (path, text) in [
        ("examples/beadle.toml", EXAMPLE),
        ("examples/github-cop/beadle.toml", include_str!("../../../examples/github-cop/beadle.toml")),
        ("deploy/github-action/beadle.toml", include_str!("../../../deploy/github-action/beadle.toml")),
        ("deploy/sam/layer/beadle/beadle.toml", include_str!("../../../deploy/sam/layer/beadle/beadle.toml")),
    ] {
        let parsed = File::parse(&Source::new(Path::new(path), text));
        assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
    }
}
