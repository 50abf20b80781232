//! A signal server that drops, delays, repeats, reorders, swaps, rewrites and replays what peers say, and puts itself in
//! the middle: at worst nobody is connected. Never is somebody connected to somebody else than they think, no peer ends,
//! and in all that the server has seen there is no name, no post and no key of a person. Once it is honest again,
//! everybody is connected.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use nostr::prelude::PublicKey;
use sazanami_core::node::api::{Command, Network, Peer, PeerState, Reply};
use sazanami_core::signaling::PeerSignal;
use sazanami_core::signaling::introduction::Body;
use sazanami_core::transport::PathKind;
use sazanami_tests::{
    Attack, Browser, HostileServer, NativePeer, Owner, Site, browser_is_here, find_leaks, until,
};

/// Each, and how often the server does it at least.
const ATTACKS: [(Attack, usize); 8] = [
    (Attack::Drop, 12),
    (Attack::Delay, 40),
    (Attack::Repeat, 100),
    (Attack::Reorder, 40),
    (Attack::Swap, 15),
    (Attack::Rewrite, 20),
    (Attack::Replay, 150),
    (Attack::Impersonate, 30),
];
/// How long an attack may take to happen so often.
const ATTACK: Duration = Duration::from_secs(60);
/// How long it lasts at least: links that it lets open have proven by then who is at their ends.
const MEANWHILE: Duration = Duration::from_secs(6);
/// How long it may take until everybody is connected: an attempt that leads nowhere is given up after 40 seconds.
const RECOVERY: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn hostile_signal_server() -> Result<()> {
    let seed = seed()?;
    let site = Site::start_without_web().await?;
    // All at once: most of the time is spent waiting for attempts that lead nowhere.
    let all = ATTACKS.into_iter().zip(0..).map(|((attack, acts), n)| {
        let (site, seed) = (&site, seed.wrapping_add(n));
        async move {
            let endured = endure(site, attack, acts, seed).await;
            endured.with_context(|| format!("{attack:?}"))
        }
    });
    try_join_all(all).await.map(drop)
}

/// Random, printed, and given again by `SAZANAMI_SEED`.
fn seed() -> Result<u64> {
    let seed = match std::env::var("SAZANAMI_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => rand::random(),
    };
    eprintln!("SAZANAMI_SEED={seed}");
    Ok(seed)
}

/// A peer, and what there is to know of the person.
struct Someone {
    name: String,
    key: PublicKey,
    address: String,
    data: PathBuf,
    peer: NativePeer,
}

impl Someone {
    async fn start(server: &mut HostileServer, site: &Site, name: String) -> Result<Self> {
        let (address, data) = (server.door(&name).await?, site.folder().join(&name));
        let mut peer = NativePeer::start_through(&address, site, &name, &data, &[]).await?;
        let key = peer.me().await?.context("an identity")?.key;
        Ok(Self {
            name,
            key,
            address,
            data,
            peer,
        })
    }

    /// Stops it and starts it again: another session, the same person.
    async fn restart(&mut self, site: &Site) -> Result<()> {
        let status = self.peer.stop().await?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        self.peer = NativePeer::start_through(&self.address, site, &self.name, &self.data, &[]).await?;
        Ok(())
    }
}

/// Two friends and a stranger who meet through a server that attacks them.
struct Trio {
    server: HostileServer,
    people: [Someone; 3],
    texts: Vec<String>,
}

impl Trio {
    async fn post(&mut self, when: &str) -> Result<()> {
        for one in &mut self.people {
            let text = format!("{} writes {when}", one.name);
            one.peer.post(&text).await?;
            self.texts.push(text);
        }
        Ok(())
    }

    /// What every peer says of the network, checked: nobody is taken for somebody else.
    async fn look(&mut self) -> Result<Vec<Network>> {
        let mut networks = Vec::new();
        for n in 0..self.people.len() {
            let one = &mut self.people[n];
            let network = one
                .peer
                .network()
                .await
                .with_context(|| format!("{} has ended", one.name))?;
            for peer in &network.peers {
                self.check(n, peer)
                    .with_context(|| format!("{} says {peer:?}", self.people[n].name))?;
            }
            networks.push(network);
        }
        Ok(networks)
    }

    fn check(&self, of: usize, peer: &Peer) -> Result<()> {
        let connected = matches!(peer.state, PeerState::Live | PeerState::Syncing);
        let owner = self.server.owner(peer.session);
        let behind = self
            .people
            .iter()
            .position(|one| owner == Owner::Door(one.name.clone()));
        let Some(behind) = behind else {
            // The server's own person may offer itself as any stranger does; nobody is connected to it.
            let known = self.people.iter().any(|one| peer.person == Some(one.key));
            ensure!(!connected && !known, "a session that is nobody's ({owner:?})");
            return Ok(());
        };
        let person = &self.people[behind];
        ensure!(behind != of, "connected to itself");
        ensure!(
            peer.person.is_none_or(|key| key == person.key),
            "this is {}'s session",
            person.name
        );
        ensure!(
            !connected || peer.person.is_some(),
            "connected to it knows not whom"
        );
        ensure!(
            peer.name.as_ref().is_none_or(|name| *name == person.name),
            "this is {}",
            person.name
        );
        Ok(())
    }

    /// Waits until everybody is connected to everybody and has everything, the friends directly and the stranger by a
    /// relay.
    async fn meet(&mut self) -> Result<()> {
        let mut last = Vec::new();
        let met = until("everybody is connected", RECOVERY, async || {
            last = self.look().await?;
            for (n, network) in last.iter().enumerate() {
                for (m, other) in self.people.iter().enumerate().filter(|(m, _)| *m != n) {
                    let path = match n.max(m) {
                        2 => PathKind::Relayed,
                        _ => PathKind::Direct,
                    };
                    let connected = network.peers.iter().any(|peer| {
                        peer.person == Some(other.key)
                            && peer.state == PeerState::Live
                            && peer.name.as_ref() == Some(&other.name)
                            && peer.path == Some(path)
                    });
                    if !connected {
                        return Ok(None);
                    }
                }
            }
            for one in &mut self.people {
                let notes = one.peer.notes().await?;
                let has = |text: &String| notes.iter().any(|note| note.content == *text);
                if !self.texts.iter().all(has) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await;
        met.with_context(|| {
            let logs: Vec<String> = self.people.iter().map(|one| one.peer.log()).collect();
            format!("{last:#?}\n{}", logs.join("\n"))
        })
    }
}

async fn endure(site: &Site, attack: Attack, acts: usize, seed: u64) -> Result<()> {
    let begun = std::time::Instant::now();
    let mut server = HostileServer::new(site, seed);
    let mut people = Vec::new();
    for name in ["Tachibana Aoi", "Kiyohara Ren", "Usami Shiori"] {
        people.push(Someone::start(&mut server, site, format!("{name} ({attack:?})")).await?);
    }
    let Ok(people) = <[Someone; 3]>::try_from(people) else {
        bail!("three were started");
    };
    let mut trio = Trio {
        server,
        people,
        texts: Vec::new(),
    };
    let keys = trio.people.each_ref().map(|one| one.key);
    for (one, other) in [(0, keys[1]), (1, keys[0])] {
        let follow = Command::Follow {
            person: other,
            follow: true,
        };
        trio.people[one].peer.ask(follow).await?;
    }
    trio.post("before the attack").await?;
    trio.meet().await.context("before the attack")?;
    let met = begun.elapsed();

    trio.server.set_attack(attack);
    // One stays, so that what the others said to it before is not new to it.
    for n in [1, 2] {
        trio.people[n].restart(site).await?;
    }
    trio.post("meanwhile").await?;
    until(&format!("{acts} acts"), ATTACK, async || {
        trio.look().await?;
        let lasted = begun.elapsed() >= met + MEANWHILE;
        Ok((lasted && trio.server.acts() >= acts).then_some(()))
    })
    .await?;
    let (attacked, done) = (begun.elapsed(), trio.server.acts());

    trio.server.set_attack(Attack::Nothing);
    if attack == Attack::Rewrite {
        // What it has said of the time holds for as long as the connection.
        trio.server.hang_up();
    }
    trio.post("afterwards").await?;
    trio.meet().await.context("after the attack")?;
    eprintln!(
        "{attack:?}: met after {met:?}, {done} acts until {attacked:?}, met again after {:?}",
        begun.elapsed()
    );
    nothing_leaked(site, &mut trio).await?;
    for one in &mut trio.people {
        let status = one.peer.stop().await?;
        ensure!(status.success(), "{} ended with {status}", one.name);
        let log = one.peer.process().whole_log()?;
        let log = String::from_utf8_lossy(&log);
        ensure!(!log.contains("panicked"), "{log}");
    }
    Ok(())
}

async fn nothing_leaked(site: &Site, trio: &mut Trio) -> Result<()> {
    let (mut told, mut keys) = (Vec::new(), Vec::new());
    told.extend(trio.texts.iter().map(|text| text.clone().into_bytes()));
    for one in &mut trio.people {
        told.push(one.name.clone().into_bytes());
        let Reply::Secret(secret) = one.peer.ask(Command::Secret).await? else {
            bail!("a secret key was asked for");
        };
        told.push(secret.nsec.into_bytes());
        keys.push(secret.npub.into_bytes());
        keys.push(one.key.to_bytes().to_vec());
    }
    let all = [told.clone(), keys].concat();
    let log = trio.server.log();
    ensure!(log.len() > 10_000, "the server has seen next to nothing");
    for log in [log, site.process().whole_log()?] {
        let leaks = find_leaks(&log, &all);
        ensure!(leaks.is_empty(), "the server has seen {leaks:?}");
    }
    // What is said to the server as if it were a stranger in the lobby holds who one is, and nothing else.
    for introduction in trio.server.opened() {
        let leaks = find_leaks(&serde_json::to_vec(&introduction)?, &told);
        ensure!(leaks.is_empty(), "the server was told {leaks:?}");
        let Body::Signal(
            PeerSignal::Offer(text)
            | PeerSignal::Answer(text)
            | PeerSignal::Candidate { candidate: text, .. },
        ) = introduction.body
        else {
            continue;
        };
        for line in text.lines().filter(|line| line.contains("candidate:")) {
            ensure!(
                line.contains(" typ relay") && !line.contains("raddr 127."),
                "the server was told an address: {line}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_with_a_hostile_signal_server() -> Result<()> {
    if !browser_is_here() {
        return Ok(());
    }
    let site = Site::start().await?;
    let mut server = HostileServer::new(&site, seed()?);
    let names = ["Tachibana Aoi (web)", "Kiyohara Ren (web)"];
    server.set_attack(Attack::Impersonate);
    let mut browsers = Vec::new();
    for (name, profile) in names.iter().zip(["aoi", "ren"]) {
        let browser = Browser::open_through(&server.door(profile).await?, &site, profile).await?;
        browser.sign_up(name).await?;
        browsers.push(browser);
    }
    for (attack, acts) in [
        (Attack::Impersonate, 8),
        (Attack::Rewrite, 5),
        (Attack::Replay, 15),
    ] {
        server.set_attack(attack);
        until(&format!("{acts} acts of {attack:?}"), ATTACK, async || {
            for (browser, other) in browsers.iter().zip(names.iter().rev()) {
                // Whoever is shown as connected is who they are.
                let rows = browser.peers().await?;
                let wrong = rows
                    .iter()
                    .find(|row| row.state == "live" && !row.text.contains(other));
                ensure!(
                    wrong.is_none(),
                    "{attack:?}: {} is connected to {wrong:?}",
                    browser.name()
                );
            }
            Ok((server.acts() >= acts).then_some(()))
        })
        .await?;
    }
    server.set_attack(Attack::Nothing);
    server.hang_up();
    let texts = ["from Aoi, afterwards", "from Ren, afterwards"];
    for (browser, text) in browsers.iter().zip(texts) {
        browser.close_panel().await?;
        browser.post(text).await?;
    }
    for (browser, (other, text)) in browsers.iter().zip(names.iter().zip(texts).rev()) {
        browser.wait_for_note(text).await?;
        let rows = browser.wait_for_live_peers(1).await?;
        ensure!(rows.iter().any(|row| row.text.contains(other)), "{rows:?}");
        let errors = browser.console_errors().await?;
        ensure!(
            !errors.iter().any(|error| error.contains("panicked")),
            "{errors:?}"
        );
    }
    let secrets = [&names[..], &texts[..]].concat();
    let secrets: Vec<Vec<u8>> = secrets.iter().map(|text| text.as_bytes().to_vec()).collect();
    let leaks = find_leaks(&server.log(), &secrets);
    ensure!(leaks.is_empty(), "the server has seen {leaks:?}");
    Ok(())
}
