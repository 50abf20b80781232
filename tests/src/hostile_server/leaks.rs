//! Looks for secrets in bytes, in the forms in which they would stand there.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// Shorter ones are found by chance.
const LEAST: usize = 8;

/// Which of the secrets stand in the log, and how: plainly, escaped as in JSON or in a URL, in hex, or in base64 at any
/// place of a longer text.
///
/// # Panics
/// When a secret is too short to be looked for.
pub fn find_leaks(log: &[u8], secrets: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        let shown = String::from_utf8(secret.clone()).unwrap_or_else(|_| hex::encode(secret));
        assert!(secret.len() >= LEAST, "too short to be looked for: {shown:?}");
        for (form, bytes) in forms(secret) {
            if contains(log, &bytes) {
                found.push(format!("{shown:?} {form}"));
            }
        }
    }
    found
}

fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("plainly", secret.to_vec()),
        ("in hex", hex::encode(secret).into_bytes()),
        ("in capital hex", hex::encode_upper(secret).into_bytes()),
        ("in URL escapes", url_escaped(secret).into_bytes()),
    ];
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(("in JSON escapes", json_escaped(text).into_bytes()));
    }
    for shift in 0..3 {
        let shifted = [&vec![0; shift], secret].concat();
        // Characters that the bytes before and after it have no part in.
        let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for (form, text) in [
            ("in base64", BASE64_STANDARD_NO_PAD.encode(&shifted)),
            ("in base64 for URLs", BASE64_URL_SAFE_NO_PAD.encode(&shifted)),
        ] {
            forms.push((form, text.as_bytes()[from..to].to_vec()));
        }
    }
    forms
}

fn json_escaped(text: &str) -> String {
    text.encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect()
}

fn url_escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn contains(log: &[u8], bytes: &[u8]) -> bool {
    log.windows(bytes.len()).any(|window| window == bytes)
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    #[test]
    fn a_planted_secret_is_found_in_every_form() {
        let secret = "花子 Yamanashi".as_bytes().to_vec();
        let secrets = [secret.clone()];
        let text = String::from_utf8(secret.clone()).expect("it was a text");
        let mut planted = vec![
            text.clone(),
            hex::encode(&secret),
            hex::encode_upper(&secret),
            r"\u82b1\u5b50 Yamanashi".to_owned(),
            "%E8%8A%B1%E5%AD%90%20Yamanashi".to_owned(),
        ];
        for before in ["", "a", "ab", "abc", "abcd"] {
            planted.push(BASE64_STANDARD.encode(format!("{before}{text}~~")));
            planted.push(BASE64_URL_SAFE_NO_PAD.encode(format!("{before}{text}")));
        }
        for form in planted {
            let log = format!("{{\"sealed\":\"{form}\"}}\n");
            assert!(!find_leaks(log.as_bytes(), &secrets).is_empty(), "{form}");
        }
        assert!(find_leaks(b"{\"sealed\":\"Ag8x\"}", &secrets).is_empty());
    }
}
