//! Connections: GraphQL's lists. A page has at most 100 entries, and a cursor marks the place of
//! the next page.

use serde_json::{Map, Value, json};

use super::Problem;
use super::resolve::{Object, Resolved};

/// A page of a list.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    type_name: &'static str,
    total: usize,
    start: usize,
    edges: Vec<Edge>,
}

/// An entry of a list, with the fields of its edge.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) type_name: &'static str,
    pub(super) node: Object,
    pub(super) permission: Option<String>,
    /// The sources of the permission: the type and the role of each.
    pub(super) sources: Vec<(&'static str, String)>,
}

impl Edge {
    pub(super) fn plain(node: Object) -> Self {
        Self { type_name: "Edge", node, permission: None, sources: Vec::new() }
    }
}

/// Returns the page of `edges` that the arguments `first` and `after` select.
pub(super) fn page(type_name: &'static str, edges: Vec<Edge>, arguments: &Map<String, Value>) -> Resolved {
    let Some(first) = arguments.get("first").and_then(Value::as_u64) else {
        return Resolved::Problem(Problem {
            kind: "MISSING_PAGINATION_BOUNDARIES",
            message: format!(
                "You must provide a `first` or `last` value to properly paginate the `{type_name}`."
            ),
        });
    };
    if first > 100 {
        return Resolved::Problem(Problem {
            kind: "EXCESSIVE_PAGINATION",
            message: format!(
                "Requesting {first} records on the `{type_name}` exceeds the `first` limit of 100 records."
            ),
        });
    }
    let after = arguments.get("after").and_then(Value::as_str);
    let start = after.and_then(|cursor| cursor.strip_prefix("cursor:")?.parse().ok()).unwrap_or(0usize);
    let total = edges.len();
    let first = usize::try_from(first).unwrap_or(100);
    let edges = edges.into_iter().skip(start).take(first).collect();
    Resolved::Object(Object::Connection(Box::new(Connection { type_name, total, start, edges })))
}

impl Connection {
    pub(super) fn type_name(&self) -> &'static str {
        self.type_name
    }

    pub(super) fn resolve(&self, field: &str) -> Resolved {
        match field {
            "totalCount" => Resolved::Value(json!(self.total)),
            "nodes" => {
                Resolved::List(self.edges.iter().map(|edge| Resolved::Object(edge.node.clone())).collect())
            }
            "edges" => {
                let edges =
                    self.edges.iter().map(|edge| Resolved::Object(Object::Edge(Box::new(edge.clone()))));
                Resolved::List(edges.collect())
            }
            "pageInfo" => {
                let end = self.start + self.edges.len();
                let cursor = if self.edges.is_empty() { Value::Null } else { json!(format!("cursor:{end}")) };
                Resolved::Object(Object::Plain(
                    "PageInfo",
                    json!({
                        "hasNextPage": end < self.total,
                        "hasPreviousPage": self.start > 0,
                        "endCursor": cursor,
                        "startCursor": format!("cursor:{}", self.start),
                    }),
                ))
            }
            _ => Resolved::unknown(self.type_name, field),
        }
    }
}
