//! Creates messages for the webhook of a Microsoft Teams workflow. A message is one Adaptive Card.
//!
//! <https://adaptivecards.io/explorer/TextRun.html>

use serde_json::{Value, json};

use super::http_post::Post;
use super::text::{Text, cut};

/// The maximum size of all texts in a card, in bytes. Teams allows 28 KB for the whole message, and
/// a character might need two bytes in JSON.
const CARD: usize = 14_000;
/// The size of a block without its text.
const BLOCK: usize = 100;
/// The maximum size of one line.
const LINE: usize = 900;

/// Returns a message that shows the topics below each other. Each text is a text run, because Teams
/// does not interpret Markdown in a text run.
pub(super) fn message(all: &[Text]) -> Post {
    let (mut blocks, mut used, mut shown) = (Vec::new(), 0, 0);
    for text in all {
        let texts = texts(text);
        used += texts.iter().map(|text| text.len() + BLOCK).sum::<usize>();
        if used > CARD {
            break;
        }
        shown += 1;
        blocks.extend(texts.iter().enumerate().map(|(at, text)| block(text, at == 0)));
    }
    let left = all.len() - shown;
    if left > 0 {
        blocks.push(block(&format!("and {left} more topics: see `beadle holds` and `beadle queue`"), false));
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": blocks,
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });
    let body = json!({ "type": "message", "attachments": [attachment] });
    Post { headers: Vec::new(), body: body.to_string() }
}

/// Returns the title and the lines of a topic. Teams does not accept an empty text run.
fn texts(text: &Text) -> Vec<String> {
    let lines = text.below().into_iter().filter(|line| !line.trim().is_empty());
    [text.title.clone()].into_iter().chain(lines).map(|text| cut(&text, LINE)).collect()
}

fn block(text: &str, is_title: bool) -> Value {
    let weight = if is_title { "Bolder" } else { "Default" };
    json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text, "weight": weight }] })
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{hostile, own};
    use super::*;

    #[test]
    fn values_are_text_runs_and_the_message_has_a_limit() {
        let mut outgoing = hostile();
        let post = message(&own(&outgoing));
        let body: Value = serde_json::from_str(&post.body).unwrap();
        let blocks = body["attachments"][0]["content"]["body"].as_array().unwrap();
        assert_eq!(blocks.len(), 3);
        assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"), "{blocks:#?}");
        assert_eq!(blocks[0]["inlines"][0]["weight"], "Bolder");
        let item = outgoing.items[0].clone();
        outgoing.items = vec![item; 200];
        let post = message(&own(&outgoing));
        assert!(post.body.len() < 28_000 && post.body.contains("more topics"), "{}", post.body.len());
    }
}
