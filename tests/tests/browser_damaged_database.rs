//! Damaged files in the browser: the posts come back and the person is told; the identity stays.

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, Site, browser_is_here};

const TOLD: [&str; 1] = ["The storage on this device was damaged."];

#[tokio::test(flavor = "multi_thread")]
async fn damaged_posts_come_back_and_the_person_is_told() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "a").await?;
    browser.sign_up("Kai").await?;
    browser.post("before the damage").await?;
    browser.close().await?;
    // Both of what the node needs; the key has a second place.
    browser.alter("posts.db", |bytes| bytes[..8192].fill(7))?;
    browser.alter("identity.db", |bytes| bytes.truncate(1000))?;
    browser.reopen().await?;
    browser.wait_for_text(&TOLD).await?;
    browser.wait_for_note("before the damage").await?;
    browser.wait_for_note("Kai").await?;
    browser.post("after it").await?;
    browser.close().await?;
    let kept = browser.pool()?;
    ensure!(
        kept.iter().any(|(name, _)| name.starts_with("posts.damaged-")),
        "the damaged file is kept: {kept:?}"
    );
    browser.reopen().await?;
    browser.wait_for_note("after it").await?;
    browser.wait_for_note("before the damage").await?;
    Ok(())
}

/// Posts, and does not wait for what becomes of it.
const POST: &str = "
    const field = document.querySelector('.compose textarea');
    field.value = 'finds the damage';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    setTimeout(() => field.form.requestSubmit(), 50);";

/// Opening a database does not look at all of it, and reading does not look at what only writing needs.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_is_found_in_use_is_mended_too() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "a").await?;
    browser.sign_up("Kai").await?;
    for n in 0..3 {
        browser.post(&format!("note {n}")).await?;
    }
    browser.close().await?;
    let copy = browser.copy_database("posts.db", site.folder())?;
    let body: u16 = rusqlite::Connection::open(copy)?.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'body'",
        [],
        |row| row.get(0),
    )?;
    browser.alter("posts.db", |bytes| {
        let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        // Where the page is free: nowhere that there is.
        bytes[(usize::from(body) - 1) * size..][1..3].fill(0xff);
    })?;
    browser.reopen().await?;
    browser.wait_for_timeline().await?;
    let _: Option<()> = browser.script(POST, vec![]).await?;
    browser.wait_for_text(&TOLD).await?;
    for n in 0..3 {
        browser.wait_for_note(&format!("note {n}")).await?;
    }
    browser.post("and it goes on").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_is_said_and_not_replaced() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "a").await?;
    browser.sign_up("Kai").await?;
    browser.close().await?;
    for name in ["identity.db", "identity-copy.db"] {
        browser.alter(name, |bytes| bytes.fill(7))?;
    }
    for _ in 0..2 {
        browser.reopen().await?;
        browser.wait_for_text(&["Sazanami could not start"]).await?;
        let all: String = browser
            .script("return document.body.textContent;", vec![])
            .await?;
        ensure!(all.contains("secret key cannot be read"), "{all}");
        browser.close().await?;
    }
    for name in ["identity.db", "identity-copy.db"] {
        browser.alter(name, |bytes| {
            assert!(bytes.iter().all(|byte| *byte == 7), "it is as it was");
        })?;
    }
    Ok(())
}
