//! Whether this device has a network, and when it is at another place in it: told by the addresses of its interfaces.
//!
//! They are looked at every few seconds, which costs one system call and works the same everywhere; pings find out in any
//! case. Being told only makes it faster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rtc::shared::ifaces::ifaces;
use sazanami_core::node::Input;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(3);

/// Where this device is in the network.
pub(crate) struct Place {
    addresses: Option<BTreeSet<IpAddr>>,
    look: Interval,
}

impl Place {
    /// The place as it is now. Needs a tokio runtime.
    pub(crate) fn new() -> Self {
        let mut look = interval(INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            addresses: addresses(),
            look,
        }
    }

    /// Completes when it has changed, with what to tell the node.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            self.look.tick().await;
            if let Some(input) = self.see(addresses()) {
                return input;
            }
        }
    }

    fn see(&mut self, now: Option<BTreeSet<IpAddr>>) -> Option<Input> {
        // Where they cannot be read, nothing is known.
        let now = now?;
        let before = self.addresses.replace(now.clone())?;
        match (before.is_empty(), now.is_empty()) {
            _ if before == now => None,
            (false, true) => Some(Input::Offline),
            (true, false) => Some(Input::Online),
            _ => Some(Input::NetworkChanged),
        }
    }
}

/// The addresses by which others may be reached.
fn addresses() -> Option<BTreeSet<IpAddr>> {
    let interfaces = ifaces().ok()?;
    let addresses = interfaces.into_iter().filter_map(|interface| interface.addr);
    Some(addresses.map(|address| address.ip()).filter(is_useful).collect())
}

/// Interfaces of containers and virtual machines come and go with a link-local address only.
fn is_useful(address: &IpAddr) -> bool {
    !address.is_loopback()
        && !address.is_unspecified()
        && match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_of_addresses_is_told_once() {
        let mut place = Place::new();
        assert!(place.addresses.is_some(), "the addresses can be read");
        let set = |addresses: &[&str]| {
            let parsed = addresses.iter().map(|address| address.parse().unwrap());
            Some(parsed.collect::<BTreeSet<IpAddr>>())
        };
        place.addresses = set(&["192.168.1.7"]);
        assert!(place.see(set(&["192.168.1.7"])).is_none());
        assert!(place.see(None).is_none());
        let changed = place.see(set(&["10.0.0.3"]));
        assert!(matches!(changed, Some(Input::NetworkChanged)), "{changed:?}");
        assert!(place.see(set(&["10.0.0.3"])).is_none());
        assert!(matches!(place.see(set(&[])), Some(Input::Offline)));
        assert!(matches!(place.see(set(&["10.0.0.3"])), Some(Input::Online)));
    }

    #[test]
    fn only_addresses_that_reach_somewhere_count() {
        let useful = |address: &str| is_useful(&address.parse().unwrap());
        assert!(useful("192.168.1.7") && useful("2001:db8::7"));
        for address in ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "0.0.0.0"] {
            assert!(!useful(address), "{address}");
        }
    }
}
