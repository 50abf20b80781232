//! An internet of network namespaces in one process: real packets of real programs, through routers of our own.
//!
//! Every [`Host`] is a namespace whose only way out is a TUN device. Its packets come here, go through the host's line
//! ([`Quality`]) and its address translation ([`NatKind`]), and out again at another host's device. So a kernel needs
//! neither `netem` nor a NAT module, and the kinds of translation are exactly what their names say.
//!
//! It is made inside a namespace of its own ([`enter`]): the machine's network is left alone, and everything is gone when
//! the process ends. There the harness is a host too, by which it reaches the others past all lines and translations.

mod line;
mod nat;
mod packet;

use std::collections::{BTreeMap, BinaryHeap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tun_rs::{DeviceBuilder, SyncDevice};

pub use line::Quality;
pub use nat::NatKind;

use line::Line;
use nat::Nat;
use packet::{Packet, Protocol};

/// Says to a program that it is in a namespace of its own.
const ENTERED: &str = "SAZANAMI_IN_NAMESPACE";
/// The harness's address.
const HARNESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The range for benchmarks (RFC 2544), which TURN servers take for public.
const RANGE: &str = "198.18.0.0/15";
/// Packets that wait for the router; more are dropped.
const MAX_QUEUE: usize = 4_096;
const MTU: usize = 1_500;
/// Whether the router looks for its end.
const LOOK: Duration = Duration::from_millis(200);

/// Why there can be no namespaces here, if so.
pub fn unavailable() -> Option<String> {
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun".to_owned());
    }
    let tried = unshared()
        .args(["ip", "netns", "add", "probe"])
        .stdin(Stdio::null())
        .output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// A command, to be completed, in a network and a mount namespace of its own. Names of namespaces are files: they too
/// are its own, and gone with it.
fn unshared() -> Command {
    let prepare = "mkdir -p /run/netns && mount -t tmpfs none /run/netns && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", prepare, "sh"]);
    command
}

/// Replaces this process by itself in a network and a mount namespace of its own, unless it is there already.
///
/// # Errors
/// When that is not allowed.
pub fn enter() -> Result<()> {
    if std::env::var_os(ENTERED).is_none() {
        let program = std::env::current_exe()?;
        let error = unshared()
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(ENTERED, "1")
            .exec();
        return Err(error).context("unshare");
    }
    ip(&["link", "set", "lo", "up"])
}

/// A network of hosts. Dropping it ends the router; the hosts' programs must have ended before.
pub struct Internet {
    shared: Arc<Shared>,
    queue: SyncSender<(usize, Vec<u8>)>,
}

struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    routers: Vec<Router>,
    rng: StdRng,
    ended: bool,
}

/// What stands between a host and the others.
struct Router {
    device: Arc<SyncDevice>,
    inside: Ipv4Addr,
    nat: Option<Nat>,
    up: Line,
    down: Line,
    udp_blocked: bool,
    /// UDP packets that the host has sent, by where to.
    sent_udp: BTreeMap<SocketAddrV4, usize>,
}

impl Router {
    fn outside(&self) -> Ipv4Addr {
        self.nat.as_ref().map_or(self.inside, |nat| nat.outside)
    }
}

/// A namespace with programs in it.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    number: usize,
    namespace: String,
    inside: Ipv4Addr,
}

impl Internet {
    /// An internet with the harness alone.
    ///
    /// # Errors
    /// When this process is not allowed to make devices; see [`enter`].
    pub fn new() -> Result<Self> {
        ensure!(
            std::env::var_os(ENTERED).is_some(),
            "not in a network namespace of its own"
        );
        let (queue, packets) = sync_channel(MAX_QUEUE);
        let internet = Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    routers: Vec::new(),
                    rng: StdRng::seed_from_u64(20_260_401),
                    ended: false,
                }),
            }),
            queue,
        };
        let (number, device) = internet.attach(HARNESS, None)?;
        ip(&["addr", "add", &format!("{HARNESS}/32"), "dev", &device])?;
        ip(&["link", "set", &device, "up"])?;
        for range in [RANGE, "10.0.0.0/8"] {
            ip(&["route", "add", range, "dev", &device])?;
        }
        internet.read(number)?;
        let shared = Arc::clone(&internet.shared);
        std::thread::Builder::new()
            .name("router".to_owned())
            .spawn(move || route(&shared, &packets))?;
        Ok(internet)
    }

    /// A host with a public address (`198.18.0.x`), or one behind a router that translates.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn host(&self, nat: Option<NatKind>) -> Result<Host> {
        let number = self.shared.state().routers.len();
        let last = u8::try_from(number + 1).context("too many hosts")?;
        let public = Ipv4Addr::new(198, 18, 0, last);
        let (inside, nat) = match nat {
            None => (public, None),
            Some(kind) => (Ipv4Addr::new(10, 0, last, 2), Some(Nat::new(kind, public))),
        };
        let (number, device) = self.attach(inside, nat)?;
        let namespace = format!("host{number}");
        ip(&["netns", "add", &namespace])?;
        ip(&["link", "set", &device, "netns", &namespace])?;
        let host = Host {
            shared: Arc::clone(&self.shared),
            number,
            namespace,
            inside,
        };
        host.ip(&["link", "set", "lo", "up"])?;
        host.ip(&["addr", "add", &format!("{inside}/24"), "dev", &device])?;
        host.ip(&["link", "set", &device, "up"])?;
        host.ip(&["route", "add", "default", "dev", &device])?;
        self.read(number)?;
        Ok(host)
    }

    /// A device for a host, and the host's number.
    fn attach(&self, inside: Ipv4Addr, nat: Option<Nat>) -> Result<(usize, String)> {
        let mut state = self.shared.state();
        let number = state.routers.len();
        let name = format!("tun{number}");
        let device = DeviceBuilder::new()
            .name(name.as_str())
            .inherit_enable_state()
            .build_sync()
            .context("a TUN device")?;
        state.routers.push(Router {
            device: Arc::new(device),
            inside,
            nat,
            up: Line::default(),
            down: Line::default(),
            udp_blocked: false,
            sent_udp: BTreeMap::new(),
        });
        Ok((number, name))
    }

    /// Hands what a host sends to the router.
    fn read(&self, number: usize) -> Result<()> {
        let device = Arc::clone(&self.shared.state().routers[number].device);
        let queue = self.queue.clone();
        std::thread::Builder::new()
            .name(format!("tun{number}"))
            .spawn(move || {
                let mut buffer = vec![0; MTU + 100];
                // Ends with the device, or with the router.
                while let Ok(length) = device.recv(&mut buffer) {
                    match queue.try_send((number, buffer[..length].to_vec())) {
                        Ok(()) | Err(std::sync::mpsc::TrySendError::Full(_)) => {}
                        Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return,
                    }
                }
            })?;
        Ok(())
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        for number in 0..state.routers.len() {
            // A device ends its reader when it goes. Hosts take theirs with them.
            let _ = match number {
                0 => ip(&["link", "del", "tun0"]),
                _ => ip(&["netns", "del", &format!("host{number}")]),
            };
        }
    }
}

impl Host {
    /// Its own address, which the harness reaches whatever stands between.
    pub fn address(&self) -> Ipv4Addr {
        self.inside
    }

    /// A program that runs there.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program)
            .env("no_proxy", "*");
        command
    }

    /// Changes its line.
    pub fn set_quality(&self, quality: Quality) {
        let mut state = self.shared.state();
        let router = &mut state.routers[self.number];
        (router.up.quality, router.down.quality) = (quality, quality);
    }

    /// Whether its router drops all UDP.
    pub fn block_udp(&self, blocked: bool) {
        self.shared.state().routers[self.number].udp_blocked = blocked;
    }

    /// How many UDP packets it has sent, by where to.
    pub fn sent_udp(&self) -> BTreeMap<SocketAddrV4, usize> {
        self.shared.state().routers[self.number].sent_udp.clone()
    }

    /// Moves it into another network, as from Wi-Fi to a phone's: other addresses inside and outside, the same kind of
    /// translation.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn move_away(&mut self) -> Result<()> {
        let device = format!("tun{}", self.number);
        let last = u8::try_from(self.number + 1).context("too many hosts")?;
        let mut state = self.shared.state();
        let router = &mut state.routers[self.number];
        let [_, _, third, _] = router.outside().octets();
        let outside = Ipv4Addr::new(198, 18, third + 1, last);
        let inside = match &mut router.nat {
            Some(nat) => {
                nat.move_to(outside);
                Ipv4Addr::new(10, 1 + third, last, 2)
            }
            None => outside,
        };
        router.inside = inside;
        drop(state);
        self.ip(&["addr", "flush", "dev", &device])?;
        self.ip(&["addr", "add", &format!("{inside}/24"), "dev", &device])?;
        // It went with the address.
        let _ = self.ip(&["route", "add", "default", "dev", &device]);
        self.inside = inside;
        Ok(())
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.namespace], arguments].concat())
    }
}

/// Runs `ip` (iproute2).
fn ip(arguments: &[&str]) -> Result<()> {
    let run = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("ip")?;
    ensure!(
        run.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&run.stderr).trim()
    );
    Ok(())
}

/// A program on the search path.
///
/// # Errors
/// When it is not there.
pub fn installed(name: &str) -> Result<PathBuf> {
    crate::paths::on_path(&[name]).with_context(|| format!("{name} is missing (./test installs it)"))
}

/// A packet under way.
struct UnderWay {
    due: Instant,
    number: u64,
    /// The host to whose line it has come; before that, on the line of the one that sent it.
    to: Option<usize>,
    packet: Packet,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

fn route(shared: &Shared, packets: &Receiver<(usize, Vec<u8>)>) {
    let mut under_way = BinaryHeap::new();
    let mut number = 0;
    loop {
        let now = Instant::now();
        let due = under_way.peek().map(|next: &UnderWay| next.due - now);
        let arrived = match packets.recv_timeout(due.unwrap_or(LOOK).min(LOOK)) {
            Ok(arrived) => Some(arrived),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut state = shared.state();
        if state.ended {
            return;
        }
        let now = Instant::now();
        if let Some((from, bytes)) = arrived
            && let Some(packet) = Packet::parse(bytes)
            && let Some((due, packet)) = state.leave(from, packet, now)
        {
            number += 1;
            under_way.push(UnderWay {
                due,
                number,
                to: None,
                packet,
            });
        }
        while under_way.peek().is_some_and(|next| next.due <= now) {
            let Some(next) = under_way.pop() else { break };
            match next.to {
                Some(to) => state.deliver(to, next.packet),
                None => {
                    if let Some((due, to)) = state.cross(&next.packet, now) {
                        under_way.push(UnderWay {
                            due,
                            to: Some(to),
                            ..next
                        });
                    }
                }
            }
        }
    }
}

impl State {
    /// A packet leaves its host: translated, and onto its line.
    fn leave(&mut self, from: usize, mut packet: Packet, now: Instant) -> Option<(Instant, Packet)> {
        if packet.protocol == Protocol::Udp {
            let sent = &mut self.routers.get_mut(from)?.sent_udp;
            *sent.entry(packet.destination()).or_default() += 1;
        }
        // The harness and what answers it go past everything.
        if from == 0 {
            let to = *packet.destination().ip();
            let to = self.routers.iter().position(|router| router.inside == to)?;
            self.write(to, &packet);
            return None;
        }
        if *packet.destination().ip() == HARNESS {
            self.write(0, &packet);
            return None;
        }
        let router = self.routers.get_mut(from)?;
        if packet.protocol == Protocol::Udp && router.udp_blocked {
            return None;
        }
        match &mut router.nat {
            Some(nat) if *packet.source().ip() == router.inside => nat.outward(&mut packet),
            // What still bears an address that the host has left.
            _ if *packet.source().ip() != router.inside => return None,
            _ => {}
        }
        let due = router.up.carry(packet.bytes().len(), now, &mut self.rng)?;
        Some((due, packet))
    }

    /// A packet comes to the line of the host that it is for.
    fn cross(&mut self, packet: &Packet, now: Instant) -> Option<(Instant, usize)> {
        let to = *packet.destination().ip();
        let number = self.routers.iter().position(|router| router.outside() == to)?;
        let router = &mut self.routers[number];
        if packet.protocol == Protocol::Udp && router.udp_blocked {
            return None;
        }
        let due = router.down.carry(packet.bytes().len(), now, &mut self.rng)?;
        Some((due, number))
    }

    fn deliver(&self, to: usize, mut packet: Packet) {
        let admitted = match &self.routers[to].nat {
            Some(nat) => nat.inward(&mut packet),
            None => true,
        };
        if admitted {
            self.write(to, &packet);
        }
    }

    fn write(&self, to: usize, packet: &Packet) {
        // A device whose queue is full loses packets, as in life.
        let _ = self.routers[to].device.send(packet.bytes());
    }
}
