//! Two people connect without any server, by two texts that they give each other, and take their time with it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sazanami_core::node::api::{Command, Meeting, PeerState, Reply};
use sazanami_tests::{Browser, NativePeer, SOON, Site, browser_is_here, until};
use tokio::time::sleep;

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";
/// Longer than a connection may take that no person carries, and than ICE takes to give up.
const THINKING: Duration = Duration::from_secs(40);

async fn meeting(peer: &mut NativePeer, command: Command) -> Result<Meeting> {
    match peer.ask(command).await? {
        Reply::Meeting(meeting) => Ok(meeting),
        other => bail!("{other:?}"),
    }
}

/// The text that a peer has made.
async fn text_of(peer: &mut NativePeer) -> Result<String> {
    until("a text to give away", SOON, async || {
        Ok(match meeting(peer, Command::Meeting).await? {
            Meeting::Invitation { text, .. } | Meeting::Reply { text, .. } => Some(text),
            _ => None,
        })
    })
    .await
}

async fn alone(site: &Site, name: &str) -> Result<NativePeer> {
    NativePeer::start_through(NOWHERE, site, name, &site.folder().join(name), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_native_peers() -> Result<()> {
    let site = Site::start_without_web().await?;
    let (mut a, mut b) = (alone(&site, "a").await?, alone(&site, "b").await?);
    a.post("だれもいない海").await?;
    meeting(&mut a, Command::Invite).await?;
    let invitation = text_of(&mut a).await?;
    // A QR code holds less than 3,000 bytes.
    ensure!(invitation.len() < 2_500, "{} bytes", invitation.len());
    meeting(&mut b, Command::Meet(invitation)).await?;
    let reply = text_of(&mut b).await?;
    ensure!(reply.len() < 2_500, "{} bytes", reply.len());
    sleep(THINKING).await;
    meeting(&mut a, Command::Meet(reply)).await?;
    b.wait_for_note("だれもいない海").await?;
    let key = b.me().await?.context("it has a name")?.key;
    until("it is told that they are connected", SOON, async || {
        let told = meeting(&mut a, Command::Meeting).await?;
        Ok((told == Meeting::Connected(Some(key))).then_some(()))
    })
    .await?;
    a.wait_for_network("one link", |network| network.peers.len() == 1)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_of_different_sites() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let other = site.beside(&[]).await?;
    let a = Browser::open(&site, "a").await?;
    let b = Browser::open(&other, "b").await?;
    a.sign_up("海").await?;
    b.sign_up("岬").await?;
    a.post("待ち合わせなし").await?;
    for browser in [&a, &b] {
        open_sheet(browser).await?;
    }
    click(&a, "#invite").await?;
    let invitation = shown_text(&a).await?;
    a.screenshot("meet-invitation").await?;
    give(&b, &invitation).await?;
    let reply = shown_text(&b).await?;
    b.screenshot("meet-reply").await?;
    sleep(THINKING).await;
    give(&a, &reply).await?;
    for browser in [&a, &b] {
        browser
            .wait("it is told that they are connected", SOON, async || {
                let shown: bool = browser
                    .script(
                        "return !!document.querySelector('[data-testid=meet-connected]');",
                        vec![],
                    )
                    .await?;
                Ok(shown.then_some(()))
            })
            .await?;
    }
    a.screenshot("meet-connected").await?;
    b.wait_for_note("待ち合わせなし").await?;
    let errors = a.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_and_a_native_peer() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let a = Browser::open(&site, "a").await?;
    let mut b = alone(&site, "b").await?;
    a.sign_up("海").await?;
    a.post("待ち合わせなし").await?;
    meeting(&mut b, Command::Invite).await?;
    let invitation = text_of(&mut b).await?;
    open_sheet(&a).await?;
    give(&a, &invitation).await?;
    let reply = shown_text(&a).await?;
    sleep(THINKING).await;
    meeting(&mut b, Command::Meet(reply)).await?;
    b.wait_for_note("待ち合わせなし").await?;
    b.wait_for_network("a live link", |network| {
        network.peers.iter().any(|peer| peer.state == PeerState::Live)
    })
    .await?;
    Ok(())
}

async fn open_sheet(browser: &Browser) -> Result<()> {
    browser.peers().await?;
    click(browser, "#meet-open").await
}

async fn click(browser: &Browser, css: &str) -> Result<()> {
    browser
        .wait(css, SOON, async || {
            let clicked: bool = browser
                .script(
                    "const found = document.querySelector(arguments[0]); found?.click(); return !!found;",
                    vec![css.into()],
                )
                .await?;
            Ok(clicked.then_some(()))
        })
        .await
}

async fn shown_text(browser: &Browser) -> Result<String> {
    browser
        .wait("a text to give away", SOON, async || {
            let text: Option<String> = browser
                .script(
                    "return document.querySelector('[data-testid=meet-text]')?.value ?? null;",
                    vec![],
                )
                .await?;
            Ok(text.filter(|text| !text.is_empty()))
        })
        .await
}

async fn give(browser: &Browser, text: &str) -> Result<()> {
    let _: serde_json::Value = browser
        .script(
            "const field = document.querySelector('#meet-given');
             Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, arguments[0]);
             field.dispatchEvent(new InputEvent('input', { bubbles: true }));",
            vec![text.into()],
        )
        .await?;
    click(browser, "[data-testid=meet-use]:not([disabled])").await
}
