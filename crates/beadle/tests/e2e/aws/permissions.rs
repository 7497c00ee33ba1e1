//! Compares the calls of the functions with the permissions of their roles. The roles must allow
//! each call, and only a few other calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beadle_emulate::Moto;

/// Calls that no test makes: the calls that AWS makes for a function, and the calls of optional
/// parts of a deployment.
const BESIDE: &[&str] = &[
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "kms:Decrypt",
    "kms:Sign",
];
/// The permission for a kind of secret reference that only the tests use. No template contains this
/// permission, so a deployment with a reference of this kind must add the permission.
const TESTS_ONLY: &str = "ssm:GetParameter";

fn template() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sam/template.yaml");
    std::fs::read_to_string(path).unwrap()
}

/// Returns the actions that the SAM template allows a role.
fn allowed(role: &str) -> BTreeSet<String> {
    let text = template();
    let mut actions = BTreeSet::new();
    // A resource begins on a line with two spaces. Lines with more spaces belong to the resource.
    let mut resource = String::new();
    for line in text.lines().chain(["  end:"]) {
        let begins = line.len() > 2 && line.starts_with("  ") && !line[2..].starts_with([' ', '#']);
        if begins {
            let is_its =
                resource.contains("PolicyDocument:") && resource.contains(&format!("!Ref {role}Role"));
            if is_its && !resource.contains("Type: AWS::IAM::Role\n") {
                let words = resource.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
                let is_action = |word: &&str| {
                    ["dynamodb:", "sqs:", "secretsmanager:", "kms:", "logs:"]
                        .iter()
                        .any(|service| word.starts_with(service))
                        && !word.ends_with("ViaService")
                };
                actions.extend(words.filter(is_action).map(str::to_owned));
            }
            resource.clear();
        }
        resource.push_str(line);
        resource.push('\n');
    }
    actions
}

/// Checks that the calls match the allowed actions.
#[track_caller]
pub(crate) fn hold(moto: &Moto) {
    for (who, role) in [("intake", "Intake"), ("worker", "Worker")] {
        let allowed = allowed(role);
        let called: BTreeSet<String> =
            moto.calls_of(who).into_iter().filter(|call| call != TESTS_ONLY).collect();
        assert!(!called.is_empty(), "{who} called something");
        let denied: Vec<&String> = called.difference(&allowed).collect();
        assert!(denied.is_empty(), "{who} calls {denied:?}, which its role does not allow: {allowed:?}");
        let unused: Vec<&String> =
            allowed.difference(&called).filter(|action| !BESIDE.contains(&action.as_str())).collect();
        assert!(unused.is_empty(), "the role of {who} allows {unused:?}, which is never called: {called:?}");
    }
}

/// Checks that a role has not read the secrets of another role. A role reads either the secrets of
/// senders or the credentials of vendors.
#[track_caller]
pub(crate) fn hold_secrets(moto: &Moto) {
    let is_a_hooks = |secret: &&String| secret.ends_with("-hook");
    let (intake, worker) = (moto.secrets_of("intake"), moto.secrets_of("worker"));
    assert!(!intake.is_empty() && intake.iter().all(|secret| is_a_hooks(&secret)), "{intake:?}");
    assert!(!worker.is_empty() && !worker.iter().any(|secret| is_a_hooks(&secret)), "{worker:?}");
    let template = template();
    for (role, may) in [("Intake", "Hook"), ("Worker", "")] {
        for of in ["GitHub", "Directory"] {
            let policy = format!("  {role}Reads{of}Secret:\n");
            let policy = template.split_once(&policy).unwrap().1;
            let granted = policy.lines().find(|line| line.contains("secretsmanager:GetSecretValue")).unwrap();
            assert!(granted.contains(&format!("!Ref {of}{may}Secret }}")), "{role}: {granted}");
        }
    }
}

/// Prints how many times each call was made. docs/aws.md computes costs from these numbers.
#[expect(clippy::print_stdout, reason = "a developer asks for it with --nocapture")]
pub(crate) fn tell(moto: &Moto) {
    for who in ["intake", "worker"] {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for call in moto.calls_of(who) {
            *counts.entry(call).or_default() += 1;
        }
        println!("{who}: {counts:?}");
    }
}
