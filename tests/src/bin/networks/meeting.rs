//! Two peers meet in a case's networks.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sazanami_core::node::api::{Blob, Command, PeerState, Reply};
use sazanami_core::transport::PathKind;
use sazanami_tests::internet::{Host, Internet};
use sazanami_tests::{Browser, Launch, NativePeer, Site, Turn};
use tokio::time::sleep;

use crate::cases::{Case, Condition, Pairing};

/// How long two peers may take to meet, counted from the second one's start.
const MEET: Duration = Duration::from_secs(60);
/// How long a peer that has moved may take to come back.
const RETURN: Duration = Duration::from_secs(120);
/// How long pictures may take.
const TRANSFER: Duration = Duration::from_secs(120);
/// Bytes of one.
const PICTURE: usize = 240_000;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By which path; `None` when they did not meet.
    pub(crate) path: Option<PathKind>,
    /// From the second peer's start to the first one's post.
    pub(crate) first_post: Option<Duration>,
    /// Bytes per second of pictures, between native peers.
    pub(crate) throughput: Option<f64>,
    /// From the change of address to a post that was written after it, where there is a change.
    pub(crate) moved: Option<Option<Duration>>,
}

enum Peer {
    Native(NativePeer),
    // Much larger, and there are two of them.
    Browser(Box<Browser>),
}

impl Peer {
    async fn start(browser: bool, host: &Host, site: &Site, name: &str) -> Result<Self> {
        if !browser {
            let peer = NativePeer::start_on(host, site, name, &["--route", "any"]).await?;
            return Ok(Self::Native(peer));
        }
        let browser = Browser::open_on(host, site, name, Launch::default()).await?;
        browser.sign_up(name).await?;
        Ok(Self::Browser(Box::new(browser)))
    }

    async fn post(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Native(peer) => peer.post(text).await.map(drop),
            Self::Browser(browser) => browser.post(text).await,
        }
    }

    async fn has(&mut self, text: &str) -> Result<bool> {
        Ok(match self {
            Self::Native(peer) => peer.notes().await?.iter().any(|note| note.content == text),
            Self::Browser(browser) => browser
                .notes()
                .await?
                .iter()
                .any(|(_, shown)| shown.contains(text)),
        })
    }

    /// How long it takes until the peer has a note.
    async fn receives(&mut self, text: &str, begun: Instant, limit: Duration) -> Result<Option<Duration>> {
        while begun.elapsed() < limit {
            if self.has(text).await? {
                return Ok(Some(begun.elapsed()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(None)
    }

    /// The path of its live link.
    async fn path(&mut self) -> Result<Option<PathKind>> {
        match self {
            Self::Native(peer) => {
                let network = peer
                    .wait_for_network("a live link with its path", |network| {
                        network
                            .peers
                            .iter()
                            .any(|peer| peer.state == PeerState::Live && peer.path.is_some())
                    })
                    .await?;
                Ok(network
                    .peers
                    .iter()
                    .find(|peer| peer.state == PeerState::Live)
                    .and_then(|peer| peer.path))
            }
            Self::Browser(browser) => {
                let rows = browser.wait_for_live_peers(1).await?;
                Ok(rows.iter().find_map(|row| match row.path.as_str() {
                    "direct" => Some(PathKind::Direct),
                    "relayed" => Some(PathKind::Relayed),
                    _ => None,
                }))
            }
        }
    }

    fn log(&self) -> String {
        match self {
            Self::Native(peer) => peer.log(),
            Self::Browser(browser) => browser.name().to_owned(),
        }
    }
}

/// Lets two peers meet.
pub(crate) async fn meet(case: &Case, pairing: Pairing, turn: Turn) -> Result<Outcome> {
    let (first_is_web, second_is_web) = match pairing {
        Pairing::NativeNative => (false, false),
        Pairing::ChromiumNative => (true, false),
        Pairing::ChromiumChromium => (true, true),
    };
    let internet = Internet::new()?;
    let server = internet.host(None)?;
    let (one, mut two) = (internet.host(case.first)?, internet.host(case.second)?);
    match case.condition {
        Condition::UdpBlocked | Condition::BlockedAndMoves => two.block_udp(true),
        Condition::BothUdpBlocked => {
            one.block_udp(true);
            two.block_udp(true);
        }
        Condition::Line(quality) => two.set_quality(quality),
        Condition::Plain | Condition::Moves => {}
    }
    let site = Site::start_on(&server, turn, first_is_web || second_is_web).await?;
    let mut first = Peer::start(first_is_web, &one, &site, "first").await?;
    first.post("before").await?;
    let begun = Instant::now();
    let mut second = Peer::start(second_is_web, &two, &site, "second").await?;
    let mut outcome = Outcome {
        first_post: second.receives("before", begun, MEET).await?,
        ..Outcome::default()
    };
    if outcome.first_post.is_none() {
        if std::env::var_os("SAZANAMI_LOGS").is_some() {
            eprintln!("{}\n{}", first.log(), second.log());
        }
        return Ok(outcome);
    }
    outcome.path = second.path().await?;
    if let (Peer::Native(giver), Peer::Native(taker)) = (&mut first, &mut second) {
        let slow = matches!(case.condition, Condition::Line(_));
        outcome.throughput = throughput(giver, taker, if slow { 1 } else { 16 }).await?;
    }
    if matches!(case.condition, Condition::Moves | Condition::BlockedAndMoves) {
        two.move_away()?;
        let begun = Instant::now();
        first.post("after").await?;
        outcome.moved = Some(second.receives("after", begun, RETURN).await?);
    }
    Ok(outcome)
}

async fn throughput(giver: &mut NativePeer, taker: &mut NativePeer, pictures: usize) -> Result<Option<f64>> {
    let mut ids = Vec::new();
    for _ in 0..pictures {
        // Small numbers are short in JSON: a line of commands has a limit.
        let bytes = (0..PICTURE).map(|_| rand::random_range(0..10)).collect();
        let Reply::BlobKept(id) = giver.ask(Command::KeepBlob { bytes }).await? else {
            bail!("the picture is not kept");
        };
        ids.push(id);
    }
    let begun = Instant::now();
    while !ids.is_empty() && begun.elapsed() < TRANSFER {
        let mut missing = Vec::new();
        for id in ids {
            let size = Some(PICTURE as u64);
            if !matches!(
                taker.ask(Command::Blob { id, size }).await?,
                Reply::Blob(Blob::Here(_))
            ) {
                missing.push(id);
            }
        }
        ids = missing;
        sleep(Duration::from_millis(20)).await;
    }
    let rate = (pictures * PICTURE) as f64 / begun.elapsed().as_secs_f64();
    Ok(ids.is_empty().then_some(rate))
}
