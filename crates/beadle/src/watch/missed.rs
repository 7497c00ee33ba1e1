//! Looks for missed webhooks, App by App.

use std::collections::BTreeMap;

use beadle_engine::Failure;
use beadle_github::Writer;
use beadle_repositories::Recovery;
use beadle_repositories::recovery::Installed;

use super::Means;
use super::watched::Watched;
use crate::wiring::dispatched;

/// Recovers the missed deliveries of every App whose organisations are open. `false`: one of them has to be looked at
/// again soon; the others were all the same.
pub(super) async fn recover(orgs: &[Watched<'_>], means: &Means<'_>) -> bool {
    let mut apps: BTreeMap<u64, Vec<&Watched<'_>>> = BTreeMap::new();
    for org in orgs {
        if let Some(app) = org.file.app.as_ref().filter(|_| org.open.is_some()) {
            apps.entry(app.id).or_default().push(org);
        }
    }
    let mut fine = true;
    for (app, orgs) in apps {
        match of_app(app, &orgs, means).await {
            Ok(is_closed) => fine &= is_closed,
            Err(error) => {
                tracing::error!(app, %error, "search for missed webhooks failed, retrying");
                fine = false;
            }
        }
    }
    fine
}

/// `false`: the readings of the log disagreed, and the same time has to be read again soon.
async fn of_app(app: u64, orgs: &[&Watched<'_>], means: &Means<'_>) -> Result<bool, Failure> {
    let mut installed = Vec::new();
    for org in orgs.iter().filter_map(|org| org.open.as_ref()) {
        let Some(installation) = org.reader.app().await? else { continue };
        let ids = (installation["id"].as_u64(), installation["target_id"].as_u64());
        let (Some(id), Some(organisation)) = ids else { continue };
        installed.push(Installed {
            instance: org.file.name.clone(),
            installation: id,
            organisation,
            dispatches: dispatched(org.file),
        });
    }
    let Some(org) = orgs.iter().find_map(|org| org.open.as_ref()) else { return Ok(true) };
    let recovery = Recovery {
        reader: org.reader.clone(),
        writer: Writer::new(org.api.clone()),
        store: means.store.clone(),
        clock: means.clock.clone(),
        app,
        installed,
    };
    let recovered = recovery.recover().await?;
    if recovered.marked > 0 || recovered.beyond {
        means.bell.notify_one();
    }
    Ok(!recovered.open)
}
