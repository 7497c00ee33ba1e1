//! Notes, which are small values that a store keeps by name. This module gives each kind of note a
//! type.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::store::{Store, StoreError};

/// A kind of note. It defines the type of the value, and the first part of the note's name.
pub trait Metadata: Serialize + DeserializeOwned {
    /// The first part of the name of each note of this kind.
    const KIND: &'static str;
    /// True if the value is a string that is stored as it is. Other values are stored as JSON.
    const IS_PLAIN: bool = false;
    /// True if Beadle must not treat an unreadable value as a missing value, for example because
    /// the value exempts or protects something. For an unreadable value of this kind, the reading
    /// functions of [`Note`] return an error. A caller that reads the value before it stores a new
    /// one therefore never replaces an unreadable value. If the constant is false, an unreadable
    /// value counts as missing, because Beadle can make the value again.
    ///
    /// An older version ignores fields that it does not know, and stores the value without them. A
    /// new field must therefore be optional.
    const IS_NEEDED: bool = false;
}

/// The name of a note. The name can also be a prefix. [`Note::list`] lists the notes with names
/// that begin with the prefix.
#[derive(Debug)]
pub struct Note<M> {
    name: String,
    kind: PhantomData<fn() -> M>,
}

/// A value that was read earlier. [`Note::replace`] compares it with the stored value.
#[derive(Clone, Debug)]
pub struct Stored<M> {
    /// The value. `None` if no value is stored, or if this version cannot read the value and does
    /// not need it ([`Metadata::IS_NEEDED`]).
    pub value: Option<M>,
    text: Option<String>,
}

impl<M> Stored<M> {
    /// Returns the stored text, even if this version cannot read it as a value.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl<M: Metadata> Note<M> {
    /// Returns the note with a name that consists of the kind and these parts, see [`note`].
    pub fn of(parts: &[&str]) -> Self {
        Self { name: note(M::KIND, parts), kind: PhantomData }
    }

    /// Returns the name of the note in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the value. If this version cannot read the stored value, because another version wrote
    /// it, the result is `None`.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Newer`] if this version cannot read the value and needs it
    /// ([`Metadata::IS_NEEDED`]).
    pub async fn get(&self, store: &dyn Store) -> Result<Option<M>, StoreError> {
        found(&self.name, store.get(&self.name).await?.as_deref())
    }

    /// Reads the value for a later [`Self::replace`].
    ///
    /// # Errors
    ///
    /// See [`Self::get`].
    pub async fn stored(&self, store: &dyn Store) -> Result<Stored<M>, StoreError> {
        let text = store.get(&self.name).await?;
        Ok(Stored { value: found(&self.name, text.as_deref())?, text })
    }

    /// Reads the values of several notes, in the order of the notes.
    ///
    /// # Errors
    ///
    /// See [`Self::get`].
    pub async fn get_all(store: &dyn Store, notes: &[Self]) -> Result<Vec<Option<M>>, StoreError> {
        let names: Vec<String> = notes.iter().map(|note| note.name.clone()).collect();
        let texts = store.get_all(&names).await?;
        names.iter().zip(&texts).map(|(name, text)| found(name, text.as_deref())).collect()
    }

    /// Reads the values of this note and of another note with one call of the store.
    ///
    /// # Errors
    ///
    /// See [`Self::get`].
    pub async fn get_with<O: Metadata>(
        &self,
        store: &dyn Store,
        other: &Note<O>,
    ) -> Result<(Option<M>, Option<O>), StoreError> {
        let texts = store.get_all(&[self.name.clone(), other.name.clone()]).await?;
        let text = |at: usize| texts.get(at).and_then(Option::as_deref);
        Ok((found(&self.name, text(0))?, found(&other.name, text(1))?))
    }

    /// Stores the value.
    pub async fn put(&self, store: &dyn Store, value: &M) -> Result<(), StoreError> {
        store.put(&self.name, &text_of(value)?).await
    }

    /// Stores the value if the stored value is still the one that was read. Returns whether this
    /// call stored the value.
    pub async fn replace(
        &self,
        store: &dyn Store,
        before: &Stored<M>,
        value: &M,
    ) -> Result<bool, StoreError> {
        store.replace(&self.name, before.text(), &text_of(value)?).await
    }

    /// Deletes the note.
    pub async fn forget(&self, store: &dyn Store) -> Result<(), StoreError> {
        store.forget(&self.name).await
    }

    /// Lists the notes with names that begin with this name. Each entry contains the part of the
    /// note's name that follows this name, and the value of the note. The list leaves out values
    /// that cannot be read.
    ///
    /// # Errors
    ///
    /// See [`Self::get`].
    pub async fn list(&self, store: &dyn Store) -> Result<Vec<(String, M)>, StoreError> {
        self.known(store.notes(&self.name).await?)
    }

    /// Lists the notes as [`Self::list`] does, but for output to people. An unreadable value does
    /// not cause an error, even if Beadle needs the value. For each unreadable note, the second
    /// list contains the part of the note's name that follows this name.
    pub async fn list_readable(
        &self,
        store: &dyn Store,
    ) -> Result<(Vec<(String, M)>, Vec<String>), StoreError> {
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for (name, text) in store.notes(&self.name).await? {
            let Some(rest) = name.strip_prefix(&self.name) else { continue };
            match read(&text) {
                Some(value) => readable.push((rest.to_owned(), value)),
                None => unreadable.push(rest.to_owned()),
            }
        }
        Ok((readable, unreadable))
    }

    /// Returns the values of notes, each with the part of the note's name that follows this name.
    fn known(&self, notes: Vec<(String, String)>) -> Result<Vec<(String, M)>, StoreError> {
        let mut known = Vec::new();
        for (name, text) in notes {
            let Some(rest) = name.strip_prefix(&self.name) else { continue };
            if let Some(value) = found(&name, Some(&text))? {
                known.push((rest.to_owned(), value));
            }
        }
        Ok(known)
    }

    /// Lists notes as [`Self::list`] does, but at most `limit` of them. The list contains notes
    /// after the name `after`. If `after` is empty, the list begins with the first note. Also
    /// returns the last name of the page. With this name, the caller can read the next page. On the
    /// last page, the result is `None` instead of the name.
    pub async fn page(
        &self,
        store: &dyn Store,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<(String, M)>, Option<String>), StoreError> {
        let notes = store.notes_page(&self.name, after, limit).await?;
        let is_full = u32::try_from(notes.len()).is_ok_and(|count| count >= limit);
        let last = notes.last().filter(|_| is_full).map(|(name, _)| name.clone());
        Ok((self.known(notes)?, last))
    }

    /// Reads the first note of [`Self::list`], in the order of the names.
    pub async fn first(&self, store: &dyn Store) -> Result<Option<(String, M)>, StoreError> {
        Ok(self.page(store, "", 1).await?.0.pop())
    }
}

fn text_of<M: Metadata>(value: &M) -> Result<String, StoreError> {
    write(value).map_err(|error| StoreError::Corrupt { doing: "writing a note", why: error.to_string() })
}

fn write<M: Metadata>(value: &M) -> Result<String, serde_json::Error> {
    if M::IS_PLAIN
        && let Value::String(text) = serde_json::to_value(value)?
    {
        return Ok(text);
    }
    serde_json::to_string(value)
}

/// Returns the value of a stored text. Returns an error if this version cannot read the text and
/// needs the value.
fn found<M: Metadata>(name: &str, text: Option<&str>) -> Result<Option<M>, StoreError> {
    let value = text.and_then(read);
    if M::IS_NEEDED && value.is_none() && text.is_some() {
        return Err(StoreError::Newer { doing: "reading a note", what: format!("the note `{name}`") });
    }
    Ok(value)
}

fn read<M: Metadata>(text: &str) -> Option<M> {
    if M::IS_PLAIN {
        return serde_json::from_value(Value::String(text.to_owned())).ok();
    }
    serde_json::from_str(text).ok()
}

/// Returns the name of a note: its kind and its parts, joined by colons. All notes of one kind have
/// the same number of parts.
///
/// In all parts except the last one, a colon is written as `%3A` and a percent sign as `%25`. Two
/// different lists of parts therefore never have the same name. The last part is not changed, with
/// one exception: the character U+0000 is written as `%00`, because PostgreSQL cannot store it. If
/// the last part is empty, the result is a prefix for the names of all notes with the same other
/// parts.
pub fn note(kind: &'static str, parts: &[&str]) -> String {
    let mut name = kind.to_owned();
    for (at, part) in parts.iter().enumerate() {
        name.push(':');
        if at + 1 == parts.len() {
            name.push_str(&part.replace('\0', "%00"));
        } else {
            name.push_str(&part.replace('%', "%25").replace(':', "%3A").replace('\0', "%00"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use super::*;
    use crate::clock::Time;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct At(Time);

    impl Metadata for At {
        const KIND: &'static str = "at";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Why(String);

    impl Metadata for Why {
        const KIND: &'static str = "why";
        const IS_PLAIN: bool = true;
    }

    #[test]
    fn a_value_is_stored_as_json_or_as_a_plain_text() {
        assert_eq!(write(&At(Time(7))).unwrap(), "7");
        assert_eq!(read::<At>("7"), Some(At(Time(7))));
        assert_eq!(read::<At>("soon"), None);
        for text in ["", "7", "said \"no\"", "null"] {
            let why = Why(text.to_owned());
            assert_eq!(write(&why).unwrap(), text);
            assert_eq!(read::<Why>(text), Some(why));
        }
        assert_eq!(Note::<At>::of(&["a:b", "c:d"]).name(), "at:a%3Ab:c:d");
        assert_eq!(Note::<At>::of(&["a\0b", "c\0d"]).name(), "at:a%00b:c%00d");
        assert_eq!(Note::<At>::of(&[]).name(), "at");
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Needed {
        at: Time,
    }

    impl Metadata for Needed {
        const KIND: &'static str = "needed";
        const IS_NEEDED: bool = true;
    }

    #[test]
    fn a_needed_value_that_cannot_be_read_is_an_error_and_another_one_is_missing() {
        assert_eq!(found::<Needed>("needed:a", None), Ok(None));
        let newer = r#"{"at":7,"zone":"a newer version has this field"}"#;
        assert_eq!(found::<Needed>("needed:a", Some(newer)), Ok(Some(Needed { at: Time(7) })));
        let error = found::<Needed>("needed:a", Some(r#"{"since":7}"#)).unwrap_err().to_string();
        assert!(error.contains("cannot read the note `needed:a`"), "{error}");
        assert!(error.contains("use the newest version"), "{error}");
        assert_eq!(found::<At>("at:a", Some("soon")), Ok(None));
    }

    #[test]
    fn a_list_has_an_error_for_a_needed_value_and_leaves_out_another_one() {
        let notes = |kind: &str, text: &str| {
            vec![(format!("{kind}:a"), "7".to_owned()), (format!("{kind}:b"), text.to_owned())]
        };
        let known = Note::<At>::of(&[""]).known(notes("at", "soon"));
        assert_eq!(known, Ok(vec![("a".to_owned(), At(Time(7)))]));
        let known = Note::<Needed>::of(&[""]).known(notes("needed", "soon"));
        assert!(matches!(known, Err(StoreError::Newer { .. })), "{known:?}");
    }

    #[test]
    fn no_two_lists_of_parts_make_one_name() {
        let parts = ["", "a", ":", "a:", ":a", "a:b", "b", "%", "%3A", "a%3Ab", "%25", "%253A", "a%", "3A"];
        let mut names = BTreeSet::new();
        for one in parts {
            for two in parts {
                for three in parts {
                    names.insert(note("name", &[one, two, three]));
                }
            }
        }
        assert_eq!(names.len(), parts.len().pow(3));
    }

    #[test]
    fn a_name_without_colons_is_what_it_always_was() {
        assert_eq!(note("name", &["acme", "user", "mona"]), "name:acme:user:mona");
        assert_eq!(
            note("rest", &["acme", "repos/acme/x%2Fy/hooks?a=b:c"]),
            "rest:acme:repos/acme/x%2Fy/hooks?a=b:c"
        );
        assert_eq!(note("pair", &["aws", ""]), "pair:aws:");
    }
}
