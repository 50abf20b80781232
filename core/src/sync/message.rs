//! The messages of a session: NIP-01, NIP-42 and NIP-77, both roles in one type, and a ping of our own.

use std::borrow::Cow;

use nostr::prelude::{ClientMessage, Event, EventId, Filter, RelayMessage, SubscriptionId};

/// Longest subscription id that is accepted, as NIP-01 has it.
pub(super) const MAX_SUBSCRIPTION_ID: usize = 64;

/// Ids in one [`Message::Have`]: it fits into one frame.
pub const MAX_HAVE: usize = 128;

const LABELS: [&str; 16] = [
    "AUTH",
    "REQ",
    "CLOSE",
    "EVENT",
    "EOSE",
    "CLOSED",
    "NEG-OPEN",
    "NEG-MSG",
    "NEG-ERR",
    "NEG-CLOSE",
    "NEG-END",
    "HELLO",
    "NOTICE",
    "PING",
    "PONG",
    "HAVE",
];

/// A message in either role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `["AUTH", <challenge>]`: prove who you are (NIP-42).
    Challenge(String),
    /// `["AUTH", <event>]`: the proof.
    Auth(Box<Event>),
    /// `["REQ", <id>, <filter>]`: send these.
    Req {
        /// The subscription.
        id: String,
        /// What.
        filter: Box<Filter>,
    },
    /// `["CLOSE", <id>]`: no longer.
    Close(String),
    /// `["EVENT", <id>, <event>]`: one of them.
    Event {
        /// The subscription.
        id: String,
        /// The event, not verified.
        event: Box<Event>,
    },
    /// `["EOSE", <id>]`: those were all that are stored.
    Eose(String),
    /// `["CLOSED", <id>, <reason>]`: the subscription ended on the sending side.
    Closed {
        /// The subscription.
        id: String,
        /// A word, a colon and a sentence.
        reason: String,
    },
    /// `["NEG-OPEN", <id>, <filter>, <hex>]`: reconcile the set of this filter (NIP-77).
    NegOpen {
        /// The reconciliation.
        id: String,
        /// The set.
        filter: Box<Filter>,
        /// The first negentropy message.
        message: Vec<u8>,
    },
    /// `["NEG-MSG", <id>, <hex>]`: the next one, in either direction.
    NegMsg {
        /// The reconciliation.
        id: String,
        /// The negentropy message.
        message: Vec<u8>,
    },
    /// `["NEG-ERR", <id>, <reason>]`: it cannot go on.
    NegErr {
        /// The reconciliation.
        id: String,
        /// A word, a colon and a sentence.
        reason: String,
    },
    /// `["NEG-CLOSE", <id>]`: done.
    NegClose(String),
    /// `["NEG-END", <id>, <ids in hex, one after the other>, <all>]`: done; these are here and missing there, so that the
    /// other side need not find it out itself.
    NegEnd {
        /// The reconciliation.
        id: String,
        /// What the other side lacks.
        have: Vec<EventId>,
        /// Whether it lacks nothing else of the set.
        all: bool,
    },
    /// `["HELLO", {"pack": ["deflate"]}]`: what the sender understands beyond the rest (see [`super::pack`]).
    Hello {
        /// Packed messages.
        pack: bool,
        /// Compressed ones.
        deflate: bool,
    },
    /// `["NOTICE", <text>]`: for people who debug; not shown.
    Notice(String),
    /// `["PING", <number>]`: answer with the same number.
    Ping(u64),
    /// `["PONG", <number>]`.
    Pong(u64),
    /// `["HAVE", <ids in hex, one after the other>]`: these events are here, for whoever subscribed to such. With no id:
    /// the sender understands this message.
    Have(Vec<EventId>),
    /// Of another version of this protocol: to be ignored.
    Unknown,
}

/// A text that is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message: {0}")]
pub struct NotAMessage(String);

impl NotAMessage {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string().chars().take(100).collect())
    }
}

impl Message {
    /// Reads a message. Events in it are parsed, not verified.
    ///
    /// # Errors
    /// When it is none, or one that this side does not speak.
    pub fn parse(text: &str) -> Result<Self, NotAMessage> {
        // The same label means different things by role; the second element's type tells which.
        let (label, second) = head(text).ok_or_else(|| NotAMessage::new("no label"))?;
        let relay = matches!((label, second), ("AUTH" | "EVENT", b'"'))
            || matches!(label, "EOSE" | "CLOSED" | "NEG-ERR" | "NOTICE");
        match label {
            _ if !LABELS.contains(&label) => Ok(Self::Unknown),
            "PING" | "PONG" => {
                let (_, number): (&str, u64) = serde_json::from_str(text).map_err(NotAMessage::new)?;
                Ok(if label == "PING" {
                    Self::Ping(number)
                } else {
                    Self::Pong(number)
                })
            }
            "NEG-END" => {
                let (_, id, have, all): (&str, String, &str, bool) =
                    serde_json::from_str(text).map_err(NotAMessage::new)?;
                Ok(Self::NegEnd {
                    id: name(Cow::Owned(SubscriptionId::new(id)))?,
                    have: read_ids(have)?,
                    all,
                })
            }
            "HELLO" => {
                let (_, offer): (&str, Offer) = serde_json::from_str(text).map_err(NotAMessage::new)?;
                Ok(Self::Hello {
                    pack: offer.pack.is_some(),
                    deflate: offer.pack.iter().flatten().any(|way| way == "deflate"),
                })
            }
            "HAVE" => {
                let (_, ids): (&str, &str) = serde_json::from_str(text).map_err(NotAMessage::new)?;
                let ids = read_ids(ids)?;
                if ids.len() > MAX_HAVE {
                    return Err(NotAMessage::new("too many ids"));
                }
                Ok(Self::Have(ids))
            }
            _ if relay => Self::from_relay(RelayMessage::from_json(text).map_err(NotAMessage::new)?),
            _ => Self::from_client(ClientMessage::from_json(text).map_err(NotAMessage::new)?),
        }
    }

    fn from_relay(message: RelayMessage<'static>) -> Result<Self, NotAMessage> {
        Ok(match message {
            RelayMessage::Auth { challenge } => Self::Challenge(challenge.into_owned()),
            RelayMessage::Event {
                subscription_id,
                event,
            } => Self::Event {
                id: name(subscription_id)?,
                event: Box::new(event.into_owned()),
            },
            RelayMessage::EndOfStoredEvents(id) => Self::Eose(name(id)?),
            RelayMessage::Closed {
                subscription_id,
                message,
            } => Self::Closed {
                id: name(subscription_id)?,
                reason: message.into_owned(),
            },
            RelayMessage::NegErr {
                subscription_id,
                message,
            } => Self::NegErr {
                id: name(subscription_id)?,
                reason: message.into_owned(),
            },
            RelayMessage::Notice(text) => Self::Notice(text.into_owned()),
            _ => return Err(NotAMessage::new("not spoken here")),
        })
    }

    fn from_client(message: ClientMessage<'static>) -> Result<Self, NotAMessage> {
        Ok(match message {
            ClientMessage::Auth(event) => Self::Auth(Box::new(event.into_owned())),
            ClientMessage::Req {
                subscription_id,
                filters,
            } => {
                let mut filters = filters.into_iter();
                let (Some(filter), None) = (filters.next(), filters.next()) else {
                    return Err(NotAMessage::new("a request has one filter here"));
                };
                Self::Req {
                    id: name(subscription_id)?,
                    filter: Box::new(filter.into_owned()),
                }
            }
            ClientMessage::Close(id) => Self::Close(name(id)?),
            ClientMessage::NegOpen {
                subscription_id,
                filter,
                initial_message,
            } => Self::NegOpen {
                id: name(subscription_id)?,
                filter: Box::new(filter.into_owned()),
                message: hex::decode(initial_message.as_bytes()).map_err(NotAMessage::new)?,
            },
            ClientMessage::NegMsg {
                subscription_id,
                message,
            } => Self::NegMsg {
                id: name(subscription_id)?,
                message: hex::decode(message.as_bytes()).map_err(NotAMessage::new)?,
            },
            ClientMessage::NegClose { subscription_id } => Self::NegClose(name(subscription_id)?),
            _ => return Err(NotAMessage::new("not spoken here")),
        })
    }

    /// Its JSON text.
    pub fn to_json(&self) -> String {
        let id = SubscriptionId::new;
        match self {
            Self::Challenge(challenge) => RelayMessage::auth(challenge.as_str()).as_json(),
            Self::Auth(event) => ClientMessage::Auth(Cow::Borrowed(event)).as_json(),
            Self::Req { id: name, filter } => ClientMessage::Req {
                subscription_id: Cow::Owned(id(name)),
                filters: vec![Cow::Borrowed(filter)],
            }
            .as_json(),
            Self::Close(name) => ClientMessage::close(id(name)).as_json(),
            Self::Event { id: name, event } => RelayMessage::Event {
                subscription_id: Cow::Owned(id(name)),
                event: Cow::Borrowed(event),
            }
            .as_json(),
            Self::Eose(name) => RelayMessage::EndOfStoredEvents(Cow::Owned(id(name))).as_json(),
            Self::Closed { id: name, reason } => RelayMessage::Closed {
                subscription_id: Cow::Owned(id(name)),
                message: Cow::Borrowed(reason),
            }
            .as_json(),
            Self::NegOpen {
                id: name,
                filter,
                message,
            } => ClientMessage::NegOpen {
                subscription_id: Cow::Owned(id(name)),
                filter: Cow::Borrowed(filter),
                initial_message: Cow::Owned(hex::encode(message)),
            }
            .as_json(),
            Self::NegMsg { id: name, message } => ClientMessage::NegMsg {
                subscription_id: Cow::Owned(id(name)),
                message: Cow::Owned(hex::encode(message)),
            }
            .as_json(),
            Self::NegErr { id: name, reason } => RelayMessage::NegErr {
                subscription_id: Cow::Owned(id(name)),
                message: Cow::Borrowed(reason),
            }
            .as_json(),
            Self::NegClose(name) => ClientMessage::NegClose {
                subscription_id: Cow::Owned(id(name)),
            }
            .as_json(),
            Self::NegEnd { id, have, all } => {
                let have: String = have.iter().map(EventId::to_hex).collect();
                serde_json::json!(["NEG-END", id, have, all]).to_string()
            }
            Self::Hello { pack, deflate } => {
                let ways = if *deflate { vec!["deflate"] } else { vec![] };
                let offer = if *pack {
                    serde_json::json!({ "pack": ways })
                } else {
                    serde_json::json!({})
                };
                serde_json::json!(["HELLO", offer]).to_string()
            }
            Self::Notice(text) => RelayMessage::Notice(Cow::Borrowed(text)).as_json(),
            Self::Ping(number) => format!(r#"["PING",{number}]"#),
            Self::Pong(number) => format!(r#"["PONG",{number}]"#),
            Self::Have(ids) => {
                let ids: String = ids.iter().map(EventId::to_hex).collect();
                format!(r#"["HAVE","{ids}"]"#)
            }
            Self::Unknown => r#"["UNKNOWN",0]"#.to_owned(),
        }
    }
}

/// What a `HELLO` holds; more may come in later versions.
#[derive(serde::Deserialize)]
struct Offer {
    #[serde(default)]
    pack: Option<Vec<String>>,
}

fn read_ids(text: &str) -> Result<Vec<EventId>, NotAMessage> {
    let bytes = hex::decode(text).map_err(NotAMessage::new)?;
    match bytes.as_chunks::<32>() {
        (ids, []) => Ok(ids.iter().map(|id| EventId::from_byte_array(*id)).collect()),
        _ => Err(NotAMessage::new("an id is cut off")),
    }
}

/// The label of a JSON array and the first byte of its second element.
fn head(text: &str) -> Option<(&str, u8)> {
    let rest = text
        .trim_start()
        .strip_prefix('[')?
        .trim_start()
        .strip_prefix('"')?;
    let (label, rest) = rest.split_once('"')?;
    let second = rest.trim_start().strip_prefix(',')?.trim_start().bytes().next()?;
    Some((label, second))
}

fn name(id: Cow<'_, SubscriptionId>) -> Result<String, NotAMessage> {
    let id = id.to_string();
    if id.len() <= MAX_SUBSCRIPTION_ID {
        Ok(id)
    } else {
        Err(NotAMessage::new("the subscription id is too long"))
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{Keys, Kind};
    use proptest::prelude::*;

    use super::*;
    use crate::social;
    use crate::time::Millis;

    #[test]
    fn every_message_reads_back() {
        let event = Box::new(social::note_event(
            &Keys::generate(),
            "波 \"x\"".into(),
            Millis(1_700_000_000_000),
        ));
        let id = || "a1".to_owned();
        let filter = || Box::new(Filter::new().kind(Kind::TextNote).limit(0));
        let reason = || "error: too much".to_owned();
        for message in [
            Message::Challenge("c".into()),
            Message::Auth(event.clone()),
            Message::Req {
                id: id(),
                filter: filter(),
            },
            Message::Close(id()),
            Message::Event { id: id(), event },
            Message::Eose(id()),
            Message::Closed {
                id: id(),
                reason: reason(),
            },
            Message::NegOpen {
                id: id(),
                filter: filter(),
                message: vec![0x61, 0],
            },
            Message::NegMsg {
                id: id(),
                message: vec![0x61],
            },
            Message::NegErr {
                id: id(),
                reason: reason(),
            },
            Message::NegClose(id()),
            Message::Notice("hello".into()),
            Message::Ping(7),
            Message::Pong(u64::MAX),
            Message::NegEnd {
                id: id(),
                have: vec![EventId::from_byte_array([7; 32]); 3],
                all: false,
            },
            Message::Hello {
                pack: true,
                deflate: true,
            },
            Message::Hello {
                pack: true,
                deflate: false,
            },
            Message::Hello {
                pack: false,
                deflate: false,
            },
            Message::Have(Vec::new()),
            Message::Have(vec![EventId::from_byte_array([7; 32]); MAX_HAVE]),
        ] {
            assert_eq!(Message::parse(&message.to_json()), Ok(message));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error(text in "\\PC{0,200}") {
            let _ = Message::parse(&text);
        }

        #[test]
        fn nearly_messages_are_errors(label in "AUTH|EVENT|REQ|EOSE|NEG-OPEN|NEG-MSG|NEG-END|HELLO|PING|CLOSED|HAVE", rest in "[\\[\\]{}\",:0-9a-f]{0,60}") {
            let _ = Message::parse(&format!(r#"["{label}",{rest}]"#));
        }
    }
}
