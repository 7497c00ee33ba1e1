//! The part of the page `/` that lists the open pull requests that change a policy.

use beadle_engine::Time;
use serde::Serialize;

use super::previews;
use crate::pages::facts::PullFacts;
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::parts::{counted, link, moment, paragraph, section, table};

/// The maximum number of pull requests.
const SHOWN: usize = 10;

/// The open pull requests that change a policy. The pull request with the latest check comes first.
#[derive(Debug, Default, Serialize)]
pub(super) struct OpenPulls {
    pulls: Vec<OpenPull>,
    /// The number of further pull requests that `pulls` does not contain.
    more: usize,
}

/// A pull request in short form.
#[derive(Debug, Serialize)]
struct OpenPull {
    /// The key. The page `/policy/previews?key=KEY` shows the preview.
    key: String,
    /// The organisation that uses the policy.
    organisation: String,
    /// The name, such as `acme/admin#7`.
    name: String,
    /// The title of the pull request.
    pull_title: String,
    /// The login of the author. `None` if the login is not known.
    author: Option<String>,
    /// The title of the check, such as `30 removals in 30 repositories`.
    title: String,
    /// The time at which the check ended.
    checked: Time,
}

impl OpenPulls {
    /// Returns the pull requests in short form.
    pub(super) fn of(pulls: Vec<PullFacts>) -> Self {
        let more = pulls.len().saturating_sub(SHOWN);
        let short = |pull: PullFacts| OpenPull {
            key: pull.key,
            organisation: pull.organisation,
            name: pull.name,
            pull_title: pull.pull_title,
            author: pull.author,
            title: pull.title,
            checked: pull.checked,
        };
        Self { pulls: pulls.into_iter().take(SHOWN).map(short).collect(), more }
    }

    /// Returns the section with a link to the preview of each pull request. Returns nothing if there
    /// is no pull request.
    pub(super) fn html(&self, now: Time) -> Html {
        if self.pulls.is_empty() {
            return Html::default();
        }
        let row = |pull: &OpenPull| {
            vec![
                link(&Link::to(previews::PATH).with("key", &pull.key), &pull.name),
                text(&pull.pull_title),
                text(pull.author.as_deref().unwrap_or_default()),
                text(&pull.title),
                moment(pull.checked, now),
            ]
        };
        let pulls = table(
            "What a merge would change, by the last check of each pull request",
            &["Pull request", "Title", "Author", "Changes", "Checked"],
            self.pulls.iter().map(row).collect(),
            "No open pull request changes a policy.",
        );
        let more = (self.more > 0).then(|| {
            let more = counted(self.more, "more pull request", "more pull requests");
            paragraph([link(&Link::to(previews::PATH), more)])
        });
        section("Open pull requests that change the policy", [Some(pulls), more].into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(number: u64) -> PullFacts {
        PullFacts {
            key: format!("check:acme:9/{number}"),
            organisation: "acme".into(),
            name: format!("acme/admin#{number}"),
            number,
            head: "b".repeat(40),
            checked: Time(5),
            conclusion: "success".into(),
            title: "30 removals in 30 repositories".into(),
            pull_title: "Close <engineering>".into(),
            author: Some("mona".into()),
            link: None,
            is_from_fork: false,
            no_preview: None,
            merge: None,
        }
    }

    #[test]
    fn each_open_pull_request_leads_to_its_preview() {
        assert_eq!(OpenPulls::of(Vec::new()).html(Time(9)), Html::default());
        let shown = OpenPulls::of((1..=12).map(pull).collect()).html(Time(9));
        for part in [
            "<h2>Open pull requests that change the policy</h2>",
            "<a href=\"/policy/previews?key=check%3Aacme%3A9%2F7\">acme/admin#7</a>",
            "Close &lt;engineering&gt;",
            "<a href=\"/policy/previews\">2 more pull requests</a>",
        ] {
            assert!(shown.as_str().contains(part), "`{part}` is not in {}", shown.as_str());
        }
        assert_eq!(shown.as_str().matches("/policy/previews?key=").count(), SHOWN);
    }
}
