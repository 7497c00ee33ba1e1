//! The parts of the help that clap does not derive: commands grouped by use, and examples.

use std::fmt::Write as _;

use clap::Command;

/// The commands, grouped by use.
const GROUPS: &[(&str, &[&str])] = &[
    ("Set up", &["init", "import", "example", "check", "schema", "doctor", "aws", "completions"]),
    ("Show and apply changes", &["plan", "previews", "apply", "sweep", "plan-total", "explain"]),
    ("Decide", &["holds", "approve", "reject", "undo", "waive", "waivers", "pause", "resume", "rebind"]),
    (
        "Run and observe the service",
        &[
            "serve",
            "reload",
            "status",
            "healthcheck",
            "tasks",
            "queue",
            "deliveries",
            "journal",
            "history",
            "report",
            "budget",
        ],
    ),
    ("Maintain", &["targets", "store", "self"]),
];

/// The heading of commands that belong to no group.
const OTHER: &str = "Other";

/// Examples of each command: the command line, and what it does.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "plan",
        &[
            ("beadle plan", "all organisations and targets"),
            ("beadle plan --org acme --repo widgets", "one repository"),
            ("beadle plan --target aws --group Developers", "one group"),
            ("beadle plan --format markdown", "output for a comment on a pull request"),
            ("beadle plan --base main/policy", "only what the configured policy changes"),
        ],
    ),
    (
        "previews",
        &[
            ("beadle previews", "every open pull request that changes a policy"),
            ("beadle previews --pull 7 --json", "one pull request, for a program"),
        ],
    ),
    (
        "apply",
        &[
            ("beadle apply", "show the plan, ask, write"),
            ("beadle apply --repo widgets --yes", "one repository, without confirmation"),
        ],
    ),
    (
        "sweep",
        &[
            ("beadle sweep", "everything; the guard also counts the earlier changes in the store"),
            ("beadle sweep --shard 1/4 --without-store", "a quarter of the repositories, in a CI job"),
            ("beadle sweep --approve 8f0c1d2e3a4b", "approve one change by its digest"),
        ],
    ),
    (
        "plan-total",
        &[
            ("beadle plan-total plan-1.json plan-2.json", "the plans of two shards"),
            ("beadle plan-total --approve 8f0c1d2e3a4b plan-1.json", "do not count an approved change"),
        ],
    ),
    (
        "explain",
        &[
            ("beadle explain acme/widgets", "every declared value of a repository"),
            ("beadle explain acme/widgets repository.has_wiki", "one value"),
            ("beadle explain --group Developers", "the sources and the mapping of a group"),
        ],
    ),
    ("budget", &[("beadle budget --org acme", "one organisation")]),
    (
        "check",
        &[
            ("beadle check", "the beadle.toml of this folder"),
            ("beadle check -c ci/beadle.toml", "another file"),
        ],
    ),
    (
        "import",
        &[
            ("beadle import", "the only organisation of beadle.toml, into the folder policy/"),
            ("beadle import --org acme --into acme-policy", "one of several organisations"),
            ("beadle import --repo widgets --into widgets-policy", "one repository"),
            (
                "beadle import --from probot widgets/.github/settings.yml shop/.github/settings.yml",
                "the files of two repositories",
            ),
            ("beadle import --from peribolos --org acme org.yaml", "one organisation of peribolos"),
        ],
    ),
    (
        "serve",
        &[
            ("beadle serve", "run until SIGTERM or Ctrl-C"),
            (
                "beadle serve --log info,beadle_engine=debug --log-format json",
                "more detail, as JSON for a log collector",
            ),
        ],
    ),
    ("reload", &[("beadle reload", "after a change of beadle.toml or of a secret")]),
    ("doctor", &[("beadle doctor", "diagnose every organisation and target")]),
    (
        "targets probe",
        &[
            ("beadle targets probe", "all directories and targets"),
            ("beadle targets probe --release aws", "also allow writes to the stopped target `aws` again"),
        ],
    ),
    (
        "pause",
        &[
            ("beadle pause --org acme --for 2h", "an organisation"),
            ("beadle pause --repo acme/widgets --for \"1h 30m\"", "a repository"),
            ("beadle pause --target aws --for 7d", "a target"),
        ],
    ),
    (
        "waive",
        &[
            (
                "beadle waive acme/widgets --keys branches.main.enforce_admins --until 2d --reason \"release\"",
                "one key of a repository, for two days",
            ),
            (
                "beadle waive acme/widgets --keys has_wiki --until 2d --reason \"release\"",
                "a setting, as `beadle plan` shows it",
            ),
            (
                "beadle waive \"acme/api-*\" --keys \"teams[contractors]\" --until 2026-12-01 --reason \"audit\" --owner mona",
                "a team that may keep its access to several repositories",
            ),
        ],
    ),
    (
        "waivers",
        &[
            ("beadle waivers", "every waiver with its code, its end and its owner"),
            ("beadle waivers --end 8f0c1d2e", "end a waiver of `beadle waive` now"),
        ],
    ),
    ("resume", &[("beadle resume --org acme", "end the pause of an organisation")]),
    (
        "holds",
        &[
            ("beadle holds", "the held changes in groups, with codes and reasons"),
            ("beadle holds 5d0c1e2f3a4b", "each change of one group"),
        ],
    ),
    (
        "approve",
        &[
            ("beadle approve 5d0c1e2f3a4b --reason \"team is closed\"", "all changes of a group"),
            (
                "beadle approve 5d0c1e2f3a4b --repo widgets --reason \"try one\"",
                "the changes of one repository in a group",
            ),
            (
                "beadle approve 8f0c1d2e3a4b --as mona --reason \"asked for\"",
                "one change by its digest, decided by mona",
            ),
            ("beadle approve 3c9f0a1b2d4e --reason \"team is closed\"", "a generation of a policy"),
        ],
    ),
    (
        "reject",
        &[(
            "beadle reject 5d0c1e2f3a4b --only 8f0c1d2e3a4b --reason \"the team stays\"",
            "one change of a group",
        )],
    ),
    (
        "undo",
        &[
            ("beadle undo last-sweep", "what Beadle wrote during its last sweep, for example last night"),
            ("beadle undo 1234", "a run, a sweep or an undo, see `beadle journal --numbers`"),
            ("beadle undo 269", "what a policy wrote; `beadle journal` shows the command"),
            ("beadle undo --since 12h --repo widgets", "what Beadle wrote to one repository in 12 hours"),
            (
                "beadle undo --since 2026-12-01T09:12:44Z --org acme",
                "what Beadle wrote to an organisation since a time",
            ),
            (
                "beadle undo 8f0c1d2e3a4b",
                "a change by its digest, an approved group by its code, or a policy by its generation",
            ),
            ("beadle undo 269 --keys branches.main", "only one setting of what a policy wrote"),
            (
                "beadle undo 1234 --as mona --reason \"the wrong team\"",
                "a run, undone by mona for this reason",
            ),
        ],
    ),
    (
        "rebind",
        &[
            ("beadle rebind acme/widgets", "repos/widgets.yml belongs to the repository now called widgets"),
            ("beadle rebind acme --team platform", "`platform` means the team that has this slug now"),
            ("beadle rebind acme --user mona", "`mona` means the user who has this login now"),
        ],
    ),
    ("schema", &[("beadle schema repo > repo.schema.json", "the schema of repos/*.yml")]),
    (
        "deliveries",
        &[
            ("beadle deliveries --since 2h", "the last two hours"),
            ("beadle deliveries --repo acme/widgets", "the deliveries about one repository"),
            ("beadle deliveries --body 72d3162e-cc78-11e3-81ab-4c9367dc0958", "the body of one delivery"),
        ],
    ),
    (
        "queue",
        &[
            ("beadle queue", "all keys that wait, run or are parked"),
            ("beadle queue --retry acme/widgets", "retry a repository now"),
        ],
    ),
    (
        "status",
        &[
            ("beadle status", "the state now; exit code 0 if everything is as declared"),
            ("beadle status --watch", "the state again every few seconds"),
            ("beadle status --json", "the state for programs"),
        ],
    ),
    ("tasks", &[("beadle tasks", "the last result of every task")]),
    ("tasks run", &[("beadle tasks run \"policy of acme\"", "read the policy of acme now")]),
    (
        "journal",
        &[
            ("beadle journal --since 7d --repo acme/widgets", "one repository"),
            ("beadle journal --only removed,exposed", "what Beadle removed or exposed"),
            ("beadle journal --only policy", "the policies that came into force, with their authors"),
            ("beadle journal --only sweep", "the sweeps, with the commands that undo them"),
            ("beadle journal --who mona --since 2d", "what mona and the policies of mona did"),
            ("beadle journal --follow", "new entries as they arrive"),
            (
                "beadle journal --format ndjson --after 1200",
                "the entries with a number above 1200, for a log collector",
            ),
        ],
    ),
    (
        "history",
        &[
            ("beadle history acme/widgets", "every setting that Beadle changed"),
            ("beadle history acme/widgets --setting has_wiki", "one setting"),
            (
                "beadle history acme/widgets --setting \"team contractors\"",
                "who removed the team contractors, and which line of the policy asked for it",
            ),
            ("beadle history Developers --since 30d", "the members of a group"),
        ],
    ),
    (
        "report",
        &[
            ("beadle report --control branches.main.enforce_admins --at 2026-12-01", "one key on one day"),
            ("beadle report --at 2026-12-31 --format csv", "everything at the end of the year"),
        ],
    ),
    ("healthcheck", &[("beadle healthcheck", "exit code 0 if the service answers")]),
    (
        "store copy",
        &[(
            "beadle store copy beadle.db dynamodb://beadle",
            "copy the store from a file to a DynamoDB table",
        )],
    ),
    ("self check", &[("beadle self check", "before and after an upgrade")]),
    (
        "init",
        &[
            ("beadle init", "ask for the organisation and the address of the webhooks"),
            ("beadle init --org acme --webhook-url https://beadle.example.com", "ask nothing more"),
            ("beadle init --org acme --policy admin/.github", "with a policy that exists"),
        ],
    ),
    ("example", &[("beadle example > beadle.toml", "write a commented configuration to start from")]),
    (
        "aws doctor",
        &[(
            "beadle aws doctor --url https://api.example --event-queue https://sqs.example/events --sweep-queue https://sqs.example/sweeps",
            "diagnose one deployment",
        )],
    ),
    ("completions", &[("beadle completions bash > /etc/bash_completion.d/beadle", "for bash")]),
];

/// Adds the groups and the examples to the derived command line.
pub(super) fn teach(command: Command) -> Command {
    let command = command.mut_subcommands(|sub| {
        let name = sub.get_name().to_owned();
        let sub = with_examples(sub, &name);
        sub.mut_subcommands(|inner| {
            let path = format!("{name} {}", inner.get_name());
            with_examples(inner, &path)
        })
    });
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{}\n{{options}}{{after-help}}",
        groups(&command),
        heading(&command, "Global options"),
    );
    command.help_template(template)
}

fn with_examples(command: Command, path: &str) -> Command {
    let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) else { return command };
    let mut text = heading(&command, "Examples");
    for (line, what) in *examples {
        let _ = write!(text, "\n  {line}\n      {what}"); // writing to a string cannot fail
    }
    command.after_long_help(text)
}

fn heading(command: &Command, text: &str) -> String {
    let header = command.get_styles().get_header();
    format!("{header}{text}:{header:#}")
}

/// Returns the list of commands, by group.
fn groups(command: &Command) -> String {
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let all = || command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let others: Vec<&str> = all().map(Command::get_name).filter(|name| !is_grouped(name)).collect();
    let literal = command.get_styles().get_literal();
    let mut text = String::new();
    for (title, names) in GROUPS.iter().copied().chain([(OTHER, others.as_slice())]) {
        // A build without the feature `aws` has fewer commands.
        let found: Vec<&Command> =
            names.iter().filter_map(|name| all().find(|sub| sub.get_name() == *name)).collect();
        if found.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}", heading(command, title)); // writing to a string cannot fail
        for sub in found {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {literal}{:12}{literal:#} {about}", sub.get_name());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, command};
    use clap::{CommandFactory as _, Parser as _};

    /// Returns every command that has no subcommands. Each command comes with its path, such as
    /// `targets probe`.
    fn leaves() -> Vec<(String, Command)> {
        let mut root = command().term_width(100);
        root.build();
        let mut found = Vec::new();
        let visible = |sub: &&Command| !sub.is_hide_set() && sub.get_name() != "help";
        for sub in root.get_subcommands().filter(visible) {
            let name = sub.get_name().to_owned();
            for inner in sub.get_subcommands().filter(visible) {
                found.push((format!("{name} {}", inner.get_name()), inner.clone()));
            }
            found.push((name, sub.clone()));
        }
        found
    }

    /// Splits a command line at spaces outside of double quotes, up to `>`.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('"').enumerate();
        let words = parts.flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        });
        words.take_while(|word| word != ">").collect()
    }

    #[test]
    fn every_command_has_a_group() {
        assert!(!groups(&command()).contains(OTHER));
    }

    #[test]
    fn every_command_has_an_example() {
        for (path, leaf) in leaves() {
            let is_group = leaf.is_subcommand_required_set();
            assert!(is_group || EXAMPLES.iter().any(|(of, _)| *of == path), "{path}");
        }
    }

    #[test]
    fn every_example_parses() {
        let known: Vec<String> = leaves().into_iter().map(|(path, _)| path).collect();
        for (path, examples) in EXAMPLES.iter().filter(|(path, _)| known.iter().any(|known| known == path)) {
            for (line, _) in *examples {
                assert!(line.starts_with(&format!("beadle {path}")), "{line}");
                assert!(Cli::try_parse_from(words(line)).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn every_old_name_of_a_command_still_works() {
        for line in ["total p.json", "directory probe", "adopt acme/widgets", "health"] {
            assert!(Cli::try_parse_from(words(&format!("beadle {line}"))).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_page_of_commands_is_current() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (path, leaf) in leaves().into_iter().filter(|(_, leaf)| !leaf.is_subcommand_required_set()) {
            let row = format!("| `{path}` | {} |", leaf.get_about().unwrap());
            assert!(page.contains(&row), "docs/commands.md has no row\n{row}");
        }
    }

    #[test]
    fn the_help_of_each_command() {
        for (path, mut leaf) in leaves() {
            let help = leaf.render_long_help().to_string();
            insta::assert_snapshot!(format!("help-{}", path.replace(' ', "-")), help);
        }
    }

    #[test]
    fn the_help_of_beadle() {
        let mut root = Cli::command();
        // A build with the feature `aws` has one more command.
        if root.find_subcommand("aws").is_some() {
            root = root.mut_subcommand("aws", |aws| aws.hide(true));
        }
        let mut root = teach(root).term_width(100);
        insta::assert_snapshot!("help", root.render_help().to_string());
        insta::assert_snapshot!("help-long", root.render_long_help().to_string());
    }
}
