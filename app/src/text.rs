//! Plain text of strangers, made fit to show.

pub(crate) mod links;
pub(crate) mod names;
pub(crate) mod time;

/// Whether a text is Japanese as far as line breaking and glyph choice go: it has kana.
pub(crate) fn is_japanese(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '\u{3041}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}'))
}

/// A number with its thousands apart, as both languages write it.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Control characters that turn or hide text: direction overrides, isolates, zero-width characters. A zero-width
/// joiner stays, since emoji and several scripts need it.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{061c}' | '\u{00ad}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e001f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }

    #[test]
    fn kana_tell_japanese() {
        assert!(is_japanese("波の音"));
        assert!(is_japanese("ｻｻﾞﾅﾐ"));
        assert!(!is_japanese("波浪"));
        assert!(!is_japanese("waves"));
    }
}
