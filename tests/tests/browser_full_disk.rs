//! A browser that gives no more room: others' posts are refused, the own are kept, and the person is told.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use rand::RngExt;
use sazanami_tests::{Browser, NativePeer, START, Site, browser_is_here, until};

#[path = "../../core/tests/integrity/check.rs"]
mod integrity;

/// In every note, so that the search has something to find.
const WORD: &str = "波";
/// What the browser may still store: some hundred notes with what is kept beside them.
const ROOM: u64 = 400_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_own_posts_are_kept_when_others_find_no_room() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "a").await?;
    browser.sign_up("Kai").await?;
    browser.post(&format!("while there is room {WORD}")).await?;
    let mut peer = NativePeer::start(&site, "n").await?;
    browser.wait_for_live_peers(1).await?;
    browser.leave_room(ROOM).await?;
    let mut random = rand::rng();
    until("the page says that the storage is full", START, async || {
        for _ in 0..10 {
            // Nothing that could be packed.
            let noise: String = (0..1900)
                .map(|_| char::from(random.random_range(b'!'..b'~')))
                .collect();
            peer.post(&format!("{WORD} {noise}")).await?;
        }
        Ok(browser
            .text()
            .await?
            .contains("The storage is full.")
            .then_some(()))
    })
    .await?;
    for n in 0..5 {
        browser.post(&format!("own {n} in spite of that {WORD}")).await?;
    }
    browser.close().await?;
    let folder = site.folder().join("copy");
    std::fs::create_dir_all(&folder)?;
    integrity::check(&browser.copy_database("posts.db", &folder)?, WORD, "full");
    browser.reopen().await?;
    for n in 0..5 {
        browser
            .wait_for_note(&format!("own {n} in spite of that"))
            .await?;
    }
    Ok(())
}
