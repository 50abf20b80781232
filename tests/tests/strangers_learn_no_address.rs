//! Whoever meets a stranger sends them no packet, only to the signal server's TURN: seen on the wire, by the routers of an
//! internet of namespaces. (What a stranger is told, `hostile_signal_server` looks at.)
//!
//! With every way allowed the same stranger gets packets: so the harness would see them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, ensure};
use sazanami_tests::internet::{self, Internet};
use sazanami_tests::{Browser, Launch, NativePeer, Site, Turn, browser_is_here};

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
    server: Ipv4Addr,
    stranger: Ipv4Addr,
    /// UDP packets from home, by where to.
    sent: BTreeMap<SocketAddrV4, usize>,
}

impl Meeting {
    fn sent_to(&self, host: Ipv4Addr) -> usize {
        let to_host = self.sent.iter().filter(|(address, _)| *address.ip() == host);
        to_host.map(|(_, packets)| packets).sum()
    }

    fn keeps_the_address(&self) -> Result<()> {
        eprintln!("{:?}: sent to {:?}", self.who, self.sent);
        ensure!(
            self.sent_to(self.server) > 0,
            "nothing went through the relay: {self:?}"
        );
        ensure!(
            self.sent_to(self.stranger) == 0,
            "packets went to the stranger: {self:?}"
        );
        // Browsers ask for names, of the local network too (mDNS).
        let asks = |address: &SocketAddrV4| address.ip().is_multicast() || address.port() == 53;
        let fits = |address: &SocketAddrV4| *address.ip() == self.server || asks(address);
        ensure!(self.sent.keys().all(fits), "packets went elsewhere: {self:?}");
        Ok(())
    }

    fn tells_the_address(&self) -> Result<()> {
        ensure!(
            self.sent_to(self.stranger) > 0,
            "the harness sees nothing: {self:?}"
        );
        Ok(())
    }
}

/// Somebody at home, whose address anybody can reach, meets a stranger who takes every way.
async fn meeting(who: Who) -> Result<Meeting> {
    let internet = Internet::new()?;
    let (server, home, away) = (internet.host(None)?, internet.host(None)?, internet.host(None)?);
    let site = Site::start_on(&server, Turn::Embedded, matches!(who, Who::Chromium)).await?;
    let (mut native, mut browser) = (None, None);
    match who {
        Who::Native(options) => native = Some(NativePeer::start_on(&home, &site, "home", options).await?),
        Who::Chromium => {
            let page = browser.insert(Browser::open_on(&home, &site, "home", Launch::default()).await?);
            page.sign_up("home").await?;
        }
    }
    let mut stranger = NativePeer::start_on(&away, &site, "stranger", &["--route", "any"]).await?;
    stranger.post("from a stranger").await?;
    if let Some(native) = &mut native {
        native.wait_for_note("from a stranger").await?;
    }
    if let Some(browser) = &browser {
        browser.wait_for_note("from a stranger").await?;
    }
    Ok(Meeting {
        who,
        server: server.address(),
        stranger: away.address(),
        sent: home.sent_udp(),
    })
}
