//! What an App or a token is told about itself: its permissions, the log of its webhook deliveries,
//! the runs that it dispatched, its limits, and GitHub's clock.

use beadle_engine::{Class, Failure, Time};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::connection::Distinct;
use crate::read::Reader;

/// A row of the log of webhook deliveries.
#[derive(Clone, Debug, Deserialize)]
pub struct HookDelivery {
    /// This attempt's id.
    pub id: u64,
    /// The delivery's: the same when it is sent again.
    pub guid: String,
    /// When, as GitHub writes it.
    pub delivered_at: String,
    /// How it was answered.
    pub status_code: u16,
    /// The event.
    pub event: String,
    /// Its action.
    pub action: Option<String>,
    /// Whose event it is.
    pub installation_id: Option<u64>,
    /// What it is about.
    pub repository_id: Option<u64>,
}

/// The runs of a page. A page without a list, and a list without an end, are unknown.
fn page_of_runs(mut page: Value, next: Option<&str>, distinct: &mut Distinct) -> Result<Vec<Value>, Failure> {
    let unknown = |why: String| Failure::new(Class::Retry, format!("reading the runs of a workflow: {why}"));
    let runs = page.get_mut("workflow_runs").and_then(Value::as_array_mut).map(std::mem::take);
    let runs = runs.ok_or_else(|| unknown("a page has no `workflow_runs`".to_owned()))?;
    distinct.page(&runs, next).map_err(unknown)?;
    Ok(runs)
}

impl Reader {
    /// What the App may do and hears of: its permissions and events. `None` for a token.
    pub async fn app(&self) -> Result<Option<Value>, Failure> {
        if !self.api().is_app() {
            return Ok(None);
        }
        let path = Path::at("orgs").value(self.organisation()).then("installation");
        let installation: Value = self.api().get_as_app(path).await?.json().map_err(Failure::from)?;
        Ok(Some(installation))
    }

    /// What is left of the limits. It costs nothing.
    pub async fn rate_limit(&self) -> Result<Value, Failure> {
        self.api().get(&Path::at("rate_limit")).await?.json().map_err(Failure::from)
    }

    /// The App's name in addresses: it acts as `NAME[bot]`. `None` for a token.
    pub async fn app_slug(&self) -> Result<Option<String>, Failure> {
        let installation = self.app().await?;
        Ok(installation.and_then(|installation| installation["app_slug"].as_str().map(str::to_owned)))
    }

    /// One page of the log of the App's webhook deliveries, newest first, and where the next page is.
    pub async fn deliveries(
        &self,
        page: Option<&str>,
    ) -> Result<(Vec<HookDelivery>, Option<String>), Failure> {
        let path = page.map_or_else(|| Path::at("app/hook/deliveries?per_page=100"), Path::given);
        let answer = self.api().get_as_app(path).await?;
        let next = answer.next().map(str::to_owned);
        Ok((answer.json().map_err(Failure::from)?, next))
    }

    /// The runs of a workflow that were dispatched since a moment, newest first.
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

    /// Whether the organisation can be seen at all, and GitHub's clock beside ours, in seconds.
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
    fn runs_are_read_to_the_end_of_their_list_or_are_unknown() {
        let mut distinct = Distinct::default();
        let mut read = |page: Value, next| page_of_runs(page, next, &mut distinct);
        let page = |id: u64| json!({ "workflow_runs": [{ "id": id }] });
        assert_eq!(read(page(1), Some("2")).unwrap(), [json!({ "id": 1 })]);
        let failure = read(page(2), Some("2")).unwrap_err();
        assert_eq!(failure.class, Class::Retry);
        assert!(failure.text.contains("the list has no end"), "{failure}");
        for page in [json!({}), json!({ "workflow_runs": null }), json!([]), Value::Null] {
            assert!(read(page, None).is_err(), "no list is no empty list");
        }
    }
}
