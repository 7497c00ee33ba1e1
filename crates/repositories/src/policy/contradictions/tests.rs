use crate::policy::{Policy, PolicyError};

fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Policy::load(folder.path(), "admin")
}

/// Loads the files and returns the findings. Each finding has the form `file:line message`.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let problems = match load(files) {
        Ok(policy) => policy.remarks,
        Err(PolicyError::Invalid { problems, .. }) => problems,
        Err(error) => panic!("{error}"),
    };
    let line = |problem: &crate::policy::Problem| {
        format!("{} {} {}", problem.asked, problem.message, problem.hint.clone().unwrap_or_default())
    };
    problems.iter().map(line).collect()
}

#[test]
fn what_github_refuses_is_refused_with_its_line() {
    let queue = "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: merge_queue\n    parameters: { merge_method: SQUASH }\n";
    for (file, text, expected) in [
        ("repos/a.yml", "repository:\n  topics: [c++]", ":2 `repository.topics[0]` must have only letters"),
        (
            "repos/a.yml",
            "repository:\n  topics: a, b,",
            ":2 `repository.topics` must be a list, or a block of keys, found the string `a, b,` write it as a list: [a, b,]",
        ),
        (
            "repos/a.yml",
            "autolinks:\n- key_prefix: APO1\n  url_template: https://x/<num>",
            ":2 `autolinks[0].key_prefix` must not end in a digit",
        ),
        (
            "repos/a.yml",
            "autolinks:\n- { key_prefix: APO, url_template: https://x/<num> }\n- { key_prefix: APOPS, url_template: https://x/<num> }",
            ":3 `key_prefix` must not overlap with `APO`",
        ),
        (
            "settings.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: license_compliance_scanning\n",
            ":5 `rulesets[0]`: a ruleset of the organisation cannot have the rule `license_compliance_scanning`",
        ),
        (
            "repos/a.yml",
            "environments:\n- name: prod\n  deployment_branch_policy: { protected_branches: true, custom_branch_policies: [main] }",
            ":3 `protected_branches` and `custom_branch_policies` must not both be set",
        ),
        (
            "repos/a.yml",
            &*format!(
                "environments:\n- name: prod\n  reviewers: [{}]\n",
                "{ type: Team, slug: a }, ".repeat(7)
            ),
            ":3 an environment must have at most 6 reviewers",
        ),
        (
            "repos/a.yml",
            "environments:\n- name: prod\n  variables: [{ name: SIZE, value: 1 }, { name: size, value: 1 }]",
            ":3 `variables` of an environment has the entry `size` twice",
        ),
        (
            "repos/a.yml",
            "environments:\n- name: prod\n  secrets:\n    add: [{ name: A, secret: x }, { name: a, secret: y }]",
            ":4 `secrets` of an environment has the entry `a` twice",
        ),
        (
            "repos/a.yml",
            "oidc_subject:\n  include_claim_keys: [repo, actor, repo]",
            ":2 `include_claim_keys` must have each claim once",
        ),
        (
            "repos/a.yml",
            "variables:\n- { name: a-b, value: x }",
            ":2 `variables[0].name` must have only letters, digits",
        ),
        ("repos/a.yml", "repository:\n  visibility: PRIVATE", "did you mean `private`?"),
        ("repos/a.yml", "repository:\n  squash_merge_commit_title: pr_title", "did you mean `PR_TITLE`?"),
        (
            "repos/a.yml",
            &*queue.replace("SQUASH", "squash"),
            ":6 `rulesets[0].rules[0].parameters.merge_method` must be one of MERGE, SQUASH, REBASE, found the string `squash` did you mean `SQUASH`?",
        ),
        (
            "repos/a.yml",
            queue,
            ":5 the rule `merge_queue` must have the parameters check_response_timeout_minutes, ",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: pull_request\n    parameters: { required_approving_review_count: '2' }",
            ":6 `rulesets[0].rules[0].parameters.required_approving_review_count` must be a whole number from 0 to 10, or null, found the string `2` write the number without quotes",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: deletion\n  - type: deletion",
            ":6 `rulesets[0]` must not have the rule `deletion` twice",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  target: branch\n  enforcement: active\n  rules:\n  - type: max_file_size\n    parameters: { max_file_size: 5 }",
            ":6 a ruleset with `target: branch` cannot have the rule `max_file_size`",
        ),
        (
            "settings.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions: { ref_name: { include: [~ALL], exclude: [] } }\n  rules: [{ type: deletion }]",
            ":4 `rulesets[0].conditions` must have `repository_name`, `repository_id` or `repository_property` \
             for all repositories, write `repository_name: { include: ['~ALL'], exclude: [] }`; for some repositories, move \
             the ruleset to `suborgs/*.yml`",
        ),
        (
            "settings.yml",
            "rulesets:\n- name: main\n  enforcement: active",
            ":2 `rulesets[0].conditions` must have `repository_name`, `repository_id` or `repository_property` for all",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions:\n    ref_name: { include: [main] }",
            ":5 `rulesets[0].conditions.ref_name.include[0]` must begin with `refs/heads/` or `refs/tags/`, or be `~DEFAULT_BRANCH` or `~ALL`, found the string `main` write it as `refs/heads/main`",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions:\n    ref_names: { include: [~ALL] }",
            ":5 unknown key `rulesets[0].conditions.ref_names` did you mean `ref_name`?",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions:\n    repository_name: { include: [~ALL] }",
            ":5 `rulesets[0].conditions`: a ruleset of a repository cannot have `repository_name`",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  target: repository",
            ":4 `rulesets[0]`: a ruleset of a repository cannot have `target: repository`",
        ),
        (
            "settings.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions:\n    ref_name: { include: [~ALL] }\n    repository_name: { include: [~ALL] }\n    repository_id: { repository_ids: [1] }",
            ":5 `rulesets[0].conditions` must have only one of `repository_name`, ",
        ),
        (
            "settings.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  conditions:\n    ref_name: { include: [~ALL] }\n    repository_property:\n      include:\n      - name: tier",
            ":8 an entry of `repository_property` must have `property_values`",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: required_status_checks\n    parameters:\n      required_status_checks:\n      - integration_id: 5",
            ":8 an entry of `required_status_checks` must have `context`",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: pull_request\n    parameters: { required_reviewers: [{ reviewer: { id: 5, type: User } }] }",
            ":6 `rulesets[0].rules[0].parameters.required_reviewers[0].reviewer.type` must be one of Team",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  target: tag\n  bypass_actors:\n  - { actor_type: Team, actor_id: 5, bypass_mode: pull_request }",
            ":6 `bypass_mode: pull_request` is only for a ruleset with `target: branch`, found `tag`",
        ),
        (
            "repos/a.yml",
            "rulesets:\n- name: main\n  enforcement: active\n  bypass_actors:\n  - { actor_type: DeployKey, bypass_mode: pull_request }",
            ":5 a deploy key cannot have `bypass_mode: pull_request` use `always`",
        ),
        (
            "repos/a.yml",
            "custom_properties:\n- name: tier\n  value: { gold: true }",
            ":3 unknown key `custom_properties[0].value.gold`",
        ),
        (
            "repos/a.yml",
            "custom_properties:\n- name: tier\n  value: [gold, [lead]]",
            ":3 `custom_properties[0].value[1]` must be a string, a whole number, true or false, found a list",
        ),
        (
            "repos/a.yml",
            "repository:\n  allow_squash_merge: false\n  allow_merge_commit: false\n  allow_rebase_merge: false",
            ":4 at least one of allow_squash_merge, allow_merge_commit, allow_rebase_merge must be true",
        ),
        (
            "repos/a.yml",
            "repository:\n  squash_merge_commit_title: COMMIT_OR_PR_TITLE\n  squash_merge_commit_message: PR_BODY",
            ":3 `repository.squash_merge_commit_message` must be one of COMMIT_MESSAGES with `squash_merge_commit_title: COMMIT_OR_PR_TITLE`, found `PR_BODY`",
        ),
        (
            "repos/a.yml",
            "security:\n  dependabot_alerts: false\n  dependabot_security_updates: true",
            ":3 `dependabot_security_updates` needs `dependabot_alerts`",
        ),
        (
            "repos/a.yml",
            "repository:\n  security:\n    enableVulnerabilityAlerts: false\n    enableAutomatedSecurityFixes: true",
            ":4 `enableAutomatedSecurityFixes` needs",
        ),
        (
            "repos/a.yml",
            "labels:\n- name: '..'\n  color: cc0000",
            ":2 `labels[0].name` must not be `.` or `..`",
        ),
        ("repos/a.yml", "labels:\n- name: a\n  color: cc00", "must be six hexadecimal digits"),
        (
            "repos/a.yml",
            "teams:\n- name: Core & Team\n  permission: push",
            ":2 `teams[0].name` must be a slug",
        ),
        (
            "repos/a.yml",
            "collaborators:\n- username: a/..\n  permission: push",
            ":2 `collaborators[0].username` must be a login",
        ),
        ("repos/a.yml", "branches:\n- name: refs/heads/main\n  protection: null", "write it as `main`"),
        (
            "repos/a.yml",
            "branches:\n- name: main\n  protection:\n    restrictions: {}",
            ":4 `restrictions: {}` is ambiguous write `restrictions: null` for everybody with write access, or `restrictions: { users: [], teams: [], apps: [] }` for nobody",
        ),
        ("repos/a b.yml", "repository: { has_wiki: false }", "invalid repository name `a b`"),
        (
            "settings.yml",
            "repository: { has_wiki: false }\nadditive_plugins: [teams, topics, branches, actions]",
            ":2 `additive_plugins`: `actions` is not a list",
        ),
        (
            "suborgs/a.yml",
            "suborgproperties:\n- { tier: gold, area: eu }\nrepository: { has_wiki: false }",
            ":2 `suborgproperties`: only the first key",
        ),
    ] {
        let findings = findings(&[(file, text)]);
        assert!(
            findings.iter().any(|finding| finding.starts_with(file) && finding.contains(expected)),
            "{text}\n{findings:#?}"
        );
    }
}

#[test]
fn a_layer_may_add_what_a_rule_of_another_lacks() {
    let queue = |parameters: &str| {
        format!(
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: merge_queue\n    parameters: {{ {parameters} }}\n"
        )
    };
    let wide = queue(
        "check_response_timeout_minutes: 60, grouping_strategy: ALLGREEN, max_entries_to_build: 5, max_entries_to_merge: 5, \
         min_entries_to_merge: 1, min_entries_to_merge_wait_minutes: 5",
    );
    let narrow = queue("merge_method: SQUASH");
    assert_eq!(
        findings(&[("layers/a.yml", wide.as_str()), ("repos/a.yml", narrow.as_str())]),
        Vec::<String>::new()
    );
    assert!(
        !findings(&[("settings.yml", wide.as_str()), ("repos/a.yml", narrow.as_str())]).is_empty(),
        "those are the organisation's"
    );
}

#[test]
fn a_layer_may_add_a_rule_to_a_ruleset_of_another() {
    let base = "rulesets: [{ name: main, enforcement: active, rules: [{ type: deletion }] }]\n";
    let delta = "rulesets: [{ name: main, rules: [{ type: creation }] }]\n";
    let suborg = format!("suborgrepos: [b]\n{base}");
    let organisation = "rulesets: [{ name: main, enforcement: active, conditions: { ref_name: { include: [~ALL], exclude: [] }, \
        repository_name: { include: [~ALL], exclude: [] } } }]\n";
    for (file, text, expected) in [
        ("layers/a.yml", base, ""),
        // Only a plan shows whether the two files apply to the same repository.
        ("suborgs/a.yml", suborg.as_str(), ""),
        ("layers/a.yml", "repository: { has_wiki: false }\n", "or in another file"),
        ("layers/a.yml", "rulesets: [{ name: other, enforcement: active }]\n", "must have `enforcement`"),
        ("layers/a.yml", delta, "must have `enforcement`"),
        ("settings.yml", organisation, "it belongs to the organisation"),
    ] {
        let findings = findings(&[(file, text), ("repos/a.yml", delta)]);
        let found = findings
            .iter()
            .any(|finding| finding.starts_with("repos/a.yml:1 ") && finding.contains(expected));
        assert!(
            if expected.is_empty() { findings.is_empty() } else { found },
            "{file} {text}: {findings:#?}"
        );
    }
}

/// A section that turns off two of the three merge methods.
const TWO_OFF: &str = "repository:\n  allow_squash_merge: false\n  allow_rebase_merge: false\n";
/// A section that turns off the remaining merge method.
const ONE_OFF: &str = "repository:\n  allow_merge_commit: false\n";

/// Returns the text of a layer with a selector.
fn layer(select: &str, text: &str) -> String {
    format!("{text}select: {select}\n")
}

#[test]
fn a_contradiction_of_files_that_certainly_meet_is_a_warning_with_all_lines() {
    let titles =
        "repository:\n  squash_merge_commit_title: PR_TITLE\n  squash_merge_commit_message: PR_BODY\n";
    let title = "repository:\n  squash_merge_commit_title: COMMIT_OR_PR_TITLE\n";
    let link =
        |prefix: &str| format!("autolinks:\n- {{ key_prefix: {prefix}, url_template: https://x/<num> }}\n");
    let topics = |from: usize, to: usize| {
        let names: Vec<String> = (from..to).map(|n| format!("t{n}")).collect();
        format!("repository:\n  topics: [{}]\n", names.join(", "))
    };
    let rules = "rulesets:\n- name: main\n  enforcement: active\n  rules: [{ type: deletion }]\n";
    let push = "rulesets:\n- name: main\n  enforcement: active\n  target: push\n";
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "settings.yml",
            TWO_OFF,
            "layers/b.yml",
            &layer("{ team: core }", ONE_OFF),
            "settings.yml:2, settings.yml:3",
        ),
        (
            "layers/a.yml",
            &layer("{ name: 'web-*' }", TWO_OFF),
            "repos/web-shop.yml",
            ONE_OFF,
            "repos/web-shop.yml:2",
        ),
        (
            "suborgs/a.yml",
            &format!("{TWO_OFF}suborgrepos: [shop]\n"),
            "layers/b.yml",
            &layer("{ name: 'sho*' }", ONE_OFF),
            "suborgs/a.yml:2",
        ),
        (
            "suborgs/a.yml",
            &format!("{TWO_OFF}suborgrepos: [shop, web]\n"),
            "layers/b.yml",
            &layer("{ name: [shop, api] }", ONE_OFF),
            "suborgs/a.yml:2",
        ),
        (
            "layers/a.yml",
            &layer("{ team: core }", TWO_OFF),
            "layers/b.yml",
            &layer("{ team: [core, infra] }", ONE_OFF),
            "layers/b.yml:2",
        ),
        ("settings.yml", titles, "repos/a.yml", title, "repos/a.yml:2, settings.yml:3"),
        (
            "settings.yml",
            "security: { dependabot_security_updates: true }\n",
            "repos/a.yml",
            "security: { dependabot_alerts: false }\n",
            "repos/a.yml:1, settings.yml:1",
        ),
        (
            "settings.yml",
            "security: { dependabot_security_updates: true }\n",
            "repos/a.yml",
            "repository: { security: { enableVulnerabilityAlerts: false } }\n",
            "repos/a.yml:1, settings.yml:1",
        ),
        ("settings.yml", &link("APO"), "repos/a.yml", &link("APOPS"), "repos/a.yml:2, settings.yml:2"),
        ("settings.yml", &topics(0, 12), "repos/a.yml", &topics(12, 24), "repos/a.yml:2, settings.yml:2"),
        (
            "suborgs/a.yml",
            &format!("{rules}suborgrepos: ['*']\n"),
            "repos/a.yml",
            push,
            "repos/a.yml:4, suborgs/a.yml:4",
        ),
    ];
    for (one, first, other, second, lines) in cases {
        let files = [(*one, *first), (*other, *second)];
        let remarks = load(&files).unwrap().remarks;
        let is_it = |remark: &crate::policy::Problem| {
            remark.severity == crate::Severity::Warning && remark.message.contains(lines)
        };
        assert!(remarks.iter().any(is_it), "{files:?}: {remarks:#?}");
        // Each file alone has no contradiction.
        for file in files {
            assert!(load(&[file]).is_ok(), "{file:?}");
        }
    }
}

#[test]
fn a_contradiction_of_files_that_may_meet_is_a_warning_with_all_lines() {
    let by_team = layer("{ team: core }", TWO_OFF);
    let others = [
        ("layers/b.yml", layer("{ topic: infra }", ONE_OFF)),
        ("layers/b.yml", layer("{ team: infra }", ONE_OFF)),
        ("suborgs/b.yml", format!("{ONE_OFF}suborgproperties: [{{ tier: gold }}]\n")),
        ("repos/web-shop.yml", ONE_OFF.to_owned()),
    ];
    for (file, text) in &others {
        let policy = load(&[("layers/a.yml", by_team.as_str()), (*file, text.as_str())]).unwrap();
        let [warning] = policy.remarks.as_slice() else { panic!("{file}: {:#?}", policy.remarks) };
        assert_eq!(warning.severity, crate::Severity::Warning);
        for line in ["layers/a.yml:2", "layers/a.yml:3", &*format!("{file}:2")] {
            assert!(warning.message.contains(line), "{line}: {warning:?}");
        }
    }
    let one = |method: &str, team: &str| {
        layer(&format!("{{ team: {team} }}"), &format!("repository: {{ allow_{method}: false }}\n"))
    };
    let [a, b, c] = [one("squash_merge", "a"), one("rebase_merge", "b"), one("merge_commit", "c")];
    let policy =
        load(&[("layers/a.yml", a.as_str()), ("layers/b.yml", b.as_str()), ("layers/c.yml", c.as_str())])
            .unwrap();
    let findings: Vec<&str> = policy.remarks.iter().map(|remark| remark.message.as_str()).collect();
    assert!(
        findings.len() == 1 && findings[0].contains("layers/a.yml:1, layers/b.yml:1, layers/c.yml:1"),
        "{findings:?}"
    );
}

#[test]
fn files_that_never_meet_or_that_a_third_one_reconciles_are_fine() {
    let pairs = [
        ("{ name: 'web-*' }", "{ name: 'pay-*' }"),
        ("{ visibility: public }", "{ visibility: [private, internal] }"),
        ("{ fork: true }", "{ fork: false }"),
        ("{ property: { tier: gold } }", "{ property: { tier: lead } }"),
        ("{ topic: infra }", "{ name: 'web-*' }\nexcept: { topic: infra }"),
    ];
    for (one, other) in pairs {
        let files = [("layers/a.yml", layer(one, TWO_OFF)), ("layers/b.yml", layer(other, ONE_OFF))];
        assert_eq!(
            findings(&files.each_ref().map(|(file, text)| (*file, text.as_str()))),
            Vec::<String>::new(),
            "{one} {other}"
        );
    }
    let on = "rank: 500\nrepository: { allow_squash_merge: true }\n";
    let narrow = layer("{ team: core }", ONE_OFF);
    let files = [("settings.yml", TWO_OFF), ("layers/b.yml", &*narrow), ("layers/c.yml", on)];
    assert_eq!(findings(&files), Vec::<String>::new(), "a layer for all switches one on");
    assert_eq!(findings(&[("repos/a.yml", TWO_OFF), ("repos/b.yml", ONE_OFF)]), Vec::<String>::new());
    let disabled = format!("{TWO_OFF}disable_plugins: [repository]\n");
    assert_eq!(findings(&[("settings.yml", &*disabled), ("repos/a.yml", ONE_OFF)]), Vec::<String>::new());
}

#[test]
fn the_texts_of_a_way_to_merge_that_is_off_contradict_nothing() {
    let titles =
        "repository:\n  squash_merge_commit_title: PR_TITLE\n  squash_merge_commit_message: PR_BODY\n";
    let title = "repository:\n  squash_merge_commit_title: COMMIT_OR_PR_TITLE\n";
    assert_eq!(findings(&[("settings.yml", titles), ("repos/a.yml", title)]).len(), 1);
    let off = format!("{title}  allow_squash_merge: false\n");
    assert_eq!(findings(&[("settings.yml", titles), ("repos/a.yml", &*off)]), Vec::<String>::new());
}

#[test]
fn a_repository_that_two_files_reach_is_left_alone_only_where_they_contradict() {
    let by_team = layer("{ team: core }", &format!("{TWO_OFF}  visibility: private\n"));
    let by_topic = layer("{ topic: infra }", ONE_OFF);
    let folder = tempfile::tempdir().unwrap();
    let test = "- repository: { name: shop, teams: [core], topics: [infra] }\n  absent: [repository.allow]\n\
                \x20 expect: { repository: { visibility: private } }\n\
                - repository: { name: web, teams: [core] }\n  absent: [labels]\n";
    for (file, text) in
        [("layers/a.yml", by_team.as_str()), ("layers/b.yml", by_topic.as_str()), ("tests/a.yml", test)]
    {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let policy = Policy::load(folder.path(), "admin").unwrap();
    let tested = policy.test(folder.path()).unwrap();
    let [problem] = tested.problems.as_slice() else { panic!("{:#?}", tested.problems) };
    assert!(problem.message.contains("a part of `repository` is unknown"), "{problem:?}");
    assert!(problem.message.contains("(layers/a.yml:2, layers/a.yml:3, layers/b.yml:2)"), "{problem:?}");
}

#[test]
fn files_with_the_same_values_are_each_reported() {
    const OFF: &str = "repository: { allow_rebase_merge: false }";
    const ON: &str = "repository: { allow_rebase_merge: true }";
    let layer =
        "select: { topic: web }\nrepository: { allow_squash_merge: false, allow_merge_commit: false }";
    let files = [
        ("layers/web.yml", layer),
        ("repos/a.yml", ON),
        ("repos/b.yml", OFF),
        ("repos/c.yml", ON),
        ("repos/d.yml", OFF),
    ];
    let found = findings(&files);
    let of = |file: &str| found.iter().filter(|finding| finding.contains(file)).count();
    let counts = ["repos/a.yml", "repos/b.yml", "repos/c.yml", "repos/d.yml"].map(of);
    assert_eq!(counts, [0, 1, 0, 1], "{found:#?}");
}
