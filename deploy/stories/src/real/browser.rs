//! A real browser for tests: Chromium, driven by playwright-core in node; axe-core looks for barriers. Both come from
//! npm into `.ci/work`, and are never committed.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Result, bail};

use super::{program, run, skip};
use crate::settings::Places;

/// What npm installs.
const PACKAGES: [&str; 2] = ["playwright-core@1", "axe-core@4"];
/// Two tests at once must not install at once.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Chromium and what drives it.
#[derive(Clone, Debug)]
pub struct Browser {
    chromium: PathBuf,
    node: PathBuf,
    modules: PathBuf,
}

impl Browser {
    /// Finds everything; `None`, said loudly, where something cannot be had.
    ///
    /// # Panics
    /// In CI (`CI=true`) where something is absent.
    pub fn find() -> Option<Self> {
        let chromium = program("chromium", "chromium")?;
        let (node, npm) = (program("node", "nodejs")?, program("npm", "npm")?);
        let modules = work().join("browser");
        let installed = || {
            modules.join("node_modules/playwright-core").is_dir()
                && modules.join("node_modules/axe-core").is_dir()
        };
        let _turn = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !installed() {
            let mut install = Command::new(npm);
            install
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(&modules)
                .args(PACKAGES);
            if let Err(error) =
                std::fs::create_dir_all(&modules).map_err(Into::into).and_then(|()| run(&mut install))
            {
                skip(&format!("npm cannot install {}: {error}", PACKAGES.join(" and ")));
                return None;
            }
        }
        Some(Self { chromium, node, modules })
    }

    /// Runs one of the scripts in `browser/` of this crate, which says on its last line what it found wrong, as a list
    /// in JSON.
    ///
    /// # Errors
    /// It could not be run to its end, or found something wrong.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser").join(script);
        let output = Command::new(&self.node)
            .arg(path)
            .args(arguments)
            .env("BROWSER_MODULES", &self.modules)
            .env("CHROMIUM", &self.chromium)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong: Option<Vec<String>> = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
        match wrong {
            Some(wrong) if output.status.success() && wrong.is_empty() => Ok(()),
            Some(wrong) if output.status.success() => bail!("{script}:\n{}", wrong.join("\n")),
            _ => bail!("{script} broke off: {said}\n{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// Where pictures go, to be looked at.
///
/// # Errors
/// The folder cannot be made.
pub fn pictures(of: &str) -> Result<PathBuf> {
    let folder = work().join("pictures").join(of);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn work() -> PathBuf {
    Places::repository().join(".ci/work")
}
