//! The desktop window on a display of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::paths::on_path;
use crate::{Process, START, Site, artefacts, program, until};

/// `sazanami` on its own Xvfb.
pub struct Desktop {
    // Ended in this order: first the window, then its display.
    window: Process,
    _display: Process,
    number: u32,
    data: PathBuf,
}

impl Desktop {
    /// Whether a display and what takes its picture are here. In CI they must be.
    ///
    /// # Panics
    /// In CI without them.
    pub fn is_possible() -> bool {
        let missing: Vec<_> = ["Xvfb", "import", "xdotool"]
            .into_iter()
            .filter(|name| on_path(&[*name]).is_none())
            .collect();
        if !missing.is_empty() {
            assert!(std::env::var_os("CI").is_none(), "missing: {missing:?}");
            eprintln!("SKIPPED: missing: {missing:?} (./test installs them)");
        }
        missing.is_empty()
    }

    /// Opens the window with a fresh data directory.
    ///
    /// # Errors
    /// When there is no window in time; with its log.
    pub async fn open(site: &Site, name: &str) -> Result<Self> {
        Self::open_in(site, name, &site.folder().join(format!("desktop-{name}"))).await
    }

    /// Opens the window on a data directory.
    ///
    /// # Errors
    /// As [`Desktop::open`].
    pub async fn open_in(site: &Site, name: &str, data: &Path) -> Result<Self> {
        let (display, number) = start_display(site.folder()).await?;
        let mut command = Command::new(program("sazanami")?);
        command
            .arg("--data-dir")
            .arg(data)
            .args(["--signal", site.address()]);
        command
            .env("DISPLAY", format!(":{number}"))
            .env_remove("WAYLAND_DISPLAY")
            .env("GDK_BACKEND", "x11");
        // No GPU here, and no session bus either.
        command
            .env("WEBKIT_DISABLE_COMPOSITING_MODE", "1")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("LC_ALL", "C.UTF-8");
        let window = Process::start(&format!("desktop-{name}"), &mut command, site.folder())?;
        let mut desktop = Self {
            window,
            _display: display,
            number,
            data: data.to_owned(),
        };
        let found = until("the desktop window", START, async || {
            if let Some(status) = desktop.window.ended()? {
                bail!("the desktop app ended: {status}");
            }
            let ids = desktop.xdotool(&["search", "--onlyvisible", "--name", "."])?;
            Ok(ids.lines().next().map(str::to_owned))
        })
        .await;
        let id = found.with_context(|| desktop.window.log())?;
        // There is no window manager that would give it the keyboard.
        desktop.xdotool(&["windowfocus", id.trim()])?;
        Ok(desktop)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Types on the keyboard, into whatever has the focus.
    ///
    /// # Errors
    /// When there is no keyboard.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.xdotool(&["type", "--delay", "30", text]).map(drop)
    }

    /// Presses a key (`Tab`, `ctrl+Return`).
    ///
    /// # Errors
    /// When there is no keyboard.
    pub fn press(&self, key: &str) -> Result<()> {
        self.xdotool(&["key", key]).map(drop)
    }

    /// Keeps a picture of the display as an artefact.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let path = artefacts()?.join(format!("{name}.png"));
        let display = format!(":{}", self.number);
        let status = Command::new("import")
            .args(["-display", &display, "-window", "root"])
            .arg(&path)
            .status()?;
        ensure!(status.success(), "import: {status}");
        Ok(path)
    }

    /// Presses the left mouse button at a place of the display.
    ///
    /// # Errors
    /// When there is no mouse.
    pub fn click(&self, x: u32, y: u32) -> Result<()> {
        self.xdotool(&["mousemove", &x.to_string(), &y.to_string(), "click", "1"])
            .map(drop)
    }

    /// How many colours the display shows: one for an empty window.
    ///
    /// # Errors
    /// When no picture can be taken.
    pub fn colours(&self) -> Result<usize> {
        let colours = self.import(&["-format", "%k", "info:-"])?;
        Ok(String::from_utf8(colours)?.trim().parse()?)
    }

    /// The pixels of a part of the display, `WIDTHxHEIGHT+X+Y`.
    ///
    /// # Errors
    /// When no picture can be taken.
    pub fn pixels(&self, part: &str) -> Result<Vec<u8>> {
        self.import(&["-crop", part, "+repage", "-depth", "8", "rgb:-"])
    }

    fn import(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let display = format!(":{}", self.number);
        let output = Command::new("import")
            .args(["-display", &display, "-window", "root"])
            .args(arguments)
            .output()?;
        ensure!(
            output.status.success(),
            "import: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.window.log()
    }

    fn xdotool(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("xdotool")
            .env("DISPLAY", format!(":{}", self.number))
            .args(arguments)
            .output()?;
        // A search that finds nothing is a failure to xdotool.
        ensure!(
            output.status.success() || arguments[0] == "search",
            "xdotool {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Starts Xvfb on the first free display.
async fn start_display(folder: &Path) -> Result<(Process, u32)> {
    for number in 90..130 {
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        if socket.exists() {
            continue;
        }
        let mut command = Command::new("Xvfb");
        command.args([
            &format!(":{number}"),
            "-screen",
            "0",
            "1280x860x24",
            "-nolisten",
            "tcp",
        ]);
        let mut display = Process::start(&format!("xvfb-{number}"), &mut command, folder)?;
        // The file is there a little before anybody answers.
        let ready = until("the display", START, async || {
            Ok(if display.ended()?.is_some() {
                Some(false)
            } else {
                UnixStream::connect(&socket).is_ok().then_some(true)
            })
        });
        // Somebody else may have taken the number meanwhile.
        if ready.await? {
            return Ok((display, number));
        }
    }
    bail!("no free display")
}
