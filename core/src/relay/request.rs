//! What clients say, parsed once where it arrives.

use nostr::prelude::{ClientMessage, Event, EventId, Filter, RelayMessage, SubscriptionId};
use serde_json::Value;

/// Longest subscription id, as NIP-01 has it.
pub const MAX_SUBSCRIPTION_ID: usize = 64;
/// Characters of a parser's complaint that a client is told.
const MAX_REASON: usize = 100;

/// What a client asks for. Events are not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `EVENT`: keep this and pass it on.
    Publish(Box<Event>),
    /// `REQ`: send what matches, now and as it comes.
    Subscribe {
        /// The subscription.
        id: String,
        /// What; an event matches if any of them does.
        filters: Vec<Filter>,
    },
    /// `CLOSE`: no longer.
    Unsubscribe(String),
    /// `NEG-OPEN`: reconcile the set of this filter (NIP-77).
    Reconcile {
        /// The reconciliation.
        id: String,
        /// The set.
        filter: Box<Filter>,
        /// The first negentropy message.
        message: Vec<u8>,
    },
    /// `NEG-MSG`: the next one.
    Continue {
        /// The reconciliation.
        id: String,
        /// The negentropy message.
        message: Vec<u8>,
    },
    /// `NEG-CLOSE`: done.
    Finish(String),
}

/// A message that is no request: holds what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense(pub(super) String);

impl Nonsense {
    /// Answered by a notice, since it names nothing that an answer could be about.
    pub fn new(reason: &str) -> Self {
        Self(RelayMessage::notice(format!("invalid: {reason}")).as_json())
    }
}

impl Request {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none, or one that is not spoken here.
    pub fn parse(text: &str) -> Result<Self, Nonsense> {
        let message = ClientMessage::from_json(text).map_err(|error| blame(text, &error.to_string()))?;
        let bytes = |hex: &str| hex::decode(hex).map_err(|error| blame(text, &error.to_string()));
        Ok(match message {
            ClientMessage::Event(event) => Self::Publish(Box::new(event.into_owned())),
            ClientMessage::Req {
                subscription_id,
                filters,
            } => Self::Subscribe {
                id: name(&subscription_id)?,
                filters: filters.into_iter().map(std::borrow::Cow::into_owned).collect(),
            },
            ClientMessage::Close(id) => Self::Unsubscribe(name(&id)?),
            ClientMessage::NegOpen {
                subscription_id,
                filter,
                initial_message,
            } => Self::Reconcile {
                id: name(&subscription_id)?,
                filter: Box::new(filter.into_owned()),
                message: bytes(&initial_message)?,
            },
            ClientMessage::NegMsg {
                subscription_id,
                message,
            } => Self::Continue {
                id: name(&subscription_id)?,
                message: bytes(&message)?,
            },
            ClientMessage::NegClose { subscription_id } => Self::Finish(name(&subscription_id)?),
            ClientMessage::Count { subscription_id, .. } => {
                let reason = "unsupported: nothing is counted here (NIP-45)";
                return Err(Nonsense(closed(&name(&subscription_id)?, reason)));
            }
            ClientMessage::Auth(event) => {
                let reason = "error: nobody is asked for a proof here (NIP-42)";
                return Err(Nonsense(ok(&event.id, false, reason)));
            }
        })
    }
}

pub(super) fn ok(id: &EventId, accepted: bool, reason: &str) -> String {
    RelayMessage::ok(*id, accepted, reason).as_json()
}

pub(super) fn closed(id: &str, reason: &str) -> String {
    RelayMessage::closed(SubscriptionId::new(id), reason).as_json()
}

pub(super) fn neg_err(id: &str, reason: &str) -> String {
    RelayMessage::NegErr {
        subscription_id: std::borrow::Cow::Owned(SubscriptionId::new(id)),
        message: reason.into(),
    }
    .as_json()
}

fn name(id: &SubscriptionId) -> Result<String, Nonsense> {
    let id = id.to_string();
    if is_name(&id) {
        Ok(id)
    } else {
        Err(Nonsense::new("a subscription id has 1 to 64 characters"))
    }
}

fn is_name(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_SUBSCRIPTION_ID
}

/// Tells what is wrong by the message that the client waits for, where one can be seen.
fn blame(text: &str, reason: &str) -> Nonsense {
    let reason: String = reason.chars().take(MAX_REASON).collect();
    let Ok(Value::Array(parts)) = serde_json::from_str(text) else {
        return Nonsense::new("not a JSON array");
    };
    let label = parts.first().and_then(Value::as_str);
    let second = parts.get(1);
    let id = second.and_then(Value::as_str).filter(|id| is_name(id));
    let reason = format!("invalid: {reason}");
    Nonsense(match (label, id) {
        (Some("EVENT"), _) => match second.and_then(|event| event.get("id")?.as_str()?.parse().ok()) {
            Some(id) => ok(&id, false, &reason),
            None => RelayMessage::notice(reason).as_json(),
        },
        (Some("REQ" | "COUNT"), Some(id)) => closed(id, &reason),
        (Some("NEG-OPEN" | "NEG-MSG"), Some(id)) => neg_err(id, &reason),
        _ => RelayMessage::notice(reason).as_json(),
    })
}
