//! Addresses of signal servers.

use nostr::types::url::Url;
use serde::{Deserialize, Serialize};

/// Longest address in bytes.
const MAX_LENGTH: usize = 200;

/// A signal server's address: the `https://` address of its web page. `/ws` and `/turn` are below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(String);

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signal server's address looks like https://example.org or http://127.0.0.1:8080, not {0:?}")]
pub struct BadServerUrl(String);

impl ServerUrl {
    /// Reads what a person typed: without a scheme it is `https://`.
    ///
    /// # Errors
    /// When it is no address of a web page, or carries a user name, a query or a fragment.
    pub fn typed(text: &str) -> Result<Self, BadServerUrl> {
        let text = text.trim();
        if text.contains("://") {
            text.parse()
        } else {
            format!("https://{text}")
                .parse()
                .map_err(|_| BadServerUrl(text.to_owned()))
        }
    }

    /// The address as written, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the WebSocket is.
    pub fn socket(&self) -> String {
        // `http` → `ws`, `https` → `wss`.
        format!("ws{}/ws", self.0.trim_start_matches("http"))
    }

    /// Where ICE servers are handed out.
    pub fn turn(&self) -> String {
        format!("{}/turn", self.0)
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let host = self.0.split('/').nth(2).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "127.0.0.1" | "localhost" | "[::1]") || host == "[::1]"
    }

    /// The address as people know it: without what stands before and after it in all of them.
    pub fn shown(&self) -> &str {
        self.0.strip_prefix("https://").unwrap_or(&self.0)
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
        let bad = || BadServerUrl(text.chars().take(MAX_LENGTH).collect());
        let url = Url::parse(text).map_err(|_| bad())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let normal = url.as_str().trim_end_matches('/');
        if plain && normal.len() <= MAX_LENGTH {
            Ok(Self(normal.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = BadServerUrl;

    fn try_from(text: String) -> Result<Self, BadServerUrl> {
        text.parse()
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_derived_from_the_base() {
        let url: ServerUrl = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!(
            (url.socket(), url.turn()),
            (
                "ws://127.0.0.1:8080/ws".to_owned(),
                "http://127.0.0.1:8080/turn".to_owned()
            )
        );
        let url: ServerUrl = "https://Example.org/nami/".parse().unwrap();
        assert_eq!(url.socket(), "wss://example.org/nami/ws");
        assert_eq!(url.turn(), "https://example.org/nami/turn");
        assert_eq!(url.shown(), "example.org/nami");
        assert_eq!(
            ServerUrl::typed(" example.org ").unwrap().as_str(),
            "https://example.org"
        );
        assert_eq!(
            ServerUrl::typed("http://[::1]:80").unwrap().as_str(),
            "http://[::1]"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "ftp://example.org",
            "http://",
            "https://name@example.org",
            "https://example.org/?x=1",
            "https://example.org/#x",
            &format!("https://example.org/{}", "x".repeat(300)),
        ] {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
            assert!(ServerUrl::typed(bad).is_err(), "{bad}");
        }
        for bad in ["example.org:x", "a b", "javascript:alert(1)"] {
            assert!(ServerUrl::typed(bad).is_err(), "{bad}");
        }
    }
}
