//! What may be told of this device's addresses, and what candidates say about the path.

use super::Route;
use crate::signaling::PeerSignal;

/// A signal as it may be sent, if at all: its candidates pass [`outgoing`], its descriptions [`outgoing_sdp`].
pub fn outgoing_signal(signal: PeerSignal, route: Route) -> Option<PeerSignal> {
    Some(match signal {
        PeerSignal::Offer(sdp) => PeerSignal::Offer(outgoing_sdp(&sdp, route)),
        PeerSignal::Answer(sdp) => PeerSignal::Answer(outgoing_sdp(&sdp, route)),
        PeerSignal::Candidate {
            candidate,
            sdp_mid,
            sdp_m_line_index,
        } => PeerSignal::Candidate {
            candidate: outgoing(&candidate, route)?,
            sdp_mid,
            sdp_m_line_index,
        },
    })
}

/// Takes the candidates out of a description, to be sent later.
pub fn take_out(sdp: &str) -> (String, Vec<PeerSignal>) {
    let (mut rest, mut candidates) = (String::with_capacity(sdp.len()), Vec::new());
    let (mut section, mut mids) = (None, Vec::<Option<String>>::new());
    for (line, ending) in lines(sdp) {
        if line.starts_with("m=") {
            section = Some(section.map_or(0, |index: u16| index.saturating_add(1)));
            mids.push(None);
        } else if let (Some(mid), Some(last)) = (line.strip_prefix("a=mid:"), mids.last_mut()) {
            *last = Some(mid.to_owned());
        }
        if let Some(candidate) = line.strip_prefix("a=candidate:") {
            candidates.push((format!("candidate:{candidate}"), section));
        } else if line != "a=end-of-candidates" {
            rest.push_str(line);
            rest.push_str(ending);
        }
    }
    let signal = |(candidate, section): (String, Option<u16>)| PeerSignal::Candidate {
        candidate,
        sdp_mid: section.and_then(|index| mids.get(usize::from(index)).cloned().flatten()),
        sdp_m_line_index: section,
    };
    (rest, candidates.into_iter().map(signal).collect())
}

/// How many candidates a description holds.
pub fn count(sdp: &str) -> usize {
    lines(sdp)
        .filter(|(line, _)| line.starts_with("a=candidate:"))
        .count()
}

/// A gathered candidate as it may be sent, if at all.
///
/// With [`Route::RelayOnly`] only relay candidates leave, and their related address, which is this device's, is
/// blanked as RFC 8839 §5.1 allows. An unspecified address (a wildcard socket on a machine without a network) is of
/// no use to anybody.
pub fn outgoing(candidate: &str, route: Route) -> Option<String> {
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

/// A description as it may be sent: its candidates pass [`outgoing`], and with [`Route::RelayOnly`] no other line tells
/// an address either. Those that must hold one get the placeholders of RFC 8839 §4.2.1.2 (nothing chosen yet).
pub fn outgoing_sdp(sdp: &str, route: Route) -> String {
    let line = |line: &str| match (line.strip_prefix("a=candidate:"), route) {
        (Some(candidate), _) => {
            outgoing(candidate, route).map(|candidate| format!("a=candidate:{candidate}"))
        }
        (None, Route::Any) => Some(line.to_owned()),
        (None, Route::RelayOnly) => without_address(line),
    };
    lines(sdp)
        .filter_map(|(text, ending)| Some(line(text)? + ending))
        .collect()
}

/// The lines of a text, and what each ends with.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive('\n').map(|line| {
        let text = line.trim_end_matches(['\r', '\n']);
        (text, &line[text.len()..])
    })
}

fn without_address(line: &str) -> Option<String> {
    if line.starts_with("c=") {
        return Some("c=IN IP4 0.0.0.0".to_owned());
    }
    let with_field = |at: usize, value: &str| {
        let mut fields: Vec<&str> = line.split(' ').collect();
        *fields.get_mut(at)? = value;
        Some(fields.join(" "))
    };
    if line.starts_with("o=") {
        return with_field(4, "IP4").and_then(|line| {
            let (rest, _) = line.rsplit_once(' ')?;
            Some(format!("{rest} 0.0.0.0"))
        });
    }
    if line.starts_with("m=") {
        return with_field(1, "9");
    }
    let tells = line.starts_with("a=rtcp:") || line.starts_with("a=remote-candidates:");
    (!tells).then(|| line.to_owned())
}

/// The addresses of the relay candidates in an SDP or a trickled candidate.
pub fn relay_addresses(text: &str) -> impl Iterator<Item = (String, u16)> {
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
    fn no_line_of_a_description_tells_an_address() {
        let sdp = "v=0\r\no=- 1 2 IN IP6 2001:db8::7\r\ns=-\r\nm=application 50000 UDP/DTLS/SCTP webrtc-datachannel\r\n\
                   c=IN IP4 192.168.1.7\r\na=rtcp:50000 IN IP4 192.168.1.7\r\na=mid:0\r\n";
        let told = outgoing_sdp(sdp, Route::RelayOnly);
        assert_eq!(
            told,
            "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
             c=IN IP4 0.0.0.0\r\na=mid:0\r\n"
        );
        assert_eq!(outgoing_sdp(sdp, Route::Any), sdp);
    }

    #[test]
    fn candidates_come_out_of_a_description_with_their_place() {
        let sdp = format!(
            "v=0\r\nm=application 9 x\r\na={HOST}\r\na=mid:data\r\na={RELAY}\r\na=end-of-candidates\r\n"
        );
        let (rest, taken) = take_out(&sdp);
        assert_eq!(rest, "v=0\r\nm=application 9 x\r\na=mid:data\r\n");
        let candidate = |candidate: &str| PeerSignal::Candidate {
            candidate: candidate.to_owned(),
            sdp_mid: Some("data".to_owned()),
            sdp_m_line_index: Some(0),
        };
        assert_eq!(taken, [candidate(HOST), candidate(RELAY)]);
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
