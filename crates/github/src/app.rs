//! Reads data about the credential: its permissions, its limits, its dispatched workflow runs, and
//! the log of its webhook deliveries. Also reads GitHub's clock.

use beadle_engine::{Class, Failure, Time};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::connection::Distinct;
use crate::read::Reader;

/// One attempt by GitHub to send a webhook delivery. The App's log contains all attempts.
#[derive(Clone, Debug, Deserialize)]
pub struct HookDelivery {
    /// The id of the attempt. Each attempt of the same delivery has a new id.
    pub id: u64,
    /// The id of the delivery. All attempts of the same delivery have this id.
    pub guid: String,
    /// When GitHub made the attempt, in GitHub's format.
    pub delivered_at: String,
    /// The HTTP status of the receiver's answer.
    pub status_code: u16,
    /// The name of the event, such as `push`.
    pub event: String,
    /// The action of the event, such as `created`, if the event has actions.
    pub action: Option<String>,
    /// The id of the App's installation that got the event.
    pub installation_id: Option<u64>,
    /// The id of the event's repository, if the event is about a repository.
    pub repository_id: Option<u64>,
}

/// The App of the credential.
#[derive(Clone, Debug, Deserialize)]
pub struct OwnApp {
    /// The name of the App.
    pub name: String,
    /// The address of the App's page. The page that installs the App is below this address.
    #[serde(rename = "html_url")]
    pub page: String,
}

/// Returns the workflow runs of one page of GitHub's list. Returns an error if the page has no
/// `workflow_runs`, or if the page repeats runs of an earlier page.
fn page_of_runs(mut page: Value, next: Option<&str>, distinct: &mut Distinct) -> Result<Vec<Value>, Failure> {
    let unknown = |why: String| Failure::new(Class::Retry, format!("reading the runs of a workflow: {why}"));
    let runs = page.get_mut("workflow_runs").and_then(Value::as_array_mut).map(std::mem::take);
    let runs = runs.ok_or_else(|| unknown("a page has no `workflow_runs`".to_owned()))?;
    distinct.page(&runs, next).map_err(unknown)?;
    Ok(runs)
}

impl Reader {
    /// Returns the permissions and events of the App. Returns `None` if the credential is a token.
    pub async fn app(&self) -> Result<Option<Value>, Failure> {
        if !self.api().is_app() {
            return Ok(None);
        }
        let path = Path::at("orgs").value(self.organisation()).then("installation");
        let installation: Value = self.api().get_as_app(path).await?.json().map_err(Failure::from)?;
        Ok(Some(installation))
    }

    /// Returns the App of the credential. Returns an error if the private key does not belong to
    /// the App, or if the credential is a token.
    pub async fn own_app(&self) -> Result<OwnApp, Failure> {
        self.api().get_as_app(Path::at("app")).await?.json().map_err(Failure::from)
    }

    /// Returns whether the App of the credential is installed on the organisation. Returns an error
    /// if the credential is a token.
    pub async fn is_installed(&self) -> Result<bool, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then("installation");
        match self.api().get_as_app(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the credential's limits and the number of remaining calls. GitHub does not count the
    /// call that this method makes.
    pub async fn rate_limit(&self) -> Result<Value, Failure> {
        self.api().get(&Path::at("rate_limit")).await?.json().map_err(Failure::from)
    }

    /// Returns the slug of the App. GitHub shows the writes of the App as `SLUG[bot]`. Returns
    /// `None` if the credential is a token.
    pub async fn app_slug(&self) -> Result<Option<String>, Failure> {
        let installation = self.app().await?;
        let slug = installation.and_then(|installation| installation["app_slug"].as_str().map(str::to_owned));
        if let Some(slug) = &slug {
            self.remember_slug(slug);
        }
        Ok(slug)
    }

    /// Returns one page of the App's webhook deliveries, and the cursor of the next page. The
    /// newest delivery comes first.
    pub async fn deliveries(
        &self,
        page: Option<&str>,
    ) -> Result<(Vec<HookDelivery>, Option<String>), Failure> {
        let path = page.map_or_else(|| Path::at("app/hook/deliveries?per_page=100"), Path::given);
        let answer = self.api().get_as_app(path).await?;
        let next = answer.next().map(str::to_owned);
        Ok((answer.json().map_err(Failure::from)?, next))
    }

    /// Returns the runs of a workflow, newest first. The list has only the runs that somebody
    /// dispatched at the time `since` or later.
    pub async fn dispatched(
        &self,
        repository: &str,
        workflow: &str,
        since: Time,
    ) -> Result<Vec<Value>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository);
        let path =
            path.then("actions/workflows").value(workflow).then("runs?event=workflow_dispatch&per_page=100");
        let mut next = Some(path.query("created", format!(">={since}")));
        let (mut runs, mut distinct) = (Vec::new(), Distinct::default());
        while let Some(path) = next {
            let answer = self.api().get(&path).await?;
            runs.extend(page_of_runs(answer.json().map_err(Failure::from)?, answer.next(), &mut distinct)?);
            next = answer.next().map(Path::given);
        }
        Ok(runs)
    }

    /// Returns the organisation, and how many seconds GitHub's clock is ahead of the local clock.
    pub async fn organisation_and_clock(&self) -> Result<(Value, Option<i64>), Failure> {
        let answer = self.api().get(&Path::at("orgs").value(self.organisation())).await?;
        let date = answer.headers.get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let ahead = date.map(|date| date.timestamp().as_second() - self.clock().now().seconds());
        Ok((answer.json().map_err(Failure::from)?, ahead))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_runs_is_read_to_its_end_or_unknown() {
        let mut distinct = Distinct::default();
        let mut read = |page: Value, next| page_of_runs(page, next, &mut distinct);
        let page = |id: u64| json!({ "workflow_runs": [{ "id": id }] });
        assert_eq!(read(page(1), Some("2")).unwrap(), [json!({ "id": 1 })]);
        let failure = read(page(2), Some("2")).unwrap_err();
        assert_eq!(failure.class, Class::Retry);
        assert!(failure.text.contains("the list has no end"), "{failure}");
        for page in [json!({}), json!({ "workflow_runs": null }), json!([]), Value::Null] {
            assert!(read(page, None).is_err(), "a missing list counts as empty");
        }
    }
}
