//! Deviations of other servers from AWS; each was reported of real servers.

use serde_json::{Value, json};

/// One thing that a server does otherwise than AWS documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// RFC 7644's ways: lists by index, attributes left out on request, members shown in groups and
    /// removed by path.
    Generic,
    /// Filters are not looked at.
    FiltersIgnored,
    /// A filter on `externalId` is 400.
    ExternalIdRefused,
    /// A filter on `externalId` finds nobody.
    ExternalIdFindsNobody,
    /// A filter with an escaped quote is 400.
    QuotesRefused,
    /// Each page of a list is the first one.
    RepeatsFirstPage,
    /// `totalResults` counts the rows of the page.
    TotalOfPage,
    /// There is no `totalResults`.
    NoTotal,
    /// A `count` above this is 422.
    CountAbove(usize),
    /// A user that no list shows, and that is found by its id.
    Unlisted(String),
    /// The first row of a list comes twice, and is counted twice.
    RowsTwice,
    /// Groups show at most this number of members.
    ShowsMembers(usize),
    /// Writes of members are answered and not done.
    WritesIgnored,
    /// Adding members replaces those who are there.
    AddReplaces,
    /// `remove` of `members` removes all of them, whatever its value (RFC 7644, 3.5.2.2).
    ArrayEmpties,
    /// Names of groups are shown with this before them.
    Prefix(String),
    /// The group of this id is shown without a name.
    NullName(String),
    /// The group of this id shows a member without `value`.
    NoValue(String),
    /// `active` is a word: `"True"`.
    ActiveWords,
    /// Ids are shown as numbers, where they are.
    NumericIds,
}

/// All that a server does otherwise.
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

    /// Why a filter is refused.
    pub(super) fn refuses(&self, filter: &str) -> bool {
        (self.has(&Quirk::QuotesRefused) && filter.contains('\\'))
            || (self.has(&Quirk::ExternalIdRefused) && filter.starts_with("externalId"))
    }

    pub(super) fn finds_nobody(&self, filter: &str) -> bool {
        self.has(&Quirk::ExternalIdFindsNobody) && filter.starts_with("externalId")
    }

    /// A resource as the server shows it; `members` are a group's.
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
