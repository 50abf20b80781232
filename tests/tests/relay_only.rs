//! With `iceTransportPolicy: relay` everything works through the embedded TURN server, and the status says so.

use anyhow::{Result, ensure};
use sazanami_core::node::api::PeerState;
use sazanami_core::transport::PathKind;
use sazanami_tests::{Browser, Launch, NativePeer, Site, browser_is_here};

const RELAY: Launch = Launch {
    languages: "en",
    path: "/?route=relay",
    size: (1100, 800),
};

#[tokio::test(flavor = "multi_thread")]
async fn browsers_through_the_relay() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let a = Browser::open_with(&site, "a", RELAY).await?;
    let b = Browser::open_with(&site, "b", RELAY).await?;
    a.sign_up("Rin").await?;
    b.sign_up("Ray").await?;
    a.post("through the relay").await?;
    b.wait_for_note("through the relay").await?;
    b.post("中継ごしに").await?;
    a.wait_for_note("中継ごしに").await?;
    for browser in [&a, &b] {
        let rows = browser.wait_for_live_peers(1).await?;
        ensure!(
            rows.iter().all(|row| row.path == "relayed"),
            "{}: {rows:?}",
            browser.name()
        );
        let said = rows.iter().all(|row| row.text.to_lowercase().contains("relayed"));
        ensure!(said, "the status does not say it: {rows:?}");
    }
    a.peers().await?;
    a.screenshot("status-relayed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn native_peers_through_the_relay() -> Result<()> {
    let site = Site::start_without_web().await?;
    let options = ["--route", "relay-only"];
    let mut one = NativePeer::start_in(&site, "one", &site.folder().join("one"), &options).await?;
    let mut two = NativePeer::start_in(&site, "two", &site.folder().join("two"), &options).await?;
    one.post("relayed one").await?;
    two.wait_for_note("relayed one").await?;
    two.post("relayed two").await?;
    one.wait_for_note("relayed two").await?;
    for peer in [&mut one, &mut two] {
        peer.wait_for_network("a live link, relayed", |network| {
            let live: Vec<_> = network
                .peers
                .iter()
                .filter(|peer| peer.state == PeerState::Live)
                .collect();
            live.len() == 1 && live[0].path == Some(PathKind::Relayed)
        })
        .await?;
    }
    Ok(())
}
