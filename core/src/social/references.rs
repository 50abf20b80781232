//! What a note refers to, read from its tags and its text.

use nostr::prelude::{EventId, PublicKey};
use serde::{Deserialize, Serialize};

/// What a note refers to. Lists are bounded, since anybody may write anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// The root of its thread (NIP-10); `None` when it is no reply.
    pub root: Option<EventId>,
    /// What it replies to: the root, or a reply below it.
    pub parent: Option<EventId>,
    /// Notes it quotes (NIP-18, `q` tags).
    pub quotes: Vec<EventId>,
    /// People it names: `p` tags and `nostr:` addresses in the text (NIP-27).
    pub mentions: Vec<PublicKey>,
    /// Hashtags, in lower case, without the `#`: `t` tags and those in the text.
    pub hashtags: Vec<String>,
    /// The reason of a content warning (NIP-36), perhaps empty.
    pub warning: Option<String>,
    /// Attached media (NIP-92).
    pub media: Vec<Media>,
}

/// An attached file (NIP-92, `imeta`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it was when it was posted; never fetched by itself.
    pub url: String,
    /// SHA-256 of its bytes in hex, when given and well-formed.
    pub sha256: Option<String>,
    /// MIME type.
    pub mime: Option<String>,
    /// Description for those who do not see it.
    pub alt: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Blurhash.
    pub blurhash: Option<String>,
    /// Size in bytes.
    pub bytes: Option<u64>,
}
