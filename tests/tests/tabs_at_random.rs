//! Ten tabs, opened and closed at random while they post: one database, no error, no lost post.
//!
//! A minute of it: 32 tabs opened, 24 closed, 512 notes posted, none lost.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sazanami_tests::{Browser, START, Site, browser_is_here, until};

mod tabs;

const TABS: usize = 10;
/// SAZANAMI_TABS_SECONDS asks for more.
const SECONDS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_come_and_go_and_lose_nothing() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let seed = tabs::seed();
    let time = Duration::from_secs(tabs::number("SAZANAMI_TABS_SECONDS").unwrap_or(SECONDS));
    println!("seed {seed}, {time:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "ten").await?;
    browser.sign_up("Ten").await?;
    let mut open = BTreeMap::from([(0, browser.tab().await?)]);
    tabs::write(&browser, "0", 300).await?;
    let (mut opened, mut closed) = (1, 0);
    let mut posted = BTreeSet::new();
    let mut errors = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time || open.len() < 3 {
        // More open than close until there are ten.
        if open.len() < 2 || (open.len() < TABS && random.random_bool(0.6)) {
            let tab = browser.open_tab().await?;
            tabs::write(&browser, &opened.to_string(), 300).await?;
            open.insert(opened, tab);
            opened += 1;
        } else {
            // The oldest owns the node, more often than not.
            let which = if random.random_bool(0.5) {
                0
            } else {
                random.random_range(0..open.len())
            };
            let number = *open.keys().nth(which).unwrap();
            let tab = open.remove(&number).unwrap();
            browser.go_to(&tab).await?;
            posted.extend(tabs::written(&browser).await?.into_iter().map(|(text, _)| text));
            errors.extend(browser.console_errors().await?);
            browser.close_tab(&tab).await?;
            closed += 1;
            browser.go_to(open.values().next().unwrap()).await?;
        }
    }
    for (number, tab) in &open {
        browser.go_to(tab).await?;
        let _: Option<()> = browser.script("window.enough = true;", vec![]).await?;
        until(
            &format!("tab {number} ends what it was posting"),
            START,
            async || {
                Ok(browser
                    .script::<bool>("return !!window.ended;", vec![])
                    .await?
                    .then_some(()))
            },
        )
        .await?;
        let written = tabs::written(&browser).await?;
        ensure!(!written.is_empty(), "tab {number} has posted something");
        posted.extend(written.into_iter().map(|(text, _)| text));
        let gates: u32 = browser.script("return window.gates;", vec![]).await?;
        ensure!(gates == 0, "tab {number}: the screen gave way to another");
    }
    // Whatever one tab posts, the others show.
    let tab = open.values().next().unwrap();
    browser.go_to(tab).await?;
    browser.post("the last one 波").await?;
    for tab in open.values() {
        browser.go_to(tab).await?;
        browser.wait_for_note("the last one 波").await?;
    }
    errors.extend(browser.console_errors().await?);
    browser.close().await?;
    println!(
        "{opened} tabs opened, {closed} closed, {} notes posted",
        posted.len()
    );
    ensure!(errors.is_empty(), "errors on the console: {errors:?}");
    tabs::check(&browser, &site.folder().join("copy"), &posted)
}
