//! A newcomer's browser verifies what it fetches in workers of its own, under the policy that the server sets.

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, NativePeer, SOON, Site, browser_is_here};

const NOTES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn newcomer_verifies_in_workers() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut native = NativePeer::start(&site, "native").await?;
    for n in 0..NOTES {
        native.post(&format!("note {n}")).await?;
    }
    let browser = Browser::open(&site, "browser").await?;
    browser.sign_up("Web").await?;
    browser.wait_for_note(&format!("note {}", NOTES - 1)).await?;
    let mut said = Vec::new();
    browser
        .wait("a verifying worker listens", SOON, async || {
            said.extend(browser.console().await?);
            let listens = |(_, text): &(String, String)| text.contains("a worker verifies beside the node");
            Ok(said.iter().any(listens).then_some(()))
        })
        .await?;
    said.extend(browser.console().await?);
    let complaints: Vec<_> = said
        .iter()
        .filter(|(level, text)| level == "SEVERE" || text.contains("verifying worker"))
        .collect();
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}
