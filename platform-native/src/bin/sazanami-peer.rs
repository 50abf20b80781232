//! The headless peer: keeps what it hears and passes it on, for as long as it runs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use sazanami_core::node::api::{Change, Command, Network, PeerState, Reply};
use sazanami_native::cli::{self, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Shared};
use sazanami_native::client::NodeClient;
use sazanami_native::data_dir::DataDir;
use sazanami_native::node_thread::{NodeThread, Options};
use sazanami_native::relay;
use sazanami_native::vault::FileVault;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;

#[path = "sazanami-peer/script.rs"]
mod script;
#[path = "sazanami-peer/transfer.rs"]
mod transfer;

/// How long stopping may take: whoever sent SIGTERM is waiting.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A Sazanami peer without a window: it keeps posts and passes them on. Run it where a computer is always on.
#[derive(Parser, Debug)]
#[command(name = "sazanami-peer", version, after_help = cli::EXIT_CODES)]
struct Args {
    #[command(flatten)]
    shared: Shared,

    /// The name to appear under; needed at the first start, which makes a key
    #[arg(long)]
    name: Option<String>,

    /// Answer plain Nostr (NIP-01, NIP-11, NIP-77) over WebSockets at this address, so that any Nostr client or relay can
    /// read, publish and sync: a port alone listens for this machine only; 0.0.0.0:7447 for everybody who reaches it
    #[arg(long, value_name = "[ADDRESS:]PORT", env = "SAZANAMI_RELAY", value_parser = relay_address)]
    relay: Option<SocketAddr>,

    /// Take commands from stdin, one JSON value per line ("Network", {"Post":{"text":"hello"}},
    /// {"Timeline":{"scope":"Everyone","before":null,"limit":50}}), and print what comes of them and every change to
    /// stdout ({"reply":…} in the order of the commands, {"changed":…}, {"invalid":…}); stops when stdin ends
    #[arg(long)]
    stdin: bool,

    #[command(subcommand)]
    task: Option<transfer::Task>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    args.shared.start_log();
    let data_dir = match args.shared.open_data_dir("sazanami-peer") {
        Ok(data_dir) => data_dir,
        Err(error) => {
            tracing::error!("{error}");
            return cli::exit_code(&error);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    let result = runtime.block_on(run(args, &data_dir));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn run(args: Args, data_dir: &DataDir) -> anyhow::Result<u8> {
    // Before anything else: a signal that comes early must count.
    let stop = stop_signal()?;
    let options = Options {
        database: data_dir.database(),
        vault: Box::new(FileVault::new(data_dir.path())),
        servers: args.shared.signal.clone(),
        route: args.shared.route.into(),
        relay: args.relay.map(listen).transpose()?,
    };
    let (node, messages) = NodeThread::start(options, Handle::current()).await?;
    let client = NodeClient::new(&node, messages);
    let needs_no_name = args.stdin || args.task.is_some();
    let code = match sign_up(&client, args.name.as_deref(), needs_no_name).await? {
        false => EXIT_USAGE,
        true => {
            tracing::info!(data_dir = %data_dir.path().display(), "running");
            let work = async {
                if let Some(task) = &args.task {
                    task.run(&client).await
                } else if args.stdin {
                    script::run(&client).await
                } else {
                    watch(&client).await
                }
            };
            tokio::select! {
                result = work => result?,
                () = stop => tracing::info!("stopping"),
            }
            EXIT_OK
        }
    };
    drop(client);
    if tokio::time::timeout(STOP_LIMIT, node.stopped()).await.is_err() {
        bail!("the node did not stop within {} seconds", STOP_LIMIT.as_secs());
    }
    tracing::info!("stopped");
    Ok(code)
}

/// Where plain Nostr is answered; a port alone is one of this machine's own address.
fn relay_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text.parse().map_err(|_| "not PORT or ADDRESS:PORT".to_owned()),
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = relay::listen(address).with_context(|| format!("--relay {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "relay");
    Ok(listener)
}

/// Makes sure that there is an identity; false when there is none and no name to make one.
async fn sign_up(client: &NodeClient, name: Option<&str>, needs_no_name: bool) -> anyhow::Result<bool> {
    let mut me = client.request(Command::Me).await?;
    match (&me, name) {
        (Reply::Me(None), Some(name)) => {
            me = client
                .request(Command::SignUp {
                    name: name.to_owned(),
                })
                .await
                .context("--name")?;
        }
        (Reply::Me(None), None) if !needs_no_name => {
            tracing::error!("there is no identity here yet: give it a name with --name");
            return Ok(false);
        }
        (Reply::Me(Some(me)), Some(name)) if me.name.as_deref() != Some(name) => {
            client
                .request(Command::Rename {
                    name: name.to_owned(),
                })
                .await
                .context("--name")?;
        }
        _ => {}
    }
    if let Reply::Me(Some(me)) = me {
        tracing::info!(npub = me.npub, "identity");
    }
    Ok(true)
}

/// Logs what happens until the node stops.
async fn watch(client: &NodeClient) -> anyhow::Result<()> {
    let mut changes = client.changes();
    let mut told = None;
    loop {
        match changes.recv().await {
            Ok(Change::Network) => {
                if let Reply::Network(network) = client.request(Command::Network).await? {
                    tell(&network, &mut told);
                }
            }
            Ok(Change::NoteAdded(note)) => tracing::info!(id = %note.id, author = %note.author, "note"),
            Ok(Change::NoteRemoved(id)) => tracing::info!(%id, "note deleted"),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => bail!("the node stopped by itself"),
        }
    }
}

/// Logs the network when its figures have changed.
fn tell(network: &Network, told: &mut Option<(String, usize, usize)>) {
    let live = network
        .peers
        .iter()
        .filter(|peer| peer.state == PeerState::Live)
        .count();
    let figures = (format!("{:?}", network.signal), network.peers.len(), live);
    if told.as_ref() != Some(&figures) {
        tracing::info!(signal = figures.0, peers = figures.1, live = figures.2, "network");
        *told = Some(figures);
    }
}

/// Completes at the first SIGTERM or SIGINT (Ctrl+C elsewhere).
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
