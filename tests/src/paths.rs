//! Where the built programs, the web app and the pictures are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder of debug programs that this test was built into.
fn debug_folder() -> Result<PathBuf> {
    let here = std::env::current_exe().context("where is this program?")?;
    let folder = here
        .ancestors()
        .find(|folder| folder.join("deps").is_dir() && folder.ends_with("debug"));
    Ok(folder
        .with_context(|| format!("{} is not in a debug folder", here.display()))?
        .to_owned())
}

/// A program of the workspace, built beforehand.
///
/// # Errors
/// When it is not built; says how.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = debug_folder()?.join(name);
    if !path.is_file() {
        bail!(
            "{} is missing: cargo build --workspace --exclude sazanami-web --bins",
            path.display()
        );
    }
    Ok(path)
}

/// The web app as `./run` builds it; `SAZANAMI_WEB_ROOT` names another one.
///
/// # Errors
/// When it is not built; says how.
pub fn web_root() -> Result<PathBuf> {
    let folder = match std::env::var_os("SAZANAMI_WEB_ROOT") {
        Some(folder) => folder.into(),
        None => debug_folder()?
            .with_file_name("dx")
            .join("sazanami-web/release/web/public"),
    };
    if !folder.join("index.html").is_file() {
        bail!(
            "no web app in {}: dx bundle --web -p sazanami-web --release",
            folder.display()
        );
    }
    Ok(folder)
}

/// Where pictures go: `SAZANAMI_ARTEFACTS`, or `tests/artefacts`.
///
/// # Errors
/// When the folder cannot be made.
pub fn artefacts() -> Result<PathBuf> {
    let folder = std::env::var_os("SAZANAMI_ARTEFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("artefacts"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Whether a program is on the search path, and where.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&folders)
            .map(|f| f.join(name))
            .find(|path| path.is_file())
    })
}

pub(crate) fn chromium() -> Option<PathBuf> {
    on_path(&["chromium", "chromium-browser", "google-chrome"])
}

/// Whether there is a browser. Without one a scenario may be left out, said loudly, but never with `CI=true`.
///
/// # Panics
/// In CI without a browser.
pub fn browser_is_here() -> bool {
    let here = chromium().is_some() && on_path(&["chromedriver"]).is_some();
    if !here {
        assert!(
            std::env::var_os("CI").is_none(),
            "chromium and chromedriver are missing"
        );
        eprintln!("SKIPPED: chromium and chromedriver are missing (./test installs them)");
    }
    here
}
