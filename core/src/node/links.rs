//! Links: introduced through the signal server, opened by the transport, each with a sync session on it.

use std::collections::BTreeSet;
use std::time::Duration;

use nostr::prelude::{Event, PublicKey};
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::api::{Change, Peer, PeerState};
use super::repair::Repair;
use super::requests::UNSYNCED;
use super::routes::Telling;
use super::verify::Source;
use super::{Node, Output};
use crate::mesh::{Links, MAX_NEAR_PER_PERSON, is_near};
use crate::signaling::SessionId;
use crate::social::Ring;
use crate::store::Store;
use crate::sync::blobs::BLOB_FRAME;
use crate::sync::limits::Offence;
use crate::sync::{Env, Session, SessionEvent};
use crate::time::Millis;
use crate::transport::{
    BY_HAND_TIMEOUT_SECS, CONNECT_TIMEOUT_SECS, CloseReason, ConnectOptions, LinkId, Path, TransportCommand,
    TransportEvent,
};

/// How long an attempt may take; a little more than the transport gives itself.
const CONNECT_LIMIT: Duration = Duration::from_secs(CONNECT_TIMEOUT_SECS + 10);

/// The same where people carry the signals.
const BY_HAND_LIMIT: Duration = Duration::from_secs(BY_HAND_TIMEOUT_SECS + 10);

/// A link that has held for so long is worth coming back to at once; one that opens and breaks is not.
const HELD: Duration = Duration::from_secs(30);

/// A link and what is known of its other end.
pub(super) struct Link {
    pub(super) peer: SessionId,
    /// Proven in the introduction, and again on the link.
    pub(super) person: Option<PublicKey>,
    pub(super) attempt: u64,
    /// The other side made it.
    pub(super) incoming: bool,
    /// People carry its signals.
    pub(super) by_hand: bool,
    pub(super) remote_attempt: Option<u64>,
    /// Of the newest introduction of that attempt, by the other side's clock.
    pub(super) remote_expires: Millis,
    pub(super) sent: u64,
    /// Number of the newest description that was received.
    pub(super) described: u64,
    /// Numbers of the remote candidates since.
    pub(super) candidates: BTreeSet<u64>,
    pub(super) since: Millis,
    /// When it opened.
    pub(super) opened: Option<Millis>,
    pub(super) telling: Telling,
    /// Under way since its path broke.
    pub(super) repair: Option<Repair>,
    pub(super) path: Option<Path>,
    pub(super) rtt: Option<Duration>,
    pub(super) bytes: Bytes,
    pub(super) session: Option<Session>,
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bytes {
    pub(super) sent: u64,
    pub(super) received: u64,
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

impl<S: Store> Node<S> {
    pub(super) fn tend_links(&mut self, now: Millis) {
        let late = |link: &Link| {
            let limit = if link.by_hand {
                BY_HAND_LIMIT
            } else {
                CONNECT_LIMIT
            };
            link.session.is_none() && now.since(link.since) >= limit
        };
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
        self.tend_repairs(now);
        if let Err(error) = self.tend_spread(now) {
            tracing::error!(%error, "the store failed");
        }
        while self.links.len() > self.mesh.budget().most() {
            self.make_room(None, now);
        }
        if !self.servers.any_online() || self.ice().is_none() {
            return;
        }
        self.tend_topics(now);
        let links = self.counted_links();
        if self.mesh.wants_sample(links, now) {
            self.join_lobby();
        }
        let by_session = &self.by_session;
        let chosen = self
            .mesh
            .choose(|peer| by_session.contains_key(peer), links, now, &mut self.rng);
        for peer in chosen {
            if let Some(telling) = self.way_to_supposed(self.mesh.supposed_ring(&peer)) {
                self.open_link(peer, telling, true, now);
            }
        }
    }

    /// Starts a link; without `offer` the other side has made one already.
    pub(super) fn open_link(
        &mut self,
        peer: SessionId,
        telling: Telling,
        offer: bool,
        now: Millis,
    ) -> LinkId {
        let (id, attempt) = (self.fresh_link(), self.rng.random());
        let options = ConnectOptions {
            polite: self.is_polite_to(peer),
            offer,
            route: telling.route,
            by_hand: false,
            ice_servers: self.ice().unwrap_or_default().to_vec(),
        };
        self.insert_link(id, peer, attempt, telling, !offer, now);
        self.outputs
            .push_back(Output::Transport(TransportCommand::Connect { link: id, options }));
        id
    }

    pub(super) fn fresh_link(&mut self) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        id
    }

    /// Notes a link that is being made.
    pub(super) fn insert_link(
        &mut self,
        id: LinkId,
        peer: SessionId,
        attempt: u64,
        telling: Telling,
        incoming: bool,
        now: Millis,
    ) {
        let link = Link {
            peer,
            person: None,
            attempt,
            incoming,
            by_hand: false,
            remote_attempt: None,
            remote_expires: Millis::default(),
            sent: 0,
            described: 0,
            candidates: BTreeSet::new(),
            since: now,
            opened: None,
            telling,
            repair: None,
            path: None,
            rtt: None,
            bytes: Bytes::default(),
            session: None,
        };
        self.links.insert(id, link);
        self.by_session.insert(peer, id);
        self.network_changed = true;
    }

    /// Which side gives way when both offer at once: the smaller key, whoever began.
    pub(super) fn is_polite_to(&self, peer: SessionId) -> bool {
        self.session_id() < peer
    }

    /// Ends a link on this side, or notes that it has ended.
    pub(super) fn drop_link(&mut self, id: LinkId, now: Millis, close: bool) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        if self.by_session.get(&link.peer) == Some(&id) {
            self.by_session.remove(&link.peer);
            self.blobs_left(link.peer, now);
        }
        if let Some(attempt) = link.remote_attempt {
            self.retired.add(link.peer, attempt);
        }
        if let (Some(person), Some(session)) = (link.person, &link.session) {
            self.scores.keep(person, session.score(), now);
        }
        if link.session.is_some() {
            self.ask_others_than(id, now);
        }
        if close {
            self.outputs
                .push_back(Output::Transport(TransportCommand::Close { link: id }));
        }
        if link.opened.is_some_and(|at| now.since(at) >= HELD) {
            self.mesh.held(link.peer);
        }
        self.mesh.failed(link.peer, now, &mut self.rng);
        self.network_changed = true;
    }

    pub(super) fn unreachable(&mut self, peer: SessionId) {
        self.mesh.unreachable(peer);
        if let Some(id) = self.by_session.get(&peer).copied()
            && self
                .links
                .get(&id)
                .is_some_and(|link| link.session.is_none() && !link.by_hand)
        {
            self.drop_link(id, Millis::default(), true);
        }
    }

    // The transport

    pub(super) fn transport_event(&mut self, event: TransportEvent, now: Millis) {
        match event {
            TransportEvent::Signal { link, signal } => self.introduce(link, signal, now),
            TransportEvent::Opened { link } => self.opened(link, now),
            TransportEvent::Frame { link, frame } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.bytes.received += frame.len() as u64;
                    // What arrives shows that there is a path.
                    link.repair = None;
                }
                if frame.first() == Some(&BLOB_FRAME) {
                    self.blob_frame(link, &frame, now);
                } else {
                    self.with_session(link, now, |session, env| session.frame(&frame, env));
                }
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
            TransportEvent::Ice { link, state } => self.ice_changed(link, state, now),
            TransportEvent::Closed { link, reason } => {
                if let CloseReason::Failed(reason) = &reason {
                    tracing::debug!(%link, reason, "link failed");
                }
                self.drop_link(link, now, false);
                self.closed_by_hand(link);
            }
        }
    }

    fn opened(&mut self, id: LinkId, now: Millis) {
        let (own, challenge) = (self.session_id(), hex::encode(self.rng.random::<[u8; 16]>()));
        let (Some(link), Some(me)) = (self.links.get_mut(&id), &self.me) else {
            return;
        };
        if link.session.is_none() {
            link.session = Some(
                Session::new(me.clone(), own, link.peer, challenge, now).wanting(self.wanted.wants().clone()),
            );
            link.opened = Some(now);
            self.network_changed = true;
        }
    }

    // Sessions

    /// Lets a session work, then does what it asks for: stores what arrived, and goes on until nothing is left.
    pub(super) fn with_session(
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
            self.store_failed(&error);
            self.drop_link(id, now, true);
        }
    }

    pub(super) fn session_event(
        &mut self,
        id: LinkId,
        event: SessionEvent,
        now: Millis,
    ) -> Result<(), crate::store::StoreError> {
        match event {
            SessionEvent::Proven(person) => {
                let score = self.scores.of(&person);
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
                    if let Some(session) = link.session_mut() {
                        session.resume(score);
                    }
                    let peer = link.peer;
                    let ring = self.ring_for_link(Some(person), Some(id));
                    self.mesh.set_ring(peer, ring);
                    if self.mesh.is_banned(&person, now) {
                        self.drop_link(id, now, true);
                    } else if self.links.len() >= self.mesh.budget().most() {
                        self.make_room(Some(id), now);
                    }
                    self.blobs_joined(id, now);
                }
            }
            SessionEvent::Arrived { mut events, live } => {
                if live {
                    self.limit_authors(id, &mut events, now);
                }
                self.arrived(Source::Link(id), events, live, now)?;
            }
            SessionEvent::Announced(ids) => self.announced(id, ids, now),
            SessionEvent::Withheld(ids) => self.ask_others(id, ids, now),
            SessionEvent::Live => {
                self.network_changed = true;
                // What others hold of an imported identity is here now.
                if self.store.setting(UNSYNCED)?.is_some() {
                    self.store.set_setting(UNSYNCED, None)?;
                }
            }
            SessionEvent::RoundTrip(rtt) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.rtt = Some(rtt);
                    self.network_changed = true;
                }
            }
            SessionEvent::Suspect => self.suspect(id, now),
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

    /// Whether the author of a new event is near, or has not written too much lately.
    pub(super) fn admits_author(&mut self, event: &Event, now: Millis) -> bool {
        let bytes = event.content.len() + event.tags.len() * 80;
        self.authors.admit(event.pubkey, bytes, now)
            || !matches!(self.store.ring(&event.pubkey), Ok(Ring::Stranger) | Err(_))
    }

    /// Leaves out new events of strangers who write too much; what is left out comes by reconciliation, within the
    /// store's budgets. An author who floods through a link of their own pays for it.
    fn limit_authors(&mut self, id: LinkId, events: &mut Vec<Event>, now: Millis) {
        let mut own_flood = 0;
        let person = self.links.get(&id).and_then(|link| link.person);
        events.retain(|event| {
            let takes = self.admits_author(event, now);
            own_flood += usize::from(!takes && person == Some(event.pubkey));
            takes
        });
        if own_flood > 0
            && let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut)
        {
            session.offend(Offence::Flood, own_flood, now);
        }
    }

    /// Gives up a link, not with a friend if it can be helped, and of those one that others made first. Never the newest.
    pub(super) fn make_room(&mut self, newest: Option<LinkId>, now: Millis) {
        let cost =
            |id: LinkId, link: &Link| (is_near(self.ring_for_link(link.person, Some(id))), !link.incoming);
        let others: Vec<_> = self
            .links
            .iter()
            // What people are carrying signals for has its place: there is one at most.
            .filter(|(id, link)| Some(**id) != newest && !(link.by_hand && link.session.is_none()))
            .map(|(id, link)| (cost(*id, link), *id))
            .collect();
        let least = others.iter().map(|(cost, _)| *cost).min();
        let victims = others.iter().filter(|(cost, _)| Some(*cost) == least);
        if let Some((_, victim)) = victims.choose(&mut self.rng) {
            self.drop_link(*victim, now, true);
        }
    }

    /// How near a link with a person is: nobody is near on more than a few links at once.
    pub(super) fn ring_for_link(&self, person: Option<PublicKey>, link: Option<LinkId>) -> Ring {
        let Some(person) = person else {
            return Ring::Stranger;
        };
        let older = self
            .links
            .iter()
            .filter(|(id, other)| other.person == Some(person) && link.is_none_or(|link| **id < link));
        if older.count() < MAX_NEAR_PER_PERSON {
            self.friends.ring(&person, self.me.as_ref())
        } else {
            Ring::Stranger
        }
    }

    pub(super) fn counted_links(&self) -> Links {
        let mut links = Links::default();
        for (id, link) in &self.links {
            let ring = match link.person {
                Some(person) => self.ring_for_link(Some(person), Some(*id)),
                None => self.mesh.supposed_ring(&link.peer),
            };
            links.near += usize::from(is_near(ring));
            match &link.session {
                _ if !link.incoming => {
                    links.outgoing += 1;
                    links.near_outgoing += usize::from(is_near(ring));
                    links.connecting += usize::from(link.session.is_none());
                }
                Some(session) if session.is_proven() => links.incoming += 1,
                _ => links.unproven += 1,
            }
        }
        links
    }

    /// Sends what sessions have to send, as far as their windows reach.
    pub(super) fn send_frames(&mut self) {
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: LinkId) {
        let Some(Link {
            session: Some(session),
            bytes,
            ..
        }) = self.links.get_mut(&id)
        else {
            return;
        };
        loop {
            match session.poll_frame(&self.store) {
                Ok(Some(frame)) => {
                    bytes.sent += frame.len() as u64;
                    self.outputs
                        .push_back(Output::Transport(TransportCommand::Send { link: id, frame }));
                }
                Ok(None) => {
                    self.sent_events += session.take_sent_events();
                    return self.flush_blobs(id);
                }
                Err(error) => return self.store_failed(&error),
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
                route: link.telling.route,
                path: link.path.map(|path| path.kind),
                rtt_ms: rtt.or(link.path.and_then(|path| path.rtt_ms)),
                sent: link.bytes.sent,
                received: link.bytes.received,
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
        self.end_meeting(now);
        self.friends.forget();
        self.change(Change::Me);
        self.tick(now);
    }
}
