//! Whoever meets a stranger sends them nothing: every packet goes to the signal server's TURN, and what the stranger is
//! told holds the relay's address alone. Seen on the wire, by the routers of an internet of namespaces.
//!
//! With every way allowed the same stranger gets packets and the address: so the harness would see them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, ensure};
use sazanami_core::signaling::PeerSignal;
use sazanami_tests::internet::{self, HARNESS, Internet};
use sazanami_tests::{Browser, Launch, NativePeer, RawPeer, START, Site, Turn, browser_is_here};

fn main() -> Result<()> {
    if let Some(reason) = internet::unavailable() {
        eprintln!("SKIPPED: no network namespaces here ({reason}): as root on Linux they are tried");
        return Ok(());
    }
    // Before there are threads: a program cannot take them into a namespace.
    internet::enter()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> Result<()> {
    meeting(Who::Native(&[])).await?.keeps_the_address()?;
    if browser_is_here() {
        meeting(Who::Chromium).await?.keeps_the_address()?;
    }
    meeting(Who::Native(&["--route", "any"]))
        .await?
        .tells_the_address()
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Native(&'static [&'static str]),
    Chromium,
}

/// What a meeting with a stranger has shown.
#[derive(Debug)]
struct Meeting {
    who: Who,
    home: Ipv4Addr,
    server: Ipv4Addr,
    /// Offers, answers and candidates, as the stranger opened them.
    told: Vec<String>,
    /// UDP packets from home, by where to.
    sent: BTreeMap<SocketAddrV4, usize>,
}

impl Meeting {
    fn candidates(&self) -> impl Iterator<Item = &str> {
        let lines = self.told.iter().flat_map(|text| text.lines());
        lines.filter(|line| line.contains("candidate:"))
    }

    fn to_stranger(&self) -> usize {
        let to = |address: &&SocketAddrV4| *address.ip() == HARNESS;
        self.sent.keys().filter(to).count()
    }

    fn keeps_the_address(&self) -> Result<()> {
        eprintln!(
            "{:?}: {} candidates told, sent to {:?}",
            self.who,
            self.candidates().count(),
            self.sent
        );
        let relayed = format!(" {} ", self.server);
        ensure!(self.candidates().count() > 0, "nothing was told: {self:#?}");
        for line in self.candidates() {
            ensure!(
                line.contains(" typ relay") && line.contains(&relayed),
                "told {line}"
            );
        }
        let home = self.home.to_string();
        ensure!(
            !self.told.iter().any(|text| text.contains(&home)),
            "the address was told: {self:#?}"
        );
        ensure!(self.to_stranger() == 0, "packets went to the stranger: {self:#?}");
        // Names of the local network are asked for there (mDNS).
        let elsewhere = |address: &SocketAddrV4| *address.ip() != self.server && !address.ip().is_multicast();
        let elsewhere: Vec<_> = self.sent.keys().filter(|address| elsewhere(address)).collect();
        ensure!(elsewhere.is_empty(), "packets went to {elsewhere:?}");
        ensure!(
            self.sent.keys().any(|address| *address.ip() == self.server),
            "nothing went through the relay"
        );
        Ok(())
    }

    fn tells_the_address(&self) -> Result<()> {
        let home = self.home.to_string();
        ensure!(
            self.to_stranger() > 0 && self.candidates().any(|line| line.contains(&home)),
            "the harness sees nothing: {self:#?}"
        );
        Ok(())
    }
}

/// Somebody at home, whose address anybody can reach, meets a stranger who takes every way.
async fn meeting(who: Who) -> Result<Meeting> {
    let internet = Internet::new()?;
    let (server, home) = (internet.host(None)?, internet.host(None)?);
    let site = Site::start_on(&server, Turn::Embedded, matches!(who, Who::Chromium)).await?;
    let (mut native, mut browser) = (None, None);
    match who {
        Who::Native(options) => native = Some(NativePeer::start_on(&home, &site, "home", options).await?),
        Who::Chromium => {
            let page = browser.insert(Browser::open_on(&home, &site, "home", Launch::default()).await?);
            page.sign_up("home").await?;
        }
    }
    let mut stranger = RawPeer::new(&site, "stranger").await?;
    let met = stranger.meet(START).await;
    met.with_context(|| native.as_ref().map_or_else(String::new, NativePeer::log))?;
    let told = stranger.heard().iter().map(|signal| match signal {
        PeerSignal::Offer(text)
        | PeerSignal::Answer(text)
        | PeerSignal::Candidate { candidate: text, .. } => text.clone(),
    });
    Ok(Meeting {
        who,
        home: home.address(),
        server: server.address(),
        told: told.collect(),
        sent: home.sent_udp(),
    })
}
