//! The server under load, as a process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::protocol::Protocol;

/// Ends with this.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(protocol: Protocol, program: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let mut command = match protocol {
            Protocol::Sazanami => {
                let mut command = Command::new(program);
                command.args([
                    "--no-turn",
                    "--port",
                    &port,
                    "--max-connections-per-address=1000000",
                ]);
                // Nothing is to be limited but by the machine.
                for rate in ["messages", "bytes", "hellos-per-address"] {
                    command.arg(format!("--{rate}=1000000000/1000000000"));
                }
                command
            }
            Protocol::PeerJs => {
                let mut command = Command::new("node");
                let script = program.join("node_modules/peer/dist/bin/peerjs.js");
                command
                    .arg(script)
                    .args(["--port", &port, "--concurrent_limit", "1000000"]);
                command
            }
            Protocol::YWebrtc => {
                let mut command = Command::new("node");
                command
                    .arg(program.join("node_modules/y-webrtc/bin/server.js"))
                    .env("PORT", &port);
                command
            }
        };
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let process = command
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{protocol}"))?;
        let server = Self { process, address };
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{protocol} does not listen")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn resident_kib(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmRSS")?;
        Ok(kib.parse()?)
    }

    /// Processor time so far, of user and kernel.
    pub(crate) fn cpu_micros(&self) -> Result<f64> {
        // proc(5): the name in brackets may have spaces; utime and stime are the 14th and 15th field, in 1/100 s.
        let stat = self.proc("stat")?;
        let (_, fields) = stat.rsplit_once(')').context("no stat")?;
        let ticks: Vec<f64> = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .flat_map(str::parse)
            .collect();
        Ok(ticks.iter().sum::<f64>() * 10_000.0)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let id = self.process.id().context("the server has ended")?;
        Ok(std::fs::read_to_string(format!("/proc/{id}/{file}"))?)
    }
}
