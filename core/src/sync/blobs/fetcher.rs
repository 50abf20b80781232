//! Fetches blobs over all links: what is wanted, from whom, in which order.
//!
//! A blob comes from one peer at a time, since its hash proves only the whole. When a source stalls, refuses or
//! leaves, another goes on where it ended, and the hash of what was there at that moment is noted. If the whole turns
//! out wrong and one peer alone sent it, that peer lied. If several did, the blob is fetched again, from one peer from
//! beginning to end; once it is here, the noted hashes tell whose part was false.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

mod blame;
mod transfer;

use blame::{Attempt, Handover};
use transfer::Transfer;

use super::BlobEvent;
use crate::media::{BlobError, BlobId, BlobStore, Keep, MAX_BLOB};
use crate::signaling::SessionId;
use crate::time::Millis;

/// Blobs wanted at once: several screens of pictures.
const MAX_WANTS: usize = 1_024;
/// Blobs under way at once, over all links.
const MAX_ACTIVE: usize = 4;
/// Of them from one peer.
const MAX_PER_PEER: usize = 2;
/// Blobs in one question.
const ASK_BATCH: usize = 64;
/// Between two questions to a peer, but for those that a tick asks together.
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// When a peer that did not have a blob is asked again, at first; then after twice as long each time.
const FIRST_ASK_AGAIN: Duration = Duration::from_secs(15);
const LAST_ASK_AGAIN: Duration = Duration::from_secs(600);
/// How long a peer that stalled is not used for a blob, when there are others.
const STALL_PAUSE: Duration = Duration::from_secs(60);
/// How long a busy peer is left alone.
const BUSY_PAUSE: Duration = Duration::from_secs(60);
/// How long to wait when there is no room for a blob.
const FULL_PAUSE: Duration = Duration::from_secs(60);
/// How long a blob is wanted when nothing of it comes; whoever still shows it, wants it again.
const WANT_LIMIT: Duration = Duration::from_secs(3_600);

/// How urgent a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody looks at its place.
    Now,
    /// It will be looked at, perhaps.
    Later,
}

/// A blob that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Which.
    pub id: BlobId,
    /// Its size where the event that names it tells it; a peer that has another size is not believed.
    pub size: Option<u64>,
    /// How it is to be kept.
    pub keep: Keep,
    /// How soon.
    pub urgency: Urgency,
}

/// What became of a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is here already.
    Here,
    /// It is being fetched; a [`FetchEvent`] follows.
    Coming,
    /// 1,024 blobs are wanted already: try again later.
    TooMany,
}

/// How far a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchState {
    /// Bytes that are here.
    pub have: u64,
    /// Its size, as far as known.
    pub size: Option<u64>,
    /// How many connected peers are known to have it.
    pub holders: usize,
}

/// What a session is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`super::BlobSession::ask`].
    Ask(Vec<BlobId>),
    /// [`super::BlobSession::get`].
    Get {
        /// Which.
        id: BlobId,
        /// From where.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// [`super::BlobSession::cancel`].
    Cancel(BlobId),
}

/// What the node should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// The blob is here, verified.
    Fetched(BlobId),
    /// It is not wanted any more.
    Failed {
        /// Which.
        id: BlobId,
        /// Why.
        error: FetchError,
    },
    /// There is no room for it: it is tried again now and then.
    NoRoom(BlobId),
    /// This peer sent bytes that are not the blob's.
    Hostile(SessionId),
}

/// Why a blob is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody who was connected in the last hour had it.
    #[error("nobody has it")]
    Nowhere,
    /// Over the limit.
    #[error("it is larger than {MAX_BLOB} bytes")]
    TooLarge,
}

#[derive(Clone, Copy, Debug)]
enum Holder {
    Asked,
    Lacks,
    Has {
        size: u64,
        not_before: Millis,
    },
    /// What it says or sent was wrong.
    Lied,
}

#[derive(Debug)]
struct Wish {
    want: Want,
    fresh: Millis,
    holders: BTreeMap<SessionId, Holder>,
    transfer: Option<Transfer>,
    /// The partial is open in the store.
    open: bool,
    not_before: Millis,
    next_ask: Millis,
    ask_again: Duration,
    /// Who sent what is here.
    handovers: Vec<Handover>,
    failed: Vec<Attempt>,
    /// How often it was begun from one peer alone, after several together sent something wrong.
    alone: Option<u32>,
}

#[derive(Debug, Default)]
struct Peer {
    transfers: usize,
    asked: Millis,
    busy_until: Millis,
}

/// The state.
#[derive(Debug, Default)]
pub struct Fetcher {
    wishes: BTreeMap<BlobId, Wish>,
    peers: BTreeMap<SessionId, Peer>,
    actions: VecDeque<(SessionId, Action)>,
    events: VecDeque<FetchEvent>,
}

impl Fetcher {
    /// Wants a blob, unless it is here. Wanting it again refreshes the want and can only make it more urgent.
    pub fn want(&mut self, want: Want, store: &mut dyn BlobStore, now: Millis) -> Wanted {
        if store.info(&want.id).is_some_and(|info| info.whole) {
            return Wanted::Here;
        }
        if let Some(wish) = self.wishes.get_mut(&want.id) {
            wish.fresh = now;
            wish.want.urgency = wish.want.urgency.min(want.urgency);
            wish.want.keep = wish.want.keep.max(want.keep);
            return Wanted::Coming;
        }
        if self.wishes.len() >= MAX_WANTS {
            return Wanted::TooMany;
        }
        let wish = Wish {
            want,
            fresh: now,
            holders: BTreeMap::new(),
            transfer: None,
            open: false,
            not_before: now,
            next_ask: now,
            ask_again: FIRST_ASK_AGAIN,
            handovers: Vec::new(),
            failed: Vec::new(),
            alone: None,
        };
        self.wishes.insert(want.id, wish);
        self.ask(false, now);
        Wanted::Coming
    }

    /// Does not want a blob any more. What is here of it stays for another time, as far as there is room.
    pub fn forget(&mut self, id: &BlobId, store: &mut dyn BlobStore, now: Millis) {
        self.stop(id, store);
        if let Some(wish) = self.wishes.remove(id)
            && wish.open
            && let Err(error) = store.pause(id)
        {
            tracing::warn!(%id, %error, "a partial blob is not kept");
        }
        self.begin_transfers(store, now);
    }

    /// How far a wanted blob is.
    pub fn state(&self, id: &BlobId) -> Option<FetchState> {
        let wish = self.wishes.get(id)?;
        let transfer = wish.transfer.as_ref();
        let sizes = || {
            wish.holders.values().filter_map(|holder| match holder {
                Holder::Has { size, .. } => Some(*size),
                _ => None,
            })
        };
        Some(FetchState {
            have: transfer.map_or(0, |transfer| transfer.have),
            size: wish
                .want
                .size
                .or(transfer.map(|transfer| transfer.size))
                .or(sizes().next()),
            holders: sizes().count(),
        })
    }

    /// How many blobs are wanted.
    pub fn len(&self) -> usize {
        self.wishes.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// A session has been proven.
    pub fn joined(&mut self, peer: SessionId, now: Millis) {
        self.peers.insert(peer, Peer::default());
        for wish in self.wishes.values_mut() {
            wish.holders.remove(&peer);
            wish.next_ask = wish.next_ask.min(now);
        }
        self.ask(false, now);
    }

    /// A session has ended.
    pub fn left(&mut self, peer: SessionId, store: &mut dyn BlobStore, now: Millis) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        self.drop_source(peer, store);
        self.peers.remove(&peer);
        for wish in self.wishes.values_mut() {
            wish.holders.remove(&peer);
        }
        self.begin_transfers(store, now);
    }

    /// What a session says.
    pub fn event(&mut self, peer: SessionId, event: BlobEvent, store: &mut dyn BlobStore, now: Millis) {
        match event {
            BlobEvent::Has { id, size } => {
                self.holder(
                    &id,
                    peer,
                    Holder::Has {
                        size,
                        not_before: now,
                    },
                );
                self.begin_transfers(store, now);
            }
            BlobEvent::Lacks(id) => self.holder(&id, peer, Holder::Lacks),
            BlobEvent::Chunk { id, offset, bytes } => self.chunk(peer, id, offset, &bytes, store, now),
            BlobEvent::Refused { id, busy } => {
                if self.is_source(&id, peer) {
                    self.stop(&id, store);
                }
                if busy {
                    if let Some(peer) = self.peers.get_mut(&peer) {
                        peer.busy_until = now + BUSY_PAUSE;
                    }
                } else {
                    self.holder(&id, peer, Holder::Lacks);
                }
                self.begin_transfers(store, now);
            }
            BlobEvent::Stalled(id) => {
                if self.is_source(&id, peer) {
                    self.stop(&id, store);
                    self.avoid(&id, peer, now);
                    self.begin_transfers(store, now);
                }
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, store: &mut dyn BlobStore, now: Millis) {
        for (id, wish) in &self.wishes {
            if wish.transfer.is_none() && now.since(wish.fresh) >= WANT_LIMIT {
                self.events.push_back(FetchEvent::Failed {
                    id: *id,
                    error: FetchError::Nowhere,
                });
            }
        }
        self.wishes
            .retain(|_, wish| wish.transfer.is_some() || now.since(wish.fresh) < WANT_LIMIT);
        self.leave_slow_sources(store, now);
        self.ask(true, now);
        self.begin_transfers(store, now);
        for (id, wish) in &mut self.wishes {
            // What nobody sends at present makes room for what somebody does.
            if wish.transfer.is_none()
                && std::mem::take(&mut wish.open)
                && let Err(error) = store.pause(id)
            {
                tracing::warn!(%id, %error, "a partial blob is not kept");
            }
        }
    }

    /// What sessions are to do.
    pub fn poll_action(&mut self) -> Option<(SessionId, Action)> {
        self.actions.pop_front()
    }

    /// What the node should know.
    pub fn poll_event(&mut self) -> Option<FetchEvent> {
        self.events.pop_front()
    }

    fn holder(&mut self, id: &BlobId, peer: SessionId, holder: Holder) {
        let Some(wish) = self.wishes.get_mut(id).filter(|_| self.peers.contains_key(&peer)) else {
            return;
        };
        let believed = match holder {
            Holder::Has { size, .. } => {
                size <= MAX_BLOB && wish.want.size.is_none_or(|expected| expected == size)
            }
            _ => true,
        };
        let known = wish.holders.entry(peer).or_insert(Holder::Asked);
        if !matches!(known, Holder::Lied) {
            *known = if believed { holder } else { Holder::Lied };
        }
    }

    /// Prefers other sources of a blob for a while.
    fn avoid(&mut self, id: &BlobId, peer: SessionId, now: Millis) {
        let holder = self
            .wishes
            .get_mut(id)
            .and_then(|wish| wish.holders.get_mut(&peer));
        if let Some(Holder::Has { not_before, .. }) = holder {
            *not_before = now + STALL_PAUSE;
        }
    }

    fn is_source(&self, id: &BlobId, peer: SessionId) -> bool {
        let transfer = self.wishes.get(id).and_then(|wish| wish.transfer.as_ref());
        transfer.is_some_and(|transfer| transfer.from == peer)
    }

    /// Asks who has what is wanted and not under way. All that is due goes out together.
    fn ask(&mut self, all: bool, now: Millis) {
        let mut questions: BTreeMap<SessionId, BTreeSet<BlobId>> = BTreeMap::new();
        let may_ask = |peer: &Peer| all || now.since(peer.asked) >= ASK_PAUSE;
        let askable: Vec<SessionId> = self
            .peers
            .iter()
            .filter(|(_, peer)| may_ask(peer))
            .map(|(id, _)| *id)
            .collect();
        if askable.is_empty() {
            return;
        }
        for (id, wish) in &mut self.wishes {
            let again = now >= wish.next_ask;
            for peer in &askable {
                let due = match wish.holders.get(peer) {
                    None => true,
                    Some(Holder::Lacks) => again && wish.transfer.is_none(),
                    Some(_) => false,
                };
                if due {
                    wish.holders.insert(*peer, Holder::Asked);
                    questions.entry(*peer).or_default().insert(*id);
                }
            }
            if again {
                wish.next_ask = now + wish.ask_again;
                wish.ask_again = (wish.ask_again * 2).min(LAST_ASK_AGAIN);
            }
        }
        for (peer, ids) in questions {
            let ids: Vec<BlobId> = ids.into_iter().collect();
            for batch in ids.chunks(ASK_BATCH) {
                self.actions.push_back((peer, Action::Ask(batch.to_vec())));
            }
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.asked = now;
            }
        }
    }

    fn no_room(&mut self, id: &BlobId, error: &BlobError, now: Millis) {
        tracing::warn!(%id, %error, "a blob cannot be stored");
        if let Some(wish) = self.wishes.get_mut(id) {
            wish.not_before = now + FULL_PAUSE;
        }
        self.events.push_back(FetchEvent::NoRoom(*id));
    }
}
