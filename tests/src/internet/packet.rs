//! The part of an IPv4 packet that address translation changes.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Transport protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// An unfragmented TCP or UDP packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    pub(super) protocol: Protocol,
    /// Where TCP or UDP begins.
    body: usize,
}

/// Which end of a packet.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

impl Packet {
    /// `None` for anything else, which this internet does not carry.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let first = *bytes.first()?;
        let body = usize::from(first & 0x0F) * 4;
        let protocol = match bytes.get(9)? {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            _ => return None,
        };
        let least = match protocol {
            Protocol::Tcp => 20,
            Protocol::Udp => 8,
        };
        // More fragments to come, or not the first one.
        let fragment = u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3FFF != 0;
        let fits = first >> 4 == 4 && body >= 20 && bytes.len() >= body + least;
        (fits && !fragment).then_some(Self {
            bytes,
            protocol,
            body,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn source(&self) -> SocketAddrV4 {
        self.end(End::Source)
    }

    pub(super) fn destination(&self) -> SocketAddrV4 {
        self.end(End::Destination)
    }

    pub(super) fn set_source(&mut self, address: SocketAddrV4) {
        self.set_end(End::Source, address);
    }

    pub(super) fn set_destination(&mut self, address: SocketAddrV4) {
        self.set_end(End::Destination, address);
    }

    /// Where address and port of an end stand.
    fn places(&self, end: End) -> (usize, usize) {
        match end {
            End::Source => (12, self.body),
            End::Destination => (16, self.body + 2),
        }
    }

    fn end(&self, end: End) -> SocketAddrV4 {
        let (ip, port) = self.places(end);
        let b = &self.bytes;
        SocketAddrV4::new(
            Ipv4Addr::new(b[ip], b[ip + 1], b[ip + 2], b[ip + 3]),
            u16::from_be_bytes([b[port], b[port + 1]]),
        )
    }

    fn set_end(&mut self, end: End, address: SocketAddrV4) {
        let (ip, port) = self.places(end);
        let octets = address.ip().octets();
        for (place, word, in_header) in [
            (ip, [octets[0], octets[1]], true),
            (ip + 2, [octets[2], octets[3]], true),
            (port, address.port().to_be_bytes(), false),
        ] {
            let old = u16::from_be_bytes([self.bytes[place], self.bytes[place + 1]]);
            let new = u16::from_be_bytes(word);
            self.bytes[place..place + 2].copy_from_slice(&word);
            if in_header {
                self.update_checksum(10, old, new);
            }
            // TCP's and UDP's checksum covers the addresses too; UDP may go without.
            match self.protocol {
                Protocol::Tcp => self.update_checksum(self.body + 16, old, new),
                Protocol::Udp if self.bytes[self.body + 6..self.body + 8] != [0, 0] => {
                    self.update_checksum(self.body + 6, old, new);
                }
                Protocol::Udp => {}
            }
        }
    }

    /// RFC 1624, equation 3.
    fn update_checksum(&mut self, place: usize, old: u16, new: u16) {
        let sum = u16::from_be_bytes([self.bytes[place], self.bytes[place + 1]]);
        let mut sum = u32::from(!sum) + u32::from(!old) + u32::from(new);
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).expect("folded into 16 bits");
        self.bytes[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One's complement sum over 16-bit words.
    fn sum(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    fn transport_sum(packet: &Packet) -> u16 {
        let segment = &packet.bytes[packet.body..];
        let mut pseudo = packet.bytes[12..20].to_vec();
        pseudo.extend([0, packet.bytes[9]]);
        pseudo.extend(u16::try_from(segment.len()).unwrap().to_be_bytes());
        pseudo.extend(segment);
        sum(&pseudo)
    }

    /// A packet with right checksums.
    pub(in super::super) fn packet(protocol: Protocol, from: &str, to: &str) -> Packet {
        let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 0, 0, 0];
        bytes[9] = if protocol == Protocol::Tcp { 6 } else { 17 };
        bytes.extend(from.ip().octets());
        bytes.extend(to.ip().octets());
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        bytes.extend([0; 16]);
        bytes.extend(b"ripple");
        let header = !sum(&bytes[..20]);
        bytes[10..12].copy_from_slice(&header.to_be_bytes());
        let mut packet = Packet::parse(bytes).unwrap();
        let sum = !transport_sum(&packet);
        let at = packet.body + if protocol == Protocol::Tcp { 16 } else { 6 };
        packet.bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    #[test]
    fn rewritten_packets_have_right_checksums() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut packet = packet(protocol, "10.0.1.2:5000", "198.18.0.2:3478");
            packet.set_source("198.18.1.1:30001".parse().unwrap());
            packet.set_destination("203.0.113.255:65535".parse().unwrap());
            assert_eq!(packet.source().to_string(), "198.18.1.1:30001");
            assert_eq!(packet.destination().to_string(), "203.0.113.255:65535");
            assert_eq!(sum(&packet.bytes[..20]), 0xFFFF);
            assert_eq!(transport_sum(&packet), 0xFFFF);
        }
    }

    #[test]
    fn what_is_not_carried_is_not_read() {
        let whole = packet(Protocol::Udp, "10.0.1.2:5000", "198.18.0.2:3478").bytes;
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            bytes
        };
        for bad in [
            Vec::new(),
            whole[..19].to_vec(),
            whole[..27].to_vec(),
            changed(0, 0x65),
            changed(0, 0x41),
            changed(6, 0x20),
            changed(9, 1),
        ] {
            assert!(Packet::parse(bad.clone()).is_none(), "{bad:?}");
        }
    }
}
