//! Address translation, of the kinds that decide whether two peers find a direct path (RFC 4787 §4 and §5).

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::packet::{Packet, Protocol};

/// How a router translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// One port outside for one inside, and everybody is let in (endpoint-independent mapping and filtering).
    FullCone,
    /// One port outside for one inside; let in is who was sent to, at that port (address and port-dependent filtering).
    PortRestricted,
    /// Another port outside for every destination, which alone is let in (address and port-dependent mapping).
    Symmetric,
}

/// The first port that is given out.
const FIRST_PORT: u16 = 30_000;

pub(super) struct Nat {
    kind: NatKind,
    pub(super) outside: Ipv4Addr,
    next: u16,
    ports: HashMap<(Protocol, SocketAddrV4, Option<SocketAddrV4>), u16>,
    mappings: HashMap<(Protocol, u16), Mapping>,
}

struct Mapping {
    inside: SocketAddrV4,
    sent_to: HashSet<SocketAddrV4>,
}

impl Nat {
    pub(super) fn new(kind: NatKind, outside: Ipv4Addr) -> Self {
        Self {
            kind,
            outside,
            next: FIRST_PORT,
            ports: HashMap::new(),
            mappings: HashMap::new(),
        }
    }

    /// Another address outside: what was mapped is gone.
    pub(super) fn move_to(&mut self, outside: Ipv4Addr) {
        // Ports go on, so that no old packet finds a new mapping.
        let next = self.next;
        *self = Self::new(self.kind, outside);
        self.next = next;
    }

    /// A packet on its way out.
    pub(super) fn outward(&mut self, packet: &mut Packet) {
        let (inside, remote) = (packet.source(), packet.destination());
        let key = (
            packet.protocol,
            inside,
            (self.kind == NatKind::Symmetric).then_some(remote),
        );
        let port = *self.ports.entry(key).or_insert_with(|| {
            let port = self.next;
            self.next = self.next.checked_add(1).unwrap_or(FIRST_PORT);
            port
        });
        let mapping = self
            .mappings
            .entry((packet.protocol, port))
            .or_insert_with(|| Mapping {
                inside,
                sent_to: HashSet::new(),
            });
        mapping.sent_to.insert(remote);
        packet.set_source(SocketAddrV4::new(self.outside, port));
    }

    /// A packet that came to the address outside; false when it is not let in.
    pub(super) fn inward(&self, packet: &mut Packet) -> bool {
        let key = (packet.protocol, packet.destination().port());
        let Some(mapping) = self.mappings.get(&key) else {
            return false;
        };
        let admitted = self.kind == NatKind::FullCone || mapping.sent_to.contains(&packet.source());
        if admitted {
            packet.set_destination(mapping.inside);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::packet;
    use super::*;

    const INSIDE: &str = "10.0.1.2:5000";
    const ASKED: &str = "198.18.0.2:3478";
    const OTHER: &str = "198.18.2.1:6000";
    const OTHER_PORT: &str = "198.18.0.2:3479";

    fn out(nat: &mut Nat, to: &str) -> SocketAddrV4 {
        let mut packet = packet(Protocol::Udp, INSIDE, to);
        nat.outward(&mut packet);
        assert_eq!(packet.destination().to_string(), to);
        packet.source()
    }

    fn gets_in(nat: &Nat, from: &str, to: SocketAddrV4) -> bool {
        let mut packet = packet(Protocol::Udp, from, &to.to_string());
        let admitted = nat.inward(&mut packet);
        assert_eq!(admitted, packet.destination().to_string() == INSIDE);
        admitted
    }

    #[test]
    fn each_kind_maps_and_filters_as_its_name_says() {
        let outside = Ipv4Addr::new(198, 18, 1, 1);
        for (kind, same_port, others_get_in) in [
            (NatKind::FullCone, true, true),
            (NatKind::PortRestricted, true, false),
            (NatKind::Symmetric, false, false),
        ] {
            let mut nat = Nat::new(kind, outside);
            let port = out(&mut nat, ASKED);
            assert_eq!(*port.ip(), outside);
            assert_eq!(out(&mut nat, ASKED), port, "{kind:?}: a mapping lasts");
            assert!(gets_in(&nat, ASKED, port), "{kind:?}: who was asked may answer");
            assert_eq!(gets_in(&nat, OTHER, port), others_get_in, "{kind:?}");
            assert_eq!(gets_in(&nat, OTHER_PORT, port), others_get_in, "{kind:?}");
            let other = out(&mut nat, OTHER);
            assert_eq!(other == port, same_port, "{kind:?}");
            assert!(gets_in(&nat, OTHER, other));
            assert_eq!(gets_in(&nat, ASKED, other), same_port, "{kind:?}");
            let unused = SocketAddrV4::new(outside, 40_000);
            assert!(!gets_in(&nat, ASKED, unused));
            nat.move_to(Ipv4Addr::new(198, 18, 1, 9));
            assert!(!gets_in(&nat, ASKED, port), "{kind:?}: moving forgets");
        }
    }
}
