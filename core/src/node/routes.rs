//! Who may learn this device's address: which way links take, by trust ring.
//!
//! Whoever is connected directly learns the other side's IP address, and with it roughly where they are. So strangers are
//! reached through TURN only, unless the person chooses otherwise; each side goes by its own choice, and one that asks for
//! a relay is enough. Where there is no relay, strangers are not connected, and [`super::api::Network`] says so.
//!
//! Who is at the other end is known before anything is told: the answering side has the offer's proof. The offering side
//! has only the topic in which it met the other, and a server could name anybody there; so it keeps its candidates until
//! the answer has proven who that is.

use serde::{Deserialize, Serialize};

use super::api::{self, RequestError, RingRoute};
use super::{Node, Output};
use crate::signaling::{IceServer, PeerSignal};
use crate::social::Ring;
use crate::store::{Store, StoreError};
use crate::time::Millis;
use crate::transport::candidates::{outgoing_signal, take_out};
use crate::transport::{LinkId, Route, TransportCommand};
use nostr::prelude::PublicKey;

/// The setting that keeps the choice.
const SETTING: &str = "routes";
/// Candidates that are kept back until it is known who is at the other end.
const MAX_KEPT_BACK: usize = 64;

/// The way to each ring, in the order of [`Ring::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Routes([Route; Ring::ALL.len()]);

impl Default for Routes {
    fn default() -> Self {
        Self(Ring::ALL.map(|ring| match ring {
            // Following back is what people do who know each other; following somebody famous is not.
            Ring::Me | Ring::Friend => Route::Any,
            Ring::Followed | Ring::RoomMember | Ring::FriendOfFriend | Ring::Stranger => Route::RelayOnly,
        }))
    }
}

impl Routes {
    /// What was kept; what cannot be read counts as not chosen.
    pub(super) fn read(store: &impl Store) -> Result<Self, StoreError> {
        let kept = store.setting(SETTING)?;
        Ok(kept
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    fn of(&self, ring: Ring) -> Route {
        self.0[ring as usize]
    }
}

/// What a link may tell.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) route: Route,
    /// Candidates of a link whose other end may turn out to be somebody who must not have them.
    kept_back: Option<Vec<PeerSignal>>,
}

impl Telling {
    /// All that a route allows: the person has chosen to tell it.
    pub(super) fn all(route: Route) -> Self {
        Self {
            route,
            kept_back: None,
        }
    }
}

impl<S: Store> Node<S> {
    /// The way to people of a ring.
    fn route_to_ring(&self, ring: Ring) -> Route {
        self.config.route.unwrap_or_else(|| self.routes.of(ring))
    }

    /// The way to a person. Who cannot be looked up is a stranger.
    fn route_to(&self, person: &PublicKey) -> Route {
        self.route_to_ring(self.store.ring(person).unwrap_or(Ring::Stranger))
    }

    /// The way to somebody who was named in a topic that people of this ring know, and has proven nothing yet; `None`
    /// when there is none.
    pub(super) fn way_to_supposed(&self, ring: Ring) -> Option<Telling> {
        let route = self.route_to_ring(ring);
        let strict = Ring::ALL
            .iter()
            .any(|ring| self.route_to_ring(*ring) == Route::RelayOnly);
        self.is_possible(route).then(|| Telling {
            route,
            kept_back: (route == Route::Any && strict).then(Vec::new),
        })
    }

    /// The way to a person who has proven who they are; `None` when there is none.
    pub(super) fn way_to_proven(&self, person: &PublicKey) -> Option<Telling> {
        let route = self.route_to(person);
        self.is_possible(route).then_some(Telling {
            route,
            kept_back: None,
        })
    }

    pub(super) fn is_possible(&self, route: Route) -> bool {
        route == Route::Any || self.has_relay()
    }

    /// The ICE servers that links use; `None` until those of one signal server are known.
    pub(super) fn ice(&self) -> Option<&[IceServer]> {
        self.servers.ice()
    }

    fn has_relay(&self) -> bool {
        let servers = self.ice().unwrap_or_default();
        servers.iter().any(IceServer::relays)
    }

    /// Whether people are not connected for want of a relay.
    pub(super) fn misses_relay(&self) -> bool {
        self.ice().is_some() && !self.has_relay() && self.route_to_ring(Ring::Stranger) == Route::RelayOnly
    }

    /// The person at the other end has proven who they are: whether the link may go on. If so, what was kept back goes.
    pub(super) fn agrees_with_route(&mut self, id: LinkId, person: &PublicKey, now: Millis) -> bool {
        let wanted = self.route_to(person);
        let Some(link) = self.links.get_mut(&id) else {
            return false;
        };
        if link.telling.route == Route::Any && wanted == Route::RelayOnly && !link.by_hand {
            return false;
        }
        for signal in link.telling.kept_back.take().unwrap_or_default() {
            self.introduce(id, signal, now);
        }
        true
    }

    /// Makes a link anew, directly, when it goes by a relay only because it was not known who is at its other end, or who
    /// that is has changed. At most once: the new one may go directly.
    pub(super) fn shorten(&mut self, id: LinkId, now: Millis) -> bool {
        let Some(link) = self.links.get(&id) else {
            return false;
        };
        let (peer, Some(person)) = (link.peer, link.person) else {
            return false;
        };
        if link.telling.route == Route::Any || self.route_to(&person) == Route::RelayOnly {
            return false;
        }
        let Some(telling) = self.way_to_proven(&person) else {
            return false;
        };
        self.drop_link(id, now, true);
        self.open_link(peer, telling, true, now);
        true
    }

    /// Who is near has changed.
    pub(super) fn shorten_links(&mut self, now: Millis) {
        let open = |link: &super::links::Link| link.session.is_some();
        let ids: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| open(link))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.shorten(id, now);
        }
    }

    /// What of a signal may be told now: nothing that the link's route forbids, and candidates only to whom they may go.
    pub(super) fn tellable(&mut self, id: LinkId, signal: PeerSignal) -> Option<PeerSignal> {
        let telling = &mut self.links.get_mut(&id)?.telling;
        let signal = outgoing_signal(signal, telling.route)?;
        let Some(kept) = &mut telling.kept_back else {
            return Some(signal);
        };
        match signal {
            PeerSignal::Offer(sdp) => {
                let (sdp, candidates) = take_out(&sdp);
                // Those of an offer that this one replaces fit nothing any more.
                kept.clear();
                kept.extend(candidates.into_iter().take(MAX_KEPT_BACK));
                Some(PeerSignal::Offer(sdp))
            }
            PeerSignal::Candidate { .. } => {
                if kept.len() < MAX_KEPT_BACK {
                    kept.push(signal);
                }
                None
            }
            // An offer was heard before, and so a proof.
            PeerSignal::Answer(_) => Some(signal),
        }
    }

    pub(super) fn chosen_routes(&self) -> api::Routes {
        let ring_route = |ring| RingRoute {
            ring,
            route: self.routes.of(ring),
        };
        api::Routes {
            rings: Ring::ALL.map(ring_route).into(),
            forced: self.config.route,
        }
    }

    pub(super) fn set_route(&mut self, ring: Ring, route: Route, now: Millis) -> Result<(), RequestError> {
        let mut routes = self.routes;
        routes.0[ring as usize] = route;
        let text = serde_json::to_string(&routes).expect("these always serialise");
        self.store.set_setting(SETTING, Some(&text))?;
        self.routes = routes;
        // Whoever is connected in a way that is not wanted any more is let go; those who may be connected again are.
        let others: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| {
                let wanted = match &link.person {
                    Some(person) => self.route_to(person),
                    None => self.route_to_ring(self.mesh.supposed_ring(&link.peer)),
                };
                wanted != link.telling.route && !link.by_hand
            })
            .map(|(id, _)| *id)
            .collect();
        for id in others {
            self.drop_link(id, now, true);
        }
        self.mesh.try_now(now);
        self.network_changed = true;
        self.tick(now);
        Ok(())
    }

    /// Has a link look for a path anew.
    pub(super) fn restart_link(&mut self, link: LinkId) {
        let ice_servers = self.ice().unwrap_or_default().to_vec();
        self.outputs
            .push_back(Output::Transport(TransportCommand::Restart { link, ice_servers }));
    }
}
