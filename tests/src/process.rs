//! Programs that are started, watched and ended.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::until;

/// A program in a process group of its own. Dropping it kills the whole group.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it writes to standard error (and output, unless the command says otherwise) goes to
    /// `folder/name.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        Self::spawn(name, command, folder, false)
    }

    /// The same, with standard input and output as pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_piped(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        Self::spawn(name, command, folder, true)
    }

    fn spawn(name: &str, command: &mut Command, folder: &Path, piped: bool) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command.process_group(0).stderr(file.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(file);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The end of what it has written.
    pub fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("--- {} ---\n{tail}", self.name)
    }

    /// All that it has written.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn whole_log(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(&self.log)?)
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills the group without warning (SIGKILL).
    pub fn kill(&mut self) {
        signal_all("KILL", &family(self.child.id()));
        // The group's leader is a child of ours: it stays a zombie until it is waited for.
        let _ = self.child.wait();
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        signal_all("TERM", &[self.child.id()]);
        let name = self.name.clone();
        until(&format!("{name} stops on SIGTERM"), limit, async || {
            Ok(self.child.try_wait()?)
        })
        .await
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }

    /// Open sockets of it and all its descendants.
    pub fn open_sockets(&self) -> usize {
        let descriptors = family(self.child.id())
            .into_iter()
            .flat_map(|id| std::fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten());
        descriptors
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process and all its descendants, also those that have left its group.
fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // After the name, which stands in brackets and may hold anything: state, parent.
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1))
            .and_then(|id| id.parse::<u32>().ok());
        if let Some(parent) = parent {
            parents.push((id, parent));
        }
    }
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        let of: u32 = all[next];
        all.extend(
            parents
                .iter()
                .filter(|(id, parent)| *parent == of && !all.contains(id))
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
        );
        next += 1;
    }
    all
}

fn signal_all(signal: &str, ids: &[u32]) {
    let ids = ids.iter().map(u32::to_string);
    // Some may have ended by themselves.
    let _ = Command::new("kill")
        .arg("-s")
        .arg(signal)
        .args(ids)
        .stderr(Stdio::null())
        .status();
}

/// A port that was free for TCP and UDP a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if UdpSocket::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
}
