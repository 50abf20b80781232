//! A browser that gives no more room: others' posts are refused, the own are kept, and the person is told.
#![allow(clippy::unwrap_used)]

use anyhow::{Result, ensure};
use rand::RngExt;
use sazanami_core::store::{SqliteStore, Store};
use sazanami_tests::{Browser, NativePeer, START, Site, browser_is_here, until};
use serde_json::json;

#[path = "../../core/tests/integrity/check.rs"]
mod integrity;

/// In every note, so that the search has something to find.
const WORD: &str = "波";
/// What the browser may still store: some hundred notes with what is kept beside them.
const ROOM: u64 = 400_000;

/// Posts, and ends when the page says that it is posted: it clears the field.
const POST: &str = "
    const [text, done] = arguments;
    const field = document.querySelector('.compose textarea');
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    setTimeout(() => field.form.requestSubmit(), 50);
    const look = () => document.querySelector('.compose textarea') === field ? setTimeout(look, 10) : done();
    look();";

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
    let own: Vec<String> = (0..5)
        .map(|n| format!("own {n} in spite of that {WORD}"))
        .collect();
    for text in &own {
        let _: Option<()> = browser.script_async(POST, vec![json!(text)]).await?;
    }
    browser.close().await?;
    let folder = site.folder().join("copy");
    std::fs::create_dir_all(&folder)?;
    let database = browser.copy_database("posts.db", &folder)?;
    integrity::check(&database, WORD, "full");
    let events = SqliteStore::open(&database)?.events_after(None, usize::MAX)?;
    let found: Vec<&str> = events.iter().map(|event| event.content.as_str()).collect();
    for text in &own {
        ensure!(found.contains(&text.as_str()), "{text} is lost");
    }
    let posted = peer.notes().await?.len();
    ensure!(
        found.iter().filter(|text| text.len() > 1000).count() < posted,
        "others' are refused"
    );
    browser.reopen().await?;
    browser.wait_for_timeline().await
}
