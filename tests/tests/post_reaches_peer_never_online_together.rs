//! A posts and leaves; B comes later and has the post, from a headless peer that was online in between.

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, NativePeer, Site, browser_is_here};

const TEXT: &str = "置き手紙: read this when you are back";

#[tokio::test(flavor = "multi_thread")]
async fn post_reaches_peer_never_online_together() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut carrier = NativePeer::start(&site, "carrier").await?;

    let mut a = Browser::open(&site, "a").await?;
    a.sign_up("Aki").await?;
    a.post(TEXT).await?;
    carrier.wait_for_note(TEXT).await?;
    a.close().await?;
    carrier
        .wait_for_network("A is gone", |network| network.peers.is_empty())
        .await?;

    let b = Browser::open(&site, "b").await?;
    b.sign_up("Bea").await?;
    b.wait_for_note(TEXT).await?;
    b.wait_for_note("Aki").await?;
    let peers = b.wait_for_live_peers(1).await?;
    ensure!(peers.len() == 1, "B has only ever met the carrier: {peers:?}");
    Ok(())
}
