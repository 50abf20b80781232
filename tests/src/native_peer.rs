//! The headless peer, as a process.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command as Program, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nostr::prelude::EventId;
use sazanami_core::node::api::{Command, Network, Person, Reply, RequestError};
use sazanami_core::store::{Note, Scope};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::internet::Host;
use crate::{Process, SOON, START, Site, program, until};

/// A line that the peer prints; changes are of no interest here.
#[derive(Deserialize)]
struct Line {
    reply: Option<Result<Reply, RequestError>>,
    invalid: Option<String>,
}

/// `sazanami-peer --stdin`: commands go in and answers come out, in the same order, as JSON lines.
pub struct NativePeer {
    process: Process,
    input: ChildStdin,
    output: mpsc::UnboundedReceiver<String>,
    data: PathBuf,
    name: String,
}

impl NativePeer {
    /// Starts a peer with a fresh data directory and waits until it answers.
    ///
    /// # Errors
    /// When it does not; with its log.
    pub async fn start(site: &Site, name: &str) -> Result<Self> {
        Self::start_in(site, name, &site.folder().join(format!("peer-{name}")), &[]).await
    }

    /// Starts a peer on a data directory, with more options.
    ///
    /// # Errors
    /// As [`NativePeer::start`].
    pub async fn start_in(site: &Site, name: &str, data: &Path, options: &[&str]) -> Result<Self> {
        Self::start_through(site.address(), site, name, data, options).await
    }

    /// The same, by another way to the server than the site's own address.
    ///
    /// # Errors
    /// As [`NativePeer::start`].
    pub async fn start_through(
        server: &str,
        site: &Site,
        name: &str,
        data: &Path,
        options: &[&str],
    ) -> Result<Self> {
        let command = Program::new(program("sazanami-peer")?);
        Self::start_as(command, server, site, name, data, options).await
    }

    /// Starts a peer with a fresh data directory on a host of an internet.
    ///
    /// # Errors
    /// As [`NativePeer::start`].
    pub async fn start_on(host: &Host, site: &Site, name: &str, options: &[&str]) -> Result<Self> {
        let command = host.command(&program("sazanami-peer")?);
        let data = site.folder().join(format!("peer-{name}"));
        Self::start_as(command, site.address(), site, name, &data, options).await
    }

    async fn start_as(
        mut command: Program,
        server: &str,
        site: &Site,
        name: &str,
        data: &Path,
        options: &[&str],
    ) -> Result<Self> {
        command
            .arg("--data-dir")
            .arg(data)
            .args(["--signal", server, "--name", name, "--stdin"])
            .args(options);
        let mut process = Process::start_piped(&format!("peer-{name}"), &mut command, site.folder())?;
        let input = process.child().stdin.take().context("standard input is a pipe")?;
        let stdout = process
            .child()
            .stdout
            .take()
            .context("standard output is a pipe")?;
        let (lines, output) = mpsc::unbounded_channel();
        // Ends with the process, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut peer = Self {
            process,
            input,
            output,
            data: data.to_owned(),
            name: name.to_owned(),
        };
        until("the headless peer has an identity", START, async || {
            Ok(peer.me().await?.is_some_and(|me| me.name.is_some()).then_some(()))
        })
        .await
        .with_context(|| peer.process.log())?;
        Ok(peer)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Asks the node, and waits for the answer.
    ///
    /// # Errors
    /// The node's refusal, or no answer in time.
    pub async fn ask(&mut self, command: Command) -> Result<Reply> {
        writeln!(self.input, "{}", serde_json::to_string(&command)?).with_context(|| self.process.log())?;
        self.input.flush()?;
        let answer: Result<Reply, RequestError> = timeout(SOON, async {
            loop {
                let line = self
                    .output
                    .recv()
                    .await
                    .ok_or_else(|| anyhow!("{} has ended", self.name))?;
                let line: Line = serde_json::from_str(&line).with_context(|| line.clone())?;
                if let Some(reason) = line.invalid {
                    bail!("{} does not understand {command:?}: {reason}", self.name);
                }
                if let Some(result) = line.reply {
                    return Ok(result);
                }
            }
        })
        .await
        .map_err(|_| anyhow!("{} does not answer", self.name))
        .and_then(|answer| answer)
        .with_context(|| self.process.log())?;
        answer.with_context(|| format!("{} refuses", self.name))
    }

    /// The own identity.
    ///
    /// # Errors
    /// As [`NativePeer::ask`]; so for every call below.
    pub async fn me(&mut self) -> Result<Option<Person>> {
        match self.ask(Command::Me).await? {
            Reply::Me(me) => Ok(me),
            other => bail!("unexpected: {other:?}"),
        }
    }

    /// Posts; returns when the note is on disk.
    pub async fn post(&mut self, text: &str) -> Result<Note> {
        match self
            .ask(Command::Post {
                text: text.to_owned(),
            })
            .await?
        {
            Reply::Posted(note) => Ok(note),
            other => bail!("unexpected: {other:?}"),
        }
    }

    /// All notes, newest first.
    pub async fn notes(&mut self) -> Result<Vec<Note>> {
        let (mut notes, mut before) = (Vec::new(), None);
        loop {
            match self
                .ask(Command::Timeline {
                    scope: Scope::Everyone,
                    before,
                    limit: 200,
                })
                .await?
            {
                Reply::Page(page) => {
                    notes.extend(page.notes);
                    before = page.next;
                }
                other => bail!("unexpected: {other:?}"),
            }
            if before.is_none() {
                return Ok(notes);
            }
        }
    }

    /// One note.
    pub async fn note(&mut self, id: EventId) -> Result<Option<Note>> {
        match self.ask(Command::Note(id)).await? {
            Reply::Note(note) => Ok(note),
            other => bail!("unexpected: {other:?}"),
        }
    }

    /// The network as it sees it.
    pub async fn network(&mut self) -> Result<Network> {
        match self.ask(Command::Network).await? {
            Reply::Network(network) => Ok(network),
            other => bail!("unexpected: {other:?}"),
        }
    }

    /// Waits until a note of this text is in its store.
    pub async fn wait_for_note(&mut self, text: &str) -> Result<Note> {
        let found = until(
            &format!("{} has the note {text:?}", self.name),
            START,
            async || {
                let notes = self.notes().await?;
                Ok(notes.into_iter().find(|note| note.content == text))
            },
        )
        .await;
        found.with_context(|| self.process.log())
    }

    /// Waits until the network is as wanted; says on failure how it was.
    pub async fn wait_for_network(
        &mut self,
        what: &str,
        wanted: impl Fn(&Network) -> bool,
    ) -> Result<Network> {
        let mut last = Network::default();
        let found = until(&format!("{}: {what}", self.name), START, async || {
            last = self.network().await?;
            Ok(wanted(&last).then(|| last.clone()))
        })
        .await;
        found.with_context(|| format!("{last:#?}\n{}", self.process.log()))
    }

    /// Kills it without warning (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it as a service manager does (SIGTERM).
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let ended = self.process.stop(Duration::from_secs(20)).await;
        ended.with_context(|| self.process.log())
    }
}
