//! All tabs of a profile are one peer: each posts and sees what the others post. When the one that owns the node closes,
//! the next goes on: what is being written and read there stays where it is, and the links are made anew.

use std::time::Instant;

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, SOON, Site, browser_is_here};
use serde_json::{Value, json};

/// Writes without posting, scrolls down, and watches that nothing on the screen gives way.
const SETTLE: &str = "
    const field = document.querySelector('.compose textarea');
    field.value = arguments[0];
    field.dispatchEvent(new Event('input', { bubbles: true }));
    window.scrollTo(0, 400);
    window.kept = [field, document.querySelector('[data-testid=note]')];
    window.flashes = 0;
    new MutationObserver(() => { if (document.querySelector('.gate, .skeleton')) window.flashes++; })
        .observe(document.body, { childList: true, subtree: true });
    return window.scrollY;";
const STILL: &str =
    "return [document.querySelector('.compose textarea').value, window.scrollY, window.flashes,
    window.kept.every(element => element.isConnected)];";

#[tokio::test(flavor = "multi_thread")]
async fn tabs_share_one_node_and_the_next_one_goes_on() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let other = Browser::open(&site, "other").await?;
    other.sign_up("Other").await?;
    let browser = Browser::open(&site, "tabs").await?;
    let first = browser.tab().await?;
    browser.sign_up("Tab").await?;
    for n in 0..12 {
        browser
            .post(&format!("so that there is something to scroll {n}"))
            .await?;
    }

    let second = browser.open_tab().await?;
    browser.wait_for_note("something to scroll 11").await?;
    ensure!(!browser.owns_node().await?, "the first tab owns the node");
    browser.post("from the second tab").await?;
    other.wait_for_note("from the second tab").await?;
    browser.go_to(&first).await?;
    browser.wait_for_note("from the second tab").await?;
    browser.post("from the first tab").await?;
    browser.go_to(&second).await?;
    browser.wait_for_note("from the first tab").await?;
    // One peer, whatever its tabs.
    ensure!(
        other.wait_for_live_peers(1).await?.len() == 1,
        "both tabs are one peer"
    );
    ensure!(
        browser.wait_for_live_peers(1).await?.len() == 1,
        "and both know it"
    );

    let scrolled: f64 = browser.script(SETTLE, vec![json!("being written")]).await?;
    ensure!(scrolled > 100.0, "there is something to scroll: {scrolled}");
    browser.close_tab(&first).await?;
    let closed = Instant::now();
    browser.go_to(&second).await?;
    browser.owner(std::slice::from_ref(&second)).await?;
    println!(
        "the lock changes hands: {} ms after the tab is closed",
        closed.elapsed().as_millis()
    );
    // A note of the other peer comes over a new link.
    other.post("after the change").await?;
    browser
        .wait("a note from outside waits above", SOON, async || {
            let waiting = "return !!document.querySelector('[data-testid=new-posts]');";
            Ok(browser.script::<bool>(waiting, vec![]).await?.then_some(()))
        })
        .await?;
    println!(
        "a new link has brought a note: {} ms",
        closed.elapsed().as_millis()
    );
    let still: Value = browser.script(STILL, vec![]).await?;
    ensure!(
        still == json!(["being written", scrolled, 0, true])
            || still == json!(["being written", scrolled as i64, 0, true]),
        "draft, place and screen stay: {still}"
    );
    other.wait_for_live_peers(1).await?;
    // It is an ordinary owner from now on.
    let third = browser.open_tab().await?;
    browser.wait_for_note("after the change").await?;
    browser.post("from the third tab").await?;
    other.wait_for_note("from the third tab").await?;
    browser.close_tab(&third).await?;
    browser.go_to(&second).await?;
    for who in [&browser, &other] {
        let errors = who.console_errors().await?;
        ensure!(errors.is_empty(), "errors on the console: {errors:?}");
    }
    Ok(())
}
