//! Two browsers post to each other, in Japanese and English; a reload keeps everything, and who they are.

use anyhow::{Result, ensure};
use sazanami_tests::{Browser, Launch, SOON, Site, browser_is_here};

const FROM_A: &str = "はじめまして、さざなみ。";
const FROM_B: &str = "Hello from the other side";

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_post_and_keep() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let a = Browser::open_with(
        &site,
        "a",
        Launch {
            languages: "ja",
            ..Launch::default()
        },
    )
    .await?;
    let b = Browser::open(&site, "b").await?;
    a.sign_up("さくら").await?;
    b.sign_up("Ben").await?;

    a.post(FROM_A).await?;
    b.wait_for_note(FROM_A).await?;
    // A moment later the live region tells people who do not see it.
    b.wait("the arrival is announced", SOON, async || {
        let spoken: String = b
            .script(
                "return document.querySelector('[data-testid=announcer]').innerText;",
                vec![],
            )
            .await?;
        Ok(spoken.contains(FROM_A).then_some(()))
    })
    .await?;
    b.post(FROM_B).await?;
    a.wait_for_note(FROM_B).await?;
    // The author's name has come along.
    a.wait_for_note("Ben").await?;
    b.wait_for_note("さくら").await?;
    a.screenshot("timeline-ja").await?;
    b.screenshot("timeline-en").await?;

    let before = (note_ids(&a).await?, note_ids(&b).await?);
    for browser in [&a, &b] {
        // Straight to the timeline, without being asked for a name again: the identity is kept.
        browser.reload().await?;
        browser.wait_for_note(FROM_A).await?;
        browser.wait_for_note(FROM_B).await?;
    }
    ensure!(
        before == (note_ids(&a).await?, note_ids(&b).await?),
        "a reload changes no note"
    );
    // Same identities: what each writes now stands under the same name on the other side.
    a.post("still me").await?;
    b.wait_for_note("still me").await?;
    let (_, shown) = b
        .notes()
        .await?
        .into_iter()
        .find(|(_, text)| text.contains("still me"))
        .unwrap_or_default();
    ensure!(shown.contains("さくら"), "the author after a reload: {shown}");
    for browser in [&a, &b] {
        let errors = browser.console_errors().await?;
        ensure!(errors.is_empty(), "{}'s console: {errors:#?}", browser.name());
    }
    Ok(())
}

async fn note_ids(browser: &Browser) -> Result<Vec<String>> {
    let mut ids: Vec<String> = browser.notes().await?.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    Ok(ids)
}
