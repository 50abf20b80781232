//! The peers and the server, each with its state in words.

use dioxus::prelude::*;
use sazanami_core::node::api::{Peer, PeerState, SignalState};
use sazanami_core::transport::{PathKind, Route};

use super::{Avatar, PersonName};
use crate::state::use_ui;
use crate::text::names;
use crate::words;

/// The network around this device.
#[component]
pub(crate) fn PeerList() -> Element {
    let ui = use_ui();
    let network = ui.network.read();
    let named = network
        .peers
        .iter()
        .filter_map(|peer| peer.person.zip(peer.name.as_deref()));
    let namesakes = names::namesakes(named);
    let signal = match network.signal {
        SignalState::Online => "online",
        SignalState::Connecting => "connecting",
        SignalState::Offline => "offline",
    };
    rsx! {
        p { class: "server", "data-testid": "server", "data-state": signal,
            span { class: "dot", "aria-hidden": "true" }
            span { {words::signal(network.signal)} }
        }
        if let Some(code) = network.refused {
            p { class: "server-refused", "data-testid": "server-refused", {words::refused(code)} }
        }
        if network.misses_relay {
            p { class: "server-refused", "data-testid": "no-relay", {t!("no-relay")} }
        }
        if network.peers.is_empty() {
            p { class: "peers-empty", {t!("peers-empty")} }
        } else {
            ul { class: "peers", aria_label: t!("peers-label"),
                for peer in network.peers.iter() {
                    PeerRow {
                        key: "{peer.session}",
                        peer: peer.clone(),
                        ambiguous: peer.person.is_some_and(|key| namesakes.contains(&key)),
                    }
                }
            }
        }
    }
}

#[component]
fn PeerRow(peer: Peer, ambiguous: bool) -> Element {
    let state = match peer.state {
        PeerState::Live => "live",
        PeerState::Syncing => "syncing",
        PeerState::Greeting => "greeting",
        PeerState::Connecting => "connecting",
    };
    let path = match peer.path {
        Some(PathKind::Direct) => "direct",
        Some(PathKind::Relayed) => "relayed",
        None => "unknown",
    };
    let route = match peer.route {
        Route::Any => "any",
        Route::RelayOnly => "relay",
    };
    let session = peer.session.to_string();
    rsx! {
        li { class: "peer", "data-testid": "peer", "data-state": state, "data-path": path, "data-route": route,
            Avatar { person: peer.person.unwrap_or(peer.session.0), name: peer.name.clone() }
            div { class: "peer-main",
                if let Some(person) = peer.person {
                    PersonName { person, name: peer.name.clone(), ambiguous }
                } else {
                    span { class: "person-name",
                        span { class: "person-name-text person-unnamed", {t!("peer-unknown")} }
                        span { class: "person-tail", {names::tail(&session)} }
                    }
                }
                span { class: "peer-facts",
                    span { class: "peer-state",
                        span { class: "dot", "aria-hidden": "true" }
                        {words::peer_state(peer.state)}
                    }
                    if let Some(path) = peer.path {
                        span { class: "peer-path", {words::path(path)} }
                    } else {
                        span { class: "peer-path", {words::route(peer.route)} }
                    }
                    if let Some(rtt) = peer.rtt_ms {
                        span { class: "peer-rtt", title: t!("peer-rtt"), {t!("milliseconds", count: rtt)} }
                    }
                }
            }
        }
    }
}
