//! What one client may cost, in one place.

use std::net::IpAddr;
use std::time::Duration;

use sazanami_core::signaling::{MAX_MESSAGE, MAX_TOPICS};

use crate::bucket::Rate;

/// Every limit of the signal server. [`Limits::for_listener`] gives the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// WebSocket connections in all. At about 7 KiB each when idle, 20,000 take 140 MiB.
    pub connections: usize,
    /// WebSocket connections from one address. 64 leaves room for an office or a carrier's shared address; on loopback
    /// everybody shares one address, and a benchmark opens 1,000.
    pub connections_per_address: usize,
    /// Plain HTTP connections at once. They are short, and WebSockets do not count.
    pub http_connections: usize,
    /// Hellos from one address: a hello costs a signature check (70 µs).
    pub hellos_per_address: Rate,
    /// `/turn` requests from one address: a peer asks once an hour, and each answer is a right to relay traffic.
    pub turn_per_address: Rate,
    /// Messages from one connection. Meeting a full sample of 16 peers takes about 16 messages for each, at once.
    pub messages: Rate,
    /// Bytes from one connection. 16 sealed offers and their candidates take about 160 KiB.
    pub bytes: Rate,
    /// How much nonsense a connection may send: a garbage frame costs [`Self::GARBAGE_COST`], a frame above the rate
    /// costs 1, and at nothing left the connection closes. Honest clients send neither.
    pub patience: Rate,
    /// Topics of one connection.
    pub topics: usize,
    /// Time for the hello: a client answers the challenge as soon as it has it.
    pub hello_timeout: Duration,
    /// Time without any frame; clients ping more often than that.
    pub idle_timeout: Duration,
    /// Time that one write to a client may take before it counts as gone.
    pub write_timeout: Duration,
    /// Messages that wait for one slow reader; one more and it is dropped.
    pub queue_messages: usize,
    /// Bytes that wait for one slow reader; more and it is dropped. So the queues of all connections are bounded too.
    pub queue_bytes: usize,
    /// Relayed allocations of one client address on the embedded TURN server, one socket each. A peer with 12 links on
    /// two network interfaces takes 24, and a browser as many again by TCP.
    pub allocations_per_address: usize,
    /// The same of one credential. A peer asks for one credential and uses it for all its links.
    pub allocations_per_credential: usize,
    /// TCP connections to the embedded TURN in all, each with one allocation at most.
    pub turn_streams: usize,
    /// The same from one address.
    pub turn_streams_per_address: usize,
    /// Bytes that the embedded TURN relays for one credential, both ways. What is above is dropped, which congestion
    /// control takes as a slower path.
    pub turn_bytes_per_credential: Rate,
    /// Allocate and refresh requests of one address. The `turn` crate remembers a nonce for each that it cannot
    /// authenticate and forgets none, so their number must be bounded; a peer sends two per allocation.
    pub turn_requests_per_address: Rate,
    /// The same from everybody together, since a sender of UDP can write any address as its own.
    pub turn_requests: Rate,
}

impl Limits {
    /// What a garbage frame costs of [`Limits::patience`].
    pub const GARBAGE_COST: f64 = 5.0;

    /// The defaults for a server that listens on `ip`.
    pub fn for_listener(ip: IpAddr) -> Self {
        if ip.is_loopback() {
            Self::loopback()
        } else {
            Self::public()
        }
    }

    fn public() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 64,
            http_connections: 4_096,
            hellos_per_address: Rate::new(128.0, 4.0),
            turn_per_address: Rate::new(60.0, 0.5),
            messages: Rate::new(400.0, 50.0),
            bytes: Rate::new(1024.0 * 1024.0, 64.0 * 1024.0),
            patience: Rate::new(100.0, 1.0),
            topics: MAX_TOPICS,
            hello_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(10),
            queue_messages: 256,
            queue_bytes: 8 * MAX_MESSAGE,
            allocations_per_address: 128,
            allocations_per_credential: 64,
            turn_streams: 2_048,
            turn_streams_per_address: 64,
            turn_bytes_per_credential: Rate::new(16.0 * 1024.0 * 1024.0, 2.0 * 1024.0 * 1024.0),
            turn_requests_per_address: Rate::new(512.0, 16.0),
            turn_requests: Rate::new(8_192.0, 256.0),
        }
    }

    /// Tests and benchmarks run many peers on one machine, and a reverse proxy hides many behind one address.
    fn loopback() -> Self {
        Self {
            connections_per_address: 2_000,
            hellos_per_address: Rate::new(4_000.0, 500.0),
            turn_per_address: Rate::new(4_000.0, 500.0),
            allocations_per_address: 4_000,
            turn_streams_per_address: 2_000,
            turn_bytes_per_credential: Rate::new(f64::MAX, f64::MAX),
            ..Self::public()
        }
    }
}
