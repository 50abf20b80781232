//! Whoever connects and goes leaves nothing behind in a peer: no socket, no connection, no memory. The program `rounds`
//! does the same a thousand times.

use anyhow::Result;
use nostr::prelude::Keys;
use sazanami_tests::{Site, Visited, browser_is_here};

/// What is made once and kept is made by then.
const WARM_UP: usize = 10;
const VISITS: usize = 30;
/// A connection that is not closed keeps about 300 KiB in a native peer, and some tens of KiB in a page.
const MEMORY: u64 = 3 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn visits_leave_nothing_behind_in_a_native_peer() -> Result<()> {
    let site = Site::start_without_web().await?;
    nothing_stays(&site, Visited::native(&site).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_leave_nothing_behind_in_a_page() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    nothing_stays(&site, Visited::chromium(&site).await?).await
}

async fn nothing_stays(site: &Site, mut visited: Visited) -> Result<()> {
    let visitor = Keys::generate();
    visited.visits(site, &visitor, WARM_UP).await?;
    let before = visited.held().await?;
    visited.visits(site, &visitor, VISITS).await?;
    let after = visited.lets_go(before, MEMORY).await?;
    eprintln!("before {before:?}, after {VISITS} visits {after:?}");
    Ok(())
}
