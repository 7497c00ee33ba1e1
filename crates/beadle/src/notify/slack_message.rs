//! Creates messages for a Slack incoming webhook.
//!
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use serde_json::json;

use super::http_post::Post;
use super::text::{Text, cut};

/// The maximum size of a text in a section. Slack allows 3,000 characters.
const SECTION: usize = 2900;

/// Returns a message with one section for each topic. The sections are plain text, so Slack
/// interprets no formatting, mentions or emoji in them.
pub(super) fn message(texts: &[Text]) -> Post {
    let section = |text: &Text| {
        let text = format!("{}\n{}", text.title, text.below().join("\n"));
        json!({
            "type": "section",
            "text": { "type": "plain_text", "text": cut(text.trim_end(), SECTION), "emoji": false },
        })
    };
    let sections: Vec<_> = texts.iter().map(section).collect();
    // Slack shows this text in notifications. In this text, three characters have a special meaning
    // for Slack.
    let titles: Vec<&str> = texts.iter().map(|text| text.title.as_str()).collect();
    let text = titles.join("; ").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = json!({ "text": text, "blocks": sections });
    Post { headers: Vec::new(), body: body.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::text::tests::{hostile, own};
    use super::*;

    #[test]
    fn values_are_plain_text() {
        let post = message(&own(&hostile()));
        let body: Value = serde_json::from_str(&post.body).unwrap();
        assert_eq!(body["text"], "acme: 7 changes of teams held");
        let text = &body["blocks"][0]["text"];
        assert_eq!((&text["type"], &text["emoji"]), (&json!("plain_text"), &json!(false)));
        assert!(text["text"].as_str().unwrap().contains("<!channel>"), "it is text there");
        assert!(!body["text"].as_str().unwrap().contains('<'));
    }
}
