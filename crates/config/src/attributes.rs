//! `[target.attributes]`: the attributes that Beadle sets in the accounts of a SCIM server.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[target.attributes]`: the attributes of accounts. Each value is an expression that can use the
/// attributes of the person's profile at the directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttributesFile {
    /// The job title.
    pub title: Option<String>,
    /// The casual name.
    pub nick_name: Option<String>,
    /// The address of a page about the person.
    pub profile_url: Option<String>,
    /// The relation to the organisation, such as `Contractor`.
    pub user_type: Option<String>,
    /// The preferred language, such as `en-US`.
    pub preferred_language: Option<String>,
    /// The form of dates and numbers, such as `en-US`.
    pub locale: Option<String>,
    /// The time zone, such as `Europe/London`.
    pub timezone: Option<String>,
    /// The phone number for work.
    pub phone: Option<String>,
    /// The street and number of the work address.
    pub street_address: Option<String>,
    /// The city of the work address.
    pub locality: Option<String>,
    /// The region or state of the work address.
    pub region: Option<String>,
    /// The postal code of the work address.
    pub postal_code: Option<String>,
    /// The country of the work address, such as `GB`.
    pub country: Option<String>,
    /// The employee number.
    pub employee_number: Option<String>,
    /// The cost centre.
    pub cost_center: Option<String>,
    /// The organisation.
    pub organization: Option<String>,
    /// The division.
    pub division: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// The id of the manager.
    pub manager: Option<String>,
    /// The expressions of further attributes, by the path of the attribute at the server.
    pub custom: BTreeMap<String, String>,
}

impl AttributesFile {
    /// Returns the attributes that are set and have their own keys. Each attribute is a pair of its
    /// key and its expression.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("title", &self.title),
            ("nick_name", &self.nick_name),
            ("profile_url", &self.profile_url),
            ("user_type", &self.user_type),
            ("preferred_language", &self.preferred_language),
            ("locale", &self.locale),
            ("timezone", &self.timezone),
            ("phone", &self.phone),
            ("street_address", &self.street_address),
            ("locality", &self.locality),
            ("region", &self.region),
            ("postal_code", &self.postal_code),
            ("country", &self.country),
            ("employee_number", &self.employee_number),
            ("cost_center", &self.cost_center),
            ("organization", &self.organization),
            ("division", &self.division),
            ("department", &self.department),
            ("manager", &self.manager),
        ];
        all.into_iter().filter_map(|(key, expression)| Some((key, expression.as_deref()?)))
    }
}
