//! The signal server as a person would run it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use sazanami_core::signaling::IceServers;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::internet::{Host, installed};
use crate::{Process, START, free_port, program, until, web_root};

/// Scenarios of one program run one after the other: two cores carry one set of browsers.
static TURN_TAKING: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);

/// Relay ports that a site may use.
const RELAY_PORTS: u16 = 200;

/// The port of a TURN server that has an address of its own.
const TURN_PORT: u16 = 3478;
/// What a coturn and a signal server share.
const COTURN_SECRET: &str = "sazanami-tests";

/// Which TURN server a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// That of the signal server itself.
    Embedded,
    /// A coturn, on the same host.
    Coturn,
}

/// A running signal server with STUN/TURN, and a folder for everything of one scenario.
pub struct Site {
    process: Process,
    _coturn: Option<Process>,
    address: String,
    folder: TempDir,
    /// `None` for one beside another.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Site {
    /// Starts the server with the web app.
    ///
    /// # Errors
    /// When something is not built, or the server is not healthy in time; with its log.
    pub async fn start() -> Result<Self> {
        Self::start_serving(Some(&web_root()?), &[]).await
    }

    /// Starts the server alone, for scenarios without a browser.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn start_without_web() -> Result<Self> {
        Self::start_serving(None, &[]).await
    }

    /// The same, with more options.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        Self::start_serving(None, options).await
    }

    /// Starts another server with the web app in the same scenario, which knows nothing of this one.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn beside(&self, options: &[&str]) -> Result<Self> {
        Self::serve(Some(&web_root()?), options, None).await
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server on a host of an internet, with the web app if wanted.
    ///
    /// # Errors
    /// As [`Site::start`]; also when coturn is wanted and not installed.
    pub async fn start_on(host: &Host, turn: Turn, web: bool) -> Result<Self> {
        let taken = Some(TURN_TAKING.clone().lock_owned().await);
        let folder = tempfile::Builder::new().prefix("sazanami-e2e").tempdir()?;
        let (address, port) = (host.address().to_string(), 8080);
        let mut command = host.command(&program("sazanami-signal")?);
        command
            .args(["--listen", &address, "--public-host", &address])
            .args(["--port", &port.to_string()]);
        if web {
            command.arg("--web-root").arg(web_root()?);
        }
        let mut coturn = None;
        if turn == Turn::Coturn {
            let url = |scheme: &str, rest: &str| format!("{scheme}:{address}:{TURN_PORT}{rest}");
            for url in [
                url("stun", ""),
                url("turn", "?transport=udp"),
                url("turn", "?transport=tcp"),
            ] {
                command.args(["--coturn-url", &url]);
            }
            command.args(["--ice", "coturn", "--coturn-secret", COTURN_SECRET]);
            let mut server = host.command(&installed("turnserver")?);
            server
                .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout"])
                .args(["--realm=sazanami", "--use-auth-secret"])
                .arg(format!("--static-auth-secret={COTURN_SECRET}"))
                .arg(format!("--listening-ip={address}"))
                .arg(format!("--relay-ip={address}"))
                .arg(format!("--listening-port={TURN_PORT}"))
                .arg(format!(
                    "--pidfile={}",
                    folder.path().join("turnserver.pid").display()
                ));
            coturn = Some(Process::start("turnserver", &mut server, folder.path())?);
        }
        let process = Process::start("sazanami-signal", &mut command, folder.path())?;
        Self::healthy(process, coturn, format!("http://{address}:{port}"), folder, taken).await
    }

    async fn start_serving(web: Option<&Path>, options: &[&str]) -> Result<Self> {
        let turn = TURN_TAKING.clone().lock_owned().await;
        Self::serve(web, options, Some(turn)).await
    }

    async fn serve(web: Option<&Path>, options: &[&str], turn: Option<OwnedMutexGuard<()>>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sazanami-e2e").tempdir()?;
        let (port, turn_port) = (free_port()?, free_port()?);
        // Below the range that the system hands out by itself.
        let relay = 20_000 + turn_port % 50 * RELAY_PORTS;
        let mut command = Command::new(program("sazanami-signal")?);
        command
            .args(["--listen", "127.0.0.1", "--public-host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--turn-port", &turn_port.to_string()])
            .args(["--relay-ports", &format!("{relay}-{}", relay + RELAY_PORTS)])
            .args(options);
        if let Some(web) = web {
            command.arg("--web-root").arg(web);
        }
        let process = Process::start("sazanami-signal", &mut command, folder.path())?;
        Self::healthy(process, None, format!("http://127.0.0.1:{port}"), folder, turn).await
    }

    /// A site whose server answers.
    async fn healthy(
        mut process: Process,
        coturn: Option<Process>,
        address: String,
        folder: TempDir,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Self> {
        until("the signal server is healthy", START, async || {
            if let Some(status) = process.ended()? {
                anyhow::bail!("the signal server ended: {status}");
            }
            let answer = reqwest::get(format!("{address}/healthz")).await;
            Ok(answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        })
        .await
        .with_context(|| process.log())?;
        Ok(Self {
            process,
            _coturn: coturn,
            address,
            folder,
            _turn: turn,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `ws://127.0.0.1:PORT/ws`.
    pub fn web_socket(&self) -> String {
        format!("{}/ws", self.address.replacen("http", "ws", 1))
    }

    /// A folder that lives as long as the site.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What `/turn` answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ice_servers(&self) -> Result<IceServers> {
        let answer = reqwest::get(format!("{}/turn", self.address))
            .await?
            .error_for_status()?;
        Ok(answer.json().await?)
    }
}
