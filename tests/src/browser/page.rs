//! What a person does and sees on the page. Things are found as a person who uses a screen reader finds them, by
//! role and name; what has no name (a note, a peer's row) by its `data-testid`.

use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Browser;
use crate::{SOON, START, artefacts, until};

const NAME_FIELD: [&str; 2] = ["Your name", "お名前"];
const START_BUTTON: [&str; 2] = ["Start", "はじめる"];
const COMPOSE_FIELD: [&str; 2] = ["New post", "新しい投稿"];
const POST_BUTTON: [&str; 2] = ["Post", "投稿"];

/// A peer in the status panel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct PeerRow {
    /// `direct`, `relayed` or `unknown`.
    pub path: String,
    /// `live`, `syncing`, `greeting` or `connecting`.
    pub state: String,
    /// Everything that the row says.
    pub text: String,
}

/// All notes that are on the page: id and text.
const NOTES: &str =
    "return [...document.querySelectorAll('[data-testid=note]')].map(n => [n.dataset.noteId, n.innerText]);";
const PEER_ROWS: &str = "return [...document.querySelectorAll('[data-testid=peer]')].map(p => ({
    path: p.dataset.path ?? '', state: p.dataset.state ?? '', text: p.innerText }));";
/// Opens the status panel, unless it is open.
const OPEN_STATUS: &str = "if (!document.querySelector('[role=dialog]'))
    document.querySelector('[data-testid=peer-count]')?.click();";
/// Whether nothing stands in any text area: a posted note leaves a new, empty one.
const FIELD_IS_EMPTY: &str =
    "return [...document.querySelectorAll('textarea')].every(field => field.value === '');";

impl Browser {
    /// First visit: chooses a name, and waits for the timeline.
    ///
    /// # Errors
    /// When the page does not offer it in time; with what it shows. So for every call below.
    pub async fn sign_up(&self, name: &str) -> Result<()> {
        self.named("input", &NAME_FIELD, START)
            .await?
            .send_keys(name)
            .await?;
        self.named("button", &START_BUTTON, SOON).await?.click().await?;
        self.wait_for_timeline().await
    }

    /// Waits until one can post.
    pub async fn wait_for_timeline(&self) -> Result<()> {
        self.named("textarea", &COMPOSE_FIELD, START).await.map(drop)
    }

    /// Writes a note and presses the button; returns when the page says that it is posted: it stands in the timeline
    /// and the field is empty.
    pub async fn post(&self, text: &str) -> Result<()> {
        let field = self.named("textarea", &COMPOSE_FIELD, START).await?;
        field.send_keys(text).await?;
        self.named("button", &POST_BUTTON, SOON).await?.click().await?;
        self.wait_for_note(text).await?;
        self.wait(
            &format!("the field is empty after posting {text:?}"),
            SOON,
            async || Ok(self.script::<bool>(FIELD_IS_EMPTY, vec![]).await?.then_some(())),
        )
        .await
    }

    /// Waits until a note with this text is on the page; its id.
    pub async fn wait_for_note(&self, text: &str) -> Result<String> {
        self.wait(&format!("the note {text:?}"), START, async || {
            Ok(self
                .notes()
                .await?
                .into_iter()
                .find(|(_, shown)| shown.contains(text))
                .map(|(id, _)| id))
        })
        .await
    }

    /// The notes on the page: id and everything that is shown of each.
    pub async fn notes(&self) -> Result<Vec<(String, String)>> {
        self.script(NOTES, vec![]).await
    }

    /// Loads the page again.
    pub async fn reload(&self) -> Result<()> {
        self.client()?.refresh().await?;
        self.wait_for_timeline().await
    }

    /// The peers in the status panel, which is opened when it is not.
    pub async fn peers(&self) -> Result<Vec<PeerRow>> {
        let _: Value = self.script(OPEN_STATUS, vec![]).await?;
        self.script(PEER_ROWS, vec![]).await
    }

    /// How many connected peers the page shows beside the status.
    pub async fn peer_count(&self) -> Result<usize> {
        let count: String = self
            .script(
                "return document.querySelector('[data-testid=peer-count]').dataset.count;",
                vec![],
            )
            .await?;
        Ok(count.parse()?)
    }

    /// Waits until as many peers are live and up to date, by the status panel, which is closed again.
    pub async fn wait_for_live_peers(&self, count: usize) -> Result<Vec<PeerRow>> {
        let mut last = Vec::new();
        let found = self
            .wait(
                &format!("{count} live peers, each with its path"),
                START,
                async || {
                    last = self.peers().await?;
                    let live = last
                        .iter()
                        .filter(|peer| peer.state == "live" && peer.path != "unknown")
                        .count();
                    Ok((live >= count).then(|| last.clone()))
                },
            )
            .await;
        let found = found.with_context(|| format!("peers: {last:?}"))?;
        self.close_panel().await?;
        Ok(found)
    }

    /// Closes the panel that is open, as a person does (Escape).
    pub async fn close_panel(&self) -> Result<()> {
        self.client()?
            .active_element()
            .await?
            .send_keys(&char::from(Key::Escape).to_string())
            .await?;
        self.wait("the panel is closed", SOON, async || {
            let open: bool = self
                .script("return !!document.querySelector('[role=dialog]');", vec![])
                .await?;
            Ok((!open).then_some(()))
        })
        .await
    }

    /// Waits until the page shows this text anywhere.
    pub async fn wait_for_text(&self, texts: &[&str]) -> Result<()> {
        self.wait(&format!("one of {texts:?}"), START, async || {
            let shown = self.text().await?;
            Ok(texts.iter().any(|text| shown.contains(text)).then_some(()))
        })
        .await
    }

    /// Everything that the page shows.
    pub async fn text(&self) -> Result<String> {
        self.script("return document.body?.innerText ?? '';", vec![])
            .await
    }

    /// The element of this kind (a CSS selector) whose accessible name is one of these.
    pub async fn named(&self, css: &str, names: &[&str], limit: Duration) -> Result<Element> {
        self.wait(&format!("{css} named {names:?}"), limit, async || {
            for element in self.client()?.find_all(Locator::Css(css)).await? {
                // An element may be gone by now: the next round finds its successor.
                let name = self.driver()?.accessible_name(&element).await?;
                if names.contains(&name.as_str()) && element.is_enabled().await.unwrap_or(false) {
                    return Ok(Some(element));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Runs a script on the page.
    pub async fn script<T: serde::de::DeserializeOwned>(
        &self,
        script: &str,
        arguments: Vec<Value>,
    ) -> Result<T> {
        let answer = self
            .client()?
            .execute(script, arguments)
            .await
            .with_context(|| format!("script: {script}"))?;
        Ok(serde_json::from_value(answer)?)
    }

    /// Runs a script that hands its result to its last argument, a function.
    pub async fn script_async<T: serde::de::DeserializeOwned>(
        &self,
        script: &str,
        arguments: Vec<Value>,
    ) -> Result<T> {
        let answer = self.client()?.execute_async(script, arguments).await?;
        Ok(serde_json::from_value(answer)?)
    }

    /// Keeps a picture of the page as an artefact.
    pub async fn screenshot(&self, name: &str) -> Result<()> {
        let picture = self.client()?.screenshot().await?;
        let path = artefacts()?.join(format!("{name}.png"));
        std::fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Waits for a condition on the page; on failure says what the page shows and keeps a picture.
    pub async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        ask: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        match until(&format!("{}: {what}", self.name()), limit, ask).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.with_page(error).await),
        }
    }

    async fn with_page(&self, error: Error) -> Error {
        let text = self
            .text()
            .await
            .unwrap_or_else(|error| format!("(no text: {error})"));
        let console = match self.driver() {
            Ok(driver) => driver.console().await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let console: Vec<String> = console
            .iter()
            .rev()
            .take(20)
            .rev()
            .map(|(level, text)| format!("{level} {text}"))
            .collect();
        let name = format!("failed-{}", self.name());
        let picture = match self.screenshot(&name).await {
            Ok(()) => format!(
                "picture: {name}.png in {}",
                artefacts().unwrap_or_default().display()
            ),
            Err(error) => format!("no picture: {error}"),
        };
        anyhow!(
            "{error:#}\n--- {} shows ---\n{text}\n--- console ---\n{}\n{picture}",
            self.name(),
            console.join("\n")
        )
    }

    /// Round trips of a bare data channel between two connections in this page, in milliseconds.
    pub async fn data_channel_round_trips(&self, count: usize) -> Result<Vec<f64>> {
        self.script_async(BARE_ROUND_TRIPS, vec![json!(count)]).await
    }
}

/// Two connections in one page, host candidates only; each round trip is one small message and its echo.
const BARE_ROUND_TRIPS: &str = "
    const [count, done] = arguments;
    (async () => {
        const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
        // Candidates stand in the descriptions: one that comes before its description would be lost.
        const gathered = c => new Promise(resolve => {
            if (c.iceGatheringState === 'complete') return resolve();
            c.onicegatheringstatechange = () => c.iceGatheringState === 'complete' && resolve();
        });
        const channel = a.createDataChannel('bare');
        b.ondatachannel = e => { e.channel.onmessage = m => e.channel.send(m.data); };
        const open = new Promise(resolve => { channel.onopen = resolve; });
        await a.setLocalDescription(await a.createOffer());
        await gathered(a);
        await b.setRemoteDescription(a.localDescription);
        await b.setLocalDescription(await b.createAnswer());
        await gathered(b);
        await a.setRemoteDescription(b.localDescription);
        await open;
        const times = [];
        for (let i = 0; i < count; i++) {
            const echo = new Promise(resolve => { channel.onmessage = resolve; });
            const begun = performance.now();
            channel.send('x'.repeat(300));
            await echo;
            times.push(performance.now() - begun);
        }
        a.close(); b.close();
        done(times);
    })();";
