//! What may be told of this device's addresses, and what a candidate pair says about the path.

use sazanami_core::transport::Route;

/// A gathered candidate as it may be sent, if at all.
///
/// With [`Route::RelayOnly`] only relay candidates leave, and their related address, which is this device's, is
/// blanked as RFC 8839 §5.1 allows. An unspecified address (a wildcard socket on a machine without a network) is of
/// no use to anybody.
pub(super) fn outgoing(candidate: &str, route: Route) -> Option<String> {
    let mut fields: Vec<&str> = candidate.split_ascii_whitespace().collect();
    if matches!(fields.get(4), Some(&("0.0.0.0" | "::"))) {
        return None;
    }
    if route == Route::Any {
        return Some(candidate.to_owned());
    }
    let typ = fields.iter().position(|field| *field == "typ")?;
    if fields.get(typ + 1) != Some(&"relay") {
        return None;
    }
    for (name, blank) in [("raddr", "0.0.0.0"), ("rport", "9")] {
        if let Some(at) = fields.iter().position(|field| *field == name)
            && let Some(value) = fields.get_mut(at + 1)
        {
            *value = blank;
        }
    }
    Some(fields.join(" "))
}

/// A description as it may be sent: its candidates pass [`outgoing`].
pub(super) fn outgoing_sdp(sdp: &str, route: Route) -> String {
    sdp.lines()
        .filter_map(|line| match line.strip_prefix("a=candidate:") {
            Some(candidate) => {
                outgoing(candidate, route).map(|candidate| format!("a=candidate:{candidate}\r\n"))
            }
            None => Some(format!("{line}\r\n")),
        })
        .collect()
}

/// The addresses of the relay candidates in an SDP or a trickled candidate.
pub(super) fn relay_addresses(text: &str) -> impl Iterator<Item = (String, u16)> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let typ = fields.iter().position(|field| *field == "typ")?;
        if *fields.get(typ + 1)? != "relay" {
            return None;
        }
        Some(((*fields.get(4)?).to_owned(), fields.get(5)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "candidate:1 1 udp 2130706431 192.168.1.7 50000 typ host";
    const RELAY: &str =
        "candidate:2 1 udp 16777215 203.0.113.9 49152 typ relay raddr 192.168.1.7 rport 50000";

    #[test]
    fn relay_only_tells_no_own_address() {
        assert_eq!(outgoing(HOST, Route::RelayOnly), None);
        let relay = outgoing(RELAY, Route::RelayOnly).unwrap();
        assert!(
            relay.contains("203.0.113.9 49152") && !relay.contains("192.168."),
            "{relay}"
        );
        assert_eq!(outgoing(HOST, Route::Any).as_deref(), Some(HOST));
        assert_eq!(
            outgoing("candidate:1 1 udp 1 0.0.0.0 50000 typ host", Route::Any),
            None
        );
        assert_eq!(outgoing("", Route::RelayOnly), None);
    }

    #[test]
    fn so_in_a_description() {
        let sdp = format!("v=0\r\na=mid:0\r\na={HOST}\r\na={RELAY}\r\na=end\r\n");
        let told = outgoing_sdp(&sdp, Route::RelayOnly);
        assert!(!told.contains("192.168."), "{told}");
        assert!(told.contains("203.0.113.9"), "{told}");
        assert!(
            told.starts_with("v=0\r\na=mid:0\r\n") && told.ends_with("a=end\r\n"),
            "{told}"
        );
        assert_eq!(outgoing_sdp(&sdp, Route::Any), sdp);
    }

    #[test]
    fn relay_addresses_are_found() {
        let sdp = format!("v=0\r\na={HOST}\r\na={RELAY}\r\n");
        assert_eq!(
            relay_addresses(&sdp).collect::<Vec<_>>(),
            [("203.0.113.9".to_owned(), 49152)]
        );
        assert_eq!(relay_addresses("typ relay").count(), 0);
    }
}
