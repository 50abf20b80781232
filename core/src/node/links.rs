//! Links: introduced through the signal server, opened by the transport, each with a sync session on it.

use std::collections::VecDeque;
use std::time::Duration;

use nostr::prelude::PublicKey;
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::api::{Change, Peer, PeerState, SignalState};
use super::{Node, Output};
use crate::identity;
use crate::mesh::Admission;
use crate::signaling::introduction::{self, Body, Introduction, LIFETIME_MS};
use crate::signaling::{ClientMessage, PeerSignal, SessionId};
use crate::store::Store;
use crate::sync::{Env, Session, SessionEvent};
use crate::time::Millis;
use crate::transport::{
    CONNECT_TIMEOUT_SECS, CloseReason, ConnectOptions, LinkId, Path, TransportCommand, TransportEvent,
};

/// How long an attempt may take; a little more than the transport gives itself.
const CONNECT_LIMIT: Duration = Duration::from_secs(CONNECT_TIMEOUT_SECS + 10);
/// Ended attempts of a peer that are remembered, so that a replayed offer of one does nothing.
const MAX_RETIRED: usize = 4;

/// A link and what is known of its other end.
pub(super) struct Link {
    peer: SessionId,
    /// Proven in the introduction, and again on the link.
    person: Option<PublicKey>,
    attempt: u64,
    remote_attempt: Option<u64>,
    sent: u64,
    received: u64,
    since: Millis,
    path: Option<Path>,
    rtt: Option<Duration>,
    session: Option<Session>,
}

impl Link {
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    fn state(&self) -> PeerState {
        match &self.session {
            None => PeerState::Connecting,
            Some(session) if !session.is_proven() => PeerState::Greeting,
            Some(session) if session.is_syncing() => PeerState::Syncing,
            Some(_) => PeerState::Live,
        }
    }
}

/// Attempts of the other side that are over, newest last.
#[derive(Debug, Default)]
pub(super) struct Retired(VecDeque<(SessionId, u64)>);

impl Retired {
    fn add(&mut self, peer: SessionId, attempt: u64) {
        if self.0.len() >= MAX_RETIRED * crate::mesh::MAX_LINKS {
            self.0.pop_front();
        }
        self.0.push_back((peer, attempt));
    }

    fn contains(&self, peer: SessionId, attempt: u64) -> bool {
        self.0.contains(&(peer, attempt))
    }
}

impl<S: Store> Node<S> {
    pub(super) fn tend_links(&mut self, now: Millis) {
        let late = |link: &Link| link.session.is_none() && now.since(link.since) >= CONNECT_LIMIT;
        let late: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| late(link))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.drop_link(id, now, true);
        }
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.with_session(id, now, |session, env| session.tick(env));
        }
        if self.server.state != SignalState::Online || self.server.ice().is_none() {
            return;
        }
        if self.mesh.wants_sample(self.links.len(), now) {
            self.join_lobby();
        }
        let connecting = self.links.values().filter(|link| link.session.is_none()).count();
        let by_session = &self.by_session;
        let chosen = self.mesh.choose(
            |peer| by_session.contains_key(peer),
            self.links.len(),
            connecting,
            now,
            &mut self.rng,
        );
        for peer in chosen {
            self.open_link(peer, true, now);
        }
    }

    /// Starts a link; without `offer` the other side has made one already.
    fn open_link(&mut self, peer: SessionId, offer: bool, now: Millis) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let link = Link {
            peer,
            person: None,
            attempt: self.rng.random(),
            remote_attempt: None,
            sent: 0,
            received: 0,
            since: now,
            path: None,
            rtt: None,
            session: None,
        };
        self.links.insert(id, link);
        self.by_session.insert(peer, id);
        let options = ConnectOptions {
            // The same on both sides, whoever offers: the smaller key gives way.
            polite: self.session_id() < peer,
            offer,
            route: self.config.route,
            ice_servers: self.server.ice().unwrap_or_default().to_vec(),
        };
        self.outputs
            .push_back(Output::Transport(TransportCommand::Connect { link: id, options }));
        self.network_changed = true;
        id
    }

    /// Ends a link on this side, or notes that it has ended.
    fn drop_link(&mut self, id: LinkId, now: Millis, close: bool) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        if self.by_session.get(&link.peer) == Some(&id) {
            self.by_session.remove(&link.peer);
        }
        if let Some(attempt) = link.remote_attempt {
            self.retired.add(link.peer, attempt);
        }
        if close {
            self.outputs
                .push_back(Output::Transport(TransportCommand::Close { link: id }));
        }
        self.mesh.failed(link.peer, now, &mut self.rng);
        self.network_changed = true;
    }

    pub(super) fn unreachable(&mut self, peer: SessionId) {
        self.mesh.unreachable(peer);
        if let Some(id) = self.by_session.get(&peer).copied()
            && self.links.get(&id).is_some_and(|link| link.session.is_none())
        {
            self.drop_link(id, Millis::default(), true);
        }
    }

    // Introductions

    pub(super) fn introduced(&mut self, from: SessionId, sealed: &str, now: Millis) {
        if self.me.is_none() || self.mesh.is_banned(&from.0, now) {
            return;
        }
        let introduction = match introduction::open(sealed, self.session_keys(), from, now) {
            Ok(introduction) => introduction,
            Err(error) => {
                tracing::debug!(%error, "an introduction was not accepted");
                return;
            }
        };
        let signal = match introduction.body {
            Body::Signal(ref signal) => signal.clone(),
            Body::Full => return self.refused(from, introduction.to_attempt, now),
        };
        let is_offer = matches!(signal, PeerSignal::Offer(_));
        let person = if matches!(signal, PeerSignal::Candidate { .. }) {
            None
        } else {
            match self.introduced_person(from, &introduction, now) {
                Some(person) => Some(person),
                None => return,
            }
        };
        let Some(id) = self.link_for(from, &introduction, is_offer, now) else {
            return;
        };
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if introduction.sequence <= link.received {
            return;
        }
        link.received = introduction.sequence;
        link.remote_attempt = Some(introduction.from_attempt);
        link.person = person.or(link.person);
        self.outputs
            .push_back(Output::Transport(TransportCommand::Signal { link: id, signal }));
        self.network_changed = true;
    }

    /// The person that a description's introduction proves; `None` when it does not, or they are kept away.
    fn introduced_person(
        &self,
        from: SessionId,
        introduction: &Introduction,
        now: Millis,
    ) -> Option<PublicKey> {
        let proof = introduction.proof.as_deref()?;
        let challenge = introduction.from_attempt.to_string();
        match identity::check_proof(proof, from, self.session_id(), &challenge, now) {
            Ok(person) if self.mesh.is_banned(&person, now) => None,
            Ok(person) => Some(person),
            Err(reason) => {
                tracing::debug!(reason, "an introduction proves nobody");
                None
            }
        }
    }

    /// The link that an introduction belongs to; a new one for a new offer.
    fn link_for(
        &mut self,
        from: SessionId,
        introduction: &Introduction,
        is_offer: bool,
        now: Millis,
    ) -> Option<LinkId> {
        if let Some(id) = self.by_session.get(&from).copied() {
            let link = self.links.get(&id)?;
            if introduction
                .to_attempt
                .is_some_and(|attempt| attempt != link.attempt)
            {
                return None;
            }
            if link
                .remote_attempt
                .is_none_or(|known| known == introduction.from_attempt)
            {
                return Some(id);
            }
            if !is_offer || self.retired.contains(from, introduction.from_attempt) {
                return None;
            }
            // The other side has started anew: so does this one.
            self.drop_link(id, now, true);
        }
        if !is_offer
            || introduction.to_attempt.is_some()
            || self.retired.contains(from, introduction.from_attempt)
        {
            return None;
        }
        match self.mesh.admit(self.links.len(), introduction.links, now) {
            Admission::Accept => {}
            Admission::Displace => {
                if let Some(id) = self.links.keys().copied().choose(&mut self.rng) {
                    self.drop_link(id, now, true);
                }
            }
            Admission::Full => {
                self.say_full(from, introduction.from_attempt, now);
                return None;
            }
        }
        Some(self.open_link(from, false, now))
    }

    /// The other side has no room.
    fn refused(&mut self, from: SessionId, attempt: Option<u64>, now: Millis) {
        if let Some(id) = self.by_session.get(&from).copied()
            && let Some(link) = self.links.get(&id)
            && link.session.is_none()
            && attempt == Some(link.attempt)
        {
            self.drop_link(id, now, true);
        }
    }

    fn say_full(&mut self, to: SessionId, to_attempt: u64, now: Millis) {
        let introduction = Introduction {
            from_attempt: self.rng.random(),
            to_attempt: Some(to_attempt),
            sequence: 1,
            expires: Millis(now.0 + LIFETIME_MS),
            proof: None,
            links: self.links.len(),
            body: Body::Full,
        };
        self.send_introduction(&introduction, to);
    }

    fn introduce(&mut self, id: LinkId, signal: PeerSignal, now: Millis) {
        let (own, links) = (self.session_id(), self.links.len().saturating_sub(1));
        let (Some(link), Some(me)) = (self.links.get_mut(&id), &self.me) else {
            return;
        };
        link.sent += 1;
        let challenge = link.attempt.to_string();
        let describes = !matches!(signal, PeerSignal::Candidate { .. });
        let introduction = Introduction {
            from_attempt: link.attempt,
            to_attempt: link.remote_attempt,
            sequence: link.sent,
            expires: Millis(now.0 + LIFETIME_MS),
            proof: describes.then(|| Box::new(identity::prove(me, own, link.peer, &challenge, now))),
            links,
            body: Body::Signal(signal),
        };
        let peer = link.peer;
        self.send_introduction(&introduction, peer);
    }

    fn send_introduction(&mut self, introduction: &Introduction, to: SessionId) {
        match introduction::seal(introduction, self.session_keys(), to) {
            Ok(sealed) => self.tell_server(&ClientMessage::Relay { to, sealed }),
            Err(error) => tracing::warn!(%error, "an introduction cannot be sealed"),
        }
    }

    // The transport

    pub(super) fn transport_event(&mut self, event: TransportEvent, now: Millis) {
        match event {
            TransportEvent::Signal { link, signal } => self.introduce(link, signal, now),
            TransportEvent::Opened { link } => self.opened(link, now),
            TransportEvent::Frame { link, frame } => {
                self.with_session(link, now, |session, env| session.frame(&frame, env));
            }
            TransportEvent::Drained { link, bytes } => {
                if let Some(session) = self.links.get_mut(&link).and_then(Link::session_mut) {
                    session.drained(bytes);
                }
            }
            TransportEvent::Path { link, path } => {
                if let Some(link) = self.links.get_mut(&link) {
                    self.network_changed |= link.path != Some(path);
                    link.path = Some(path);
                }
            }
            TransportEvent::Closed { link, reason } => {
                if let CloseReason::Failed(reason) = &reason {
                    tracing::debug!(%link, reason, "link failed");
                }
                self.drop_link(link, now, false);
            }
        }
    }

    fn opened(&mut self, id: LinkId, now: Millis) {
        let (own, challenge) = (self.session_id(), hex::encode(self.rng.random::<[u8; 16]>()));
        let (Some(link), Some(me)) = (self.links.get_mut(&id), &self.me) else {
            return;
        };
        if link.session.is_none() {
            link.session = Some(Session::new(me.clone(), own, link.peer, challenge, now));
            self.mesh.connected(link.peer);
            self.network_changed = true;
        }
    }

    // Sessions

    /// Lets a session work, then does what it asks for: stores what arrived, and goes on until nothing is left.
    fn with_session(
        &mut self,
        id: LinkId,
        now: Millis,
        work: impl FnOnce(&mut Session, &mut Env<'_>) -> Result<(), crate::store::StoreError>,
    ) {
        let mut env = Env {
            store: &mut self.store,
            sets: &mut self.sets,
            now,
        };
        let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut) else {
            return;
        };
        let mut result = work(session, &mut env);
        while result.is_ok() {
            let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut) else {
                return;
            };
            if let Some(event) = session.poll_event() {
                result = self.session_event(id, event, now);
                continue;
            }
            let was_syncing = session.is_syncing();
            let mut env = Env {
                store: &mut self.store,
                sets: &mut self.sets,
                now,
            };
            result = session.advance(&mut env);
            self.network_changed |= was_syncing != session.is_syncing();
            match session.poll_event() {
                Some(event) if result.is_ok() => result = self.session_event(id, event, now),
                _ => break,
            }
        }
        if let Err(error) = result {
            // The peer is not to blame: the disk is full or broken. Without a store there is nothing to sync.
            tracing::error!(%error, "the store failed");
            self.drop_link(id, now, true);
        }
    }

    fn session_event(
        &mut self,
        id: LinkId,
        event: SessionEvent,
        now: Millis,
    ) -> Result<(), crate::store::StoreError> {
        match event {
            SessionEvent::Proven(person) => {
                let Some(link) = self.links.get_mut(&id) else {
                    return Ok(());
                };
                self.network_changed = true;
                if link.person.is_some_and(|introduced| introduced != person) {
                    tracing::warn!(%id, "a peer proved to be somebody else than it was introduced as");
                    let peer = link.peer;
                    self.mesh.ban(peer, Some(person), now);
                    self.drop_link(id, now, true);
                } else {
                    link.person = Some(person);
                    if self.mesh.is_banned(&person, now) {
                        self.drop_link(id, now, true);
                    }
                }
            }
            SessionEvent::Arrived(events) => {
                let outcomes = self.take_in(&events, Some(id), now)?;
                if let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut) {
                    session.stored(&events, &outcomes);
                }
            }
            SessionEvent::Live => self.network_changed = true,
            SessionEvent::RoundTrip(rtt) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.rtt = Some(rtt);
                    self.network_changed = true;
                }
            }
            SessionEvent::Ended { reason, hostile } => {
                tracing::info!(%id, reason, hostile, "session ended");
                if let Some(link) = self.links.get(&id).filter(|_| hostile) {
                    let (peer, person) = (link.peer, link.person);
                    self.mesh.ban(peer, person, now);
                }
                self.flush(id);
                self.drop_link(id, now, true);
            }
        }
        Ok(())
    }

    /// Sends what sessions have to send, as far as their windows reach.
    pub(super) fn send_frames(&mut self) {
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: LinkId) {
        let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut) else {
            return;
        };
        loop {
            match session.poll_frame(&self.store) {
                Ok(Some(frame)) => {
                    self.outputs
                        .push_back(Output::Transport(TransportCommand::Send { link: id, frame }));
                }
                Ok(None) => return,
                Err(error) => return tracing::error!(%error, "the store failed"),
            }
        }
    }

    /// The peers, for the interface: connected ones first.
    pub(super) fn peers(&self) -> Result<Vec<Peer>, crate::store::StoreError> {
        let mut peers = Vec::with_capacity(self.links.len());
        for link in self.links.values() {
            let rtt = link
                .rtt
                .map(|rtt| u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX));
            peers.push(Peer {
                session: link.peer,
                person: link.person,
                name: link
                    .person
                    .map(|person| self.name_of(&person))
                    .transpose()?
                    .flatten(),
                state: link.state(),
                path: link.path.map(|path| path.kind),
                rtt_ms: rtt.or(link.path.and_then(|path| path.rtt_ms)),
            });
        }
        peers.sort_by_key(|peer| (peer.state, peer.session));
        Ok(peers)
    }

    /// After the own identity changed: sessions of the old one end.
    pub(super) fn restart_links(&mut self, now: Millis) {
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.drop_link(id, now, true);
        }
        self.change(Change::Me);
        self.tick(now);
    }
}
