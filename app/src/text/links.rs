//! Finds web links in plain text.
//!
//! Deliberately narrow: `http` and `https` alone; ASCII alone, so that no look-alike host becomes a link and a link
//! ends where Japanese text follows without a space; no user part (`https://bank.example@evil.example`).

/// Longest link that is made one; anything longer stays text, and no text takes long to read.
const MAX_LINK: usize = 2_048;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// As it stands.
    Text(String),
    /// A link, shown in full as it stands.
    Link(String),
}

/// Cuts a text into plain pieces and links. Joined, they are the text.
pub(crate) fn segments(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while let Some(found) = next_scheme(&text[at..]) {
        let start = at + found;
        let inside_word = text[..start]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        let end = start + link_len(&text[start..]);
        if !inside_word && is_link(&text[start..end]) {
            if plain < start {
                segments.push(Segment::Text(text[plain..start].to_owned()));
            }
            segments.push(Segment::Link(text[start..end].to_owned()));
            plain = end;
            at = end;
        } else {
            // Past this "http", whatever follows it.
            at = start + 4;
        }
    }
    if plain < text.len() {
        segments.push(Segment::Text(text[plain..].to_owned()));
    }
    segments
}

fn scheme_len(text: &str) -> Option<usize> {
    ["https://", "http://"]
        .into_iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .map(str::len)
}

fn next_scheme(text: &str) -> Option<usize> {
    // Only ASCII is compared, so an index of a match is a character boundary.
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(6))
        .find(|&at| bytes[at].eq_ignore_ascii_case(&b'h') && scheme_len(&text[at..]).is_some())
}

fn link_len(text: &str) -> usize {
    let allowed =
        |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    let end = text
        .bytes()
        .take(MAX_LINK + 1)
        .position(|b| !allowed(char::from(b)));
    let Some(end) = end.or((text.len() <= MAX_LINK).then_some(text.len())) else {
        return 0;
    };
    let mut link = &text[..end];
    // A sentence's punctuation is not part of the link, nor is a bracket opened before it.
    while let Some(last) = link.chars().next_back() {
        let count = |c: char| link.matches(c).count();
        let drop = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' => true,
            ')' => count(')') > count('('),
            ']' => count(']') > count('['),
            _ => false,
        };
        if !drop {
            break;
        }
        link = &link[..link.len() - 1];
    }
    link.len()
}

fn is_link(link: &str) -> bool {
    let Some(scheme) = scheme_len(link) else {
        return false;
    };
    let authority = link[scheme..].split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else {
            return false;
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        (
            None,
            after
                .strip_prefix(':')
                .map_or((!after.is_empty()).then_some("x"), Some),
        )
    } else {
        let (host, port) = authority
            .split_once(':')
            .map_or((authority, None), |(host, port)| (host, Some(port)));
        (Some(host), port)
    };
    let host_holds = host.is_none_or(|host| {
        host.len() <= 253
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label
                        .get(..4)
                        .is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
            })
    });
    host_holds && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        let segments = segments(text);
        let joined: String = segments
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) | Segment::Link(text) => text.as_str(),
            })
            .collect();
        assert_eq!(joined, text, "nothing is lost or added");
        segments
            .into_iter()
            .filter_map(|segment| match segment {
                Segment::Link(link) => Some(link),
                Segment::Text(_) => None,
            })
            .collect()
    }

    #[test]
    fn links_are_found_in_sentences() {
        assert_eq!(
            links("see https://example.com/a?b=c#d."),
            ["https://example.com/a?b=c#d"]
        );
        assert_eq!(
            links("(http://example.com/x_(y)) and HTTPS://Example.org,"),
            ["http://example.com/x_(y)", "HTTPS://Example.org"]
        );
        assert_eq!(
            links("http://localhost:8080/ http://[::1]:80/x"),
            ["http://localhost:8080/", "http://[::1]:80/x"]
        );
    }

    #[test]
    fn a_link_ends_where_japanese_begins() {
        assert_eq!(
            links("これhttps://example.com/海を見て。"),
            ["https://example.com/"]
        );
        assert_eq!(links("「https://example.com」"), ["https://example.com"]);
    }

    #[test]
    fn hostile_links_stay_text() {
        for text in [
            "javascript:alert(1)",
            "data:text/html,<script>",
            "https://",
            "http://./",
            "https://bank.example@evil.example/",
            "https://user:pw@evil.example/",
            "https://аррle.com/", // Cyrillic
            "https://xn--80ak6aa92e.com/",
            "https://example.com:99999999/",
            "https://exa\u{202e}mple",
            "xhttps://example.com",
            "http://[::1",
            "http://[evil]/",
            "http://[::1]evil.example/",
            "https://-\u{200b}",
            "hhhhhhttp:/",
        ] {
            for link in links(text) {
                assert!(
                    ["https://exa", "https://-"].contains(&link.as_str()),
                    "{text:?} became the link {link:?}"
                );
            }
        }
    }

    #[test]
    fn markup_is_only_text() {
        assert_eq!(
            links(r#"<a href="https://example.com">x</a>"#),
            ["https://example.com"]
        );
        assert_eq!(links("<script>alert(1)</script>"), Vec::<String>::new());
    }

    #[test]
    fn odd_input_neither_panics_nor_takes_long() {
        assert_eq!(links(""), Vec::<String>::new());
        assert_eq!(links("h"), Vec::<String>::new());
        assert_eq!(links("https:/\u{1f30a}/"), Vec::<String>::new());
        assert_eq!(links(&"http://".repeat(9_000)), Vec::<String>::new());
        assert_eq!(links(&"https://a.b ".repeat(5_000)).len(), 5_000);
        links(&format!("https://example.com/{}", ")".repeat(60_000)));
    }
}
