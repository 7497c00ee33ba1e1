//! Reads the custom property values of one repository, or of all repositories together.
//!
//! <https://docs.github.com/rest/orgs/custom-properties>

use std::collections::{BTreeMap, HashMap};

use beadle_engine::Failure;
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::api::Api;
use crate::repository::Known;
use crate::unsure::Unsure;

/// The property values for all repositories in an organisation.
pub(crate) struct Properties {
    by_repository: HashMap<u64, BTreeMap<String, Value>>,
    /// The approximate number of calls that the read took.
    pub(crate) calls: usize,
}

impl Properties {
    /// Returns whether the list contains a repository.
    pub(crate) fn has(&self, repository: u64) -> bool {
        self.by_repository.contains_key(&repository)
    }

    /// Returns the values of a repository. If the list does not contain the repository, its values
    /// are unknown, not empty.
    pub(crate) fn of(&self, repository: u64) -> Known<BTreeMap<String, Value>> {
        let why = "the organisation's list of property values does not contain this repository";
        let unknown = || Known::Unknown(Unsure::for_now(why.to_owned()));
        self.by_repository.get(&repository).cloned().map_or_else(unknown, Known::Known)
    }
}

#[derive(Deserialize)]
struct Row {
    repository_id: u64,
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    property_name: String,
    value: Value,
}

fn values(properties: Vec<Property>) -> BTreeMap<String, Value> {
    let set = properties.into_iter().filter(|property| !property.value.is_null());
    set.map(|property| (property.property_name, property.value)).collect()
}

/// Reads the property values for all repositories in the organisation.
pub(crate) async fn of_organisation(api: &Api) -> Result<Properties, Failure> {
    let path = Path::at("orgs").value(api.organisation()).then("properties/values?per_page=100");
    let rows: Vec<Row> = api.list(&path).await?;
    let calls = rows.len() / 100 + 1;
    let by_repository = rows.into_iter().map(|row| (row.repository_id, values(row.properties))).collect();
    Ok(Properties { by_repository, calls })
}

/// Reads the property values of one repository.
pub(crate) async fn of_repository(
    api: &Api,
    owner: &str,
    name: &str,
) -> Result<BTreeMap<String, Value>, Failure> {
    let path = Path::at("repos").value(owner).value(name).then("properties/values");
    Ok(values(api.list(&path).await?))
}
