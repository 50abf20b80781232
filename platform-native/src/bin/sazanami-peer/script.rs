//! The scripting interface: commands as JSON lines from stdin, replies and changes as JSON lines to stdout.

use std::io::{BufRead, Read, Write};

use anyhow::Context;
use sazanami_core::node::api::{Change, Reply, RequestError};
use sazanami_native::client::NodeClient;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Largest command; a setting of 64 KiB, escaped, fits.
const MAX_LINE: u64 = 512 * 1024;
/// Lines read ahead of the node.
const MAX_AHEAD: usize = 16;

/// A line on stdout.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    /// To the command whose turn it is.
    Reply(&'a Result<Reply, RequestError>),
    /// Whatever happens.
    Changed(&'a Change),
    /// So many changes were not told because stdout was not read.
    Missed(u64),
    /// In place of a reply: the line is no command.
    Invalid(&'a str),
}

/// Runs until stdin ends and everything asked is answered.
pub(crate) async fn run(client: &NodeClient) -> anyhow::Result<()> {
    let mut changes = client.changes();
    let mut lines = stdin_lines()?;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => match line.and_then(|line| serde_json::from_str(&line).map_err(|e| e.to_string())) {
                    Ok(command) => print(&Line::Reply(&client.request(command).await))?,
                    Err(reason) => print(&Line::Invalid(&reason))?,
                },
                None => return Ok(()),
            },
            change = changes.recv() => match change {
                Ok(change) => print(&Line::Changed(&change))?,
                Err(RecvError::Lagged(count)) => print(&Line::Missed(count))?,
                Err(RecvError::Closed) => anyhow::bail!("the node stopped by itself"),
            },
        }
    }
}

/// Reads on a thread of its own, which ends with the process: nothing can interrupt a read of stdin.
fn stdin_lines() -> anyhow::Result<mpsc::Receiver<Result<String, String>>> {
    let (sender, lines) = mpsc::channel(MAX_AHEAD);
    let read = move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            let line = match stdin.by_ref().take(MAX_LINE).read_line(&mut line) {
                Ok(0) => return,
                Ok(_) if line.trim().is_empty() => continue,
                Ok(_) => Ok(line),
                Err(error) => Err(error.to_string()),
            };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .context("reading stdin")?;
    Ok(lines)
}

fn print(line: &Line<'_>) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("writing to stdout")
}
