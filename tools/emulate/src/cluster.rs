//! A PostgreSQL server for tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The id of the user `nobody` and of its group.
const NOBODY: u32 = 65_534;

/// The shell keeps the server running until the standard input of the shell ends. The input ends
/// with the process of the test, even if that process is killed. If the server does not stop in
/// time, the shell kills it. A server that has just begun ignores SIGINT.
const KEEP: &str = r#"
"$0" "$@" & server=$!
read -r _
kill -INT "$server"
{ sleep 60; kill -KILL "$server"; } & late=$!
wait "$server"
kill "$late"
rm -rf "$BEADLE_CLUSTER"
"#;

/// A PostgreSQL server with an empty database. The server listens on a socket in a temporary
/// folder, and has no TCP port. The server ends when the value is dropped, or when the process
/// ends. In tests, the server does not wait for the disk. So it starts quickly, but its data does
/// not survive a crash of the machine.
pub struct Cluster {
    folder: PathBuf,
    user: ServerUser,
    settings: &'static [&'static str],
    keeper: Child,
    schemas: AtomicU32,
}

impl Cluster {
    /// Returns whether PostgreSQL's programs are installed.
    pub fn is_installed() -> bool {
        find("initdb").is_some()
    }

    /// Starts a server, and returns when it accepts connections.
    pub async fn start() -> Self {
        Self::start_with(&["fsync=off", "shared_buffers=32MB"]).await
    }

    /// Starts a server that waits for the disk at each commit, for benchmarks.
    pub async fn start_durable() -> Self {
        Self::start_with(&["fsync=on", "shared_buffers=128MB"]).await
    }

    async fn start_with(settings: &'static [&'static str]) -> Self {
        let folder = tempfile::Builder::new().prefix("beadle-pg").tempdir().unwrap().keep();
        let data = folder.join("data");
        let user = ServerUser::for_folder(&folder);
        let mut init = Command::new(program("initdb"));
        init.args(["--username=beadle", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        init.arg("--pgdata").arg(&data);
        let made = user.runs(&mut init, &folder).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let keeper = keep(&folder, (user, settings));
        let mut cluster = Self { folder, user, settings, keeper, schemas: AtomicU32::new(0) };
        assert!(cluster.is_ready().await, "PostgreSQL does not start: {}", cluster.log());
        cluster
    }

    /// Ends the server immediately, without a checkpoint, and starts it again. All connections
    /// break, as in a failover.
    pub async fn crash(&mut self) {
        let state = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&state).unwrap();
        let server = text.lines().next().unwrap().to_owned();
        // The shell must be killed, because a shell that ends by itself deletes the folder.
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
        let sent = Command::new("kill").args(["-QUIT", &server]).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        for _ in 0..600 {
            if !state.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!state.exists(), "PostgreSQL does not stop: {}", self.log());
        for _ in 0..40 {
            self.keeper = keep(&self.folder, (self.user, self.settings));
            if self.is_ready().await {
                return;
            }
            self.keeper.kill().unwrap();
            self.keeper.wait().unwrap();
            // The start failed, because a process of the old server still uses the shared memory.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("PostgreSQL does not start again: {}", self.log());
    }

    /// Returns the folder with the socket of the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs statements, and returns the rows as `psql -At` prints them.
    pub fn psql(&self, statements: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["--no-psqlrc", "-At", "--set=ON_ERROR_STOP=1", "--username=beadle", "--dbname=postgres"]);
        psql.arg("--host").arg(&self.folder).args(["-c", statements]);
        // A statement could otherwise wait forever for a lock.
        psql.env("PGCONNECT_TIMEOUT", "60").env("PGOPTIONS", "-c statement_timeout=120s");
        let done = psql.output().unwrap();
        assert!(done.status.success(), "psql: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Returns the address of a schema that does not exist yet.
    pub fn url(&self) -> String {
        let n = self.schemas.fetch_add(1, Ordering::Relaxed);
        format!("postgres://beadle@/postgres?host={}&schema=test_{n}", self.folder.display())
    }

    /// Waits until the server is ready. The last line of the file `postmaster.pid` shows when the
    /// server is ready. Returns `false` if the server has ended.
    async fn is_ready(&mut self) -> bool {
        let state = self.folder.join("data/postmaster.pid");
        for _ in 0..600 {
            let text = std::fs::read_to_string(&state).unwrap_or_default();
            if text.lines().last().is_some_and(|line| line.trim() == "ready") {
                return true;
            }
            if self.keeper.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait(); // the shell deletes the folder
    }
}

/// Starts the server in a folder that `initdb` has prepared.
fn keep(folder: &Path, (user, settings): (ServerUser, &[&str])) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut keeper = Command::new("/bin/sh");
    keeper.args(["-c", KEEP]).arg(program("postgres")).arg("-D").arg(folder.join("data"));
    keeper.arg("-k").arg(folder);
    for setting in ["listen_addresses=", "max_connections=200"].iter().chain(settings).copied() {
        keeper.args(["-c", setting]);
    }
    keeper.env("BEADLE_CLUSTER", folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    user.runs(&mut keeper, folder).spawn().unwrap()
}

/// The user that runs the server.
#[derive(Clone, Copy)]
enum ServerUser {
    /// The user that runs the tests.
    Own,
    /// The user `nobody`, because PostgreSQL refuses to run as root.
    Nobody,
}

impl ServerUser {
    /// Chooses the user. The user becomes the owner of a folder that this process has just created.
    fn for_folder(folder: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        if std::fs::metadata(folder).unwrap().uid() != 0 {
            return Self::Own;
        }
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        Self::Nobody
    }

    /// Makes a program run as this user, in a folder that the user can enter.
    fn runs<'a>(self, command: &'a mut Command, folder: &Path) -> &'a mut Command {
        use std::os::unix::process::CommandExt as _;
        command.current_dir(folder);
        match self {
            Self::Own => command,
            Self::Nobody => command.uid(NOBODY).gid(NOBODY),
        }
    }
}

/// Returns the path of a PostgreSQL program: from `PATH`, or from the folder of the Debian package.
fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("`{name}` is missing: install Debian's package `postgresql`"))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join(name)).collect();
    places.extend((14..30).rev().map(|version| format!("/usr/lib/postgresql/{version}/bin/{name}").into()));
    places.into_iter().find(|place| place.exists())
}
