//! Keeps one issue at GitHub for each topic. Beadle opens the issue, updates the issue, and closes
//! the issue when the topic has recovered.

use anyhow::Context as _;
use beadle_config::NotifyIssuesFile;
use beadle_engine::notify::{Item, Outgoing, State};
use beadle_engine::{Class, Failure, Time};
use beadle_github::{IssueWriter, Reader};
use sha2::{Digest as _, Sha256};

use super::http_post::SendFailure;
use super::text::{Text, advice};
use crate::app::application::App;
use crate::output::markdown::{Page, Piece};

/// Updates the issues of all topics of a message. Each issue has a marker. With the markers, a
/// second try finds the issues of the first try, so Beadle opens no issue twice.
pub(super) async fn send(
    app: &App,
    channel: &str,
    place: &NotifyIssuesFile,
    outgoing: &Outgoing,
    texts: &[Text],
    now: Time,
) -> Result<(), SendFailure> {
    let failed = |failure: Failure| {
        let retry_after = match failure.class {
            Class::RateLimited { until, .. } => Some(until.since(now)),
            _ => None,
        };
        SendFailure { retry_after, ..SendFailure::new(failure.text) }
    };
    let (reader, writer, id) = open(app, place).map_err(|error| SendFailure::new(format!("{error:#}")))?;
    let known = reader.own_issues(&place.repository, id).await.map_err(failed)?;
    for (item, text) in outgoing.items.iter().zip(texts) {
        let marker = marker(channel, item);
        let issue = known.iter().find(|issue| issue.body.starts_with(&marker));
        let body = format!("{marker}\n{}", content(item, text, outgoing.at));
        let done = match (issue, item.state) {
            (None, State::Recovered) => Ok(()),
            // An earlier try has already written this issue. A message with many topics might need
            // several tries.
            (Some(issue), State::Opened | State::Updated) if issue.body == body => Ok(()),
            (Some(issue), State::Recovered) => writer.close(issue.number, &body).await,
            (Some(issue), _) => writer.update(issue.number, &text.title, &body).await,
            (None, _) => writer.open(&text.title, &body).await,
        };
        done.map_err(failed)?;
    }
    Ok(())
}

/// Returns the reader and the writer of the issues, and the id of the App.
fn open(app: &App, place: &NotifyIssuesFile) -> anyhow::Result<(Reader, IssueWriter, u64)> {
    let org = app.config.orgs(Some(place.org.as_str()))?[0];
    let id = org.app.as_ref().map(|app| app.id).context("issues need an organisation with an App")?;
    let (reader, writer) = app.issues(org, &place.repository)?;
    Ok((reader, writer, id))
}

/// Returns the first line of an issue. Beadle finds the issue of a topic by this line.
fn marker(channel: &str, item: &Item) -> String {
    let topic = &item.topic;
    let hash = Sha256::digest(format!("{channel}\0{}\0{}\0{}", topic.kind, topic.instance, topic.aspect));
    let hash = hash.iter().take(12).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("<!-- beadle notification {hash} -->")
}

/// Returns the Markdown of an issue: the text of the template, or Beadle's own page.
fn content(item: &Item, text: &Text, at: Time) -> String {
    let mut page = match &text.body {
        Some(_) => Page::default(),
        None => page(item, at),
    };
    for failure in &text.failures {
        page.paragraph(&[Piece::value(failure)]);
    }
    match &text.body {
        Some(body) => format!("{body}\n{}", page.text()),
        None => page.text().to_owned(),
    }
}

fn page(item: &Item, at: Time) -> Page {
    let mut page = Page::default();
    if item.state == State::Recovered {
        page.paragraph(&[Piece::own("Recovered at"), Piece::value(at)]);
        return page;
    }
    let since = [Piece::own("Since"), Piece::value(item.since), Piece::own("as seen at"), Piece::value(at)];
    page.paragraph(&since);
    for line in item.lines() {
        let names: Vec<&str> = line.examples.iter().map(String::as_str).collect();
        let left = line.count.saturating_sub(names.len() as u64);
        let mut pieces = vec![
            Piece::value(&line.what),
            Piece::counted(line.count, "time:", "times:"),
            Piece::values(&names),
        ];
        if left > 0 {
            pieces.extend([Piece::own("and"), Piece::number(left), Piece::own("more")]);
        }
        if !line.why.is_empty() {
            pieces.extend([Piece::own("because:"), Piece::value(&line.why)]);
        }
        if !line.code.is_empty() {
            pieces.extend([Piece::own("code:"), Piece::value(&line.code)]);
        }
        page.item(&pieces);
    }
    if item.found.more > 0 {
        page.item(&[Piece::own("and"), Piece::number(item.found.more), Piece::own("more")]);
    }
    page.paragraph(&[Piece::own(advice(item.topic.kind))]);
    page
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::hostile;
    use super::*;

    #[test]
    fn values_are_code_and_each_topic_of_a_channel_has_its_own_issue() {
        let mut item = hostile().items.remove(0);
        let text = page(&item, Time(0)).text().to_owned();
        assert!(text.contains("- ``removes team <@U123> `x`\\n# new`` 7 times: `acme/<!channel>*"), "{text}");
        assert!(text.contains("and 2 more because: `limit & more` code: `5d0c1e2f3a4b`"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 0, "{text}");
        let markers = [marker("ops", &item), marker("team", &item)];
        assert_ne!(markers[0], markers[1]);
        item.topic.aspect = "labels".into();
        assert_ne!(markers[0], marker("ops", &item));
        item.state = State::Recovered;
        assert_eq!(page(&item, Time(0)).text(), "Recovered at `1970-01-01T00:00:00Z`\n");
    }
}
