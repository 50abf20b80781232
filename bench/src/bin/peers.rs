//! Two native peers in this process, over a real data channel on this machine: what a newcomer fetches per second.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use nostr::prelude::{Filter, Keys};
use sazanami_bench::report::figure;
use sazanami_core::identity::MemoryVault;
use sazanami_core::node::api::{Command, Network, PeerState, Reply};
use sazanami_core::store::{SqliteStore, Store};
use sazanami_core::transport::Route;
use sazanami_native::client::NodeClient;
use sazanami_native::node_thread::{NodeThread, Options};
use sazanami_signal::{Config, Server};
use tokio::runtime::Handle;

/// Between two looks at the links.
const LOOK: Duration = Duration::from_millis(50);
/// How long the whole sync may take.
const LIMIT: Duration = Duration::from_secs(1_800);

/// A newcomer's sync over a data channel.
#[derive(Parser)]
struct Args {
    /// The size of the corpus, for the names
    #[arg(long)]
    events: usize,
    /// Where corpora are kept
    #[arg(long)]
    corpora: PathBuf,
    /// The folder of a filled database (`store ingest ours`)
    #[arg(long)]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = Server::bind(Config::on_any_port()).await?;
    let url = format!("http://{}", server.local_addr());
    let serving = tokio::spawn(server.serve(std::future::pending()));

    let full = args.dir.join("ours.db");
    let wanted = SqliteStore::open(&full)?.items(&Filter::new())?.len();
    let fresh = args.dir.join("newcomer.db");
    for suffix in ["", "-wal", "-shm"] {
        let path = args.dir.join(format!("newcomer.db{suffix}"));
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    let (first, keeper) = start(full, &url).await?;
    let (second, newcomer) = start(fresh.clone(), &url).await?;

    let began = Instant::now();
    until(&newcomer, began, |network| {
        network.peers.iter().any(|peer| peer.state <= PeerState::Syncing)
    })
    .await?;
    let syncing = Instant::now();
    for client in [&newcomer, &keeper] {
        until(client, began, |network| {
            network.peers.iter().any(|peer| peer.state == PeerState::Live)
        })
        .await?;
    }
    let took = syncing.elapsed();
    second.stopped().await;
    first.stopped().await;
    serving.abort();

    let got = SqliteStore::open(&fresh)?.items(&Filter::new())?.len();
    ensure!(got >= wanted, "{got} of {wanted} events arrived");
    figure(
        "peers/into an empty peer",
        got as f64 / took.as_secs_f64(),
        "events/s",
    );
    figure("peers/connecting", (syncing - began).as_secs_f64() * 1e3, "ms");
    Ok(())
}

async fn start(database: PathBuf, url: &str) -> Result<(NodeThread, NodeClient)> {
    let options = Options {
        database,
        vault: Box::new(MemoryVault(Some(Keys::generate()))),
        signal: url.parse().context("the server's address")?,
        route: Route::Any,
        relay: None,
    };
    let (node, messages) = NodeThread::start(options, Handle::current()).await?;
    let client = NodeClient::new(&node, messages);
    Ok((node, client))
}

async fn until(client: &NodeClient, began: Instant, reached: impl Fn(&Network) -> bool) -> Result<()> {
    loop {
        let Reply::Network(network) = client.request(Command::Network).await? else {
            bail!("another answer than the network");
        };
        if reached(&network) {
            return Ok(());
        }
        ensure!(began.elapsed() < LIMIT, "over the time limit: {network:?}");
        tokio::time::sleep(LOOK).await;
    }
}
