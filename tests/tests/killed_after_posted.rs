//! What was said to be posted is on disk: SIGKILL at that moment loses nothing.

use anyhow::{Context, Result, ensure};
use sazanami_tests::{Browser, NativePeer, Site, browser_is_here};

#[tokio::test(flavor = "multi_thread")]
async fn browser_killed_after_posted() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "a").await?;
    browser.sign_up("Kai").await?;
    // More than once: a kill hits another moment each time.
    for round in 1..=3 {
        let text = format!("posted just before kill {round}");
        browser.post(&text).await?;
        browser.kill();
        browser.reopen().await?;
        browser.wait_for_timeline().await?;
        for earlier in 1..=round {
            browser
                .wait_for_note(&format!("posted just before kill {earlier}"))
                .await?;
        }
    }
    browser.wait_for_note("Kai").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn native_peer_killed_after_posted() -> Result<()> {
    let site = Site::start_without_web().await?;
    let data = site.folder().join("data");
    let mut peer = NativePeer::start_in(&site, "n", &data, &[]).await?;
    let me = peer.me().await?.context("an identity")?;
    for round in 0..5 {
        let note = peer.post(&format!("round {round}")).await?;
        peer.kill();
        peer = NativePeer::start_in(&site, "n", &data, &[]).await?;
        ensure!(
            peer.note(note.id).await? == Some(note),
            "the note of round {round}"
        );
    }
    ensure!(peer.notes().await?.len() == 5, "all notes, once each");
    ensure!(
        peer.me().await?.context("an identity")?.key == me.key,
        "the same identity"
    );
    Ok(())
}
