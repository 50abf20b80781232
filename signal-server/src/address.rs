//! Whom a limit counts.

use std::net::{IpAddr, Ipv6Addr};

/// Who counts as one client for the limits: an IPv4 address, or the /64 of an IPv6 address, since whoever has one
/// address of a /64 has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))))
            }
            other => Self(other),
        }
    }
}

/// The client's address behind a proxy: the last entry of `X-Forwarded-For`, the only one that the proxy itself wrote.
pub(crate) fn forwarded(headers: &axum::http::HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// The name or address in a `Host` header, without its port; nothing when it could be anything else than a host.
pub(crate) fn host_name(host: &str) -> Option<&str> {
    let name = if host.starts_with('[') {
        let end = host.find(']')?;
        host[1..end].parse::<Ipv6Addr>().ok()?;
        &host[..=end]
    } else {
        host.split(':').next()?
    };
    let plain = !name.is_empty() && name.len() <= 253;
    let bracketed = name.starts_with('[');
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    (plain && (bracketed || letters)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_network_is_one_client() {
        let of = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn only_the_proxys_own_entry_counts() {
        let mut headers = axum::http::HeaderMap::new();
        assert_eq!(forwarded(&headers), None);
        headers.append("x-forwarded-for", "192.0.2.1, 192.0.2.2".parse().unwrap());
        assert_eq!(forwarded(&headers), Some("192.0.2.2".parse().unwrap()));
        headers.append("x-forwarded-for", "rubbish".parse().unwrap());
        assert_eq!(forwarded(&headers), None);
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        assert_eq!(host_name("localhost:8080"), Some("localhost"));
        assert_eq!(host_name("example.org"), Some("example.org"));
        assert_eq!(host_name("[::1]:8080"), Some("[::1]"));
        for bad in ["", ":80", "a b", "a;b", "a\"b", "[::1", "[x]", "a/b", "é"] {
            assert_eq!(host_name(bad), None, "{bad}");
        }
    }
}
