//! The tab that owns the node closes, crashes, is frozen or hangs while tabs post: another one goes on, nothing that was
//! said to be posted is lost, and nothing is posted twice.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sazanami_tests::{Browser, START, Site, browser_is_here, until};

mod tabs;

/// SAZANAMI_TAB_KILLS asks for more; each takes about four seconds.
const KILLS: u64 = 8;
/// How long an owner hangs: longer than anybody waits for it.
const HANG: Duration = Duration::from_secs(10);
/// Until then it runs, and another tab is gone to.
const BEFORE_HANG: Duration = Duration::from_secs(3);
const WAYS: [&str; 4] = ["closed", "crashed", "frozen", "hangs"];

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_lost_is_followed_and_nothing_is_lost_with_it() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let seed = tabs::seed();
    let kills = tabs::number("SAZANAMI_TAB_KILLS").unwrap_or(KILLS);
    println!("seed {seed}, {kills} kills");
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let mut browser = Browser::open(&site, "kills").await?;
    browser.sign_up("Kai").await?;
    let mut owner = browser.tab().await?;
    tabs::write(&browser, "first", 0).await?;
    let mut posted = BTreeSet::new();
    let (mut times, mut owned) = (
        BTreeMap::<&str, Vec<u64>>::new(),
        BTreeMap::<&str, Vec<u64>>::new(),
    );
    for kill in 0..kills {
        let way = WAYS[kill as usize % WAYS.len()];
        let next = browser.open_tab().await?;
        tabs::write(&browser, &kill.to_string(), 0).await?;
        until("the next one writes", START, async || {
            Ok((tabs::written(&browser).await?.len() > 2).then_some(()))
        })
        .await?;
        browser.go_to(&owner).await?;
        ensure!(
            browser.owns_node().await?,
            "kill {kill}: who was to own the node does not"
        );
        tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        keep(&browser, &mut posted).await?;
        let begun = match way {
            "closed" => {
                browser.close_tab(&owner).await?;
                millis()
            }
            "crashed" => {
                let begun = millis();
                browser.crash_tab(&owner).await?;
                begun
            }
            "frozen" => {
                browser.freeze_tab(&owner, true).await?;
                millis()
            }
            _ => {
                let begins = Instant::now() + BEFORE_HANG;
                browser.hang_tab(BEFORE_HANG, HANG).await?;
                browser.go_to(&next).await?;
                tokio::time::sleep_until(begins.into()).await;
                millis()
            }
        };
        browser.go_to(&next).await?;
        // An answer that was on its way may still have come from the lost one: the next two are the new one's.
        let when = until(
            &format!("kill {kill} ({way}): the next one goes on"),
            START,
            async || {
                let after = tabs::written(&browser)
                    .await?
                    .into_iter()
                    .filter(|(_, at)| *at > begun);
                Ok(after.map(|(_, at)| at).nth(1))
            },
        )
        .await?;
        until(
            &format!("kill {kill} ({way}): it owns the node"),
            START,
            async || Ok(browser.owns_node().await?.then_some(())),
        )
        .await?;
        times.entry(way).or_default().push(when - begun);
        owned.entry(way).or_default().push(millis() - begun);
        // What is awake again is an ordinary tab.
        match way {
            "crashed" => browser.remove_tab(&owner).await?,
            "frozen" | "hangs" => {
                if way == "frozen" {
                    browser.freeze_tab(&owner, false).await?;
                }
                browser.go_to(&owner).await?;
                let before = tabs::written(&browser).await?.len();
                until(
                    &format!("kill {kill} ({way}): the lost one goes on as a guest"),
                    START,
                    async || Ok((tabs::written(&browser).await?.len() > before + 2).then_some(())),
                )
                .await?;
                ensure!(!browser.owns_node().await?, "kill {kill} ({way}): it is robbed");
                keep(&browser, &mut posted).await?;
                browser.close_tab(&owner).await?;
            }
            _ => {}
        }
        browser.go_to(&next).await?;
        let gates: u32 = browser.script("return window.gates;", vec![]).await?;
        ensure!(gates == 0, "kill {kill} ({way}): the screen gave way to another");
        owner = next;
    }
    keep(&browser, &mut posted).await?;
    let errors = browser.console_errors().await?;
    browser.close().await?;
    for (way, times) in &times {
        println!(
            "owner {way}: another tab's post is on disk after {}, it owns the node after {}",
            tabs::figures(times.clone()),
            tabs::figures(owned[way].clone())
        );
    }
    println!("{} notes posted, {kills} owners lost", posted.len());
    ensure!(errors.is_empty(), "errors on the console: {errors:?}");
    ensure!(!posted.is_empty(), "something was posted");
    tabs::check(&browser, &site.folder().join("copy"), &posted)
}

/// Keeps what the tab that is gone to was told to be posted.
async fn keep(browser: &Browser, posted: &mut BTreeSet<String>) -> Result<()> {
    posted.extend(tabs::written(browser).await?.into_iter().map(|(text, _)| text));
    Ok(())
}

fn millis() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}
