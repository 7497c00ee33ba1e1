//! Reads that cost nothing while nothing changed.
//!
//! An `ETag` depends on the token, and an App's tokens change every hour. Observed, and not
//! documented: it is `SHA-256(Accept ":" Authorization ":" Cookie ":" body)`. So the tag of a kept
//! body can be computed for a new token. Every answer checks whether that still holds; where it
//! does not, a tag is used with the token that it came with only.

use std::time::Duration;

use beadle_engine::{Metadata, Note, Store, Time, note};
use beadle_transport::{Answer, Path, TransportError};
use bytes::Bytes;
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::{ACCEPT, Api};

/// The time after which the time of an answer's last read is stored again. Stored with every read,
/// each read of an unchanged answer would be a write.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// An answer as it is kept between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    etag: String,
    /// Of the token that it was read with, never the token itself.
    token: String,
    /// Whether the tag was the one that can be computed.
    computable: bool,
    link: Option<String>,
    /// The time of the last read, at most [`NOTED_EVERY`] late. Answers of older versions have
    /// none.
    read: Option<Time>,
    body: String,
}

impl Metadata for Kept {
    const KIND: &'static str = "rest";
}

fn computed(authorization: &str, body: &str) -> String {
    format!("\"{}\"", hex::encode(Sha256::digest(format!("{ACCEPT}:{authorization}::{body}"))))
}

/// A weak tag names the same body.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl Kept {
    fn of(answer: &Answer, authorization: &str, now: Time) -> Option<Self> {
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let etag = text(header::ETAG)?.to_owned();
        let body = std::str::from_utf8(&answer.body).ok()?.to_owned();
        Some(Self {
            computable: strong(&etag) == computed(authorization, &body),
            token: hex::encode(Sha256::digest(authorization)),
            link: text(header::LINK).map(str::to_owned),
            read: Some(now),
            etag,
            body,
        })
    }

    /// Returns whether the time of this read has to be stored. A stored time in the future comes
    /// from a clock that was ahead.
    fn is_read_news(&self, now: Time) -> bool {
        self.read.is_none_or(|read| read > now || now.since(read) >= NOTED_EVERY)
    }

    /// The tag to send with this token, if there is one.
    fn tag(&self, authorization: &str) -> Option<String> {
        if self.token == hex::encode(Sha256::digest(authorization)) {
            return Some(self.etag.clone());
        }
        self.computable.then(|| computed(authorization, &self.body))
    }
}

/// The part of a kept answer that has the time of the last read.
#[derive(Deserialize)]
struct LastRead {
    read: Option<Time>,
}

/// Returns the beginning of the names of all kept answers in a store.
pub fn kept_answers() -> String {
    note(Kept::KIND, &[""])
}

/// Returns the time of the last read of a kept answer, at most a day late; `None` if an older
/// version stored the answer.
pub fn last_read(answer: &str) -> Option<Time> {
    serde_json::from_str::<LastRead>(answer).ok()?.read
}

/// Keeps an answer. An answer that is not kept costs a call, and nothing else.
async fn keep(note: &Note<Kept>, store: &dyn Store, kept: &Kept) {
    if let Err(error) = note.put(store, kept).await {
        tracing::debug!(%error, "answer not stored, the next read requests it again");
    }
}

/// Reads `path`, and takes what was kept where GitHub says that it did not change.
pub(crate) async fn read(api: &Api, path: &Path) -> Result<Answer, TransportError> {
    let Some(store) = api.kept() else { return api.get(path).await };
    let note = Note::<Kept>::of(&[api.organisation(), &path.to_string()]);
    // A store that cannot be read costs a call, and nothing else.
    let kept = note.get(store.as_ref()).await.ok().flatten();
    let tag = |authorization: &SecretString| kept.as_ref()?.tag(authorization.expose_secret());
    let (answer, authorization) = api.get_if_changed(path, &tag).await?;
    let now = api.clock().now();
    if answer.status == 304
        && let Some(mut kept) = kept
    {
        if kept.is_read_news(now) {
            kept.read = Some(now);
            keep(&note, store.as_ref(), &kept).await;
        }
        let mut answer = Answer { status: 200, body: Bytes::from(kept.body), ..answer };
        // Where GitHub says it again, that counts.
        if let Some(link) = kept.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            answer.headers.entry(header::LINK).or_insert(link);
        }
        return Ok(answer);
    }
    if let Some(new) = Kept::of(&answer, authorization.expose_secret(), now) {
        keep(&note, store.as_ref(), &new).await;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000_000);

    fn answer(etag: &str) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::ETAG, etag.parse().unwrap());
        Answer { request: String::new(), status: 200, headers, body: Bytes::from_static(b"[]") }
    }

    #[test]
    fn a_tag_follows_the_token_while_it_can_be_computed() {
        let kept = Kept::of(&answer(&computed("token one", "[]")), "token one", NOW).unwrap();
        assert_eq!(kept.tag("Bearer two"), Some(computed("Bearer two", "[]")));
        assert_ne!(kept.tag("Bearer two"), kept.tag("token one"));
        let weak = answer(&format!("W/{}", computed("token one", "[]")));
        let weak = Kept::of(&weak, "token one", NOW).unwrap();
        assert!(weak.computable);
    }

    #[test]
    fn another_kind_of_tag_is_used_with_its_own_token_only() {
        let kept = Kept::of(&answer("\"something else\""), "token one", NOW).unwrap();
        assert_eq!(kept.tag("token one"), Some("\"something else\"".into()));
        assert_eq!(kept.tag("token two"), None);
        assert!(!serde_json::to_string(&kept).unwrap().contains("token one"), "a token is kept");
    }

    #[test]
    fn the_time_of_the_last_read_is_stored_once_a_day() {
        let kept = Kept::of(&answer("\"a\""), "token one", NOW).unwrap();
        assert!(!kept.is_read_news(NOW + NOTED_EVERY / 2) && kept.is_read_news(NOW + NOTED_EVERY));
        assert!(kept.is_read_news(NOW - NOTED_EVERY), "the clock was ahead");
        let old = r#"{"etag":"\"a\"","token":"","computable":false,"link":null,"body":"[]"}"#;
        let old: Kept = serde_json::from_str(old).unwrap();
        assert!(old.is_read_news(NOW), "an older version stored it");
        assert_eq!(last_read(&serde_json::to_string(&kept).unwrap()), Some(NOW));
        assert_eq!(last_read(&serde_json::to_string(&old).unwrap()), None);
    }
}
