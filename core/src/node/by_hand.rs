//! Links that are made without any server: people carry the offer and the answer themselves
//! ([`crate::signaling::invitation`]).
//!
//! One at a time. Carrying takes minutes, so the transport is told to be patient ([`ConnectOptions::by_hand`]), and all
//! candidates are gathered before there is a text, since nothing can be said later. Both texts tell this device's
//! addresses to whoever holds them, and who uses an invitation shows theirs to the one who made it, at once: so the
//! interface says before. Whoever goes through a relay only, and has none, cannot connect in this way.

use std::time::Duration;

use rand::RngExt;

use super::api::{Change, Meeting, RequestError};
use super::routes::Telling;
use super::{Node, Output};
use crate::signaling::invitation::{self, Answer, BadText, Given, Invitation, LIFETIME_MS};
use crate::signaling::{PeerSignal, SessionId};
use crate::store::Store;
use crate::time::Millis;
use crate::transport::candidates::outgoing_signal;
use crate::transport::{ConnectOptions, LinkId, Route, TransportCommand};

/// How long no candidate may have come until these are taken to be all.
const QUIET: Duration = Duration::from_secs(2);
/// How long is waited for candidates: a TURN server that does not answer gives none.
const GATHERING: Duration = Duration::from_secs(6);
/// Candidates that a text carries.
const MAX_CANDIDATES: usize = 16;

/// The link that is being made by hand, if any.
#[derive(Debug, Default)]
pub(super) struct ByHand(Option<Making>);

#[derive(Debug)]
struct Making {
    link: LinkId,
    since: Millis,
    side: Side,
    description: Option<String>,
    candidates: Vec<String>,
    last: Millis,
    text: Option<String>,
}

#[derive(Debug)]
enum Side {
    /// This device invites; it has no link with anybody yet.
    Inviting { attempt: u64 },
    /// This device answers.
    Answering {
        to: SessionId,
        attempt: u64,
        to_attempt: u64,
    },
    /// The reply has been given back.
    Connecting,
}

impl Making {
    fn new(link: LinkId, side: Side, now: Millis) -> Self {
        Self {
            link,
            since: now,
            side,
            description: None,
            candidates: Vec::new(),
            last: now,
            text: None,
        }
    }

    fn expires(&self) -> Millis {
        self.since + Duration::from_millis(LIFETIME_MS)
    }

    fn is_gathered(&self, now: Millis) -> bool {
        self.description.is_some() && (now.since(self.last) >= QUIET || now.since(self.since) >= GATHERING)
    }

    /// The description with all candidates in it. There is one media section, and they belong at its end.
    fn sdp(&self) -> String {
        let mut sdp = self.description.clone().unwrap_or_default();
        for candidate in &self.candidates {
            if !sdp.contains(candidate.as_str()) {
                sdp.push_str("a=");
                sdp.push_str(candidate);
                sdp.push_str("\r\n");
            }
        }
        sdp
    }
}

impl From<BadText> for RequestError {
    fn from(bad: BadText) -> Self {
        match bad {
            BadText::Unreadable => Self::NotAnInvitation,
            BadText::Forged => Self::NotForThisDevice,
            BadText::Expired => Self::InvitationExpired,
        }
    }
}

impl<S: Store> Node<S> {
    /// How far the link is that is made by hand.
    pub(super) fn meeting(&self) -> Meeting {
        let Some(making) = &self.by_hand.0 else {
            return Meeting::None;
        };
        let (text, expires) = (making.text.clone(), making.expires());
        let link = self.links.get(&making.link);
        match (&making.side, link, text) {
            (Side::Inviting { .. }, _, Some(text)) => Meeting::Invitation { text, expires },
            (Side::Inviting { .. }, _, None) => Meeting::Preparing,
            (_, None, _) => Meeting::Failed,
            // On the answering side that is how it is known that the reply has arrived.
            (_, Some(link), _) if link.session.as_ref().is_some_and(|session| session.is_proven()) => {
                Meeting::Connected(link.person)
            }
            (Side::Answering { .. }, Some(_), Some(text)) => Meeting::Reply { text, expires },
            (Side::Answering { .. }, Some(_), None) => Meeting::Preparing,
            (Side::Connecting, Some(_), _) => Meeting::Connecting,
        }
    }

    /// Makes an invitation; one that is open already stays.
    pub(super) fn invite(&mut self, now: Millis) -> Result<Meeting, RequestError> {
        if self.me.is_none() {
            return Err(RequestError::NoIdentity);
        }
        self.has_way_by_hand()?;
        let open = |making: &Making| matches!(making.side, Side::Inviting { .. });
        if !self.by_hand.0.as_ref().is_some_and(open) {
            self.end_meeting(now);
            let (link, attempt) = (self.fresh_link(), self.rng.random());
            let options = self.options_by_hand(true);
            self.by_hand.0 = Some(Making::new(link, Side::Inviting { attempt }, now));
            self.outputs
                .push_back(Output::Transport(TransportCommand::Connect { link, options }));
        }
        Ok(self.meeting())
    }

    /// Takes a text that the person was given: an invitation, or the reply to their own.
    pub(super) fn meet(&mut self, text: &str, now: Millis) -> Result<Meeting, RequestError> {
        if self.me.is_none() {
            return Err(RequestError::NoIdentity);
        }
        match invitation::read(text, self.session_keys(), self.network_time(now))? {
            Given::Invitation(invitation) => self.accept(invitation, now)?,
            Given::Answer(answer) => self.answered(answer, now)?,
        }
        Ok(self.meeting())
    }

    fn accept(&mut self, invitation: Invitation, now: Millis) -> Result<(), RequestError> {
        let peer = invitation.session;
        if peer == self.session_id() {
            return Err(RequestError::OwnInvitation);
        }
        self.is_not_linked(peer)?;
        self.has_way_by_hand()?;
        self.end_meeting(now);
        if let Some(other) = self.by_session.get(&peer).copied() {
            self.drop_link(other, now, true);
        }
        let (id, attempt) = (self.fresh_link(), self.rng.random());
        let options = self.options_by_hand(false);
        self.insert_by_hand(id, peer, [attempt, invitation.attempt], options.route, now);
        let side = Side::Answering {
            to: peer,
            attempt,
            to_attempt: invitation.attempt,
        };
        self.by_hand.0 = Some(Making::new(id, side, now));
        self.outputs
            .push_back(Output::Transport(TransportCommand::Connect { link: id, options }));
        let signal = PeerSignal::Offer(invitation.sdp);
        self.outputs
            .push_back(Output::Transport(TransportCommand::Signal { link: id, signal }));
        Ok(())
    }

    fn answered(&mut self, answer: Answer, now: Millis) -> Result<(), RequestError> {
        let (id, attempt) = match &self.by_hand.0 {
            Some(Making {
                link,
                side: Side::Inviting { attempt },
                ..
            }) if *attempt == answer.to_attempt => (*link, *attempt),
            _ => return Err(RequestError::NotForThisDevice),
        };
        let peer = answer.session;
        self.is_not_linked(peer)?;
        if let Some(making) = &mut self.by_hand.0 {
            making.side = Side::Connecting;
        }
        if let Some(other) = self.by_session.get(&peer).copied() {
            self.drop_link(other, now, true);
        }
        let route = self.options_by_hand(true).route;
        self.insert_by_hand(id, peer, [attempt, answer.attempt], route, now);
        let signal = PeerSignal::Answer(answer.sdp);
        self.outputs
            .push_back(Output::Transport(TransportCommand::Signal { link: id, signal }));
        Ok(())
    }

    /// Gives up what is being made by hand; a link that is open stays.
    pub(super) fn end_meeting(&mut self, now: Millis) {
        let Some(making) = self.by_hand.0.take() else {
            return;
        };
        match self.links.get(&making.link) {
            Some(link) if link.session.is_some() => {}
            Some(_) => self.drop_link(making.link, now, true),
            None if matches!(making.side, Side::Inviting { .. }) => self
                .outputs
                .push_back(Output::Transport(TransportCommand::Close { link: making.link })),
            None => {}
        }
        self.change(Change::Meeting);
    }

    fn has_way_by_hand(&self) -> Result<(), RequestError> {
        let route = self.options_by_hand(true).route;
        if self.is_possible(route) {
            Ok(())
        } else {
            Err(RequestError::NoRelay)
        }
    }

    fn is_not_linked(&self, peer: SessionId) -> Result<(), RequestError> {
        let link = self.by_session.get(&peer).and_then(|id| self.links.get(id));
        match link {
            Some(link) if link.session.is_some() => Err(RequestError::AlreadyConnected),
            _ => Ok(()),
        }
    }

    fn insert_by_hand(
        &mut self,
        id: LinkId,
        peer: SessionId,
        [attempt, remote_attempt]: [u64; 2],
        route: Route,
        now: Millis,
    ) {
        // Not incoming on either side: these two chose each other.
        self.insert_link(id, peer, attempt, Telling::all(route), false, now);
        if let Some(link) = self.links.get_mut(&id) {
            link.by_hand = true;
            link.remote_attempt = Some(remote_attempt);
        }
    }

    fn options_by_hand(&self, offer: bool) -> ConnectOptions {
        ConnectOptions {
            // Whoever invites gives way: somebody must, and neither knows the other beforehand.
            polite: offer,
            offer,
            route: self.config.route.unwrap_or(Route::Any),
            by_hand: true,
            ice_servers: self.ice().unwrap_or_default().to_vec(),
        }
    }

    /// Whether a signal of the transport is for a text; if so, it is kept.
    pub(super) fn takes_by_hand(&mut self, id: LinkId, signal: &PeerSignal, now: Millis) -> bool {
        let route = self.options_by_hand(true).route;
        let Some(making) = self.by_hand.0.as_mut().filter(|making| making.link == id) else {
            return false;
        };
        if making.text.is_some() || matches!(making.side, Side::Connecting) {
            // Nobody would hear it. Once the link is open, what repairs it goes by a server like any other's.
            return self.links.get(&id).is_none_or(|link| link.session.is_none());
        }
        making.last = now;
        match outgoing_signal(signal.clone(), route) {
            Some(PeerSignal::Offer(sdp) | PeerSignal::Answer(sdp)) => making.description = Some(sdp),
            Some(PeerSignal::Candidate { candidate, .. })
                if making.candidates.len() < MAX_CANDIDATES && candidate.starts_with("candidate:") =>
            {
                making.candidates.push(candidate);
            }
            _ => {}
        }
        true
    }

    /// The transport has closed a link that nobody is at the other end of yet.
    pub(super) fn closed_by_hand(&mut self, id: LinkId) {
        if self.by_hand.0.as_ref().is_some_and(|making| making.link == id) {
            if let Some(making) = &mut self.by_hand.0
                && matches!(making.side, Side::Inviting { .. })
            {
                making.side = Side::Connecting;
            }
            self.change(Change::Meeting);
        }
    }

    pub(super) fn tend_by_hand(&mut self, now: Millis) {
        let Some(making) = &self.by_hand.0 else {
            return;
        };
        if making.text.is_none() && making.is_gathered(now) && !matches!(making.side, Side::Connecting) {
            let text = self.text_by_hand(now);
            if let Some(making) = &mut self.by_hand.0 {
                making.text = text;
            }
            self.change(Change::Meeting);
        } else if now >= making.expires() {
            let open = |link: &super::links::Link| link.session.is_some();
            if !self.links.get(&making.link).is_some_and(open) {
                self.end_meeting(now);
            }
        }
    }

    fn text_by_hand(&mut self, now: Millis) -> Option<String> {
        let network_time = self.network_time(now);
        let nonce = self.rng.random();
        let making = self.by_hand.0.as_ref()?;
        let (session, sdp) = (self.session_id(), making.sdp());
        match making.side {
            Side::Inviting { attempt } => {
                let invitation = Invitation {
                    session,
                    attempt,
                    expires: Millis(network_time.0 + LIFETIME_MS),
                    sdp,
                };
                Some(invitation.text(self.session_keys()))
            }
            Side::Answering {
                to,
                attempt,
                to_attempt,
            } => {
                let answer = Answer {
                    session,
                    attempt,
                    to_attempt,
                    sdp,
                };
                answer.text(self.session_keys(), to, nonce, network_time).ok()
            }
            Side::Connecting => None,
        }
    }
}
