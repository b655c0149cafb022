//! A real MTA: exim4 with STARTTLS, implicit TLS and authentication, delivering into a Maildir, and refusing
//! in the ways an MTA refuses.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{free_port, program, run};

/// Who may send.
pub const USERNAME: &str = "alerter";
/// With this password.
pub const PASSWORD: &str = "correct horse";

/// How long exim has to listen, and a mail to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running exim; killed when dropped.
#[derive(Debug)]
pub struct Exim {
    child: Child,
    /// Its configuration, spool, certificate (`cert.pem`) and mail.
    pub folder: tempfile::TempDir,
    /// Its port with STARTTLS.
    pub starttls: u16,
    /// Its port with TLS from the first byte.
    pub implicit: u16,
}

impl Drop for Exim {
    fn drop(&mut self) {
        // Whatever became of the test: the daemon and the processes of its connections, which would
        // otherwise write their logs into a folder that is gone.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Exim {
    /// Starts one in a folder of its own; `None` where it is not installed.
    ///
    /// # Errors
    /// It could not be set up, or does not listen.
    pub fn start() -> Result<Option<Self>> {
        let (Some(exim), Some(openssl)) =
            (program("exim4", "exim4-daemon-light"), program("openssl", "openssl"))
        else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let base = folder.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o755))?;
        for sub in ["spool", "log", "mail"] {
            fs::create_dir(base.join(sub))?;
        }
        run(Command::new(openssl)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(base.join("key.pem"))
            .arg("-out")
            .arg(base.join("cert.pem")))?;
        let (starttls, implicit) = (free_port()?, free_port()?);
        fs::write(base.join("exim.conf"), configuration(base, starttls, implicit))?;
        if Command::new("id").arg("-u").output()?.stdout == b"0\n" {
            // Started by root, exim works as its own user and reads no configuration of others.
            run(Command::new("chown")
                .args(["-R", "Debian-exim", "spool", "log", "mail", "key.pem"])
                .current_dir(base))?;
        }
        let child = Command::new(exim)
            .arg("-C")
            .arg(base.join("exim.conf"))
            .arg("-bdf")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let exim = Self { child, folder, starttls, implicit };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", starttls)).is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("exim does not listen");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(exim))
    }

    /// The certificate that it shows, and that vouches for itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// One mail of its Maildir, once there is one.
    ///
    /// # Errors
    /// None arrived in time.
    pub async fn mail(&self, patience: Duration) -> Result<String> {
        let new: PathBuf = self.folder.path().join("mail/inbox/new");
        let begun = Instant::now();
        loop {
            if let Some(file) = fs::read_dir(&new).ok().and_then(|mut files| files.next()) {
                return Ok(fs::read_to_string(file?.path())?);
            }
            if begun.elapsed() > patience {
                bail!("no mail arrived within {patience:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn configuration(base: &Path, starttls: u16, implicit: u16) -> String {
    format!(
        r#"
primary_hostname = localhost
spool_directory = {base}/spool
log_file_path = {base}/log/%slog
log_selector = +incoming_port
pid_file_path = {base}/spool/exim.pid
daemon_smtp_ports = {starttls} : {implicit}
local_interfaces = 127.0.0.1.{starttls} : 127.0.0.1.{implicit}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
tls_certificate = {base}/cert.pem
tls_privatekey = {base}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
domainlist local_domains = example.test
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = data
host_lookup =
rfc1413_hosts =
keep_environment =
deliver_drop_privilege = true
never_users =
untrusted_set_sender = *
smtp_accept_max = 20

begin acl
mail:
  deny condition = ${{if eq{{$authenticated_id}}{{}}}}
       message = 5.7.0 log in first
  accept
rcpt:
  deny local_parts = nobody
       message = 5.1.1 $local_part@$domain is not known here
  deny local_parts = full
       message = 5.2.2 mailbox full
  defer local_parts = later
       message = 4.2.1 $local_part@$domain is greylisted
  drop local_parts = hangup
       message = 4.7.0 going away
  accept domains = +local_domains
  deny message = 5.7.1 no relaying for $local_part@$domain
data:
  deny condition = ${{if match{{$h_subject:}}{{locked}}}}
       message = 5.6.0 content refused
  accept

begin routers
here:
  driver = accept
  domains = +local_domains
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {base}/mail/inbox
  maildir_format
  create_directory
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USERNAME}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"#,
        base = base.display(),
    )
}
