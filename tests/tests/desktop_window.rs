//! The desktop window shows the timeline, posts and receives.

use anyhow::{Context, Result, ensure};
use sazanami_core::node::api::PeerState;
use sazanami_tests::{Desktop, NativePeer, START, Site, until};

/// An empty window has one colour, text with smooth edges has many.
const DRAWN: usize = 50;

/// Where the notes are, in a window of 1080 × 800: below the tabs, left of the panel that counts milliseconds.
const TIMELINE: &str = "620x320+60+480";

/// Where the compose box is in a window of 1080 by 800 with the card about the key above it.
const COMPOSE: (u32, u32) = (340, 306);

#[tokio::test(flavor = "multi_thread")]
async fn desktop_window_posts_and_receives() -> Result<()> {
    if !Desktop::is_possible() {
        return Ok(());
    }
    let site = Site::start_without_web().await?;
    let mut peer = NativePeer::start(&site, "peer").await?;
    peer.post("Written before the window was opened").await?;
    let desktop = Desktop::open(&site, "d").await?;
    drawn(&desktop).await?;
    desktop.screenshot("desktop-first-visit")?;

    // First visit: the name field has the focus, Enter starts.
    desktop.type_text("Desk")?;
    desktop.press("Return")?;
    let named = peer
        .wait_for_network("the desktop is live, with its name", |network| {
            network
                .peers
                .iter()
                .any(|peer| peer.state == PeerState::Live && peer.name.as_deref() == Some("Desk"))
        })
        .await;
    if named.is_err() {
        desktop.screenshot("failed-desktop-sign-up")?;
    }
    named.with_context(|| desktop.log())?;

    // A note that the peer writes now changes what the timeline shows: it stands below everything that changes by
    // itself, and is still before that.
    let before = settled(&desktop).await?;
    desktop.screenshot("desktop-timeline-before")?;
    peer.post("Arrives live in the window").await?;
    let shown = until("the window shows the new note", START, async || {
        Ok((desktop.pixels(TIMELINE)? != before).then_some(()))
    });
    shown.await.with_context(|| desktop.log())?;
    settled(&desktop).await?;
    desktop.screenshot("desktop-timeline")?;

    // The compose box, below the card about the key. Clicked again when the first click met a window that was busy.
    let mut posted = None;
    for _ in 0..5 {
        desktop.click(COMPOSE.0, COMPOSE.1)?;
        desktop.type_text("FromTheDesktop")?;
        desktop.press("ctrl+Return")?;
        let arrived = until(
            "the desktop's note",
            std::time::Duration::from_secs(5),
            async || {
                Ok(peer
                    .notes()
                    .await?
                    .into_iter()
                    .find(|note| note.author_name.as_deref() == Some("Desk")))
            },
        );
        if let Ok(note) = arrived.await {
            posted = Some(note);
            break;
        }
    }
    settled(&desktop).await?;
    desktop.screenshot("desktop-posted")?;
    let posted = posted
        .context("nothing was posted from the window")
        .with_context(|| desktop.log())?;
    ensure!(posted.content.contains("FromTheDesktop"), "{posted:?}");
    Ok(())
}

/// What the timeline shows once it is the same twice in a row.
async fn settled(desktop: &Desktop) -> Result<Vec<u8>> {
    let mut last = Vec::new();
    until("the timeline stands still", START, async || {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let pixels = desktop.pixels(TIMELINE)?;
        let still = pixels == last;
        last = pixels;
        Ok(still.then(|| last.clone()))
    })
    .await
}

async fn drawn(desktop: &Desktop) -> Result<()> {
    let shown = until("something is drawn", START, async || {
        Ok((desktop.colours()? > DRAWN).then_some(()))
    })
    .await;
    if shown.is_err() {
        desktop.screenshot("failed-desktop-blank")?;
    }
    shown.with_context(|| desktop.log())
}
