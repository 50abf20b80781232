//! Short-lived TURN credentials from a shared secret, as coturn's `use-auth-secret` knows them
//! (draft-uberti-behave-turn-rest-00).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// What a TURN client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Credentials that hold until `expiry` (Unix seconds); `name` makes them differ from client to client.
pub(crate) fn issue(secret: &str, expiry: u64, name: &str) -> Credentials {
    let username = format!("{expiry}:{name}");
    let password = password(secret, &username);
    Credentials { username, password }
}

/// The password of a username: `base64(HMAC-SHA1(secret, username))`.
pub(crate) fn password(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(username.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Until when a username holds, in Unix seconds.
pub(crate) fn expiry(username: &str) -> Option<u64> {
    username.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '%s' 1700000000:sazanami | openssl dgst -sha1 -hmac north -binary | base64`
    #[test]
    fn coturn_would_accept_it() {
        let credentials = issue("north", 1_700_000_000, "sazanami");
        assert_eq!(credentials.username, "1700000000:sazanami");
        assert_eq!(credentials.password, "4K62QgMXauwIOilwY5ciYIgo9UE=");
    }

    #[test]
    fn the_expiry_is_what_stands_before_the_colon() {
        assert_eq!(expiry("1700000000:x"), Some(1_700_000_000));
        for bad in ["", ":", "x:1", "1700000000", "-1:x", "99999999999999999999999:x"] {
            assert_eq!(expiry(bad), None, "{bad}");
        }
    }
}
