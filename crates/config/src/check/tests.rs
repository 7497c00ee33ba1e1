use std::path::Path;

use crate::{File, Refusals, Source};

const ORG: &str = "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n";

fn error(text: &str) -> String {
    File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap_err().to_string()
}

#[test]
fn the_check_run_of_a_commit_needs_an_app_in_the_organisation_of_the_repository() {
    let org = |name: &str, more: &str| format!("[[org]]\nname = \"{name}\"\n{more}\n");
    let app = "app = { id = 1, key = \"env:K\" }";
    let policy = "policy = { organisation = \"shared\", repository = \"rules\" }\ncommit_check = true";
    let acme = org("acme", &format!("{policy}\ntoken = \"env:T\""));
    let shared = |credential: &str| org("shared", &format!("policy = \"p\"\n{credential}"));
    let error = error(&format!("{acme}{}", shared("token = \"env:T\"")));
    assert!(
        error.contains("beadle.toml:4: `org.commit_check` needs an [[org]] `shared` with an App"),
        "{error}"
    );
    let text = format!("{acme}{}", shared(app));
    assert!(File::parse(&Source::new(Path::new("beadle.toml"), text)).is_ok());
}

#[test]
fn an_error_names_the_file_the_line_and_the_key() {
    for (below, expected) in [
        ("guard = { percent = 101 }", "beadle.toml:5: `org.guard.percent` must be at most 100, found 101"),
        ("gate = { percent = 101 }", "beadle.toml:5: `org.gate.percent` must be at most 100, found 101"),
        ("[org.guard]\nwindow = \"59s\"", "beadle.toml:6: `org.guard.window` must be at least `60s`"),
        (
            "[org.budget]\nreserve = 20\nconcurrency = 91",
            "beadle.toml:7: `org.budget.concurrency` must be from 1 to 90, found 91",
        ),
        (
            "webhook_secrets = [\n\"env:A\",\n\"hunter2\",\n]",
            "beadle.toml:7: `org.webhook_secrets`: a secret must be a reference",
        ),
        (
            "schedule = \"0 0 31 2 *\"",
            "beadle.toml:5: `org.schedule` must match at least one date, found `0 0 31 2 *`",
        ),
        ("schedule = \"often\"", "beadle.toml:5: `org.schedule` must be a cron expression, found `often`: "),
        ("[retention]\nids = \"7d\"", "beadle.toml:6: `retention.ids` must be at least `8d`\nhint: "),
        (
            "[retention]\n\nids = \"9 moons\"",
            "beadle.toml:7: `retention.ids`: invalid duration `9 moons`: use a value such as `90s`",
        ),
        ("[worker]\nconcurrency = 0", "beadle.toml:6: `worker.concurrency` must be at least 1, found 0"),
        (
            "[server]\noperator = \"0.0.0.0:1\"",
            "beadle.toml:6: `server.operator` is `0.0.0.0:1`, so `server.operator_token` is required\nhint: ",
        ),
        (
            "approve_by_review = \"security\"",
            "beadle.toml:5: `org.approve_by_review` must be used with a `policy` in a repository",
        ),
        (
            "approve_by_comment = { repository = \"ops\", team = \"security\" }",
            "beadle.toml:5: `org.approve_by_comment` must be used with a `policy` in a repository",
        ),
        (
            "commit_check = true",
            "beadle.toml:5: `org.commit_check` must be used with a `policy` in a repository, found a folder",
        ),
        ("[store]\npath = \"\"", "beadle.toml:6: `store.path`: a store must not be empty"),
        (
            "[[okta]]\nname = \"ACME\"\nurl = \"u\"\ntoken = \"env:T\"",
            "beadle.toml:6: `okta.name` must differ from all other names, found `ACME`, which an [[org]] has",
        ),
        (
            "[[okta]]\nname = \"corp\"\nurl = \"u\"",
            "beadle.toml:5: directory `corp` has no credentials: set `app` or `token`",
        ),
        (
            "[[target]]\nname = \"teams\"\ngithub = { org = \"acne\", match = [\"mail\"] }",
            "beadle.toml:7: `target.github.org`: there is no [[org]] `acne`\nhint: did you mean `acme`?",
        ),
        (
            "[[target]]\nname = \"aws\"\nscim = { url = \"u\", token = \"env:T\", dialect = \"d\" }\n\
             [target.attributes]\ntitel = \"title\"",
            "beadle.toml:9: ",
        ),
    ] {
        let error = error(&format!("{ORG}{below}\n"));
        assert!(error.starts_with(expected) && !error.contains("hunter2"), "{expected}\n{error}");
    }
}

#[test]
fn an_organisation_needs_exactly_one_credential() {
    let without = ORG.replace("token = \"env:T\"\n", "");
    let expected = "beadle.toml:1: organisation `acme` has no credentials: set `app` or `token`";
    assert_eq!(error(&without), expected);
    let both = format!("{ORG}app = {{ id = 1, key = \"env:K\" }}\n");
    let expected = "beadle.toml:4: organisation `acme` has both `app` and `token`: set only one of them";
    assert_eq!(error(&both), expected);
    assert!(error("").starts_with("beadle.toml:1: the file must have at least one [[org]]"));
}

#[test]
fn a_mode_that_writes_refuses_more() {
    for (below, validators) in [
        ("", false),
        ("mode = \"observe\"\n", false),
        ("mode = \"add-only\"\n", false),
        ("mode = \"enforce\"\n", true),
        ("mode = \"enforce\"\nvalidators = \"refused\"\n", true),
        ("mode = \"enforce\"\nvalidators = \"ignored\"\n", false),
    ] {
        let text = format!("{ORG}{below}");
        let file = File::parse(&Source::new(Path::new("beadle.toml"), &text));
        let file = file.unwrap_or_else(|error| panic!("{below}: {error}"));
        let shared_names = below.contains("enforce") || below.contains("add-only");
        assert_eq!(file.org[0].refusals(), Refusals { validators, shared_names }, "{below}");
    }
    assert!(error(&format!("{ORG}validators = \"run\"\n")).contains("beadle.toml:5"));
}

#[test]
fn the_limits_of_members_need_members_of_the_policy() {
    let app = "[[org]]\nname = \"acme\"\npolicy = \"p\"\napp = { id = 1, key = \"env:K\" }\n";
    for (keys, expected) in [
        ("match = [\"mail\"], min_owners = 3", "`target.github.min_owners` has no effect"),
        ("match = [\"mail\"], required_owners = [\"mona\"]", "`target.github.required_owners` has no effect"),
        ("match = [\"mail\"], members_percent = 5", "`target.github.members_percent` has no effect"),
        ("members_from_policy = true, min_owners = 0", "`target.github.min_owners` must be at least 1"),
        (
            "members_from_policy = true, members_percent = 101",
            "`target.github.members_percent` must be from 1 to 100, found 101",
        ),
    ] {
        let text = format!("{app}[[target]]\nname = \"teams\"\ngithub = {{ org = \"acme\", {keys} }}\n");
        let error = error(&text);
        assert!(error.contains(expected), "{keys}\n{error}");
    }
}
