//! Whom the TURN server relays to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which peer addresses may be reached through the relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    relay: IpAddr,
    reach: Reach,
}

/// How far the server's own address reaches: a relay must not be a way from outside into a network behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// This machine: development and tests.
    Loopback,
    /// A home or company network, which its clients are in as well.
    Private,
    /// The internet.
    Global,
}

/// Peers use ephemeral ports. Below are the services (DNS, NTP, SNMP) that a relay could be made to talk to.
const FIRST_PEER_PORT: u16 = 1024;

impl Policy {
    /// For a server that announces `relay` as its address.
    pub(crate) fn new(relay: IpAddr) -> Self {
        let relay = relay.to_canonical();
        Self {
            relay,
            reach: reach(relay).unwrap_or(Reach::Global),
        }
    }

    /// Whether datagrams may go to and come from `peer`.
    pub(crate) fn allows(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        peer.port() >= FIRST_PEER_PORT && (ip == self.relay || reach(ip).is_some_and(|it| self.sees(it)))
    }

    fn sees(&self, peer: Reach) -> bool {
        match self.reach {
            Reach::Loopback => peer == Reach::Loopback,
            Reach::Private => peer >= Reach::Private,
            Reach::Global => peer == Reach::Global,
        }
    }
}

/// Nothing for addresses that no peer can have: unspecified, multicast, link-local (where clouds keep their metadata
/// services), reserved.
fn reach(ip: IpAddr) -> Option<Reach> {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Option<Reach> {
    let [a, b, c, _] = ip.octets();
    if ip.is_loopback() {
        Some(Reach::Loopback)
    } else if ip.is_private() || (a == 100 && b & 0xC0 == 64) {
        // 100.64/10: carriers' and overlay networks' shared addresses.
        Some(Reach::Private)
    } else if a == 0 || a >= 224 || ip.is_link_local() || [a, b, c] == [192, 0, 0] {
        None
    } else {
        Some(Reach::Global)
    }
}

fn reach_v6(ip: Ipv6Addr) -> Option<Reach> {
    let first = ip.segments()[0];
    if ip.is_loopback() {
        Some(Reach::Loopback)
    } else if first & 0xFE00 == 0xFC00 {
        Some(Reach::Private)
    } else if first & 0xE000 == 0x2000 && first != 0x2002 {
        // 2000::/3 is all that is assigned; 2002::/16 (6to4) hides an IPv4 address in it.
        Some(Reach::Global)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(relay: &str, peer: &str) -> bool {
        Policy::new(relay.parse().unwrap()).allows(peer.parse().unwrap())
    }

    #[test]
    fn a_server_on_the_internet_is_no_way_into_its_network() {
        let relay = "203.0.113.1";
        for peer in ["198.51.100.1:50000", "203.0.113.1:50000", "[::ffff:8.8.8.8]:5000"] {
            assert!(allows(relay, peer), "{peer}");
        }
        for peer in [
            "127.0.0.1:50000",
            "10.0.0.1:50000",
            "172.16.0.1:50000",
            "192.168.1.1:50000",
            "100.64.0.1:50000",
            "169.254.169.254:8080",
            "0.0.0.0:50000",
            "224.0.0.1:50000",
            "255.255.255.255:50000",
            "8.8.8.8:53",
            "203.0.113.1:22",
            "[::1]:50000",
            "[fd00::1]:50000",
            "[fe80::1]:50000",
            "[::ffff:127.0.0.1]:50000",
            "[2002:7f00:1::]:50000",
            "[64:ff9b::7f00:1]:50000",
            "[ff02::1]:50000",
        ] {
            assert!(!allows(relay, peer), "{peer}");
        }
        assert!(allows("2001:db8::1", "[2001:db8:1::1]:50000"));
    }

    #[test]
    fn a_server_at_home_serves_its_network_and_the_internet() {
        for peer in ["192.168.1.7:50000", "8.8.8.8:50000"] {
            assert!(allows("192.168.1.1", peer), "{peer}");
        }
        for peer in ["127.0.0.1:50000", "169.254.169.254:50000", "192.168.1.7:53"] {
            assert!(!allows("192.168.1.1", peer), "{peer}");
        }
    }

    #[test]
    fn a_server_on_loopback_serves_loopback() {
        assert!(allows("127.0.0.1", "127.0.0.1:50000"));
        assert!(!allows("127.0.0.1", "192.168.1.7:50000"));
        assert!(!allows("127.0.0.1", "8.8.8.8:50000"));
    }
}
