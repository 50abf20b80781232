//! A browser that has much, and one that is new.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sazanami_core::corpus::{Corpus, Plan, Signer};
use sazanami_core::node::api::{Command, Reply};
use sazanami_core::social::KINDS;
use sazanami_core::store::{SqliteStore, Store};
use sazanami_tests::{Browser, NativePeer, Site, until};

use super::now;

/// The seed of all published figures.
const SEED: u64 = 20_250_101;
/// What browsers keep of strangers without being told to.
const DAYS: u64 = 30;
/// For everything to get from one to the other.
const LIMIT: Duration = Duration::from_secs(1_200);
/// Between two looks at the page; the figure is no finer.
const LOOK: Duration = Duration::from_millis(100);

/// Events per second into a new browser.
pub(super) struct Rates {
    pub(super) from_native: f64,
    pub(super) from_browser: f64,
}

/// Lets a browser fetch so many events from a native peer, and another one from the first.
pub(super) async fn sync(count: usize) -> Result<Rates> {
    let site = Site::start().await?;
    let data = site.folder().join("archive");
    let stocked = stock(&data, count)?;
    let mut archive = NativePeer::start_in(&site, "archive", &data, &[]).await?;
    // Its own profile and what came with it.
    let all = events(&mut archive).await?;
    ensure!(all >= stocked, "the archive has only {all} of {stocked} events");
    let mut first = Browser::open(&site, "first").await?;
    first.sign_up("First").await?;
    let took = live(&first).await?;
    let from_native = stocked as f64 / took.as_secs_f64();
    archive.stop().await?;

    let second = Browser::open(&site, "second").await?;
    second.sign_up("Second").await?;
    let took = live(&second).await?;
    let from_browser = stocked as f64 / took.as_secs_f64();
    first.close().await?;

    // What the second one has, others get from it.
    let mut witness = NativePeer::start(&site, "witness").await?;
    until("the witness has everything", LIMIT, async || {
        Ok((events(&mut witness).await? >= all).then_some(()))
    })
    .await?;
    Ok(Rates {
        from_native,
        from_browser,
    })
}

/// Fills the database of a peer that has not started yet; answers how many events it keeps.
fn stock(data: &std::path::Path, count: usize) -> Result<usize> {
    std::fs::create_dir_all(data)?;
    let plan = Plan::lately(SEED, count, DAYS, now().0 / 1_000 - 3_600);
    let signer = Signer::new(&plan.people());
    let mut events: Vec<_> = Corpus::new(plan).map(|draft| signer.sign(draft)).collect();
    events.retain(|event| KINDS.contains(&event.kind));
    let mut store = SqliteStore::open(data.join("posts.db"))?;
    for batch in events.chunks(500) {
        store.put_verified(batch, now())?;
    }
    Ok(usize::try_from(store.report()?.events.events)?)
}

async fn events(peer: &mut NativePeer) -> Result<usize> {
    match peer.ask(Command::Storage).await? {
        Reply::Storage(report) => Ok(usize::try_from(report.events.events)?),
        other => bail!("unexpected: {other:?}"),
    }
}

/// How long the only link takes from being open to having brought everything.
async fn live(browser: &Browser) -> Result<Duration> {
    let state = async |wanted: &[&str]| {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let peers = browser.peers().await?;
            if peers.iter().any(|peer| wanted.contains(&peer.state.as_str())) {
                return Ok(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!(
            "{} has no peer that is {wanted:?}: {:?}",
            browser.name(),
            browser.peers().await?
        )
    };
    let open = state(&["greeting", "syncing", "live"]).await?;
    let live = state(&["live"]).await.context("while syncing")?;
    Ok(live - open)
}
