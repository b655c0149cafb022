//! A real Request Tracker 5: a private instance with its own SQLite database, one queue and an account with no more
//! rights than the alerter needs.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{free_port, program, run, skip};

const SERVER: &str = "/usr/share/request-tracker5/libexec/rt-server";
const LIBRARY: &str = "/usr/share/request-tracker5/lib";
const ROOT: &str = "root-of-a-test";

/// How long it has to listen: it compiles thousands of files of Perl.
const PATIENCE: Duration = Duration::from_secs(120);

/// The queue `Basiq` with its custom field, a queue where the account may do nothing, the account, and its token.
const ACCOUNT: &str = r#"
our @Queues = ({ Name => 'Basiq' }, { Name => 'Elsewhere' });
our @CustomFields = ({ Name => 'ConnectionId', Type => 'FreeformSingle',
    LookupType => 'RT::Queue-RT::Ticket', Queue => ['Basiq'] });
our @Users = ({ Name => 'alerter', Privileged => 1 });
our @Final = (sub {
    my $user = RT::User->new(RT->SystemUser); $user->Load('alerter');
    my $queue = RT::Queue->new(RT->SystemUser); $queue->Load('Basiq');
    $user->PrincipalObj->GrantRight(Object => $queue, Right => $_)
        for qw(SeeQueue ShowTicket ShowTicketComments CreateTicket CommentOnTicket ModifyTicket
               SeeCustomField ModifyCustomField);
    my $token = RT::AuthToken->new(RT->SystemUser);
    my ($ok, $why, $text) = $token->Create(Owner => $user->id, Description => 'test');
    die $why unless $ok;
    open my $file, '>', $ENV{TOKEN_FILE} or die $!; print $file $text; close $file;
});
1;
"#;

/// A running Request Tracker; killed when dropped.
#[derive(Debug)]
pub struct RequestTracker {
    server: Child,
    /// Where it listens.
    pub url: String,
    /// Its settings, database and the account's token (`token`).
    pub folder: tempfile::TempDir,
}

impl Drop for RequestTracker {
    fn drop(&mut self) {
        // Its workers with it, whatever became of the test.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.server.id())]).status();
        let _ = self.server.wait();
    }
}

fn environment<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .env("RT_SITE_CONFIG", folder.join("site.pm"))
        .env("RT_SITE_CONFIG_DIR", folder.join("conf.d"))
        .env("TOKEN_FILE", folder.join("token"))
}

impl RequestTracker {
    /// Starts one in a folder of its own; `None` where it is not installed.
    ///
    /// # Errors
    /// It could not be set up, or does not listen.
    pub async fn start() -> Result<Option<Self>> {
        let packages = "request-tracker5 rt5-db-sqlite rt5-standalone starman";
        let Some(setup) = program("rt-setup-database-5", packages) else { return Ok(None) };
        if !Path::new(SERVER).is_file() {
            skip("rt-server is absent; install the Debian package rt5-standalone");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let base = folder.path();
        for name in ["conf.d", "session"] {
            fs::create_dir(base.join(name))?;
        }
        let port = free_port()?;
        let site = format!(
            "Set($rtname, 'rt.test'); Set($Organization, 'rt.test');\n\
             Set($WebDomain, '127.0.0.1'); Set($WebPort, {port}); Set($WebPath, '');\n\
             Set($DatabaseType, 'SQLite'); Set($DatabaseName, '{base}/rtdb');\n\
             Set($MailCommand, 'testfile'); Set($MasonSessionDir, '{base}/session');\n\
             Set($LogToSyslog, undef); Set($LogToSTDERR, 'error'); Set($LogToFile, undef);\n\
             Set($Timezone, 'UTC');\n1;\n",
            base = base.display()
        );
        fs::write(base.join("site.pm"), site)?;
        fs::write(base.join("root"), ROOT)?;
        fs::write(base.join("account.pl"), ACCOUNT)?;
        let make = |arguments: &[&str], file: &str, path: PathBuf| {
            let mut command = Command::new(&setup);
            command.args(arguments).arg(file).arg(path);
            run(environment(&mut command, base))
        };
        make(&["--action", "init"], "--root-password-file", base.join("root"))?;
        make(&["--action", "insert", "--skip-create"], "--datafile", base.join("account.pl"))?;
        let mut command = Command::new(SERVER);
        command
            .args(["--server", "Starlet", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--max-workers", "2", "--env", "deployment"])
            .env("PERL5LIB", LIBRARY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let server = environment(&mut command, base).spawn()?;
        let tracker = Self { server, url: format!("http://127.0.0.1:{port}"), folder };
        let begun = Instant::now();
        while tracker.get("rt").await.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("Request Tracker does not listen");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Some(tracker))
    }

    /// The file with the account's token.
    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// A request to its REST interface, in the account's name.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let token = fs::read_to_string(self.token_file()).unwrap_or_default();
        // Tests come here without `daemon::main`; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new()
            .request(method, format!("{}/REST/2.0/{path}", self.url))
            .timeout(Duration::from_secs(60))
            .header("authorization", format!("token {}", token.trim()))
    }

    /// What it answers, where it does.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.request(reqwest::Method::GET, path).send().await.ok()?;
        answer.json().await.ok()
    }
}
