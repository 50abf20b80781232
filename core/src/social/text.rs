//! The parts of a note's text that mean something: hashtags and `nostr:` addresses (NIP-21, NIP-27).
//!
//! The `nostr` crate's parser takes a text's square in time when the text is one long word, recurses on every broken
//! address, and ends a hashtag at ASCII punctuation only. This one looks at each character a bounded number of times.

use nostr::nips::nip19::{FromBech32, Nip19};

/// Longest `nostr:` address that is read, in bytes: an nprofile with a dozen relay hints. Decoding takes the square of
/// the length.
const MAX_ADDRESS_BYTES: usize = 1_024;
/// Addresses that are decoded per text; far more than the references that are kept, since many may name the same.
const MAX_ADDRESSES: usize = 256;
/// Longest hashtag, in characters. Longer ones are no words that anybody looks for.
pub const MAX_HASHTAG_CHARS: usize = 100;

/// What stands in a text, in order.
pub(super) enum Token {
    /// In lower case, without the `#`.
    Hashtag(String),
    /// What a `nostr:` address names; never a secret key.
    Address(Nip19),
}

/// Visits what stands in a text, in linear time.
pub(super) fn visit(text: &str, mut see: impl FnMut(Token)) {
    let mut addresses = 0;
    let mut at = 0;
    // Timelines do this for every note: most bytes are no beginning of anything, and looked at just once.
    while let Some(found) = text.as_bytes()[at..]
        .iter()
        .position(|byte| BEGINNINGS.contains(byte))
    {
        at += found;
        let rest = &text.as_bytes()[at..];
        at += if let Some(sign) = hash(rest) {
            hashtag(text, at, sign, &mut see)
        } else if let Some(data) = rest.strip_prefix(b"nostr:") {
            let len = run(data, u8::is_ascii_alphanumeric);
            if len <= MAX_ADDRESS_BYTES && addresses < MAX_ADDRESSES {
                addresses += 1;
                let start = at + b"nostr:".len();
                match Nip19::from_bech32(&text[start..start + len]) {
                    Err(_) | Ok(Nip19::Secret(_)) => {}
                    Ok(address) => see(Token::Address(address)),
                }
            }
            b"nostr:".len() + len
        } else if rest.starts_with(b"http://") || rest.starts_with(b"https://") {
            // A fragment is no hashtag.
            run(rest, u8::is_ascii_graphic)
        } else {
            1
        };
    }
}

/// First bytes of `#`, `＃`, `nostr:` and `http`. None of them is within a character.
const BEGINNINGS: [u8; 4] = [b'#', FULL_WIDTH_HASH[0], b'n', b'h'];
/// `＃`.
const FULL_WIDTH_HASH: &[u8; 3] = b"\xef\xbc\x83";

/// The bytes of the sign of a hashtag at the beginning of a text.
fn hash(text: &[u8]) -> Option<usize> {
    match text {
        [b'#', ..] => Some(1),
        _ if text.starts_with(FULL_WIDTH_HASH) => Some(FULL_WIDTH_HASH.len()),
        _ => None,
    }
}

/// Sees the hashtag whose sign stands at a place, if it is one; the bytes that are done.
fn hashtag(text: &str, at: usize, sign: usize, see: &mut impl FnMut(Token)) -> usize {
    let before = text[..at].chars().next_back();
    if !before.is_none_or(may_stand_before_hashtag) {
        return sign;
    }
    let word = &text[at + sign..];
    let word = word
        .split_once(|c| !is_hashtag_char(c))
        .map_or(word, |(word, _)| word);
    if let Some(tag) = fold_hashtag(word).filter(|tag| !tag.chars().all(char::is_numeric)) {
        see(Token::Hashtag(tag));
    }
    sign + word.len()
}

fn run(text: &[u8], holds: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| holds(byte)).count()
}

/// A hashtag as it is compared and stored: without `#`, in lower case; `None` when it is empty or over
/// [`MAX_HASHTAG_CHARS`].
pub fn fold_hashtag(tag: &str) -> Option<String> {
    let tag = tag.trim().trim_start_matches(['#', '＃']).trim_end_matches('・');
    let fits = !tag.is_empty() && tag.chars().nth(MAX_HASHTAG_CHARS).is_none();
    fits.then(|| tag.to_lowercase())
}

/// Inside of a word there is no hashtag, nor in `&#39;`, nor after another `#`.
fn may_stand_before_hashtag(c: char) -> bool {
    !is_hashtag_char(c) && !matches!(c, '&' | '/' | '#' | '＃')
}

/// Letters and digits of any script with the marks that combine with them (no property of which the standard library
/// knows), and the dot between Katakana words.
fn is_hashtag_char(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '_' | '・')
        || matches!(c, '\u{300}'..='\u{36F}' | '\u{E31}'..='\u{E4E}' | '\u{3099}' | '\u{309A}')
        || matches!(c, '\u{900}'..='\u{DFF}') && !matches!(c, '\u{964}' | '\u{965}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashtags(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        visit(text, |token| {
            if let Token::Hashtag(tag) = token {
                found.push(tag);
            }
        });
        found
    }

    #[test]
    fn hashtags_of_any_script() {
        let found = hashtags(
            "#Rust、#さざなみ。「＃波の音」 #ハリー・ポッター\n(#日本語) #が #été #snake_case #2026年",
        );
        let expected = [
            "rust",
            "さざなみ",
            "波の音",
            "ハリー・ポッター",
            "日本語",
            "が",
            "été",
            "snake_case",
            "2026年",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_hashtag() {
        let text = "a#b &#39; ## #1 # https://x.example/?q=#frag /#/ 波#音 #・ #!";
        assert_eq!(hashtags(text), Vec::<String>::new());
        assert!(hashtags(&format!("#{}", "a".repeat(MAX_HASHTAG_CHARS + 1))).is_empty());
        assert_eq!(hashtags(&format!("#{}", "波".repeat(MAX_HASHTAG_CHARS))).len(), 1);
    }

    #[test]
    fn secret_keys_and_broken_addresses_are_skipped() {
        let mut seen = 0;
        let secret = "nostr:nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
        let hostile = "nostr:npub1qqq ".repeat(1_000);
        visit(&format!("{secret} nostr: nostr:npub1 {hostile}"), |_| seen += 1);
        assert_eq!(seen, 0);
    }
}
