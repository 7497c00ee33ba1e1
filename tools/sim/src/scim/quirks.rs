//! Deviations of other servers from AWS. Each was reported for a real server.

use serde_json::{Value, json};

/// One deviation from the documentation of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// The behaviour of RFC 7644: lists by index, attributes left out on request, members shown in
    /// groups and removed by path.
    Generic,
    /// The server ignores filters.
    FiltersIgnored,
    /// The answer to a filter on `externalId` is 400.
    ExternalIdRefused,
    /// A filter on `externalId` finds no user.
    ExternalIdFindsNobody,
    /// The answer to a filter with an escaped quote is 400.
    QuotesRefused,
    /// Each page of a list is the first one.
    RepeatsFirstPage,
    /// `totalResults` counts the rows of the page.
    TotalOfPage,
    /// The answer has no `totalResults`.
    NoTotal,
    /// The answer to a `count` above this number is 422.
    CountAbove(usize),
    /// No list has the user of this id, but a request for the id finds the user.
    Unlisted(String),
    /// A list has its first row twice, and `totalResults` counts it twice.
    RowsTwice,
    /// Groups show at most this number of members.
    ShowsMembers(usize),
    /// A write of members has no effect, although the answer is a success.
    WritesIgnored,
    /// An addition of members replaces the existing members.
    AddReplaces,
    /// `remove` of `members` removes all of them and ignores its value (RFC 7644, 3.5.2.2).
    ArrayEmpties,
    /// Names of groups are shown with this prefix.
    Prefix(String),
    /// The group of this id is shown without a name.
    NullName(String),
    /// The group of this id shows a member without `value`.
    NoValue(String),
    /// `active` is a string: `"True"`.
    ActiveWords,
    /// Ids that consist of digits are shown as numbers.
    NumericIds,
}

/// The deviations of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Quirks(pub(super) Vec<Quirk>);

impl Quirks {
    pub(super) fn has(&self, quirk: &Quirk) -> bool {
        self.0.contains(quirk)
    }

    pub(super) fn most(&self) -> Option<usize> {
        self.0.iter().find_map(|quirk| match quirk {
            Quirk::CountAbove(most) => Some(*most),
            _ => None,
        })
    }

    /// Returns whether a filter is refused.
    pub(super) fn refuses(&self, filter: &str) -> bool {
        (self.has(&Quirk::QuotesRefused) && filter.contains('\\'))
            || (self.has(&Quirk::ExternalIdRefused) && filter.starts_with("externalId"))
    }

    pub(super) fn finds_nobody(&self, filter: &str) -> bool {
        self.has(&Quirk::ExternalIdFindsNobody) && filter.starts_with("externalId")
    }

    /// Returns a resource in the form of the server. `members` are those of a group.
    pub(super) fn shown(&self, mut shown: Value, members: &Value) -> Value {
        let id = shown["id"].as_str().unwrap_or_default().to_owned();
        if self.has(&Quirk::Generic) && shown["members"].is_array() {
            let ids = members.as_object().into_iter().flatten().map(|(id, _)| id);
            let most = self.0.iter().find_map(|quirk| match quirk {
                Quirk::ShowsMembers(most) => Some(*most),
                _ => None,
            });
            let rows = ids
                .take(most.unwrap_or(usize::MAX))
                .map(|id| json!({ "value": self.id(id), "type": "User" }));
            let mut rows: Vec<Value> = rows.collect();
            if self.has(&Quirk::NoValue(id.clone())) {
                rows.push(json!({ "display": "somebody" }));
            }
            shown["members"] = json!(rows);
        }
        for quirk in &self.0 {
            match quirk {
                Quirk::Prefix(prefix) if shown["members"].is_array() => {
                    shown["displayName"] =
                        json!(format!("{prefix}{}", shown["displayName"].as_str().unwrap_or_default()));
                }
                Quirk::NullName(null) if *null == id => shown["displayName"] = Value::Null,
                Quirk::ActiveWords if shown["active"].is_boolean() => {
                    shown["active"] = json!(if shown["active"] == true { "True" } else { "False" });
                }
                _ => {}
            }
        }
        shown["id"] = self.id(&id);
        shown
    }

    fn id(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if self.has(&Quirk::NumericIds) => json!(number),
            _ => json!(id),
        }
    }
}
