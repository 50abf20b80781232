//! How signature, tags and content of an event are stored: hex as the bytes it stands for, about half of the JSON.
//!
//! `sig (64) | number of tags | each: number of items, each: length * 2 + is hex, bytes | content`; numbers are LEB128.

use nostr::prelude::{Event, Signature, Tag, Tags};

/// Bytes of a signature.
const SIGNATURE: usize = 64;
/// Shorter hex (a number, a colour) is kept as text.
const SHORTEST_HEX: usize = 16;

/// What was stored is not what this program writes: the file is damaged.
#[derive(Debug, thiserror::Error)]
#[error("a stored event cannot be read")]
pub(super) struct Damaged;

pub(super) fn encode(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(SIGNATURE + 16 + event.tags.len() * 40 + event.content.len());
    out.extend_from_slice(event.sig.as_bytes());
    write_number(&mut out, event.tags.len());
    for tag in event.tags.iter() {
        let items = tag.as_slice();
        write_number(&mut out, items.len());
        for item in items {
            match hex_bytes(item) {
                Some(bytes) => {
                    write_number(&mut out, (bytes.len() << 1) | 1);
                    out.extend_from_slice(&bytes);
                }
                None => {
                    write_number(&mut out, item.len() << 1);
                    out.extend_from_slice(item.as_bytes());
                }
            }
        }
    }
    out.extend_from_slice(event.content.as_bytes());
    out
}

/// Signature, tags and content.
pub(super) fn decode(data: &[u8]) -> Result<(Signature, Tags, String), Damaged> {
    let (signature, mut rest) = data.split_first_chunk::<SIGNATURE>().ok_or(Damaged)?;
    let count = read_number(&mut rest)?;
    // Every tag takes a byte at least: a damaged count does not reserve memory.
    let mut tags = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        let count = read_number(&mut rest)?;
        let mut items = Vec::with_capacity(count.min(rest.len()));
        for _ in 0..count {
            let header = read_number(&mut rest)?;
            let (bytes, after) = rest.split_at_checked(header >> 1).ok_or(Damaged)?;
            rest = after;
            items.push(if header & 1 == 1 {
                hex::encode(bytes)
            } else {
                String::from_utf8(bytes.to_vec()).map_err(|_| Damaged)?
            });
        }
        tags.push(Tag::parse(items).map_err(|_| Damaged)?);
    }
    let content = String::from_utf8(rest.to_vec()).map_err(|_| Damaged)?;
    Ok((
        Signature::from_byte_array(*signature),
        Tags::from_list(tags),
        content,
    ))
}

/// The bytes of a text that reads back as just this text: lower-case hex of whole bytes.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_hex = text.len() >= SHORTEST_HEX && text.len().is_multiple_of(2) && digits(text);
    is_hex.then(|| hex::decode(text).ok()).flatten()
}

fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Result<usize, Damaged> {
    let mut number = 0usize;
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Damaged)?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{EventBuilder, FinalizeEvent, Keys, Kind};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(
            content in "\\PC{0,200}",
            tags in prop::collection::vec(prop::collection::vec("[0-9a-fA-F]{0,70}|\\PC{0,20}", 1..5), 0..8),
        ) {
            let tags: Vec<Tag> = tags.into_iter().map(|items| Tag::parse(items).unwrap()).collect();
            let event = EventBuilder::new(Kind::TextNote, content).tags(tags).finalize(&Keys::generate()).unwrap();
            let (sig, tags, content) = decode(&encode(&event)).unwrap();
            prop_assert_eq!((sig, &tags, &content), (event.sig, &event.tags, &event.content));
        }

        #[test]
        fn damage_is_an_error_or_another_event_but_no_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&data);
        }
    }
}
