//! A Postgres of this test run: its own data folder, port and processes, which end with it.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use daemon::Secret;
use sqlx::Executor;
use tokio::net::TcpSocket;

/// A running server.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    /// Keeps the port for the server while it is away: no connection that somebody opens meanwhile gets it.
    _port: TcpSocket,
    /// Ends the server once its standard input is closed.
    _keeper: Child,
}

/// The server that all tests of this binary share; `None`, said loudly, where Postgres is not installed.
pub(crate) fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
    SHARED.get_or_init(Postgres::start).as_ref()
}

fn root() -> bool {
    rustix_uid() == 0
}

fn rustix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map(|metadata| metadata.uid()).unwrap_or_default()
}

/// A command that runs as the user `postgres` where we are root, whom Postgres refuses.
fn command(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Postgres {
    /// Starts one; `None`, said loudly, where Postgres is not installed (a failure under CI).
    pub(crate) fn start() -> Option<Self> {
        let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .filter(|bin| bin.join("initdb").is_file())
            .collect();
        found.sort();
        let Some(bin) = found.pop() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "Postgres is not installed: apt-get install postgresql"
            );
            eprintln!("SKIPPED: Postgres is not installed (apt-get install postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if root() {
            assert!(Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap().success());
        }
        let data = folder.path().join("data");
        let made = command(&bin.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let kept = TcpSocket::new_v4().unwrap();
        // The server, which sets the same, may listen there all the same.
        kept.set_reuseaddr(true).unwrap();
        kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = kept.local_addr().unwrap().port();
        // The keeper outlives nobody: when this process ends, however it ends, its input closes.
        let mut keeper = command(Path::new("/bin/sh"));
        keeper
            .args(["-c", "cat >/dev/null; \"$0\" -D \"$1\" -m immediate -w stop; rm -rf \"$1\""])
            .arg(bin.join("pg_ctl"))
            .arg(&data)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self { folder, bin, port, _port: kept, _keeper: keeper.spawn().unwrap() };
        server.control(&["start"]);
        Some(server)
    }

    fn control(&self, arguments: &[&str]) {
        // Only processes die in these tests, not machines: what the kernel has is as good as on disk.
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200",
            self.port,
            self.folder.path().display()
        );
        let done = command(&self.bin.join("pg_ctl"))
            .args(["-w", "-o", &options, "-D"])
            .arg(self.folder.path().join("data"))
            .arg("-l")
            .arg(self.folder.path().join("log"))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "pg_ctl {arguments:?} failed");
    }

    /// Stops the server without a word to its clients, and starts it again after this time.
    #[allow(dead_code, reason = "used by the tests that share this one's server only with themselves")]
    pub(crate) fn restart(&self, after: Duration) {
        self.control(&["stop", "-m", "immediate"]);
        std::thread::sleep(after);
        self.control(&["start"]);
    }

    /// The address of a new, empty database.
    pub(crate) async fn database(&self) -> Secret {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let address = |database: &str| format!("postgres://postgres@127.0.0.1:{}/{database}", self.port);
        let began = Instant::now();
        loop {
            let connected = <sqlx::PgConnection as sqlx::Connection>::connect(&address("postgres")).await;
            let made = match connected {
                Ok(mut connection) => {
                    let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
                    connection.execute(statement).await.map(|_| ())
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(()) => return Secret::new(address(&name)),
                Err(error) if began.elapsed() > Duration::from_secs(20) => panic!("no database: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
