//! A folder with a configuration, a policy and the release binary, like the folder of a user.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::Sim;
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use tempfile::TempDir;

use crate::clock::now;

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The time from the start to the end, in seconds.
    pub(crate) took: f64,
    /// The peak memory in MiB. 0 if the system does not report it.
    pub(crate) most: u64,
}

/// The folder where a measurement runs Beadle.
pub(crate) struct Folder {
    pub(crate) path: TempDir,
    pub(crate) ports: [u16; 2],
    program: PathBuf,
}

/// The value of `policy` in the configuration, if the policy is in the folder `policy`.
const FOLDER: &str = "\"policy\"";

/// The name of the configuration.
const CONFIG: &str = "beadle.toml";

/// Returns two free ports.
pub(crate) fn free_ports() -> anyhow::Result<[u16; 2]> {
    let (one, other) =
        (std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?);
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

impl Folder {
    /// Creates a folder. Its configuration has the mode `observe`.
    pub(crate) fn new(sim: &Sim, policy: &str, secret: &str, minute: &str) -> anyhow::Result<Self> {
        Self::with(sim, FOLDER, policy, [secret, minute, "observe"])
    }

    /// Creates a folder. Its configuration has the mode `enforce`.
    pub(crate) fn enforcing(sim: &Sim, policy: &str, secret: &str, minute: &str) -> anyhow::Result<Self> {
        Self::with(sim, FOLDER, policy, [secret, minute, "enforce"])
    }

    /// Creates a folder. Its configuration has the mode `enforce`. The policy is in the folder
    /// `.github` of the repository `admin`.
    pub(crate) fn of_git(sim: &Sim, secret: &str) -> anyhow::Result<Self> {
        let source = "{ repository = \"admin\", path = \".github\" }";
        Self::with(sim, source, "", [secret, "60s", "enforce"])
    }

    /// Creates a folder. `source` is the value of `policy` in the configuration, and `policy` is
    /// the text of `settings.yml` in the folder `policy`.
    fn with(
        sim: &Sim,
        source: &str,
        policy: &str,
        [secret, minute, mode]: [&str; 3],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = free_ports()?;
        let path = folder.path();
        std::fs::create_dir(path.join("policy"))?;
        std::fs::write(path.join("policy/settings.yml"), policy)?;
        std::fs::write(path.join("app.pem"), sim.app_pem())?;
        std::fs::write(path.join("webhook.secret"), secret)?;
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\noperator = \"127.0.0.1:{}\"\n[[org]]\nname = \"acme\"\napi = \"{}\"\n\
             app = {{ id = {}, key = \"file:app.pem\" }}\nwebhook_secrets = [\"file:webhook.secret\"]\n\
             policy = {source}\nmode = \"{mode}\"\n[org.guard]\nremoves = 100000\npercent = 100\n[org.gate]\npercent = 100\ncreates = 100000\n[org.budget]\nminute = \"{minute}\"\n",
            ports[0],
            ports[1],
            sim.url(),
            beadle_sim::APP_ID
        );
        Self::holding(folder, ports, &config)
    }

    /// Adds a layer for every repository to the policy.
    pub(crate) fn layer(&self, text: &str) -> anyhow::Result<()> {
        let layers = self.path.path().join("policy/layers");
        std::fs::create_dir_all(&layers)?;
        Ok(std::fs::write(layers.join("everybody.yml"), text)?)
    }

    /// Creates a folder. Its configuration has a directory, a target and the mode `enforce`.
    pub(crate) fn of_directory(okta: &OktaSim, aws: &ScimSim, secret: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = free_ports()?;
        for (name, text) in
            [("okta.token", okta.token()), ("aws.token", aws.token()), ("hook.secret", secret.to_owned())]
        {
            std::fs::write(folder.path().join(name), text)?;
        }
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\noperator = \"127.0.0.1:{}\"\n[[okta]]\nname = \"corp\"\nurl = \"{}\"\n\
             token = \"file:okta.token\"\nhook_secrets = [\"file:hook.secret\"]\n[[target]]\nname = \"aws\"\n\
             scim = {{ url = \"{}\", token = \"file:aws.token\", dialect = \"aws-identity-center\" }}\nguard = {{ removes = 1000000, repeats = 0 }}\n\
             [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_*\"]\nstrip_prefix = \"AWS_\"\nmode = \"enforce\"\n",
            ports[0],
            ports[1],
            okta.url(),
            aws.url(),
        );
        Self::holding(folder, ports, &config)
    }

    /// Creates a folder. Its configuration has an organisation, a directory and a target, all in
    /// the mode `observe`.
    pub(crate) fn of_pages(sim: &Sim, okta: &OktaSim, aws: &ScimSim) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = free_ports()?;
        let path = folder.path();
        std::fs::create_dir(path.join("policy"))?;
        for (name, text) in [
            ("policy/settings.yml", "repository: { has_wiki: false }\n".to_owned()),
            ("app.pem", sim.app_pem().to_owned()),
            ("okta.token", okta.token()),
            ("aws.token", aws.token()),
        ] {
            std::fs::write(path.join(name), text)?;
        }
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\noperator = \"127.0.0.1:{}\"\n[[org]]\nname = \"acme\"\napi = \"{}\"\n\
             app = {{ id = {}, key = \"file:app.pem\" }}\npolicy = \"policy\"\nmode = \"observe\"\n\
             [[okta]]\nname = \"corp\"\nurl = \"{}\"\ntoken = \"file:okta.token\"\n[[target]]\nname = \"aws\"\n\
             scim = {{ url = \"{}\", token = \"file:aws.token\", dialect = \"aws-identity-center\" }}\n\
             [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_*\"]\nmode = \"observe\"\n",
            ports[0],
            ports[1],
            sim.url(),
            beadle_sim::APP_ID,
            okta.url(),
            aws.url(),
        );
        Self::holding(folder, ports, &config)
    }

    fn holding(folder: TempDir, ports: [u16; 2], config: &str) -> anyhow::Result<Self> {
        std::fs::write(folder.path().join(CONFIG), config)?;
        let own = std::env::current_exe()?;
        let program = own.with_file_name("beadle");
        anyhow::ensure!(program.exists(), "{} is not built: run `cargo xtask bench`", program.display());
        Ok(Self { path: folder, ports, program })
    }

    /// Returns the path of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.path().join("beadle.db")
    }

    /// Returns the path of the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.path().join(CONFIG)
    }

    /// Returns a command that runs the binary with the configuration of this folder.
    pub(crate) fn beadle(&self, args: &[&str]) -> Command {
        self.beadle_of(&self.config(), args)
    }

    /// Returns a command that runs the binary with another configuration.
    pub(crate) fn beadle_of(&self, config: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs the binary with the configuration of this folder, and waits until the binary ends.
    pub(crate) async fn run(&self, args: &[&str]) -> anyhow::Result<Ended> {
        let mut child = self.beadle(args).spawn()?;
        let (started, mut most) = (now(), 0);
        let status = loop {
            most = most.max(peak(child.id()).unwrap_or(0));
            if let Some(status) = child.try_wait()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Ok(Ended { status, took: started.elapsed().as_secs_f64(), most })
    }

    /// Waits until the service that runs in this folder is ready.
    pub(crate) async fn until_ready(&self, client: &reqwest::Client) {
        until_ready(client, self.ports[1]).await;
    }
}

/// Waits until a service is ready. Its operator listener has this port.
pub(crate) async fn until_ready(client: &reqwest::Client, operator: u16) {
    let ready = format!("http://127.0.0.1:{operator}/readyz");
    while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the peak memory of a process in MiB, if the system reports it.
pub(crate) fn peak(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

/// Returns the present memory of a process in MiB, if the system reports it.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, name: &'static str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
