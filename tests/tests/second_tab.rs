//! A second tab of one profile never gets a blank or broken database: it says so, and takes over with one click.

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, SOON, Site, browser_is_here};

const ELSEWHERE: [&str; 2] = ["another tab", "別のタブ"];
const TAKE_OVER: [&str; 2] = ["Use here", "このタブで使う"];

#[tokio::test(flavor = "multi_thread")]
async fn second_tab_says_so_and_takes_over() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let browser = Browser::open(&site, "tabs").await?;
    browser.sign_up("Tab").await?;
    browser.post("from the first tab").await?;

    let first = browser.open_second_tab().await?;
    browser.wait_for_text(&ELSEWHERE).await?;
    browser.screenshot("second-tab").await?;
    browser.named("button", &TAKE_OVER, SOON).await?.click().await?;
    browser.wait_for_timeline().await?;
    browser.wait_for_note("from the first tab").await?;
    browser.post("from the second tab").await?;

    let second = browser.client()?.window().await?;
    browser.client()?.switch_to_window(first).await?;
    browser.wait_for_text(&ELSEWHERE).await?;
    // And back again: nothing is lost on the way.
    browser.named("button", &TAKE_OVER, SOON).await?.click().await?;
    browser.wait_for_note("from the first tab").await?;
    browser.wait_for_note("from the second tab").await?;
    browser.client()?.switch_to_window(second).await?;
    browser.wait_for_text(&ELSEWHERE).await?;
    ensure!(
        browser.console_errors().await?.is_empty(),
        "errors on the console"
    );
    Ok(())
}
