//! TURN credentials are short-lived, and renewed before they end: a relayed link outlives the first ones, and who has been
//! there since before their end still meets newcomers through the relay.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sazanami_core::node::api::{Network, Peer, PeerState};
use sazanami_core::transport::PathKind;
use sazanami_tests::{NativePeer, Site, until};

/// How long credentials hold: the shortest time that peers believe.
const LIFE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn relayed_link_outlives_its_credentials() -> Result<()> {
    let site = Site::start_with(&["--turn-ttl", &LIFE.as_secs().to_string()]).await?;
    let mut one = start(&site, "one").await?;
    let mut two = start(&site, "two").await?;
    let before = linked(&mut one, "two").await?;
    // Whatever either of them has held until now is no good by then.
    let end = Instant::now() + LIFE + LIFE / 2;
    until("the first credentials have ended", 3 * LIFE, async || {
        let network = one.network().await?;
        let link = relayed(&network, "two").context("the link broke")?;
        ensure!(
            link.session == before.session && link.sent >= before.sent,
            "another link: {before:?}, then {link:?}"
        );
        Ok((Instant::now() >= end).then_some(()))
    })
    .await?;
    one.post("after the first credentials").await?;
    two.wait_for_note("after the first credentials").await?;

    let mut three = start(&site, "three").await?;
    linked(&mut one, "three").await?;
    linked(&mut two, "three").await?;
    three.wait_for_note("after the first credentials").await?;
    let link = linked(&mut one, "two").await?;
    ensure!(
        link.session == before.session && link.sent >= before.sent,
        "another link: {before:?}, then {link:?}"
    );
    Ok(())
}

async fn start(site: &Site, name: &str) -> Result<NativePeer> {
    NativePeer::start_in(site, name, &site.folder().join(name), &["--route", "relay-only"]).await
}

fn relayed(network: &Network, name: &str) -> Option<Peer> {
    let fits = |peer: &&Peer| {
        peer.name.as_deref() == Some(name)
            && matches!(peer.state, PeerState::Live | PeerState::Syncing)
            && peer.path == Some(PathKind::Relayed)
    };
    network.peers.iter().find(fits).cloned()
}

async fn linked(peer: &mut NativePeer, name: &str) -> Result<Peer> {
    let what = format!("a link to {name} through the relay");
    let network = peer
        .wait_for_network(&what, |network| relayed(network, name).is_some())
        .await?;
    relayed(&network, name).context("it was there a moment ago")
}
