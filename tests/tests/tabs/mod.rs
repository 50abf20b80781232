//! What the scenarios of several tabs share: a writer in each tab, and the look into the database at the end.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use anyhow::{Result, ensure};
use sazanami_core::store::{SqliteStore, Store};
use sazanami_tests::Browser;
use serde_json::json;

#[path = "../../../core/tests/integrity/check.rs"]
mod integrity;

/// A number that the environment asks for.
pub(crate) fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// A seed for what happens at random: another one each time, unless the environment asks for one.
pub(crate) fn seed() -> u64 {
    number("SAZANAMI_TEST_SEED")
        .unwrap_or_else(|| UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64)
}

/// In every note, so that the search has something to find.
const WORD: &str = "波";

/// Posts one note after the other as a person does, with a pause, and keeps the texts and times of those that the page
/// says are posted: it clears the field. Watches that the screen never gives way to another one.
const WRITE: &str = "
    const [prefix, pause] = arguments;
    window.posted = [];
    window.gates = 0;
    new MutationObserver(() => { if (document.querySelector('.gate')) window.gates++; })
        .observe(document.body, { childList: true, subtree: true });
    const field = () => document.querySelector('.compose textarea');
    // Timers of a hidden tab wait for a second; messages do not.
    const channel = new MessageChannel();
    const waiting = [];
    channel.port1.onmessage = () => waiting.shift()();
    const turn = () => new Promise(resolve => { waiting.push(resolve); channel.port2.postMessage(0); });
    const until = async condition => { while (!condition()) await turn(); };
    (async () => {
        for (let n = 0; !window.enough; n++) {
            const text = `${prefix}/${n} 波`;
            await until(() => field() && !field().readOnly);
            const before = field();
            before.value = text;
            before.dispatchEvent(new Event('input', { bubbles: true }));
            await turn();
            before.form.requestSubmit();
            await until(() => field() !== before);
            window.posted.push([text, Date.now()]);
            const end = Date.now() + pause;
            await until(() => Date.now() >= end);
        }
        window.ended = true;
    })();";

/// Starts writing in the tab that is gone to.
pub(crate) async fn write(browser: &Browser, prefix: &str, pause_ms: u64) -> Result<()> {
    browser.wait_for_timeline().await?;
    let _: Option<()> = browser
        .script(WRITE, vec![json!(prefix), json!(pause_ms)])
        .await?;
    Ok(())
}

/// What the tab that is gone to was told to be posted, and when (milliseconds since the epoch).
pub(crate) async fn written(browser: &Browser) -> Result<Vec<(String, u64)>> {
    browser.script("return window.posted ?? [];", vec![]).await
}

/// Looks into the database of a closed browser: every note that a tab was told to be posted is there, none twice.
pub(crate) fn check(browser: &Browser, folder: &std::path::Path, posted: &BTreeSet<String>) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let database = browser.copy_database("posts.db", folder)?;
    integrity::check(&database, WORD, "after all tabs");
    let store = SqliteStore::open(&database)?;
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for event in store.events_after(None, usize::MAX)? {
        event.verify()?;
        if event.content.contains(WORD) {
            *found.entry(event.content).or_default() += 1;
        }
    }
    let lost: Vec<_> = posted.iter().filter(|text| !found.contains_key(*text)).collect();
    ensure!(lost.is_empty(), "posted and lost: {lost:?}");
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "posted twice: {twice:?}");
    // One pool of files, and in it one database.
    let databases = browser
        .pool()?
        .into_iter()
        .filter(|(name, _)| name.starts_with("posts"));
    let names: Vec<String> = databases.map(|(name, _)| name).collect();
    ensure!(
        names.iter().filter(|name| *name == "posts.db").count() == 1
            && names
                .iter()
                .all(|name| name == "posts.db" || name == "posts.db-journal"),
        "one database: {names:?}"
    );
    Ok(())
}

/// Median and largest of some durations, in words.
pub(crate) fn figures(mut millis: Vec<u64>) -> String {
    millis.sort_unstable();
    match (millis.get(millis.len() / 2), millis.last()) {
        (Some(middle), Some(most)) => format!("p50 {middle} ms, max {most} ms of {}", millis.len()),
        _ => "none".to_owned(),
    }
}
