//! A browser and a headless peer, and two headless peers, over real data channels, in both directions.

use anyhow::{Result, ensure};
use sazanami_core::node::api::PeerState;
use sazanami_tests::{Browser, NativePeer, SOON, START, Site, browser_is_here};

#[tokio::test(flavor = "multi_thread")]
async fn browser_and_native() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let browser = Browser::open(&site, "browser").await?;
    browser.sign_up("Web").await?;
    // The native peer would be reached in any way; the browser is what keeps strangers from its address.
    let data = site.folder().join("peer-native");
    let mut native = NativePeer::start_in(&site, "native", &data, &["--route", "any"]).await?;
    // One was written before they met, two after.
    native.post("from native").await?;
    browser.wait_for_note("from native").await?;
    browser.post("ブラウザから").await?;
    native.wait_for_note("ブラウザから").await?;
    native.post("and again").await?;
    browser.wait_for_note("and again").await?;

    let rows = browser.wait_for_live_peers(1).await?;
    ensure!(
        rows.len() == 1 && rows[0].path == "relayed" && rows[0].text.contains("native"),
        "a stranger is reached through a relay: {rows:?}"
    );
    browser
        .named("button", &["Settings", "設定"], SOON)
        .await?
        .click()
        .await?;
    let strangers = browser
        .named("input", &["Everybody else", "そのほかの人"], SOON)
        .await?;
    strangers.click().await?;
    browser.screenshot("settings-routes").await?;
    browser.close_panel().await?;
    browser
        .wait("the same peer is reached directly", START, async || {
            let rows = browser.peers().await?;
            Ok(rows.iter().any(|row| row.path == "direct").then_some(()))
        })
        .await?;
    browser.screenshot("status-direct").await?;
    browser.close_panel().await?;
    native.post("ところで").await?;
    browser.wait_for_note("ところで").await?;
    let status = native.stop().await?;
    ensure!(status.success(), "a clean stop: {status}");
    browser
        .wait("the native peer is gone", SOON, async || {
            Ok((browser.peer_count().await? == 0).then_some(()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn native_and_native() -> Result<()> {
    let site = Site::start_without_web().await?;
    let mut one = NativePeer::start(&site, "one").await?;
    let mut two = NativePeer::start(&site, "two").await?;
    one.post("一から").await?;
    two.post("from two").await?;
    two.wait_for_note("一から").await?;
    one.wait_for_note("from two").await?;
    one.wait_for_network("two is live, with its name and round-trip time", |network| {
        network.peers.iter().any(|peer| {
            peer.state == PeerState::Live
                && peer.name.as_deref() == Some("two")
                && peer.path.is_some()
                && peer.rtt_ms.is_some()
        })
    })
    .await?;
    Ok(())
}
