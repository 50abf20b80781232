//! STUN and TURN messages on a byte stream, TCP or TLS (RFC 8489 §6.2.2, RFC 8656 §3.1 and §12.4–12.6).
//!
//! On UDP a datagram is a message. A stream has no such borders: STUN messages say how long they are, and so does
//! ChannelData, which a stream pads to a multiple of 4 bytes.

/// What every STUN message begins with, and the first of it where its length stands.
const STUN_HEADER: usize = 20;
/// What ChannelData begins with: the channel's number, and the length of the data.
const CHANNEL_HEADER: usize = 4;
/// In every STUN message since RFC 5389.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// The longest message that a stream can carry: a full STUN message, whose length is a multiple of 4.
pub const MAX_TURN_MESSAGE: usize = STUN_HEADER + 0xFFFC;

/// What came is no stream of STUN and TURN messages; nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnStreamError {
    /// Neither STUN nor ChannelData.
    #[error("neither a STUN message nor ChannelData")]
    Unknown,
    /// Over the joiner's limit.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
}

/// Cuts a stream into messages; keeps no more than one message and what arrived behind it.
#[derive(Debug)]
pub struct TurnJoiner {
    bytes: Vec<u8>,
    /// What of `bytes` has been handed out.
    read: usize,
    most: usize,
}

impl TurnJoiner {
    /// For messages of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            read: 0,
            most: most.min(MAX_TURN_MESSAGE),
        }
    }

    /// Takes what arrived. Call [`Self::next_message`] until it has none before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, without padding.
    ///
    /// # Errors
    /// When there is none and can be none any more.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, TurnStreamError> {
        let rest = &self.bytes[self.read..];
        let Some((message, on_stream)) = lengths(rest)? else {
            return Ok(None);
        };
        if message > self.most {
            return Err(TurnStreamError::TooLarge(message));
        }
        if rest.len() < on_stream {
            return Ok(None);
        }
        let begin = self.read;
        self.read += on_stream;
        Ok(Some(&self.bytes[begin..begin + message]))
    }
}

/// A message as a stream carries it: ChannelData is padded.
///
/// # Errors
/// When it is no single whole message.
pub fn onto_turn_stream(message: &[u8]) -> Result<Vec<u8>, TurnStreamError> {
    match lengths(message)? {
        // A datagram may be padded as well.
        Some((length, on_stream)) if (length..=on_stream).contains(&message.len()) => {
            let mut bytes = Vec::with_capacity(on_stream);
            bytes.extend_from_slice(message);
            bytes.resize(on_stream, 0);
            Ok(bytes)
        }
        _ => Err(TurnStreamError::Unknown),
    }
}

/// How long the message at the beginning is, and with its padding; `None` when more is needed to tell.
fn lengths(bytes: &[u8]) -> Result<Option<(usize, usize)>, TurnStreamError> {
    // RFC 8656 §12.4: the two most significant bits tell them apart.
    let Some(kind) = bytes.first().map(|first| first >> 6) else {
        return Ok(None);
    };
    let length = match bytes {
        [_, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ if kind <= 1 => return Ok(None),
        _ => 0,
    };
    match kind {
        0 => {
            let cookie = bytes.get(4..8.min(bytes.len())).unwrap_or_default();
            if !length.is_multiple_of(4) || !COOKIE.starts_with(cookie) {
                return Err(TurnStreamError::Unknown);
            }
            let length = STUN_HEADER + length;
            Ok(Some((length, length)))
        }
        1 => {
            let length = CHANNEL_HEADER + length;
            Ok(Some((length, length.next_multiple_of(4))))
        }
        _ => Err(TurnStreamError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap();
        [
            &(kind & 0x3FFF).to_be_bytes()[..],
            &length.to_be_bytes(),
            &COOKIE,
            &[7; 12],
            body,
        ]
        .concat()
    }

    fn channel(number: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [
            &(0x4000 | number & 0x3FFF).to_be_bytes()[..],
            &length.to_be_bytes(),
            data,
        ]
        .concat()
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let body = proptest::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            (any::<u16>(), body.clone()).prop_map(|(kind, mut body)| {
                body.resize(body.len().next_multiple_of(4), 0);
                stun(kind, &body)
            }),
            (any::<u16>(), body).prop_map(|(number, data)| channel(number, &data)),
        ]
    }

    fn all(joiner: &mut TurnJoiner) -> Result<Vec<Vec<u8>>, TurnStreamError> {
        let mut messages = Vec::new();
        while let Some(message) = joiner.next_message()? {
            messages.push(message.to_vec());
        }
        Ok(messages)
    }

    proptest! {
        #[test]
        fn a_stream_gives_back_what_was_put_onto_it(
            messages in proptest::collection::vec(message(), 0..12),
            cuts in proptest::collection::vec(1_usize..50, 1..60),
        ) {
            let stream: Vec<u8> = messages
                .iter()
                .flat_map(|message| onto_turn_stream(message).unwrap())
                .collect();
            let mut joiner = TurnJoiner::new(MAX_TURN_MESSAGE);
            let (mut joined, mut rest) = (Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at(rest.len().min(*cut));
                joiner.push(piece);
                joined.extend(all(&mut joiner).unwrap());
                rest = more;
            }
            prop_assert_eq!(joined, messages);
        }

        #[test]
        fn anything_may_arrive_and_little_is_kept(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..30),
        ) {
            let mut joiner = TurnJoiner::new(1_500);
            for piece in pieces {
                joiner.push(&piece);
                match all(&mut joiner) {
                    Ok(messages) => prop_assert!(messages.iter().all(|message| message.len() <= 1_500)),
                    Err(_) => break,
                }
                prop_assert!(joiner.bytes.len() <= 1_500 + 600);
            }
        }
    }

    #[test]
    fn hostile_lengths_end_the_stream() {
        let first = |bytes: &[u8]| {
            let mut joiner = TurnJoiner::new(1_500);
            joiner.push(bytes);
            joiner.next_message().map(|message| message.map(<[u8]>::len))
        };
        assert_eq!(first(&[]), Ok(None));
        assert_eq!(first(&[0x40, 0, 0]), Ok(None));
        assert_eq!(first(&[0x40, 0, 0, 0]), Ok(Some(4)));
        assert_eq!(
            first(&[0x40, 0, 0, 1, 9, 0, 0]),
            Ok(None),
            "the padding is to come"
        );
        assert_eq!(
            first(&[0x7F, 0xFF, 0xFF, 0xFF]),
            Err(TurnStreamError::TooLarge(65_539))
        );
        assert_eq!(
            first(&[0, 1, 0xFF, 0xFC]),
            Err(TurnStreamError::TooLarge(MAX_TURN_MESSAGE))
        );
        for bad in [
            // TLS, HTTP, and lengths and cookies that no STUN message has.
            &[0x80][..],
            b"\xC0",
            &[0, 1, 0, 3],
            &[0, 1, 0, 0, 0x22],
            b"GET / HTTP/1.1\r\n",
            &[0x16, 3, 1, 0, 200, 1],
        ] {
            let error = first(bad).unwrap_err();
            assert!(
                matches!(error, TurnStreamError::Unknown | TurnStreamError::TooLarge(_)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn only_whole_messages_go_onto_a_stream() {
        assert_eq!(onto_turn_stream(&channel(1, b"abcde")).unwrap().len(), 12);
        assert_eq!(onto_turn_stream(&[0x40, 0, 0, 1, 9, 0, 0, 0]).unwrap().len(), 8);
        let mut longer = stun(1, &[0; 4]);
        longer.push(0);
        for bad in [
            &[][..],
            &[0x40, 0, 0, 5, 1],
            &longer,
            &[0x40, 0, 0, 1, 9, 0, 0, 0, 0],
        ] {
            assert!(onto_turn_stream(bad).is_err(), "{bad:?}");
        }
    }
}
