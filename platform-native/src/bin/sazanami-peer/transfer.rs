//! `sazanami-peer export FILE` and `sazanami-peer import FILE`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Subcommand;
use sazanami_core::node::MAX_PIECE;
use sazanami_core::node::api::{Command, Exporting, Importing, Reply};
use sazanami_core::store::transfer::Format;
use sazanami_native::client::NodeClient;

/// Between two words on how far it is.
const TELL: Duration = Duration::from_secs(2);

/// What to do instead of running.
#[derive(Subcommand, Debug)]
pub(crate) enum Task {
    /// Write all posts and media into FILE and stop; the secret key is not in it
    Export {
        /// A tar archive, or the posts alone as JSON lines when its name ends with .jsonl; it must not exist yet
        file: PathBuf,
    },
    /// Take in posts and media from an export, or any JSON lines of Nostr events, and stop; the identity stays
    Import {
        /// What an export wrote, or a .jsonl file of another Nostr tool
        file: PathBuf,
    },
}

impl Task {
    pub(crate) async fn run(&self, client: &NodeClient) -> anyhow::Result<()> {
        match self {
            Self::Export { file } => export(client, file).await.with_context(|| said(file)),
            Self::Import { file } => import(client, file).await.with_context(|| said(file)),
        }
    }
}

fn said(file: &Path) -> String {
    file.display().to_string()
}

/// A file under another name until it is whole; without [`Self::keep`] it is removed.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(whole: &Path) -> anyhow::Result<Self> {
        let mut path = whole.as_os_str().to_owned();
        path.push(".part");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        let path = path.into();
        Ok(Self { path, file })
    }

    fn keep(self, whole: &Path) -> anyhow::Result<()> {
        self.file.sync_all()?;
        // Unlike a rename it replaces nothing that came meanwhile.
        std::fs::hard_link(&self.path, whole).or_else(|_| {
            if whole.exists() {
                return Err(std::io::ErrorKind::AlreadyExists.into());
            }
            // A file system without links.
            std::fs::copy(&self.path, whole)?;
            File::open(whole)?.sync_all()
        })?;
        // Its name is on the disk as well before it is said to be there.
        match whole.parent() {
            Some(folder) if folder != Path::new("") => sync_folder(folder),
            _ => sync_folder(Path::new(".")),
        }
        Ok(())
    }
}

/// Best effort: not every system can.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

impl Drop for Part {
    fn drop(&mut self) {
        // Best effort: it is told by its name.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn export(client: &NodeClient, path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("exists already");
    }
    let format = match path.extension() {
        Some(extension) if extension == "jsonl" => Format::Lines,
        _ => Format::Archive,
    };
    let mut part = Part::create(path)?;
    let all = exporting(client, Command::StartExport(format)).await?;
    let mut told = Instant::now();
    loop {
        let piece = exporting(client, Command::NextExport).await?;
        part.file.write_all(&piece.bytes)?;
        let (events, media) = (piece.events, piece.media);
        if piece.ended {
            part.keep(path)?;
            tracing::info!(events, media, file = %path.display(), "exported");
            return Ok(());
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(events, of = all.events, media, of_media = all.media, "exporting");
        }
    }
}

async fn import(client: &NodeClient, path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    importing(client, Command::StartImport).await?;
    let mut told = Instant::now();
    loop {
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(MAX_PIECE as u64)
            .read_to_end(&mut bytes)?;
        let command = if bytes.is_empty() {
            Command::FinishImport
        } else {
            Command::NextImport { bytes }
        };
        let Importing { ended, done } = importing(client, command).await?;
        if ended {
            tracing::info!(
                new = done.stored,
                known = done.known,
                no_room = done.no_room,
                refused = done.refused,
                media = done.media,
                media_refused = done.media_refused,
                "imported"
            );
            return Ok(());
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(bytes = done.bytes, of = size, new = done.stored, "importing");
        }
    }
}

async fn exporting(client: &NodeClient, command: Command) -> anyhow::Result<Exporting> {
    match client.request(command).await? {
        Reply::Exporting(exporting) => Ok(exporting),
        other => bail!("the node answers {other:?}"),
    }
}

async fn importing(client: &NodeClient, command: Command) -> anyhow::Result<Importing> {
    match client.request(command).await? {
        Reply::Importing(importing) => Ok(importing),
        other => bail!("the node answers {other:?}"),
    }
}
