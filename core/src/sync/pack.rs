//! Packed messages: several together, compressed, and without hex where bytes will do.
//!
//! Spoken only to a peer that has offered it (`["HELLO", {"pack": ["deflate"]}]`). A unit is one byte that tells how
//! it is packed, and records, each with its length before it: a text message, or one of those that carry much binary
//! data in a form of their own. Events of one pull share a unit, so that what they have in common is said once.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use nostr::prelude::{EventId, Filter};

use super::message::{MAX_SUBSCRIPTION_ID, Message};
use super::{reconcile, varint};

/// A unit is sent when it has grown to this: larger ones compress hardly better and keep newer events waiting.
pub const UNIT_BYTES: usize = 48 * 1024;
/// Bytes of a unit, packed or not: a full one and the largest message on top, a reconciliation's. It is also what a
/// few bytes may be inflated to at most.
pub const MAX_UNIT: usize = UNIT_BYTES + 32 * 1024 + reconcile::MAX_PACKED_MESSAGE;
/// Smaller texts are not worth the work.
const MIN_DEFLATE: usize = 256;
/// Effort of compression, of 1 to 10: the second half of the ratio costs several times the first.
const LEVEL: u8 = 2;

const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

const TEXT: u8 = 0;
const NEG_OPEN: u8 = 1;
const NEG_MSG: u8 = 2;
const PULL: u8 = 3;
const NEG_END: u8 = 4;

/// Bytes that are no unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a unit of messages: {0}")]
pub struct NotAUnit(String);

const CUT_OFF: &str = "it is cut off";

impl From<&str> for NotAUnit {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// Messages on their way into a unit.
#[derive(Debug, Default)]
pub struct Packer {
    records: Vec<u8>,
    /// Bytes of text among them: ids and fingerprints do not get smaller.
    text: usize,
}

impl Packer {
    /// Adds a message.
    pub fn add(&mut self, message: &Message) {
        let mut body = Vec::new();
        match message {
            Message::NegOpen { id, filter, message } => {
                start(&mut body, NEG_OPEN, id);
                let filter = filter.as_json();
                varint::put(&mut body, filter.len() as u64);
                body.extend(filter.as_bytes());
                body.extend(message);
            }
            Message::NegMsg { id, message } => {
                start(&mut body, NEG_MSG, id);
                body.extend(message);
            }
            Message::NegEnd { id, have, all } => {
                start(&mut body, NEG_END, id);
                body.push(u8::from(*all));
                have.iter().for_each(|id| body.extend(id.as_bytes()));
            }
            Message::Req { id, filter } if is_pull(filter) => {
                start(&mut body, PULL, id);
                let ids = filter.ids.iter().flatten();
                ids.for_each(|id| body.extend(id.as_bytes()));
            }
            message => {
                body.push(TEXT);
                body.extend(message.to_json().as_bytes());
                self.text += body.len();
            }
        }
        varint::put(&mut self.records, body.len() as u64);
        self.records.extend(body);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The unit of what was added, which is none of it any more.
    pub fn take(&mut self, deflate: bool) -> Vec<u8> {
        let records = std::mem::take(&mut self.records);
        let text = std::mem::take(&mut self.text);
        if deflate && text >= MIN_DEFLATE {
            let mut packed = compress_to_vec(&records, LEVEL);
            if packed.len() < records.len() {
                packed.insert(0, DEFLATE);
                return packed;
            }
        }
        let mut unit = records;
        unit.insert(0, PLAIN);
        unit
    }
}

fn start(body: &mut Vec<u8>, kind: u8, id: &str) {
    body.push(kind);
    varint::put(body, id.len() as u64);
    body.extend(id.as_bytes());
}

/// Whether a request is for events by their ids and nothing else.
fn is_pull(filter: &Filter) -> bool {
    filter
        .ids
        .as_ref()
        .is_some_and(|ids| *filter == Filter::new().ids(ids.iter().copied()))
}

/// The records of a unit, inflated to [`MAX_UNIT`] bytes at most.
///
/// # Errors
/// When it is none, or larger.
pub fn open(unit: Vec<u8>) -> Result<Records, NotAUnit> {
    let bytes = match unit.first() {
        Some(&PLAIN) => unit,
        Some(&DEFLATE) => {
            let inflated = decompress_to_vec_with_limit(&unit[1..], MAX_UNIT);
            let mut bytes = inflated.map_err(|error| NotAUnit(error.to_string()))?;
            bytes.insert(0, PLAIN);
            bytes
        }
        _ => return Err("an unknown packing".into()),
    };
    Ok(Records { bytes, at: 1 })
}

/// What a unit holds.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    at: usize,
}

impl Records {
    fn take(&mut self) -> Result<(Message, usize), NotAUnit> {
        let mut rest = &self.bytes[self.at..];
        let length = varint::take(&mut rest).ok_or(CUT_OFF)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let body = varint::take_bytes(&mut rest, length).ok_or(CUT_OFF)?;
        self.at = self.bytes.len() - rest.len();
        Ok((read(body)?, length))
    }
}

impl Iterator for Records {
    /// A message and its size.
    type Item = Result<(Message, usize), NotAUnit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            // Nothing can be found behind what is broken.
            self.at = self.bytes.len();
        }
        Some(taken)
    }
}

fn read(body: &[u8]) -> Result<Message, NotAUnit> {
    let (kind, mut rest) = body.split_first().ok_or(CUT_OFF)?;
    if *kind == TEXT {
        let text = std::str::from_utf8(rest).map_err(|_| "it is not UTF-8")?;
        return Message::parse(text).map_err(|error| NotAUnit(error.to_string()));
    }
    let id = text(&mut rest, MAX_SUBSCRIPTION_ID)?;
    Ok(match *kind {
        NEG_OPEN => {
            let filter = text(&mut rest, MAX_UNIT)?;
            let filter = Filter::from_json(filter).map_err(|error| NotAUnit(error.to_string()))?;
            Message::NegOpen {
                id,
                filter: Box::new(filter),
                message: rest.to_vec(),
            }
        }
        NEG_MSG => Message::NegMsg {
            id,
            message: rest.to_vec(),
        },
        NEG_END => {
            let (all, ids) = rest.split_first().ok_or(CUT_OFF)?;
            Message::NegEnd {
                id,
                have: read_ids(ids)?,
                all: *all == 1,
            }
        }
        PULL => Message::Req {
            id,
            filter: Box::new(Filter::new().ids(read_ids(rest)?)),
        },
        _ => Message::Unknown,
    })
}

fn text(bytes: &mut &[u8], longest: usize) -> Result<String, NotAUnit> {
    let length = varint::take(bytes).ok_or(CUT_OFF)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > longest {
        return Err("a text is too long".into());
    }
    let text = varint::take_bytes(bytes, length).ok_or(CUT_OFF)?;
    Ok(std::str::from_utf8(text)
        .map_err(|_| "it is not UTF-8")?
        .to_owned())
}

fn read_ids(bytes: &[u8]) -> Result<Vec<EventId>, NotAUnit> {
    let (ids, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(CUT_OFF.into());
    }
    Ok(ids.iter().map(|id| EventId::from_byte_array(*id)).collect())
}

#[cfg(test)]
mod tests {
    use nostr::prelude::Keys;
    use proptest::prelude::*;

    use super::*;
    use crate::social::{KINDS, note_event};
    use crate::time::Millis;

    fn messages() -> Vec<Message> {
        let id = || "a1".to_owned();
        let ids = || (0..300u16).map(|n| EventId::from_byte_array([n as u8 ^ (n >> 3) as u8; 32]));
        let event = note_event(&Keys::generate(), "波 \"x\"".into(), Millis(1_700_000_000_000));
        vec![
            Message::NegOpen {
                id: id(),
                filter: Box::new(Filter::new().kinds(KINDS)),
                message: vec![0x61, 0, 1, 2],
            },
            Message::NegMsg {
                id: id(),
                message: vec![7; 1_000],
            },
            Message::NegEnd {
                id: id(),
                have: ids().collect(),
                all: true,
            },
            Message::Req {
                id: id(),
                filter: Box::new(Filter::new().ids(ids())),
            },
            Message::Req {
                id: id(),
                filter: Box::new(Filter::new().kinds(KINDS).limit(0)),
            },
            Message::Event {
                id: id(),
                event: Box::new(event),
            },
            Message::Eose(id()),
        ]
    }

    fn unpack(unit: Vec<u8>) -> Result<Vec<Message>, NotAUnit> {
        open(unit)?
            .map(|record| record.map(|(message, _)| message))
            .collect()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let messages = messages();
        for deflate in [false, true] {
            let mut packer = Packer::default();
            messages.iter().for_each(|message| packer.add(message));
            let unit = packer.take(deflate);
            assert_eq!(unit[0] == DEFLATE, deflate);
            assert!(packer.is_empty());
            assert_eq!(unpack(unit).unwrap(), messages);
        }
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let mut bomb = compress_to_vec(&vec![b' '; 50 << 20], 9);
        bomb.insert(0, DEFLATE);
        assert!(bomb.len() < MAX_UNIT);
        assert!(open(bomb).is_err());
    }

    #[test]
    fn events_take_little_more_than_half() {
        let people: Vec<Keys> = (0..20).map(|_| Keys::generate()).collect();
        let (mut packer, mut plain) = (Packer::default(), 0);
        for n in 0..100usize {
            let text = format!("さざなみ、水の上にひろがる輪。ripple number {n}");
            let event = note_event(&people[n % 20], text, Millis(1_700_000_000_000 + n as u64));
            let message = Message::Event {
                id: "0123abcd-pull-12".into(),
                event: Box::new(event),
            };
            plain += message.to_json().len();
            packer.add(&message);
        }
        let packed = packer.take(true).len();
        println!("100 events: {plain} bytes as text, {packed} packed");
        assert!(packed * 100 < plain * 60, "{packed} of {plain}");
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_messages(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..2_000usize) {
            let mut packer = Packer::default();
            messages().iter().for_each(|message| packer.add(message));
            let mut whole = packer.take(cut % 2 == 0);
            whole.truncate(cut);
            whole.extend(&bytes);
            for unit in [bytes.clone(), whole, [vec![PLAIN], bytes.clone()].concat(), [vec![DEFLATE], bytes].concat()] {
                let _ = unpack(unit);
            }
        }
    }
}
