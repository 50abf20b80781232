//! Blobs between peers: who has which, and their bytes, beside the events and after them.
//!
//! Blob messages are binary frames of their own on the session's link; their first byte is [`BLOB_FRAME`]. The
//! receiver sets the pace: it asks for ranges, a window of them at a time, and asks on as they are stored.
//!
//! - [`BlobMessage`]: what is said
//! - [`BlobSession`]: one peer's side of one link: answers, serves, checks what comes, within limits
//! - [`Fetcher`]: one for all links: what is wanted, from whom, resumed after a break and from another peer, verified;
//!   who sent bytes that are not the blob's is found out, even when several had a part in it

mod fetcher;
mod message;
mod session;

pub use fetcher::{Action, FetchError, FetchEvent, FetchState, Fetcher, Urgency, Want, Wanted};
pub use message::{BLOB_FRAME, BadBlobMessage, BlobMessage, CHUNK, Refusal};
pub use session::{BlobEvent, BlobSession, Hostile};

#[cfg(test)]
mod tests;
