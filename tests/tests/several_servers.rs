//! Peers that use several signal servers: the death of one parts nobody, and nobody who comes later is kept out.

use anyhow::Result;
use sazanami_tests::{Browser, NativePeer, SOON, Site, browser_is_here};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_outlives_the_server_that_it_came_from() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let other = Site::start().await?;
    let mut site = other.beside(&["--recommend", other.address()]).await?;
    let browser = Browser::open(&site, "a").await?;
    browser.sign_up("海").await?;
    browser.post("二つの港").await?;
    // It heard of the other server from its own, and meets there who knows that one alone.
    let options = ["--route", "any"];
    let folder = |name: &str| other.folder().join(name);
    let mut first = NativePeer::start_in(&other, "first", &folder("first"), &options).await?;
    first.wait_for_note("二つの港").await?;
    browser.wait_for_live_peers(1).await?;
    browser.peers().await?;
    browser
        .wait("both servers are shown", SOON, async || {
            Ok((count(&browser, "[data-testid=server-row][data-state=online]").await? == 2).then_some(()))
        })
        .await?;
    browser.screenshot("two-servers").await?;
    browser.close_panel().await?;

    site.kill();
    first.post("港は一つでも").await?;
    browser.wait_for_note("港は一つでも").await?;
    let mut second = NativePeer::start_in(&other, "second", &folder("second"), &options).await?;
    second.wait_for_note("二つの港").await?;
    browser.wait_for_live_peers(2).await?;
    browser.peers().await?;
    browser
        .wait("the dead server is shown as such", SOON, async || {
            let dead = "[data-testid=server-row]:not([data-state=online])";
            Ok((count(&browser, dead).await? == 1).then_some(()))
        })
        .await
}

async fn count(browser: &Browser, css: &str) -> Result<usize> {
    browser
        .script(
            "return document.querySelectorAll(arguments[0]).length;",
            vec![css.into()],
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn native_peers_name_several_on_the_command_line() -> Result<()> {
    let mut one = Site::start().await?;
    let two = one.beside(&[]).await?;
    let both = format!("{},{}", one.address(), two.address());
    let folder = |name: &str| two.folder().join(name);
    let options = ["--route", "any"];
    let mut a = NativePeer::start_through(&both, &two, "a", &folder("a"), &options).await?;
    let mut b = NativePeer::start_in(&one, "b", &folder("b"), &options).await?;
    a.post("どちらでも").await?;
    b.wait_for_note("どちらでも").await?;
    one.kill();
    let mut c = NativePeer::start_in(&two, "c", &folder("c"), &options).await?;
    c.wait_for_note("どちらでも").await?;
    b.post("まだここに").await?;
    // From b over a, since b knows the dead server alone.
    c.wait_for_note("まだここに").await?;
    Ok(())
}
