//! Blobs under way: begun, continued, changed over to another source, finished.

use std::time::Duration;

use super::blame::{self, Handover, MAX_ATTEMPTS, MAX_HANDOVERS};
use super::{Action, FetchError, FetchEvent, Fetcher, Holder, MAX_ACTIVE, MAX_PER_PEER};
use crate::media::{Begun, BlobError, BlobId, BlobStore, Finished};
use crate::signaling::SessionId;
use crate::sync::blobs::session::RANGE;
use crate::time::Millis;

/// Bytes requested and not yet here, of one blob: fills a link of 50 ms and 80 Mbit/s.
const WINDOW: u64 = 4 * RANGE;
/// A source that sends less than [`SLOW_BYTES`] in this time is left when there is another.
const SLOW_PERIOD: Duration = Duration::from_secs(15);
const SLOW_BYTES: u64 = 64 * 1024;
/// How often a blob is begun anew to have it from one peer alone.
const MAX_ALONE: u32 = 8;

/// A blob under way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) from: SessionId,
    pub(super) size: u64,
    pub(super) have: u64,
    asked: u64,
    /// When how much was here: to tell slow sources.
    mark: (Millis, u64),
}

impl Fetcher {
    /// Begins what can be begun, the most urgent and longest wanted first.
    pub(super) fn begin_transfers(&mut self, store: &mut dyn BlobStore, now: Millis) {
        let mut active: usize = self.peers.values().map(|peer| peer.transfers).sum();
        if active >= MAX_ACTIVE {
            return;
        }
        let mut waiting: Vec<_> = self
            .wishes
            .iter()
            .filter(|(_, wish)| wish.transfer.is_none() && now >= wish.not_before && !wish.holders.is_empty())
            .map(|(id, wish)| (wish.want.urgency, wish.fresh, *id))
            .collect();
        waiting.sort_unstable();
        for (_, _, id) in waiting {
            if active >= MAX_ACTIVE {
                return;
            }
            if let Some((peer, size)) = self.choose(&id, store, now)
                && self.begin(id, peer, size, store, now)
            {
                active += 1;
            }
        }
    }

    /// The best source: one that says the size of what is here already, has least to do and least often stalled.
    fn choose(&self, id: &BlobId, store: &dyn BlobStore, now: Millis) -> Option<(SessionId, u64)> {
        let wish = self.wishes.get(id)?;
        let partial = store.info(id).map(|info| info.size);
        let source = |(peer, holder): (&SessionId, &Holder)| {
            let Holder::Has { size, not_before } = *holder else {
                return None;
            };
            let state = self.peers.get(peer)?;
            let free = state.transfers < MAX_PER_PEER && now >= state.busy_until && now >= not_before;
            let other_size = partial.is_some_and(|partial| partial != size);
            free.then_some((other_size, state.transfers, not_before, *peer, size))
        };
        let best = wish.holders.iter().filter_map(source).min()?;
        Some((best.3, best.4))
    }

    fn begin(
        &mut self,
        id: BlobId,
        from: SessionId,
        size: u64,
        store: &mut dyn BlobStore,
        now: Millis,
    ) -> bool {
        let Some(wish) = self.wishes.get_mut(&id) else {
            return false;
        };
        let keep = wish.want.keep;
        let mut begun = store.begin(id, size, keep, now);
        if let Ok(Begun::Partial(progress)) = begun
            && progress.have > 0
            && wish.alone.is_some_and(|times| times <= MAX_ALONE)
        {
            // Not a byte from anybody else this time.
            begun = store.remove(&id).and_then(|_| store.begin(id, size, keep, now));
            wish.alone = wish.alone.map(|times| times + 1);
        }
        let progress = match begun {
            Ok(Begun::Partial(progress)) => progress,
            Ok(Begun::Whole) => {
                self.wishes.remove(&id);
                self.events.push_back(FetchEvent::Fetched(id));
                return false;
            }
            Err(error) => {
                self.no_room(&id, &error, now);
                return false;
            }
        };
        wish.open = true;
        if wish.handovers.last().map_or(0, |last| last.until) != progress.have {
            // What is here is of an earlier life, or less than there was.
            wish.handovers.clear();
            if progress.have > 0 {
                wish.handovers.push(Handover {
                    until: progress.have,
                    from: None,
                    digest: progress.digest,
                });
            }
        }
        wish.transfer = Some(Transfer {
            from,
            size,
            have: progress.have,
            asked: progress.have,
            mark: (now, progress.have),
        });
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.transfers += 1;
        }
        if progress.have == size {
            self.complete(id, store, now);
            return false;
        }
        self.request(&id);
        true
    }

    /// Asks for as much as the window takes.
    fn request(&mut self, id: &BlobId) {
        let Some(transfer) = self.wishes.get_mut(id).and_then(|wish| wish.transfer.as_mut()) else {
            return;
        };
        let end = transfer.size.min(transfer.have + WINDOW);
        // Whole ranges only, but for the last: fewer messages.
        while end - transfer.asked >= RANGE || (end == transfer.size && transfer.asked < end) {
            let length = RANGE.min(end - transfer.asked);
            let get = Action::Get {
                id: *id,
                offset: transfer.asked,
                length,
            };
            self.actions.push_back((transfer.from, get));
            transfer.asked += length;
        }
    }

    pub(super) fn chunk(
        &mut self,
        peer: SessionId,
        id: BlobId,
        offset: u64,
        bytes: &[u8],
        store: &mut dyn BlobStore,
        now: Millis,
    ) {
        if !self.is_source(&id, peer) {
            return;
        }
        match store.append(&id, offset, bytes, now) {
            Ok(()) => {
                let Some(wish) = self.wishes.get_mut(&id) else {
                    return;
                };
                wish.fresh = now;
                let Some(transfer) = &mut wish.transfer else {
                    return;
                };
                transfer.have = offset + bytes.len() as u64;
                if transfer.have == transfer.size {
                    self.complete(id, store, now);
                    self.begin_transfers(store, now);
                } else {
                    self.request(&id);
                }
            }
            // The partial was removed under way, by the person perhaps: from the beginning, if still wanted.
            Err(BlobError::OutOfTurn(_)) => {
                self.stop(&id, store);
                self.begin_transfers(store, now);
            }
            Err(error) => {
                self.stop(&id, store);
                self.no_room(&id, &error, now);
            }
        }
    }

    /// Ends a transfer, and notes what its source has sent.
    pub(super) fn stop(&mut self, id: &BlobId, store: &dyn BlobStore) {
        let Some(wish) = self.wishes.get_mut(id) else {
            return;
        };
        let Some(transfer) = wish.transfer.take() else {
            return;
        };
        if let Some(progress) = store.progress(id) {
            let from = Some(transfer.from);
            let before = wish.handovers.last().map_or(0, |last| last.until);
            if progress.have > before {
                // A source that goes on after itself is one source.
                wish.handovers.pop_if(|last| last.from == from);
                wish.handovers.push(Handover {
                    until: progress.have,
                    from,
                    digest: progress.digest,
                });
            }
            if wish.handovers.len() > MAX_HANDOVERS {
                wish.alone.get_or_insert(0);
            }
        }
        if let Some(peer) = self.peers.get_mut(&transfer.from) {
            peer.transfers -= 1;
            if transfer.asked > transfer.have {
                self.actions.push_back((transfer.from, Action::Cancel(*id)));
            }
        }
    }

    /// Does without a source that leaves.
    pub(super) fn drop_source(&mut self, peer: SessionId, store: &dyn BlobStore) {
        let ids: Vec<BlobId> = self
            .wishes
            .keys()
            .filter(|id| self.is_source(id, peer))
            .copied()
            .collect();
        for id in ids {
            self.stop(&id, store);
        }
        self.actions.retain(|(to, _)| *to != peer);
    }

    pub(super) fn leave_slow_sources(&mut self, store: &mut dyn BlobStore, now: Millis) {
        let mut slow = Vec::new();
        for (id, wish) in &mut self.wishes {
            let Some(transfer) = &mut wish.transfer else {
                continue;
            };
            if now.since(transfer.mark.0) < SLOW_PERIOD {
                continue;
            }
            let moved = transfer.have - transfer.mark.1;
            transfer.mark = (now, transfer.have);
            let better = |(peer, holder): (&SessionId, &Holder)| {
                matches!(holder, Holder::Has { size, not_before } if *size == transfer.size && now >= *not_before)
                    && *peer != transfer.from
            };
            if moved < SLOW_BYTES && wish.holders.iter().any(better) {
                slow.push((*id, transfer.from));
            }
        }
        for (id, peer) in slow {
            self.stop(&id, store);
            self.avoid(&id, peer, now);
        }
    }

    fn complete(&mut self, id: BlobId, store: &mut dyn BlobStore, now: Millis) {
        let from = self
            .wishes
            .get(&id)
            .and_then(|wish| Some(wish.transfer.as_ref()?.from));
        self.stop(&id, store);
        let Some(wish) = self.wishes.get_mut(&id) else {
            return;
        };
        match store.finish(&id, now) {
            Ok(Finished::Verified) => {
                let failed = std::mem::take(&mut wish.failed);
                self.wishes.remove(&id);
                self.events.push_back(FetchEvent::Fetched(id));
                for attempt in failed {
                    match blame::liar(&attempt, &id, store) {
                        Ok(Some(peer)) => self.blame(peer),
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%id, %error, "a blob cannot be read"),
                    }
                }
            }
            Ok(Finished::Wrong) => {
                wish.open = false;
                let attempt = std::mem::take(&mut wish.handovers);
                // Without a byte the size alone was the lie.
                let only = if attempt.is_empty() {
                    from
                } else {
                    blame::only_source(&attempt)
                };
                if let Some(peer) = only {
                    wish.holders.insert(peer, Holder::Lied);
                    self.blame(peer);
                } else {
                    wish.alone.get_or_insert(0);
                    if wish.failed.len() < MAX_ATTEMPTS {
                        wish.failed.push(attempt);
                    }
                    // Whoever came last is not the first to be tried again.
                    if let Some(from) = from {
                        self.avoid(&id, from, now);
                    }
                }
            }
            Err(error) => {
                if let BlobError::TooLarge(_) = error {
                    self.wishes.remove(&id);
                    let error = FetchError::TooLarge;
                    self.events.push_back(FetchEvent::Failed { id, error });
                } else {
                    self.no_room(&id, &error, now);
                }
            }
        }
    }

    fn blame(&mut self, peer: SessionId) {
        let event = FetchEvent::Hostile(peer);
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }
}
