//! How connected this device is, in the top bar; opens the network sheet.

use dioxus::prelude::*;
use sazanami_core::node::api::{Network, PeerState, SignalState};

use crate::state::{Opener, Sheet, use_ui};
use crate::words;

/// Peers that posts travel to and from.
fn connected(network: &Network) -> usize {
    network
        .peers
        .iter()
        .filter(|peer| matches!(peer.state, PeerState::Live | PeerState::Syncing))
        .count()
}

/// The button.
#[component]
pub(crate) fn StatusButton() -> Element {
    let ui = use_ui();
    let mut button = use_signal(|| None as Opener);
    let network = ui.network.read();
    let count = connected(&network);
    let words = words::connection(count, network.signal);
    let state = match (count, network.signal) {
        (0, SignalState::Online) => "alone",
        (0, SignalState::Connecting) => "connecting",
        (0, SignalState::Offline) => "offline",
        _ => "connected",
    };
    rsx! {
        button {
            class: "status",
            r#type: "button",
            "data-testid": "peer-count",
            "data-count": "{count}",
            "data-state": state,
            title: t!("status-open"),
            onmounted: move |event| button.set(Some(event.data())),
            onclick: move |_| ui.sheets.open(Sheet::Network, button.peek().clone()),
            span { class: "dot", "aria-hidden": "true" }
            span { class: "status-words", {words} }
        }
    }
}

#[cfg(test)]
mod tests {
    use sazanami_core::Keys;
    use sazanami_core::node::api::Peer;
    use sazanami_core::signaling::SessionId;
    use sazanami_core::transport::Route;

    use super::*;

    #[test]
    fn only_links_that_carry_posts_count() {
        let peer = |state| Peer {
            session: SessionId(Keys::generate().public_key()),
            person: None,
            name: None,
            state,
            route: Route::Any,
            path: None,
            rtt_ms: None,
            sent: 0,
            received: 0,
        };
        let states = [
            PeerState::Live,
            PeerState::Syncing,
            PeerState::Greeting,
            PeerState::Connecting,
        ];
        let network = Network {
            peers: states.map(peer).into(),
            ..Network::default()
        };
        assert_eq!(connected(&network), 2);
    }
}
