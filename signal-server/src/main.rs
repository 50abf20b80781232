//! `sazanami-signal`: see `--help`.
//!
//! Exit codes: 0 after a clean stop (SIGTERM, SIGINT), 1 when it cannot run, 2 when it is told something wrong.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use sazanami_signal::{Config, LogFormat, Options, Server};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // clap ends the process with 2 when it does not understand its arguments.
    match configure(Options::parse()) {
        Ok(config) => match run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("sazanami-signal: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn configure(options: Options) -> anyhow::Result<Config> {
    let options = options.with_file()?;
    // The `turn` and `webrtc-util` crates log addresses of clients.
    let directives = format!(
        "{},turn=off,webrtc_util=off",
        options.log.as_deref().unwrap_or("info")
    );
    let filter = EnvFilter::try_new(directives).context("--log")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.log_format.unwrap_or_default() {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(options.into_config()?)
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    allow_many_connections();
    let server = Server::bind(config).await?;
    // Before it is said that it listens: whoever reads that may end it at once.
    let stop = stop_signal()?;
    let turn = server.turn_addr().map(|address| address.to_string());
    tracing::info!(http = %server.local_addr(), turn, "listening");
    server.serve(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Each connection takes a file descriptor, and the usual soft limit is 1,024.
#[cfg(unix)]
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

#[cfg(not(unix))]
fn allow_many_connections() {}

/// Done when the process is asked to stop.
#[cfg(unix)]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
