//! The commented example.

/// A file to begin with.
pub(crate) const EXAMPLE: &str = r#"# Beadle's configuration. Relative paths begin at this file.
# Secrets are given by reference: "env:NAME" or "file:PATH".

[store]
path = "beadle.db"                  # an embedded SQLite; keep it on a local disk
# max_mib = 4096                    # beyond, deliveries are answered 503 as on a full disk

[server]
listen = "127.0.0.1:8080"           # webhooks: POST /hooks/github, and GET /healthz
operator = "127.0.0.1:8081"         # GET /readyz and /metrics; beyond loopback it needs operator_token
# operator_token = "env:BEADLE_OPERATOR_TOKEN"
in_flight_mib = 128                 # all bodies being received at once

[retention]
bodies = "8d"                       # bodies of deliveries
ids = "30d"                         # their ids: 8d at least, so that a late repetition is still known
journal = "400d"

[worker]
concurrency = 64                    # repositories worked on at once
lease = "60s"                       # a worker that gives no sign of life loses its repository after this

[[org]]
name = "acme"                       # the organisation's login
api = "https://api.github.com"      # an Enterprise Server: https://ghe.example.com/api/v3
app = { id = 12345, key = "file:beadle-app.pem" }   # or: token = "env:GITHUB_TOKEN"
webhook_secrets = ["env:BEADLE_WEBHOOK_SECRET"]     # two while one is replaced
policy = "policy"                   # settings.yml, suborgs/, repos/, deployment-settings.yml
policy_repository = "admin"         # the repository that holds it; left alone unless a file names it
mode = "observe"                    # observe: plan only. add-only: never remove, weaken, expose. enforce
sweep_every = "24h"

[org.modes]                         # aspects that are more careful than the organisation
# teams = "observe"

[org.guard]                         # the most that is written in a window; the rest is held for `beadle approve`
window = "1h"
removes = 50
weakens = 25
exposes = 10

[org.budget]
concurrency = 32                    # requests at once
reserve = 20                        # percent that only events and operators may use
"#;
