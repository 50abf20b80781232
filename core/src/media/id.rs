//! The name of a blob.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a blob's bytes; in text 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub [u8; 32]);

/// A text that names no blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the SHA-256 of a blob (64 hex digits)")]
pub struct NotABlobId;

impl BlobId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The name in a Blossom address (BUD-01, BUD-03): the last 64 hex digits of the path, with or without a file
    /// extension.
    pub fn in_url(url: &str) -> Option<Self> {
        let path = url.split(['?', '#']).next()?;
        let name = path.rsplit('/').next()?;
        let name = name.split('.').next()?;
        name.parse().ok()
    }
}

impl FromStr for BlobId {
    type Err = NotABlobId;

    fn from_str(text: &str) -> Result<Self, NotABlobId> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id).map_err(|_| NotABlobId)?;
        Ok(Self(id))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn is_the_sha256() {
        let id = BlobId::of(b"abc");
        assert_eq!(id.to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(id));
        assert_eq!(ABC.to_uppercase().parse(), Ok(id));
        for bad in ["", "ba78", &ABC[1..], &ABC.replace('a', "g"), &format!("{ABC}00")] {
            assert_eq!(bad.parse::<BlobId>(), Err(NotABlobId), "{bad}");
        }
    }

    #[test]
    fn is_found_in_addresses() {
        let id = BlobId::of(b"abc");
        for url in [
            format!("https://media.example/{ABC}"),
            format!("https://media.example/{ABC}.jpg?size=large#x"),
            format!("https://media.example/user/{ABC}.tar.gz"),
        ] {
            assert_eq!(BlobId::in_url(&url), Some(id), "{url}");
        }
        assert_eq!(BlobId::in_url("https://media.example/cat.jpg"), None);
        assert_eq!(BlobId::in_url(""), None);
    }
}
