//! Deviations of real servers from the behaviour of AWS. Users have reported each of these
//! deviations.

use serde_json::{Value, json};

/// One deviation from the behaviour that AWS documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// The server follows RFC 7644. Clients read lists by index, and a request can leave attributes
    /// out. Groups show their members, and a request removes members by path.
    Generic,
    /// The server ignores filters.
    FiltersIgnored,
    /// The server answers a filter on `externalId` with 400.
    ExternalIdRefused,
    /// A filter on `externalId` never finds a user.
    ExternalIdFindsNobody,
    /// If a filter contains an escaped quote, the server answers with 400.
    QuotesRefused,
    /// Each page of a list is a copy of the first page.
    RepeatsFirstPage,
    /// `totalResults` is the number of rows in the page, not in the list.
    TotalOfPage,
    /// Answers have no `totalResults`.
    NoTotal,
    /// The server answers 422 if `count` is above this number.
    CountAbove(usize),
    /// The user with this id is missing in all lists, but a request with the id finds the user.
    Unlisted(String),
    /// A list contains its first row twice, and `totalResults` counts that row twice.
    RowsTwice,
    /// A group shows at most this number of members.
    ShowsMembers(usize),
    /// The server reports that a write of members succeeded, but the write has no effect.
    WritesIgnored,
    /// A request that adds members replaces the existing members.
    AddReplaces,
    /// A `remove` operation with the path `members` ignores its value and removes all members (RFC
    /// 7644, 3.5.2.2).
    ArrayEmpties,
    /// The server puts this prefix before the names of groups in its answers.
    Prefix(String),
    /// The server does not show the name of the group with this id.
    NullName(String),
    /// In the group with this id, the server shows a member without `value`.
    NoValue(String),
    /// The server shows `active` as a string: `"True"`.
    ActiveWords,
    /// If an id consists of digits, the server shows the id as a number.
    NumericIds,
}

/// All deviations that a simulated server has.
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

    /// Returns whether the server refuses a filter.
    pub(super) fn refuses(&self, filter: &str) -> bool {
        (self.has(&Quirk::QuotesRefused) && filter.contains('\\'))
            || (self.has(&Quirk::ExternalIdRefused) && filter.starts_with("externalId"))
    }

    pub(super) fn finds_nobody(&self, filter: &str) -> bool {
        self.has(&Quirk::ExternalIdFindsNobody) && filter.starts_with("externalId")
    }

    /// Returns a resource as the server shows it. If the resource is a group, `members` are its
    /// members.
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
