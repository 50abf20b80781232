//! Blobs on one link: both what this side asks for and what it serves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::message::{BlobMessage, CHUNK, MAX_IDS, Refusal};
use crate::media::{BlobId, BlobStore};
use crate::time::Millis;

/// Bytes in one request; of several requests one is served after the other, so that the receiver sets the pace.
pub(super) const RANGE: u64 = 128 * 1024;
/// Requests that this side has under way, cancelled ones included: two transfers' windows, with room for a change.
const MAX_REQUESTS: usize = 16;
/// Requests that a peer may have under way: a little more than it uses.
const MAX_SERVED: usize = 2 * MAX_REQUESTS;
/// Questions without an answer that this side has; a peer that does not answer is not asked more.
const MAX_QUESTIONS: usize = 8;
/// Small frames waiting for a peer that does not read; past it the session ends.
const MAX_ANSWERS: usize = 512;

/// How long a budget lasts.
const BUDGET_PERIOD: Duration = Duration::from_secs(600);
/// Questions in a period: five in a second and some more. Each costs at most 64 look-ups in memory.
const MAX_ASKS: u32 = 3_600;
/// Requests in a period; each costs a read of at most 128 KiB, though of one byte perhaps.
const MAX_GETS: u32 = 20_000;
/// Bytes served in a period: more than anybody looks at, and 1.7 MB/s if somebody takes all of it.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// How many times over its budget a peer may ask and be told no; past it, it does not listen.
const PATIENCE: u32 = 2;

/// How long a peer may take to answer a question.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// How long nothing may come of what was requested. Events go first, so it is not short.
const STALL_LIMIT: Duration = Duration::from_secs(20);

/// The peer broke the rules on purpose, as far as one can tell: end the session and do not connect again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Hostile(pub &'static str);

/// What a session tells the fetcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobEvent {
    /// The peer says that it has this blob.
    Has {
        /// Which.
        id: BlobId,
        /// Of so many bytes, it says.
        size: u64,
    },
    /// It does not, or did not answer.
    Lacks(BlobId),
    /// Bytes that were asked for, in order.
    Chunk {
        /// Of which blob.
        id: BlobId,
        /// Where in it.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The peer does not send what was requested.
    Refused {
        /// Of which blob.
        id: BlobId,
        /// It may do so later.
        busy: bool,
    },
    /// Nothing came for a while.
    Stalled(BlobId),
}

/// A range that this side asked for.
#[derive(Debug)]
struct Request {
    id: BlobId,
    next: u64,
    end: u64,
    cancelled: bool,
}

/// A range that the peer asked for.
#[derive(Debug)]
struct Serving {
    number: u32,
    id: BlobId,
    next: u64,
    end: u64,
}

/// What a peer has asked for in this period.
#[derive(Debug, Default)]
struct Spent {
    since: Millis,
    asks: u32,
    gets: u32,
    bytes: u64,
}

/// The state.
#[derive(Debug)]
pub struct BlobSession {
    number: u32,
    questions: BTreeMap<u32, (Vec<BlobId>, Millis)>,
    requests: BTreeMap<u32, Request>,
    moved: Millis,
    served: VecDeque<Serving>,
    answers: VecDeque<Vec<u8>>,
    spent: Spent,
    byte_limit: u64,
    events: VecDeque<BlobEvent>,
}

impl Default for BlobSession {
    fn default() -> Self {
        Self {
            number: 0,
            questions: BTreeMap::new(),
            requests: BTreeMap::new(),
            moved: Millis::default(),
            served: VecDeque::new(),
            answers: VecDeque::new(),
            spent: Spent::default(),
            byte_limit: MAX_BYTES,
            events: VecDeque::new(),
        }
    }
}

impl BlobSession {
    /// Sets how many bytes the peer may fetch in ten minutes: less for a stranger than for a friend.
    pub fn set_byte_limit(&mut self, bytes: u64) {
        self.byte_limit = bytes;
    }

    // What this side wants.

    /// Asks which of these (at most 64) the peer has. Each is answered by [`BlobEvent::Has`] or [`BlobEvent::Lacks`].
    pub fn ask(&mut self, ids: &[BlobId], now: Millis) {
        for ids in ids.chunks(MAX_IDS) {
            if self.questions.len() >= MAX_QUESTIONS {
                self.events.extend(ids.iter().copied().map(BlobEvent::Lacks));
                continue;
            }
            let number = self.next_number();
            self.questions.insert(number, (ids.to_vec(), now));
            self.say(&BlobMessage::Ask {
                number,
                ids: ids.to_vec(),
            });
        }
    }

    /// Requests a range of at most 128 KiB, not empty.
    pub fn get(&mut self, id: BlobId, offset: u64, length: u64, now: Millis) {
        let Ok(length @ 1..) = u32::try_from(length.min(RANGE)) else {
            return;
        };
        if self.requests.len() >= MAX_REQUESTS {
            self.events.push_back(BlobEvent::Refused { id, busy: true });
            return;
        }
        if self.requests.values().all(|request| request.cancelled) {
            self.moved = now;
        }
        let number = self.next_number();
        let request = Request {
            id,
            next: offset,
            end: offset + u64::from(length),
            cancelled: false,
        };
        self.requests.insert(number, request);
        self.say(&BlobMessage::Get {
            number,
            id,
            offset,
            length,
        });
    }

    /// Does without what was requested of a blob.
    pub fn cancel(&mut self, id: &BlobId) {
        let mut numbers = Vec::new();
        for (number, request) in &mut self.requests {
            if request.id == *id && !std::mem::replace(&mut request.cancelled, true) {
                numbers.push(*number);
            }
        }
        for number in numbers {
            self.say(&BlobMessage::Cancel { number });
        }
    }

    /// What concerns the fetcher.
    pub fn poll_event(&mut self) -> Option<BlobEvent> {
        self.events.pop_front()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        let late = |asked: &Millis| now.since(*asked) >= ANSWER_LIMIT;
        for (_, (ids, _)) in self.questions.extract_if(.., |_, (_, asked)| late(asked)) {
            self.events.extend(ids.into_iter().map(BlobEvent::Lacks));
        }
        if now.since(self.moved) >= STALL_LIMIT {
            let mut stalled: Vec<BlobId> = self
                .requests
                .values()
                .filter(|request| !request.cancelled)
                .map(|request| request.id)
                .collect();
            stalled.dedup();
            for id in stalled {
                self.cancel(&id);
                self.events.push_back(BlobEvent::Stalled(id));
            }
        }
    }

    // What comes from the peer.

    /// Takes a frame that begins with [`super::BLOB_FRAME`].
    ///
    /// # Errors
    /// When the peer breaks the rules.
    pub fn frame(&mut self, frame: &[u8], store: &dyn BlobStore, now: Millis) -> Result<(), Hostile> {
        let message =
            BlobMessage::parse(frame).map_err(|_| Hostile("the peer sends what is no blob message"))?;
        match message {
            BlobMessage::Ask { number, ids } => self.asked(number, &ids, store, now),
            BlobMessage::Have { number, sizes } => self.answered(number, &sizes),
            BlobMessage::Get {
                number,
                id,
                offset,
                length,
            } => self.requested(number, id, (offset, length), store, now),
            BlobMessage::Chunk {
                number,
                offset,
                bytes,
            } => self.arrived(number, offset, bytes, now),
            BlobMessage::Refuse { number, reason } => self.refused(number, reason),
            BlobMessage::Cancel { number } => {
                let before = self.served.len();
                self.served.retain(|serving| serving.number != number);
                if self.served.len() < before {
                    self.refuse(number, Refusal::Cancelled);
                }
                Ok(())
            }
            BlobMessage::Unknown => Ok(()),
        }?;
        if self.answers.len() > MAX_ANSWERS {
            return Err(Hostile("the peer does not read what it asked for"));
        }
        Ok(())
    }

    fn spend(&mut self, asks: u32, gets: u32, now: Millis) -> Result<bool, Hostile> {
        if now.since(self.spent.since) >= BUDGET_PERIOD {
            self.spent = Spent {
                since: now,
                ..Spent::default()
            };
        }
        let spent = &mut self.spent;
        spent.asks += asks;
        spent.gets += gets;
        if spent.asks > PATIENCE * MAX_ASKS || spent.gets > PATIENCE * MAX_GETS {
            return Err(Hostile("the peer asks for blobs without end"));
        }
        Ok(spent.asks <= MAX_ASKS && spent.gets <= MAX_GETS && spent.bytes < self.byte_limit)
    }

    fn asked(
        &mut self,
        number: u32,
        ids: &[BlobId],
        store: &dyn BlobStore,
        now: Millis,
    ) -> Result<(), Hostile> {
        let allowed = self.spend(1, 0, now)?;
        let size = |id| store.info(id).filter(|info| info.whole).map(|info| info.size);
        let sizes = ids
            .iter()
            .map(|id| Some(id).filter(|_| allowed).and_then(size))
            .collect();
        self.say(&BlobMessage::Have { number, sizes });
        Ok(())
    }

    fn answered(&mut self, number: u32, sizes: &[Option<u64>]) -> Result<(), Hostile> {
        // The answer to a question that was given up is late, not wrong.
        let Some((ids, _)) = self.questions.remove(&number) else {
            return if number <= self.number {
                Ok(())
            } else {
                Err(Hostile("the peer answers what nobody asked"))
            };
        };
        if ids.len() != sizes.len() {
            return Err(Hostile("the peer answers something else than was asked"));
        }
        self.events
            .extend(ids.into_iter().zip(sizes).map(|(id, size)| match *size {
                Some(size) => BlobEvent::Has { id, size },
                None => BlobEvent::Lacks(id),
            }));
        Ok(())
    }

    fn requested(
        &mut self,
        number: u32,
        id: BlobId,
        (offset, length): (u64, u32),
        store: &dyn BlobStore,
        now: Millis,
    ) -> Result<(), Hostile> {
        if length == 0 || u64::from(length) > RANGE {
            return Err(Hostile("the peer asks for a range that is not allowed"));
        }
        if self.served.len() >= MAX_SERVED || self.served.iter().any(|serving| serving.number == number) {
            return Err(Hostile("the peer asks for too many ranges at once"));
        }
        let allowed = self.spend(0, 1, now)?;
        let size = store.info(&id).filter(|info| info.whole).map(|info| info.size);
        let end = offset.saturating_add(u64::from(length));
        if size.is_none_or(|size| end > size) {
            self.refuse(number, Refusal::Gone);
        } else if allowed {
            self.spent.bytes += u64::from(length);
            self.served.push_back(Serving {
                number,
                id,
                next: offset,
                end,
            });
        } else {
            self.refuse(number, Refusal::Busy);
        }
        Ok(())
    }

    fn arrived(&mut self, number: u32, offset: u64, bytes: Vec<u8>, now: Millis) -> Result<(), Hostile> {
        let Some(request) = self.requests.get_mut(&number) else {
            return Err(Hostile("the peer sends bytes that nobody asked for"));
        };
        let end = offset.saturating_add(bytes.len() as u64);
        if offset != request.next || end > request.end {
            return Err(Hostile("the peer sends other bytes than were asked for"));
        }
        request.next = end;
        let (id, cancelled) = (request.id, request.cancelled);
        if end == request.end {
            self.requests.remove(&number);
        }
        if !cancelled {
            self.moved = now;
            self.events.push_back(BlobEvent::Chunk { id, offset, bytes });
        }
        Ok(())
    }

    fn refused(&mut self, number: u32, reason: Refusal) -> Result<(), Hostile> {
        let Some(request) = self.requests.remove(&number) else {
            return Err(Hostile("the peer refuses what nobody asked for"));
        };
        if !request.cancelled {
            // The other ranges of this blob are of no use without this one.
            self.cancel(&request.id);
            self.events.push_back(BlobEvent::Refused {
                id: request.id,
                busy: reason == Refusal::Busy,
            });
        }
        Ok(())
    }

    // What goes out.

    /// The next frame to send, or nothing: questions and answers first, then bytes.
    pub fn poll_frame(&mut self, store: &dyn BlobStore) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.answers.pop_front() {
                return Some(frame);
            }
            let serving = self.served.front_mut()?;
            let (number, id, offset) = (serving.number, serving.id, serving.next);
            let length = usize::try_from(serving.end - offset).map_or(CHUNK, |left| left.min(CHUNK));
            match store.read(&id, offset, length) {
                Ok(Some(bytes)) if bytes.len() == length => {
                    serving.next += length as u64;
                    if serving.next == serving.end {
                        self.served.pop_front();
                    }
                    let chunk = BlobMessage::Chunk {
                        number,
                        offset,
                        bytes,
                    };
                    return Some(chunk.to_frame());
                }
                other => {
                    if let Err(error) = other {
                        tracing::warn!(%id, %error, "a blob cannot be read");
                    }
                    self.served.pop_front();
                    self.refuse(number, Refusal::Gone);
                }
            }
        }
    }

    fn refuse(&mut self, number: u32, reason: Refusal) {
        self.say(&BlobMessage::Refuse { number, reason });
    }

    fn say(&mut self, message: &BlobMessage) {
        self.answers.push_back(message.to_frame());
    }

    fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }
}
