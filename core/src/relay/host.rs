//! What an address may cost, over all of its connections and for a while after the last one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use nostr::prelude::Event;

use crate::sync::limits::{
    Bucket, EFFORT, LIVE_BYTES, LIVE_EVENTS, MESSAGES, Offence, PUBLISHED_BYTES, RECONCILE_BYTES,
    RECONCILE_MESSAGES, RECONCILIATIONS, SERVED_BYTES, Score, TOO_MANY,
};
use crate::time::Millis;

/// Connections of one address.
const MAX_CLIENTS: usize = 32;
/// Addresses that are known; some 300 bytes each.
const MAX_HOSTS: usize = 4_096;

/// Who counts as one: an IPv4 address, or the /64 of an IPv6 address, since whoever has one address of a /64 has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostAddress(IpAddr);

impl From<IpAddr> for HostAddress {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))))
            }
            ip => Self(ip),
        }
    }
}

/// What an address has used of its limits.
#[derive(Debug, Default)]
pub struct Host {
    clients: usize,
    score: Score,
    live: Bucket,
    live_bytes: Bucket,
    published: Bucket,
    messages: Bucket,
    effort: Bucket,
    served: Bucket,
    opens: Bucket,
    reconcile: Bucket,
    reconcile_bytes: Bucket,
}

impl Host {
    /// Notes something that an honest client does rarely.
    pub fn offend(&mut self, offence: Offence, now: Millis) {
        self.score.add(offence, 1, now);
    }

    /// Whether there was so much of it that no connection is kept.
    pub fn is_banned(&self, now: Millis) -> bool {
        self.score.points(now) >= TOO_MANY
    }

    /// Whether a message that is no event may be answered.
    pub(super) fn asks(&mut self, now: Millis) -> bool {
        let asks = self.messages.take(MESSAGES, 1, now);
        if !asks {
            self.offend(Offence::Messages, now);
        }
        asks
    }

    /// Whether an event may be taken in: a new one at the rate of a peer's, history as much as a peer is sent.
    pub(super) fn publishes(&mut self, event: &Event, fresh: bool, now: Millis) -> bool {
        let bytes = size(event);
        if !fresh {
            return self.published.take(PUBLISHED_BYTES, bytes, now);
        }
        let takes = self.live.take(LIVE_EVENTS, 1, now) && self.live_bytes.take(LIVE_BYTES, bytes, now);
        if !takes {
            self.offend(Offence::Flood, now);
        }
        takes
    }

    /// Whether anything may be looked for.
    pub(super) fn looks(&mut self, now: Millis) -> bool {
        self.effort.take(EFFORT, 1, now)
    }

    /// It was looked for so long.
    pub(super) fn looked(&mut self, rows: usize, now: Millis) {
        self.effort.charge(EFFORT, rows, now);
    }

    /// Whether a stored event may be sent.
    pub(super) fn hears(&mut self, event: &Event, now: Millis) -> bool {
        self.served.take(SERVED_BYTES, size(event), now)
    }

    /// Whether a reconciliation may begin.
    pub(super) fn opens(&mut self, now: Millis) -> bool {
        self.opens.take(RECONCILIATIONS, 1, now)
    }

    /// Whether a reconciliation message may be answered.
    pub(super) fn reconciles(&mut self, bytes: usize, now: Millis) -> bool {
        self.reconcile.take(RECONCILE_MESSAGES, 1, now)
            && self.reconcile_bytes.take(RECONCILE_BYTES, bytes, now)
    }
}

/// Content and tags are what events differ by.
fn size(event: &Event) -> usize {
    event.content.len() + event.tags.len() * 80 + 400
}

/// All addresses that have connections, or had some lately.
#[derive(Debug, Default)]
pub(crate) struct Hosts(BTreeMap<HostAddress, Host>);

impl Hosts {
    /// A connection begins; `None` when its address has too many, or has misbehaved.
    pub(crate) fn enter(&mut self, address: HostAddress, now: Millis) -> Option<&mut Host> {
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(&address) {
            let gone = |host: &Host| host.clients == 0;
            self.0
                .retain(|_, host| !gone(host) || host.score.points(now) >= 1.0);
            if self.0.len() >= MAX_HOSTS {
                // So many bad ones at once: connections are bounded by themselves.
                self.0.retain(|_, host| !gone(host));
            }
        }
        let host = self.0.entry(address).or_default();
        if host.clients >= MAX_CLIENTS || host.is_banned(now) {
            return None;
        }
        host.clients += 1;
        Some(host)
    }

    /// The address of a connection.
    pub(crate) fn get(&mut self, address: HostAddress) -> &mut Host {
        self.0.entry(address).or_default()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A connection has ended.
    pub(crate) fn leave(&mut self, address: HostAddress) {
        let host = self.get(address);
        host.clients = host.clients.saturating_sub(1);
    }
}
