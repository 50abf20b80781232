//! The peer that has everything, in a process of its own, with the signal server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child as Running, Command as Program, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sazanami_core::media::BlobId;
use sazanami_core::node::api::{Command, Reply};
use sazanami_signal::{Config, Server};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::fetch;

/// Of the blob that is transferred: the largest that there can be.
pub(crate) const BLOB_BYTES: usize = sazanami_core::media::MAX_BLOB as usize;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A filled database
    database: PathBuf,
}

/// What the keeper tells on its only line.
#[derive(Serialize, Deserialize)]
struct Ready {
    url: String,
    blob: BlobId,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let server = Server::bind(Config::on_any_port()).await?;
    let url = format!("http://{}", server.local_addr());
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let (node, client) = fetch::start(args.database, &url).await?;
    // Not all the same byte: nothing on the way may compress it.
    let bytes = (0..BLOB_BYTES as u64 / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let bytes = bytes.collect();
    let Reply::BlobKept(blob) = client.request(Command::KeepBlob { bytes }).await? else {
        bail!("another answer than the blob's name");
    };
    println!("{}", serde_json::to_string(&Ready { url, blob })?);
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    node.stopped().await;
    serving.abort();
    Ok(())
}

/// The keeper, as the process that measures has it.
pub(crate) struct Child {
    process: Running,
    ready: Ready,
}

impl Child {
    pub(crate) fn start(database: &Path) -> Result<Self> {
        let mut process = Program::new(std::env::current_exe()?)
            .arg("keep")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it is a pipe")?).read_line(&mut line)?;
        let ready = serde_json::from_str(&line).with_context(|| format!("the keeper says {line:?}"))?;
        Ok(Self { process, ready })
    }

    /// Lets a peer with this database fetch what it lacks; it prints what that took.
    pub(crate) fn serve(&self, what: &str, database: &Path, events: usize) -> Result<()> {
        self.fetch(what, database, &["--events", &events.to_string()])
    }

    /// Lets a peer fetch the blob.
    pub(crate) fn serve_blob(&self, what: &str, database: &Path) -> Result<()> {
        self.fetch(what, database, &["--blob", &self.ready.blob.to_string()])
    }

    fn fetch(&self, what: &str, database: &Path, wanted: &[&str]) -> Result<()> {
        let status = Program::new(std::env::current_exe()?)
            .args(["fetch", "--what", what, "--url", &self.ready.url])
            .args(["--keeper", &self.process.id().to_string()])
            .args(wanted)
            .arg(database)
            .status()?;
        ensure!(status.success(), "{what}: {status}");
        Ok(())
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "the keeper: {status}");
        Ok(())
    }
}
