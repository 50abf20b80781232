//! Range-based set reconciliation (NIP-77; negentropy protocol version 1) over [`ItemSet`]s.
//!
//! No state is kept between messages: a message describes what it is about, so each is answered from the set as it is
//! then. Items that come or go between two messages are found or left to the next reconciliation.
//!
//! Of our own, since the library has only sealed vectors and adds up every range again for every message; the tests
//! speak with it in both roles.

use nostr::prelude::EventId;

use super::item_set::{FINGERPRINT, ItemSet};
use super::varint;
use crate::store::Item;

/// Bytes of a reconciliation message, about; in hex it stays well below a session's largest text message.
pub const MAX_MESSAGE: usize = 60_000;
/// The same where messages are packed: 1,000 differences scattered over 100,000 items fit into one.
pub const MAX_PACKED_MESSAGE: usize = 256 * 1024;

const VERSION: u8 = 0x61;
const SKIP: u64 = 0;
const FINGERPRINTS: u64 = 1;
const IDS: u64 = 2;
/// Parts that a range that differs is split into.
const BUCKETS: usize = 16;
/// Ranges smaller than this are told id by id.
const LIST: usize = 32;
/// The same in a message that is long already, because much differs: a round trip more for half of the bytes.
const DENSE_LIST: usize = 8;
/// When a message is long.
const DENSE: usize = 16 * 1024;
/// Room for what may still come when a message is found to be full: one split range and the fingerprint of the rest.
const TAIL: usize = 2_000;

/// A peer's reconciliation message made no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reconciliation failed: {0}")]
pub struct ReconcileError(&'static str);

const CUT_OFF: ReconcileError = ReconcileError("a message is cut off");

/// What the side that asks learns from an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// What the other side has and this one lacks.
    pub need: Vec<EventId>,
    /// What this side has and the other one lacks.
    pub have: Vec<EventId>,
    /// The next message; `None` when it is over.
    pub next: Option<Vec<u8>>,
}

/// The first message for a set.
pub fn initiate(set: &ItemSet) -> Vec<u8> {
    let mut out = Writer::new(usize::MAX);
    out.split(set, 0, set.len(), Bound::END);
    out.bytes
}

/// The answer of about `limit` bytes at most to a message of the side that asks.
///
/// # Errors
/// When the message is none.
pub fn respond(set: &ItemSet, message: &[u8], limit: usize) -> Result<Vec<u8>, ReconcileError> {
    match message.first() {
        Some(&VERSION) => work(set, message, limit, None),
        // Another version: the answer names ours, as the protocol has it.
        Some(0x60..=0x6f) => Ok(vec![VERSION]),
        _ => Err(ReconcileError("no version")),
    }
}

/// Whether an answer says that nothing differs.
pub fn is_equal(answer: &[u8]) -> bool {
    answer == [VERSION]
}

/// Reads an answer; the next message has about `limit` bytes at most.
///
/// # Errors
/// When the message is none.
pub fn learn(set: &ItemSet, message: &[u8], limit: usize) -> Result<Learnt, ReconcileError> {
    if message.first() != Some(&VERSION) {
        return Err(ReconcileError("another version"));
    }
    let mut learnt = Learnt::default();
    let next = work(set, message, limit, Some(&mut learnt))?;
    learnt.next = (next.len() > 1).then_some(next);
    Ok(learnt)
}

/// The end of a range: everything below it in the items' order.
#[derive(Clone, Copy, Debug)]
struct Bound {
    item: Item,
    /// Bytes of the id that count.
    prefix: usize,
}

impl Bound {
    const END: Self = Self::at(u64::MAX);

    const fn at(created_at: u64) -> Self {
        Self {
            item: Item {
                created_at,
                id: EventId::from_byte_array([0; 32]),
            },
            prefix: 0,
        }
    }

    fn below(item: &Item) -> Self {
        Self {
            item: *item,
            prefix: 32,
        }
    }

    /// The shortest one that tells two neighbours apart.
    fn between(lower: &Item, upper: &Item) -> Self {
        if lower.created_at != upper.created_at {
            return Self::at(upper.created_at);
        }
        let (below, above) = (lower.id.as_bytes(), upper.id.as_bytes());
        let shared = below.iter().zip(above).take_while(|(a, b)| a == b).count();
        let prefix = (shared + 1).min(32);
        let mut id = [0; 32];
        id[..prefix].copy_from_slice(&above[..prefix]);
        Self {
            item: Item {
                created_at: upper.created_at,
                id: EventId::from_byte_array(id),
            },
            prefix,
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    time: u64,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64, ReconcileError> {
        varint::take(&mut self.rest).ok_or(CUT_OFF)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], ReconcileError> {
        varint::take_bytes(&mut self.rest, count).ok_or(CUT_OFF)
    }

    fn bound(&mut self) -> Result<Bound, ReconcileError> {
        self.time = match self.number()? {
            0 => u64::MAX,
            step => self.time.saturating_add(step - 1),
        };
        let mut bound = Bound::at(self.time);
        let prefix = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if prefix > 32 {
            return Err(ReconcileError("an id is too long"));
        }
        let mut id = [0; 32];
        id[..prefix].copy_from_slice(self.bytes(prefix)?);
        bound.prefix = prefix;
        bound.item.id = EventId::from_byte_array(id);
        Ok(bound)
    }

    fn ids(&mut self) -> Result<Vec<EventId>, ReconcileError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        // The count is the peer's: nothing is reserved for more than the message has.
        let bytes = self.bytes(count.saturating_mul(32))?;
        Ok(bytes
            .as_chunks::<32>()
            .0
            .iter()
            .map(|id| EventId::from_byte_array(*id))
            .collect())
    }
}

struct Writer {
    bytes: Vec<u8>,
    time: u64,
    limit: usize,
    /// The end of ranges in which nothing differs and which have not been written yet.
    skipped: Option<Bound>,
}

impl Writer {
    fn new(limit: usize) -> Self {
        Self {
            bytes: vec![VERSION],
            time: 0,
            limit: limit.saturating_sub(TAIL),
            skipped: None,
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() > self.limit
    }

    fn range(&mut self, bound: Bound, mode: u64) {
        if let Some(skipped) = self.skipped.take() {
            self.bound(&skipped);
            varint::put(&mut self.bytes, SKIP);
        }
        self.bound(&bound);
        varint::put(&mut self.bytes, mode);
    }

    fn bound(&mut self, bound: &Bound) {
        let at = bound.item.created_at;
        let step = if at == u64::MAX {
            0
        } else {
            at.saturating_sub(self.time) + 1
        };
        self.time = at;
        varint::put(&mut self.bytes, step);
        varint::put(&mut self.bytes, bound.prefix as u64);
        self.bytes.extend(&bound.item.id.as_bytes()[..bound.prefix]);
    }

    fn fingerprint(&mut self, bound: Bound, fingerprint: [u8; FINGERPRINT]) {
        self.range(bound, FINGERPRINTS);
        self.bytes.extend(fingerprint);
    }

    fn ids(&mut self, bound: Bound, set: &ItemSet, from: usize, to: usize) {
        self.range(bound, IDS);
        varint::put(&mut self.bytes, (to - from) as u64);
        set.range(from, to)
            .for_each(|item| self.bytes.extend(item.id.as_bytes()));
    }

    /// Tells a range in parts: the other side finds those that differ.
    fn split(&mut self, set: &ItemSet, from: usize, to: usize, bound: Bound) {
        let count = to - from;
        let list = if self.bytes.len() > DENSE {
            DENSE_LIST
        } else {
            LIST
        };
        if count < list {
            return self.ids(bound, set, from, to);
        }
        let buckets = (count / 4).clamp(2, BUCKETS);
        let mut start = from;
        for bucket in 1..=buckets {
            let end = from + count * bucket / buckets;
            let until = match (set.get(end - 1), set.get(end)) {
                (Some(last), Some(next)) if bucket < buckets => Bound::between(last, next),
                _ => bound,
            };
            self.fingerprint(until, set.fingerprint(start, end));
            start = end;
        }
    }
}

/// Compares what a message says with the set, range by range. The side that asks has `learnt`.
fn work(
    set: &ItemSet,
    message: &[u8],
    limit: usize,
    mut learnt: Option<&mut Learnt>,
) -> Result<Vec<u8>, ReconcileError> {
    let mut reader = Reader {
        rest: &message[1..],
        time: 0,
    };
    let mut out = Writer::new(limit);
    // Where the present range begins, and where what has been written ends.
    let (mut from, mut written) = (0, 0);
    while !reader.rest.is_empty() {
        let mut bound = reader.bound()?;
        let mut to = set.lower_bound(&bound.item).max(from);
        if bound.item.created_at == u64::MAX && bound.prefix == 0 {
            to = set.len();
        }
        let mode = reader.number()?;
        let before = out.bytes.len();
        let mut cut = false;
        match mode {
            SKIP => {}
            FINGERPRINTS => {
                if reader.bytes(FINGERPRINT)? != set.fingerprint(from, to) {
                    out.split(set, from, to, bound);
                }
            }
            IDS => {
                let ids = reader.ids()?;
                if let Some(learnt) = learnt.as_deref_mut() {
                    compare(set, from, to, ids, learnt);
                } else {
                    let room = out.limit.saturating_sub(out.bytes.len()) / 32;
                    if to - from > room {
                        cut = true;
                        to = from + room;
                        bound = set.get(to).map_or(bound, Bound::below);
                    }
                    out.ids(bound, set, from, to);
                }
            }
            _ => return Err(ReconcileError("an unknown kind of range")),
        }
        if out.bytes.len() == before {
            out.skipped = Some(bound);
        } else {
            written = to;
        }
        if cut || out.is_full() {
            // The other side takes what follows as one range from where the last one written ends.
            out.skipped = None;
            out.fingerprint(Bound::END, set.fingerprint(written, set.len()));
            break;
        }
        from = to;
    }
    Ok(out.bytes)
}

fn compare(set: &ItemSet, from: usize, to: usize, mut theirs: Vec<EventId>, learnt: &mut Learnt) {
    theirs.sort_unstable();
    theirs.dedup();
    let mut shared = vec![false; theirs.len()];
    for item in set.range(from, to) {
        match theirs.binary_search(&item.id) {
            Ok(at) => shared[at] = true,
            Err(_) => learnt.have.push(item.id),
        }
    }
    let missing = theirs.into_iter().zip(shared).filter(|(_, shared)| !shared);
    learnt.need.extend(missing.map(|(id, _)| id));
}

#[cfg(test)]
mod tests;
