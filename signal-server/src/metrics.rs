//! What the server counts, and how it tells it: Prometheus' text format, version 0.0.4.
//!
//! Written by hand: two dozen numbers need no registry. Nothing here tells of anybody: no addresses, sessions or topics.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit that something ran into; [`crate::Limits`] says how high each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections in all.
    Connections,
    /// Connections of one address.
    ConnectionsPerAddress,
    /// Plain HTTP connections at once.
    HttpConnections,
    /// Hellos of one address.
    HellosPerAddress,
    /// `/turn` requests of one address.
    TurnPerAddress,
    /// Messages of one connection.
    Messages,
    /// Bytes of one connection.
    Bytes,
    /// The size of a message.
    MessageSize,
    /// Nonsense from one connection.
    Patience,
    /// Topics of one connection.
    Topics,
    /// Time for the hello.
    HelloTimeout,
    /// Time without a frame.
    IdleTimeout,
    /// Time for a write.
    WriteTimeout,
    /// What waits for a slow reader.
    Queue,
    /// Allocate and refresh requests to the embedded TURN.
    TurnRequests,
    /// TURN allocations of one address.
    AllocationsPerAddress,
    /// TURN allocations of one credential.
    AllocationsPerCredential,
    /// Bytes relayed for one TURN credential.
    TurnBytesPerCredential,
    /// TCP connections to the embedded TURN.
    TurnStreams,
    /// TCP connections to the embedded TURN of one address.
    TurnStreamsPerAddress,
    /// Messages that wait for NATS.
    ClusterQueue,
}

impl Limit {
    const ALL: [Self; 21] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::HttpConnections,
        Self::HellosPerAddress,
        Self::TurnPerAddress,
        Self::Messages,
        Self::Bytes,
        Self::MessageSize,
        Self::Patience,
        Self::Topics,
        Self::HelloTimeout,
        Self::IdleTimeout,
        Self::WriteTimeout,
        Self::Queue,
        Self::TurnRequests,
        Self::AllocationsPerAddress,
        Self::AllocationsPerCredential,
        Self::TurnBytesPerCredential,
        Self::TurnStreams,
        Self::TurnStreamsPerAddress,
        Self::ClusterQueue,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::HttpConnections => "http_connections",
            Self::HellosPerAddress => "hellos_per_address",
            Self::TurnPerAddress => "turn_per_address",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::MessageSize => "message_size",
            Self::Patience => "patience",
            Self::Topics => "topics",
            Self::HelloTimeout => "hello_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Queue => "queue",
            Self::TurnRequests => "turn_requests",
            Self::AllocationsPerAddress => "allocations_per_address",
            Self::AllocationsPerCredential => "allocations_per_credential",
            Self::TurnBytesPerCredential => "turn_bytes_per_credential",
            Self::TurnStreams => "turn_streams",
            Self::TurnStreamsPerAddress => "turn_streams_per_address",
            Self::ClusterQueue => "cluster_queue",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that one server counts.
#[derive(Debug, Default)]
pub struct Metrics {
    struck: [Counter; Limit::ALL.len()],
    /// Connections ever opened.
    pub opened: Counter,
    /// Relayed messages.
    pub relayed_messages: Counter,
    /// Bytes of their sealed content.
    pub relayed_bytes: Counter,
    /// Relays whose receiver was not there.
    pub unreachable: Counter,
    /// Messages that were thrown away with the queues of slow readers.
    pub queue_dropped: Counter,
    /// Messages from other servers.
    pub cluster_received: Counter,
    /// Those of them that were no message of this protocol.
    pub cluster_malformed: Counter,
    /// TURN allocations ever made.
    pub turn_allocations: Counter,
    /// TURN allocations that have ended.
    pub turn_ended: Counter,
    /// TCP connections to the embedded TURN ever made.
    pub turn_streams: Counter,
    /// TCP connections to the embedded TURN that have ended.
    pub turn_streams_ended: Counter,
    /// Bytes relayed by the embedded TURN, both ways.
    pub turn_bytes: Counter,
}

/// What is counted by looking: gauges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) connections: usize,
    pub(crate) topics: usize,
    /// Other servers heard of through NATS; nothing without NATS.
    pub(crate) cluster_servers: Option<usize>,
    pub(crate) ready: bool,
}

impl Metrics {
    pub(crate) fn strike(&self, limit: Limit) {
        self.struck[limit as usize].add(1);
    }

    pub(crate) fn relayed(&self, bytes: u64) {
        self.relayed_messages.add(1);
        self.relayed_bytes.add(bytes);
    }

    /// How often something ran into `limit`.
    pub fn struck(&self, limit: Limit) -> u64 {
        self.struck[limit as usize].get()
    }

    pub(crate) fn text(&self, gauges: Gauges) -> String {
        let mut text = String::with_capacity(4096);
        let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = write!(
                text,
                "# HELP sazanami_{name} {help}\n# TYPE sazanami_{name} {kind}\nsazanami_{name} {value}\n"
            );
        };
        metric("ready", "gauge", "Whether /readyz says yes.", gauges.ready.into());
        metric(
            "connections",
            "gauge",
            "Open WebSocket connections.",
            gauges.connections as u64,
        );
        metric(
            "topics",
            "gauge",
            "Topics that somebody is in.",
            gauges.topics as u64,
        );
        if let Some(servers) = gauges.cluster_servers {
            metric(
                "cluster_servers",
                "gauge",
                "Other servers heard of through NATS.",
                servers as u64,
            );
        }
        let ended = self.turn_ended.get();
        metric(
            "turn_allocations",
            "gauge",
            "Allocations of the embedded TURN.",
            self.turn_allocations.get().saturating_sub(ended),
        );
        let ended = self.turn_streams_ended.get();
        metric(
            "turn_streams",
            "gauge",
            "TCP connections to the embedded TURN.",
            self.turn_streams.get().saturating_sub(ended),
        );
        for (name, help, counter) in [
            (
                "connections_opened_total",
                "WebSocket connections ever opened.",
                &self.opened,
            ),
            (
                "relayed_messages_total",
                "Messages relayed.",
                &self.relayed_messages,
            ),
            (
                "relayed_bytes_total",
                "Bytes of sealed content relayed.",
                &self.relayed_bytes,
            ),
            (
                "unreachable_total",
                "Relays whose receiver was not there.",
                &self.unreachable,
            ),
            (
                "queue_dropped_messages_total",
                "Messages thrown away with the queues of slow readers.",
                &self.queue_dropped,
            ),
            (
                "cluster_received_total",
                "Messages from other servers.",
                &self.cluster_received,
            ),
            (
                "cluster_malformed_total",
                "Messages from NATS that are none of this protocol.",
                &self.cluster_malformed,
            ),
            (
                "turn_allocations_opened_total",
                "Allocations of the embedded TURN ever made.",
                &self.turn_allocations,
            ),
            (
                "turn_relayed_bytes_total",
                "Bytes relayed by the embedded TURN, both ways.",
                &self.turn_bytes,
            ),
        ] {
            metric(name, "counter", help, counter.get());
        }
        text.push_str(
            "# HELP sazanami_limit_struck_total How often something ran into a limit.\n\
             # TYPE sazanami_limit_struck_total counter\n",
        );
        for limit in Limit::ALL {
            let (name, struck) = (limit.name(), self.struck(limit));
            let _ = writeln!(text, "sazanami_limit_struck_total{{limit=\"{name}\"}} {struck}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_place_and_a_name_of_its_own() {
        let metrics = Metrics::default();
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place);
            (0..=place).for_each(|_| metrics.strike(limit));
        }
        let text = metrics.text(Gauges::default());
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            let line = format!(
                "sazanami_limit_struck_total{{limit=\"{}\"}} {}\n",
                limit.name(),
                place + 1
            );
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
    }
}
