use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::policy::assertions::repository;
use crate::policy::{Desired, Node, OverrideStatus, Policy, PolicyError, Severity, Verdict, leaves_actors};

fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    Policy::from_sources(sources, "admin", Path::new("policy"))
}

fn accepted(files: &[(&str, &str)]) -> Policy {
    load(files).unwrap_or_else(|error| panic!("{files:?}\n{error}"))
}

/// Returns the findings of a policy. Each finding has two parts: the severity, and a text of the
/// form `file:line message`.
fn remarks(policy: &Policy) -> Vec<(Severity, String)> {
    let text = |problem: &crate::policy::Problem| format!("{} {}", problem.asked, problem.message);
    policy.remarks.iter().map(|problem| (problem.severity, text(problem))).collect()
}

/// Loads files that Beadle must refuse. Returns the errors.
fn errors(files: &[(&str, &str)]) -> String {
    load(files).unwrap_err().to_string()
}

/// Returns the values that a policy declares for the repository `shop`.
fn desired(policy: &Policy) -> Desired {
    let shop = repository(&Node::parse("test", "{ name: shop, topics: [web], teams: [core-team] }").unwrap());
    match policy.resolve(&shop, &OverrideStatus::default()) {
        Verdict::Reached(target) => policy.desired(&target, &shop),
        Verdict::Skipped(why) => panic!("{why}"),
    }
}

/// Returns the values that `beadle explain` shows for the repository `shop`.
fn shown(policy: &Policy) -> serde_json::Value {
    let shop = repository(&Node::parse("test", "{ name: shop, topics: [web], teams: [core-team] }").unwrap());
    match policy.resolve(&shop, &OverrideStatus::default()) {
        Verdict::Reached(target) => policy.declared(&target, &shop).unwrap().json(),
        Verdict::Skipped(why) => panic!("{why}"),
    }
}

/// Returns the value that a policy declares for a setting, or `None` if the policy declares no
/// value.
fn setting(policy: &Policy, key: &str) -> Option<serde_json::Value> {
    desired(policy).settings.into_iter().find(|want| want.key == key).map(|want| want.value)
}

/// Returns the teams that a policy declares for the repository `shop`. Each team comes with its
/// permission.
fn teams(policy: &Policy) -> Vec<(String, String)> {
    let teams = desired(policy).teams.map(|teams| teams.items).unwrap_or_default();
    teams.into_iter().map(|team| (team.slug, team.permission.as_str().to_owned())).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

const WIKI: (&str, &str) = ("settings.yml", "repository: { has_wiki: false }\n");

#[test]
fn a_file_without_a_value_is_a_warning() {
    for text in ["", "\n\n", "# why\n", "---\n# why\n", "  # why\n# more"] {
        let policy = accepted(&[WIKI, ("repos/shop.yml", text)]);
        let found = remarks(&policy);
        let [(Severity::Warning, message)] = found.as_slice() else { panic!("{text:?}: {found:?}") };
        let what = if text.contains('#') { "has only comments" } else { "is empty" };
        assert!(
            message.starts_with(&format!("repos/shop.yml:1 the file {what}: it sets no value")),
            "{message}"
        );
        assert_eq!(setting(&policy, "has_wiki"), Some(json!(false)));
    }
}

#[test]
fn a_policy_of_empty_files_is_refused() {
    for (text, what) in [("", "the file is empty"), ("# why\n", "the file has only comments")] {
        assert!(errors(&[("settings.yml", text)]).contains(what), "{text:?}");
    }
    let emptied = errors(&[WIKI, ("deployment-settings.yml", "\n")]);
    assert!(emptied.contains("it restricts no repository"), "{emptied}");
    accepted(&[WIKI, ("deployment-settings.yml", "# restrictedRepos: [a]\n")]);
}

#[test]
fn a_file_without_any_text_removes_no_entry() {
    let settings = ("settings.yml", "teams: [{ name: core, permission: pull }]\n");
    let is_exclusive =
        |text: &str| desired(&accepted(&[settings, ("repos/shop.yml", text)])).teams.unwrap().exclusive;
    assert!(!is_exclusive("\n"), "it may be the rest of a failed write");
    assert!(is_exclusive("# nothing of its own\n"));
}

#[test]
fn a_file_without_any_text_casts_doubt_on_every_repository_that_it_may_reach() {
    let doubt = |file: &str, text: &str, name: &str| {
        let policy = accepted(&[("layers/wiki.yml", "repository: { has_wiki: false }\n"), (file, text)]);
        let seen = repository(&Node::parse("test", &format!("{{ name: {name} }}")).unwrap());
        match policy.resolve(&seen, &OverrideStatus::default()) {
            Verdict::Reached(target) => target.doubt(),
            Verdict::Skipped(why) => panic!("{why}"),
        }
    };
    // If the text of a suborg or of a layer is lost, the selectors in this text are also lost. The
    // file might then apply to any repository.
    for file in ["settings.yml", "suborgs/a.yml", "layers/a.yml", "repos/shop.yml"] {
        for text in ["", " \n", "\u{feff}\n"] {
            assert!(doubt(file, text, "shop").is_some_and(|why| why.starts_with(file)), "{file}: {text:?}");
        }
        assert_eq!(doubt(file, "# nothing\n", "shop"), None, "{file}");
    }
    assert_eq!(doubt("repos/shop.yml", "", "blog"), None);
}

#[test]
fn a_section_without_a_value_is_not_specified() {
    let settings = (
        "settings.yml",
        "teams: [{ name: core, permission: pull }]\nrepository:\n  topics:\n  has_wiki: false\n",
    );
    let policy = accepted(&[settings, ("repos/shop.yml", "teams:\nlabels:\n")]);
    assert_eq!(teams(&policy), pairs(&[("core", "pull")]));
    let messages: Vec<String> = remarks(&policy).into_iter().map(|(_, message)| message).collect();
    let said = |place: &str, key: &str| {
        format!("{place} `{key}` has no value: Beadle reads the key as not specified")
    };
    let expected = [
        said("repos/shop.yml:1", "teams"),
        said("repos/shop.yml:2", "labels"),
        said("settings.yml:3", "repository.topics"),
    ];
    assert_eq!(messages, expected);
    for key in ["additive_plugins", "disable_plugins"] {
        let refused =
            errors(&[("settings.yml", format!("repository: {{ has_wiki: false }}\n{key}:\n").as_str())]);
        assert!(refused.contains(&format!("`{key}` must be a list")), "Beadle would remove more: {refused}");
    }
    let other = "suborgrepos:\nsuborgteams: [core]\nrepository: { has_wiki: false }\n";
    assert_eq!(accepted(&[("suborgs/a.yml", other)]).remarks.len(), 1);
    let none = errors(&[("suborgs/a.yml", "suborgrepos:\nsuborgteams:\nrepository: { has_wiki: false }\n")]);
    assert!(none.contains("`suborgrepos` must be a list"), "it would reach no repository: {none}");
    let selects = errors(&[("layers/a.yml", "select:\nrepository: { has_wiki: false }\n")]);
    assert!(selects.contains("`select` must be"), "it would reach every repository: {selects}");
}

#[test]
fn a_team_without_a_permission_keeps_its_access_unless_a_lower_layer_has_a_permission() {
    let text = "teams: [{ name: core }, { name: core-team }]\ncollaborators: [{ username: mona }]\n";
    let policy = accepted(&[("settings.yml", text)]);
    // Only `core-team` already has access to the repository.
    assert_eq!(teams(&policy), pairs(&[("core", "pull"), ("core-team", "push")]));
    let wants = desired(&policy);
    assert!(wants.teams.unwrap().items.iter().all(|team| !team.is_stated));
    let people = wants.collaborators.unwrap().items;
    assert_eq!((people[0].permission.as_str(), people[0].is_stated), ("push", false));
    let lower = ("settings.yml", "teams: [{ name: core, permission: triage }]\n");
    let policy = accepted(&[lower, ("repos/shop.yml", "teams: [{ name: core }]\n")]);
    assert_eq!(teams(&policy), pairs(&[("core", "triage")]));
    assert!(desired(&policy).teams.unwrap().items[0].is_stated);
}

#[test]
fn keys_that_create_a_team_are_reported() {
    let text = "teams:\n- name: core\n  privacy: closed\n  visibility: secret\n  external_group: a\n";
    let policy = accepted(&[("settings.yml", text)]);
    let found = remarks(&policy);
    assert_eq!(found.len(), 3, "{found:?}");
    for (line, key) in [(3, "privacy"), (4, "visibility"), (5, "external_group")] {
        let begin = format!("settings.yml:{line} `teams[0].{key}`: ");
        assert!(
            found.iter().any(|(kind, text)| *kind == Severity::NotYet && text.starts_with(&begin)),
            "{begin}"
        );
    }
}

#[test]
fn the_display_name_of_a_team_is_its_slug() {
    let policy = accepted(&[("suborgs/a.yml", "suborgteams: [Core Team]\nteams: [{ name: Core Team }]\n")]);
    assert_eq!(teams(&policy), pairs(&[("core-team", "push")]));
    assert!(remarks(&policy).iter().all(|(_, text)| text.ends_with("Beadle uses the slug `core-team`")));
    for name in ["Core  Team", "C++ Team", "Core - Team", "Core a--b", "' Core'", "Kärn Team"] {
        let text = format!("teams: [{{ name: {name}, permission: pull }}]\n");
        assert!(errors(&[("settings.yml", text.as_str())]).contains("must be a slug"), "{name}");
    }
}

#[test]
fn archived_false_of_a_layer_unarchives_nothing_and_overrides_a_lower_layer() {
    let policy = accepted(&[("settings.yml", "repository:\n  archived: false\n")]);
    assert_eq!(setting(&policy, "archived"), None);
    let found = remarks(&policy);
    let [(Severity::NotYet, message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.starts_with("settings.yml:2 ") && message.contains("repos/NAME.yml"), "{message}");
    let old = ("settings.yml", "repository: { archived: true }\n");
    let live = ("suborgs/live.yml", "suborgrepos: [shop]\nrepository: { archived: false }\n");
    assert_eq!(setting(&accepted(&[old, live]), "archived"), None, "the exception stays");
    let case = ("layers/a.yml", "first_match: [{ repository: { archived: false } }]\n");
    assert_eq!(setting(&accepted(&[old, case]), "archived"), None);
    assert_eq!(setting(&accepted(&[old]), "archived"), Some(json!(true)));
    let own = accepted(&[("repos/shop.yml", "repository: { archived: false }\n")]);
    assert_eq!((setting(&own, "archived"), own.remarks.len()), (Some(json!(false)), 0));
}

#[test]
fn of_private_and_visibility_the_private_value_counts() {
    for (text, key, value, count) in [
        ("{ private: true, visibility: private }", "visibility", json!("private"), 0),
        ("{ private: true, visibility: public }", "private", json!(true), 1),
        ("{ private: false, visibility: private }", "visibility", json!("private"), 1),
        ("{ private: true, visibility: internal }", "visibility", json!("internal"), 0),
    ] {
        let policy = accepted(&[("settings.yml", format!("repository: {text}\n").as_str())]);
        assert_eq!((setting(&policy, key), policy.remarks.len()), (Some(value), count), "{text}");
    }
}

#[test]
fn of_private_and_visibility_in_layers_of_one_rank_the_private_value_counts() {
    let (private, public) = ("repository: { private: true }\n", "repository: { visibility: public }\n");
    let policy = accepted(&[("layers/a.yml", private), ("layers/b.yml", public)]);
    assert_eq!((setting(&policy, "private"), setting(&policy, "visibility")), (Some(json!(true)), None));
    let cases = "repository: { visibility: public }\nfirst_match: [{ repository: { private: true } }]\n";
    let policy = accepted(&[("layers/a.yml", cases)]);
    assert_eq!((setting(&policy, "private"), setting(&policy, "visibility")), (Some(json!(true)), None));
    let policy = accepted(&[("settings.yml", private), ("layers/b.yml", public)]);
    assert_eq!(setting(&policy, "visibility"), Some(json!("public")), "the higher layer wins");
}

#[test]
fn explain_shows_only_what_the_plan_wants() {
    let settings =
        "repository: { has_wiki: false, topics: [a], archived: false }\ndisable_plugins: [topics]\n";
    let policy = accepted(&[("settings.yml", settings)]);
    assert_eq!(shown(&policy)["repository"], json!({ "has_wiki": false }));
}

#[test]
fn an_empty_protection_removes_the_rule_and_says_so() {
    for (empty, count) in [("null", 0), ("{}", 0), ("[]", 1), ("false", 1)] {
        let text = format!("branches:\n- name: main\n  protection: {empty}\n");
        let policy = accepted(&[("settings.yml", text.as_str())]);
        let branches = desired(&policy).branches;
        assert_eq!((branches.len(), branches[0].protection.is_none()), (1, true), "{empty}");
        assert_eq!(policy.remarks.len(), count, "{empty}");
    }
    for other in ["true", "[x]", "''"] {
        let text = format!("branches:\n- name: main\n  protection: {other}\n");
        assert!(errors(&[("settings.yml", text.as_str())]).contains("`branches[0].protection` must be"));
    }
}

#[test]
fn empty_dismissal_restrictions_are_off_and_say_so() {
    let reviews = |actors: &str| {
        format!(
            "branches:\n- name: main\n  protection:\n    required_pull_request_reviews:\n      dismissal_restrictions: {actors}\n"
        )
    };
    for (actors, expected, count) in
        [("null", json!(null), 0), ("{}", json!(null), 1), ("{ users: [] }", json!({ "users": [] }), 0)]
    {
        let policy = accepted(&[("settings.yml", reviews(actors).as_str())]);
        let protection = desired(&policy).branches[0].protection.as_ref().unwrap().json();
        assert_eq!(
            protection["required_pull_request_reviews"]["dismissal_restrictions"], expected,
            "{actors}"
        );
        let found = remarks(&policy);
        assert_eq!(found.len(), count, "{actors}: {found:?}");
        assert!(found.iter().all(|(_, text)| text.starts_with("settings.yml:5 ")), "{found:?}");
    }
}

#[test]
fn bypass_actors_with_a_name_are_left_alone() {
    let text = "rulesets:\n- name: main\n  enforcement: active\n  bypass_actors:\n  - { actor_type: Team, actor_id: 5 }\n  \
                - { actor_type: Team, name: core }\n  rules: [{ type: deletion }]\n";
    let policy = accepted(&[("repos/shop.yml", text)]);
    let found = remarks(&policy);
    let [(Severity::NotYet, message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.starts_with("repos/shop.yml:6 `rulesets[0].bypass_actors[0].name`"), "{message}");
    let named = "bypass_actors: [{ actor_type: Team, name: core }]";
    let by_id = "bypass_actors: [{ actor_type: Team, actor_id: 5 }]";
    for (lower, higher) in [(named, by_id), (by_id, named), (named, named)] {
        let ruleset = |actors: &str| format!("rulesets: [{{ name: main, enforcement: active, {actors} }}]\n");
        let (lower, higher) = (format!("suborgrepos: [shop]\n{}", ruleset(lower)), ruleset(higher));
        let policy = accepted(&[("suborgs/a.yml", lower.as_str()), ("repos/shop.yml", higher.as_str())]);
        let wants = desired(&policy);
        // One layer lists actors by their ids. The other layer lists one actor by its name. The
        // first list must not remove this named actor.
        assert!(leaves_actors(&wants.sections["rulesets"].items()[0]), "{lower} {higher}");
        let shown = shown(&policy);
        let rulesets = shown["rulesets"].as_array().unwrap();
        assert!(rulesets.len() == 1 && rulesets[0].get("bypass_actors").is_none(), "{shown}");
    }
}

#[test]
fn custom_properties_can_keep_values_by_pattern() {
    let settings = ("settings.yml", "custom_properties: [{ name: tier, value: gold }]\n");
    let text = "custom_properties: { include: [{ name: owner, value: web }], exclude: [{ name: ^external- }, ^x] }\n";
    let policy = accepted(&[settings, ("repos/shop.yml", text)]);
    let wants = desired(&policy);
    let section = &wants.sections["custom_properties"];
    let names: Vec<_> =
        section.items().iter().map(|item| item.get("name").unwrap().text().unwrap().to_owned()).collect();
    assert_eq!(names, ["tier", "owner"]);
    let is_kept = |name: &str| section.kept().iter().any(|pattern| pattern.is_match(name));
    assert!(section.exclusive && is_kept("external-id") && is_kept("x1") && !is_kept("tier"));
}

#[test]
fn colours_are_text_where_yaml_still_has_it() {
    let text =
        "labels:\n- { name: a, color: 5e8741 }\n- { name: b, color: 008672 }\n- { name: c, color: 336699 }\n";
    let policy = accepted(&[("settings.yml", text)]);
    let wants = desired(&policy);
    let section = &wants.sections["labels"];
    let colors: Vec<_> =
        section.items().iter().map(|item| item.get("color").unwrap().text().unwrap().to_owned()).collect();
    assert_eq!(colors, ["5e8741", "008672", "336699"]);
    let refused = errors(&[("settings.yml", "labels: [{ name: a, color: 33669 }]\n")]);
    assert!(refused.contains("put the value in quotes"), "{refused}");
}

#[test]
fn two_labels_can_have_one_former_name() {
    let text = "labels: [{ name: a, oldname: Help Wanted }, { name: b, oldname: Help Wanted }]\n";
    assert!(accepted(&[("settings.yml", text)]).remarks.is_empty());
}

#[test]
fn topics_in_one_text_are_a_list() {
    let policy = accepted(&[("settings.yml", "repository: { topics: 'github, probot' }\n")]);
    let topics = desired(&policy).topics.unwrap().items;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["github", "probot"]);
}

#[test]
fn disable_plugins_of_a_file_reaches_the_layers_of_its_target() {
    let team = |name: &str| format!("teams: [{{ name: {name}, permission: pull }}]\n");
    let disable = |target: &str| format!("disable_plugins: [{{ plugin: teams, target: {target} }}]\n");
    let found = |settings: &str, suborg: &str, repo: &str| {
        let files = [
            ("settings.yml", "org", settings),
            ("suborgs/a.yml", "sub", suborg),
            ("repos/shop.yml", "own", repo),
        ];
        let text = |file: &str, name: &str, target: &str| {
            let select = if file.starts_with("suborgs") { "suborgrepos: [shop]\n" } else { "" };
            let disable = if target.is_empty() { String::new() } else { disable(target) };
            format!("{}{select}{disable}", team(name))
        };
        let files = files.map(|(file, name, target)| (file, text(file, name, target)));
        let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let names = teams(&accepted(&files)).into_iter().map(|(slug, _)| slug);
        names.collect::<Vec<String>>().join(" ")
    };
    for (settings, suborg, repo, expected) in [
        ("", "", "", "org sub own"),
        ("self", "", "", "sub own"),
        ("children", "", "", "org"),
        ("all", "", "", ""),
        ("", "self", "", "org own"),
        ("", "children", "", "org sub"),
        ("", "all", "", "org"),
        ("", "", "self", "org sub"),
        ("", "", "children", "org sub own"),
        ("", "", "all", "org sub"),
        ("children", "", "self", "org"),
    ] {
        assert_eq!(found(settings, suborg, repo), expected, "{settings} {suborg} {repo}");
    }
}

#[test]
fn a_list_that_is_disabled_makes_no_other_list_exclusive() {
    let teams = |mode: &str, more: &str| format!("teams: {{ {mode}: [{{ name: core }}] }}\n{more}");
    let topics = |mode: &str, more: &str| format!("repository: {{ topics: {{ {mode}: [a] }} }}\n{more}");
    let disable = |name: &str| format!("disable_plugins: [{{ plugin: {name}, target: self }}]\n");
    let own = ("repos/shop.yml", "teams: [{ name: web }]\nrepository: { topics: [b] }\n");
    // If the policy disables an additive list, the list's mode still applies.
    let files = [teams("additive", &disable("teams")), topics("additive", &disable("repository"))];
    let wants = desired(&accepted(&[("settings.yml", files[0].as_str()), own]));
    assert_eq!((wants.teams.as_ref().unwrap().items.len(), wants.teams.unwrap().exclusive), (1, false));
    assert!(!desired(&accepted(&[("settings.yml", files[1].as_str()), own])).topics.unwrap().exclusive);
    // If the policy disables an exclusive list, the list's mode no longer applies.
    let settings = topics("additive", "");
    let suborg = format!("suborgrepos: [shop]\n{}", topics("exclusive", &disable("repository")));
    let files = [("settings.yml", settings.as_str()), ("suborgs/a.yml", suborg.as_str())];
    assert!(!desired(&accepted(&files)).topics.unwrap().exclusive);
    let settings = format!("{settings}disable_plugins: [{{ plugin: repository, target: children }}]\n");
    let suborg = format!("suborgrepos: [shop]\n{}", topics("exclusive", ""));
    let files = [("settings.yml", settings.as_str()), ("suborgs/a.yml", suborg.as_str())];
    assert!(!desired(&accepted(&files)).topics.unwrap().exclusive);
}

#[test]
fn an_entry_of_disable_plugins_without_an_effect_is_reported() {
    let wiki = "repository: { has_wiki: false }\n";
    for (file, text) in [
        ("deployment-settings.yml", "disable_plugins: [{ plugin: teams, target: self }]\n"),
        ("repos/shop.yml", "disable_plugins: [{ plugin: teams, target: children }]\n"),
    ] {
        let found = remarks(&accepted(&[("layers/wiki.yml", wiki), (file, text)]));
        let [(Severity::Warning, message)] = found.as_slice() else { panic!("{file}: {found:?}") };
        assert!(message.starts_with(&format!("{file}:1 `target: ")), "{message}");
    }
    let refused =
        errors(&[("settings.yml", "repository: { has_wiki: false }\ndisable_plugins: [{ target: self }]\n")]);
    assert!(refused.contains("must have `plugin`"), "{refused}");
}

#[test]
fn disable_plugins_can_name_a_part_and_stand_in_the_deployment_settings() {
    let settings = ("settings.yml", "repository: { has_wiki: false, archived: true, topics: [a] }\n");
    let own = "repository: { archived: true, topics: [b] }\ndisable_plugins: [archive, { plugin: topics, target: self }]\n";
    let policy = accepted(&[WIKI, ("repos/shop.yml", own)]);
    assert_eq!((setting(&policy, "archived"), desired(&policy).topics), (None, None));
    assert!(policy.remarks.is_empty(), "{:?}", policy.remarks);
    let policy = accepted(&[settings, ("deployment-settings.yml", "disable_plugins: [archive]\n")]);
    assert_eq!((setting(&policy, "archived"), setting(&policy, "has_wiki")), (None, Some(json!(false))));
}

#[test]
fn a_plugin_that_cannot_be_additive_is_an_error() {
    for plugin in ["repository", "archive", "validator", "actions"] {
        let text = format!("repository: {{ has_wiki: false }}\nadditive_plugins: [{plugin}]\n");
        let refused = errors(&[("settings.yml", text.as_str())]);
        assert!(refused.contains("is not a list that can be additive"), "{plugin}: {refused}");
    }
    let text = "repository: { has_wiki: false }\nadditive_plugins: [app_installations]\n";
    let found = remarks(&accepted(&[("settings.yml", text)]));
    let [(Severity::NotYet, message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.contains("has no effect: only an App of the enterprise"), "{message}");
}

mod later;
mod schemas;
mod walk;

#[test]
fn a_name_in_a_file_for_several_repositories_renames_none() {
    let named = "repository: { name: till, has_wiki: false }\n";
    let policy = accepted(&[("settings.yml", named)]);
    assert_eq!((setting(&policy, "name"), setting(&policy, "has_wiki")), (None, Some(json!(false))));
}
