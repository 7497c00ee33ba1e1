//! Creates a service for tests.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::service::Service;
use crate::app::store;
use crate::config::Config;

/// The directory `corp`, the target `aws`, and a mapping between them.
const GROUPS: &str = r#"
[[okta]]
name = "corp"
url = "https://corp.example"
token = "file:t"

[[target]]
name = "aws"
scim = { url = "https://x.example/scim", token = "file:t", dialect = "rfc7644" }

[[groups]]
source = "corp"
target = "aws"
include = ["a"]
"#;

/// Creates a service with the directory `corp`, the target `aws` and a mapping between them.
/// `organisations` is the text about organisations in `beadle.toml`. The text can use the token
/// `file:t`. `hold` is the time that a key waits while its instance is not open. Also returns the
/// folder of the configuration and the store. The folder is deleted when the caller drops it.
pub(crate) fn service(organisations: &str, hold: Duration) -> (TempDir, Arc<Service>) {
    let (folder, store) = store::temporary().unwrap();
    let path = folder.path().join("beadle.toml");
    std::fs::write(&path, format!("{organisations}{GROUPS}")).unwrap();
    std::fs::write(folder.path().join("t"), "secret").unwrap();
    let config = Arc::new(Config::load(&path).unwrap());
    let app = Arc::new(App::new(&config, ClientOptions::of_service(&store)));
    let directories = app.directories().unwrap();
    let process_started = app.clock.now();
    let service = Service::new(app, store, directories, &(hold..=hold), process_started);
    (folder, service)
}
