//! A peer that lacks something, in a process of its own: gets it and tells what that took.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nostr::prelude::{Filter, Keys};
use sazanami_bench::process::Process;
use sazanami_bench::report::figure;
use sazanami_core::identity::MemoryVault;
use sazanami_core::media::BlobId;
use sazanami_core::node::api::{Blob, Change, Command, Network, Peer, PeerState, Reply};
use sazanami_core::store::{SqliteStore, Store};
use sazanami_core::transport::Route;
use sazanami_native::client::NodeClient;
use sazanami_native::node_thread::{NodeThread, Options};
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(1_800);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the figures are called
    #[arg(long)]
    what: String,
    /// The signal server
    #[arg(long)]
    url: String,
    /// The keeper's process
    #[arg(long)]
    keeper: u32,
    /// How many events there are to be in the end
    #[arg(long, default_value_t = 0)]
    events: usize,
    /// A blob to fetch, once everything else is here
    #[arg(long)]
    blob: Option<BlobId>,
    /// The own database
    database: PathBuf,
}

/// Both sides' processor time at one moment.
struct Meter {
    begun: Instant,
    sides: [(&'static str, Process, f64); 2],
}

impl Meter {
    fn start(keeper: u32) -> Self {
        let side = |name, process: Process| (name, process, process.cpu_seconds());
        Self {
            begun: Instant::now(),
            sides: [
                side("receiver", Process::own()),
                side("sender", Process::of(keeper)),
            ],
        }
    }

    /// Prints each side's processor time since the start, divided by `count`.
    fn report(&self, what: &str, count: f64, unit: &str) {
        for (name, process, before) in &self.sides {
            let spent = process.cpu_seconds() - before;
            figure(format!("{what}/{name}'s cpu"), spent * 1e6 / count, unit);
            figure(
                format!("{what}/{name}'s memory"),
                process.peak_mib(),
                "MiB at most",
            );
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    tokio::time::timeout(LIMIT, fetch(args))
        .await
        .context("over the time limit")?
}

async fn fetch(args: Args) -> Result<()> {
    let what = args.what;
    let count = |database| -> Result<usize> { Ok(SqliteStore::open(database)?.items(&Filter::new())?.len()) };
    let before = count(&args.database)?;
    Process::of(args.keeper).forget_peak();
    let began = Instant::now();
    let (node, client) = start(args.database.clone(), &args.url).await?;
    until(&client, |peer| peer.state != PeerState::Connecting).await?;
    let meter = Meter::start(args.keeper);
    let peer = until(&client, |peer| peer.state == PeerState::Live).await?;
    let took = meter.begun.elapsed().as_secs_f64();
    if let Some(blob) = args.blob {
        transfer(&what, &client, blob, args.keeper).await?;
    } else {
        figure(
            format!("{what}/connecting"),
            (meter.begun - began).as_secs_f64() * 1e3,
            "ms",
        );
        figure(format!("{what}/time"), took * 1e3, "ms");
        figure(
            format!("{what}/bytes"),
            (peer.sent + peer.received) as f64,
            "bytes",
        );
        let fetched = args.events - before;
        if before == 0 {
            figure(&what, fetched as f64 / took, "events/s");
            figure(
                format!("{what}/bytes per event"),
                peer.received as f64 / fetched as f64,
                "bytes",
            );
            meter.report(&what, fetched as f64, "µs/event");
        }
    }
    drop(client);
    node.stopped().await;
    if args.blob.is_none() {
        let got = count(&args.database)?;
        ensure!(got == args.events, "{what}: {got} of {} events", args.events);
    }
    Ok(())
}

async fn transfer(what: &str, client: &NodeClient, id: BlobId, keeper: u32) -> Result<()> {
    let mut changes = client.changes();
    let meter = Meter::start(keeper);
    let ask = Command::Blob { id, size: None };
    client.request(ask.clone()).await?;
    while !matches!(changes.recv().await, Ok(Change::Blob(of)) if of == id) {}
    let took = meter.begun.elapsed().as_secs_f64();
    let Reply::Blob(Blob::Here(bytes)) = client.request(ask).await? else {
        bail!("the blob did not arrive");
    };
    let size = bytes.len() as f64;
    figure(what, size / took / 1e6, "MB/s");
    meter.report(what, size / 1e6, "µs/MB");
    Ok(())
}

/// A node on this database, with an identity of its own.
pub(crate) async fn start(database: PathBuf, url: &str) -> Result<(NodeThread, NodeClient)> {
    let options = Options {
        database,
        vault: Box::new(MemoryVault(Some(Keys::generate()))),
        signal: url.parse().context("the server's address")?,
        route: Some(Route::Any),
        relay: None,
    };
    let (node, messages) = NodeThread::start(options, Handle::current()).await?;
    let client = NodeClient::new(&node, messages);
    Ok((node, client))
}

/// Waits until the only other peer is as wanted: looked at whenever the network changes.
async fn until(client: &NodeClient, reached: impl Fn(&Peer) -> bool) -> Result<Peer> {
    let mut changes = client.changes();
    loop {
        let Reply::Network(Network { peers, .. }) = client.request(Command::Network).await? else {
            bail!("another answer than the network");
        };
        if let Some(peer) = peers.into_iter().find(&reached) {
            return Ok(peer);
        }
        loop {
            match changes.recv().await {
                Ok(Change::Network) | Err(RecvError::Lagged(_)) => break,
                Ok(_) => {}
                Err(RecvError::Closed) => bail!("the node has stopped"),
            }
        }
    }
}
