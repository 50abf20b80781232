//! A peer that others connect to and leave again, and what it holds meanwhile: nothing of them may stay.

use anyhow::{Context, Result, ensure};
use nostr::prelude::Keys;

use crate::{Browser, NativePeer, RawPeer, SOON, START, Site, until};

/// The peer.
pub enum Visited {
    /// The headless peer.
    Native(NativePeer),
    /// A page; much larger.
    Chromium(Box<Browser>),
}

/// What a peer holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Open sockets of all its processes.
    pub sockets: usize,
    /// Bytes: a native peer's resident memory, a page's JavaScript heap after garbage collection.
    pub memory: u64,
    /// `RTCPeerConnection`s that have not been collected, as Chromium counts them.
    pub connections: usize,
}

impl Visited {
    /// A native peer, which connects to strangers directly.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn native(site: &Site) -> Result<Self> {
        let data = site.folder().join("peer-visited");
        let peer = NativePeer::start_in(site, "visited", &data, &["--route", "any"]).await?;
        Ok(Self::Native(peer))
    }

    /// A page, which connects to strangers directly.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn chromium(site: &Site) -> Result<Self> {
        let browser = Browser::open(site, "visited").await?;
        browser.sign_up("visited").await?;
        let settings = browser.named("button", &["Settings", "設定"], SOON).await?;
        settings.click().await?;
        let strangers = browser
            .named("input", &["Everybody else", "そのほかの人"], SOON)
            .await?;
        strangers.click().await?;
        browser.close_panel().await?;
        Ok(Self::Chromium(Box::new(browser)))
    }

    /// Somebody connects, both prove who they are and begin to exchange what they have, and the visitor goes; so often.
    ///
    /// # Errors
    /// When they do not meet, or the peer does not notice that nobody is there any more.
    pub async fn visits(&mut self, site: &Site, visitor: &Keys, count: usize) -> Result<()> {
        for n in 0..count {
            let mut visiting = RawPeer::with_keys(site, "visitor", visitor.clone()).await?;
            let met = visiting.meet(START).await;
            met.with_context(|| format!("visit {n}"))?;
            drop(visiting);
            until(&format!("nobody is there after visit {n}"), SOON, async || {
                Ok((self.links().await? == 0).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Links that are open or being made.
    async fn links(&mut self) -> Result<usize> {
        match self {
            Self::Native(peer) => Ok(peer.network().await?.peers.len()),
            Self::Chromium(browser) => browser.peer_count().await,
        }
    }

    /// What it holds now.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn held(&mut self) -> Result<Held> {
        match self {
            Self::Native(peer) => Ok(Held {
                sockets: peer.process().open_sockets(),
                memory: peer.process().resident_bytes()?,
                connections: 0,
            }),
            Self::Chromium(browser) => {
                let metrics = browser.metrics().await?;
                let metric = |name: &str| metrics.get(name).copied().with_context(|| format!("no {name}"));
                Ok(Held {
                    sockets: browser.process()?.open_sockets(),
                    memory: metric("JSHeapUsedSize")? as u64,
                    connections: metric("RTCPeerConnections")? as usize,
                })
            }
        }
    }

    /// Waits until it holds no more than before, but for a few sockets and this much memory.
    ///
    /// # Errors
    /// When it keeps more.
    pub async fn lets_go(&mut self, before: Held, memory: u64) -> Result<Held> {
        let mut last = before;
        let let_go = until("what visits took is given back", SOON, async || {
            last = self.held().await?;
            let few = |now: usize, before: usize| now <= before + 3;
            let fits = few(last.sockets, before.sockets)
                && few(last.connections, before.connections)
                && last.memory <= before.memory + memory;
            Ok(fits.then_some(last))
        })
        .await;
        ensure!(
            let_go.is_ok(),
            "it keeps {last:?}, and before the visits {before:?}"
        );
        let_go
    }
}
