//! Words of notes for the search: how a text is indexed, and what a person's search asks for.
//!
//! Scripts without spaces (Japanese, Chinese, Korean, Thai…) are indexed by each character and each pair, so that words
//! of one and two characters are found; other words by their first two and four letters. The index only narrows down:
//! [`Search::matches`] looks at the text itself.

use std::collections::BTreeSet;

/// Words of one note that are indexed: a longer note is found by its beginning.
const MAX_TOKENS: usize = 2_000;
/// Words of one search.
const MAX_TERMS: usize = 16;
/// Letters by which a word is indexed.
const PREFIXES: [usize; 2] = [2, 4];

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Letters between spaces.
    Word(String),
    /// Characters of a script without spaces, or emoji.
    Run(Vec<char>),
}

/// The index entries of a note, each once, separated by spaces.
pub(super) fn index(content: &str, hashtags: &[String]) -> String {
    let mut tokens = BTreeSet::new();
    for piece in pieces(content) {
        if tokens.len() >= MAX_TOKENS {
            break;
        }
        match piece {
            Piece::Word(word) => {
                tokens.extend(PREFIXES.map(|letters| prefix(&word, letters)));
            }
            Piece::Run(run) => {
                tokens.extend(run.iter().map(char::to_string));
                tokens.extend(run.windows(2).map(String::from_iter));
            }
        }
    }
    tokens.extend(hashtags.iter().map(|tag| hashtag(tag)));
    tokens.into_iter().collect::<Vec<_>>().join(" ")
}

/// What a person looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    pieces: Vec<Piece>,
    tags: Vec<String>,
}

impl Search {
    /// Reads a search; `None` when there is nothing in it to look for.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut search = Self {
            pieces: Vec::new(),
            tags: Vec::new(),
        };
        for part in text.split_whitespace().take(MAX_TERMS) {
            match part.strip_prefix('#').or_else(|| part.strip_prefix('＃')) {
                Some(tag) if !tag.is_empty() => search.tags.push(tag.to_lowercase()),
                _ => search.pieces.extend(pieces(part)),
            }
        }
        search.pieces.truncate(MAX_TERMS);
        (!search.pieces.is_empty() || !search.tags.is_empty()).then_some(search)
    }

    /// As an FTS5 expression: every entry must be there.
    pub(super) fn expression(&self) -> String {
        let mut tokens = BTreeSet::new();
        for piece in &self.pieces {
            match piece {
                Piece::Word(word) => {
                    let letters = word.chars().count();
                    let by = if letters < PREFIXES[1] {
                        PREFIXES[0]
                    } else {
                        PREFIXES[1]
                    };
                    tokens.insert(prefix(word, by));
                }
                Piece::Run(run) if run.len() == 1 => {
                    tokens.insert(run[0].to_string());
                }
                Piece::Run(run) => tokens.extend(run.windows(2).map(String::from_iter)),
            }
        }
        tokens.extend(self.tags.iter().map(|tag| hashtag(tag)));
        let quoted = tokens.iter().map(|token| format!("\"{token}\""));
        quoted.collect::<Vec<_>>().join(" AND ")
    }

    /// Whether a note has everything that is looked for.
    pub(super) fn matches(&self, content: &str, hashtags: &[String]) -> bool {
        if !self.tags.iter().all(|tag| hashtags.contains(tag)) {
            return false;
        }
        let found = pieces(content);
        self.pieces.iter().all(|wanted| {
            found.iter().any(|piece| match (wanted, piece) {
                // A single letter begins too much: it is a word.
                (Piece::Word(wanted), Piece::Word(word)) if wanted.chars().count() == 1 => word == wanted,
                (Piece::Word(wanted), Piece::Word(word)) => word.starts_with(wanted.as_str()),
                (Piece::Run(wanted), Piece::Run(run)) => run.windows(wanted.len()).any(|part| part == wanted),
                _ => false,
            })
        })
    }
}

fn prefix(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

/// A hashtag's entry; characters that FTS5 would split at are folded, which the look at the text makes good.
fn hashtag(tag: &str) -> String {
    let fold = |c: char| {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            '_'
        } else {
            c
        }
    };
    format!("#{}", tag.chars().map(fold).collect::<String>())
}

fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut word, mut run) = (Vec::new(), String::new(), Vec::new());
    for c in text.chars().flat_map(fold) {
        let dense = is_dense(c);
        let letter = !dense && c.is_alphanumeric();
        if !letter && !word.is_empty() {
            pieces.push(Piece::Word(std::mem::take(&mut word)));
        }
        if !dense && !run.is_empty() {
            pieces.push(Piece::Run(std::mem::take(&mut run)));
        }
        if letter {
            word.push(c);
        } else if dense {
            run.push(c);
        }
    }
    if !word.is_empty() {
        pieces.push(Piece::Word(word));
    }
    if !run.is_empty() {
        pieces.push(Piece::Run(run));
    }
    pieces
}

/// Lower case, and full-width forms as the ASCII that they stand for.
fn fold(c: char) -> impl Iterator<Item = char> {
    let c = match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ => c,
    };
    c.to_lowercase()
}

/// Characters whose words are not set apart by spaces, and pictures.
fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{2600}'..='\u{27BF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FA}' | '\u{30FC}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{1F000}'..='\u{1FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(search: &str, text: &str) -> bool {
        let tags: Vec<String> = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('#').map(str::to_lowercase))
            .collect();
        let search = Search::parse(search).unwrap();
        let entries = index(text, &tags);
        let indexed = search
            .expression()
            .split(" AND ")
            .all(|wanted| entries.split(' ').any(|entry| entry == wanted.trim_matches('"')));
        let matches = search.matches(text, &tags);
        assert!(
            indexed || !matches,
            "the index finds all that matches: {search:?} in {entries:?}"
        );
        indexed && matches
    }

    #[test]
    fn japanese_words_of_any_length_are_found() {
        let text = "今日は波がとても静かで、さざなみの音がする。ｶﾀｶﾅとＡＢＣ";
        for word in ["波", "今日", "さざなみ", "静か", "音", "ｶﾀ", "abc"] {
            assert!(found(word, text), "{word}");
        }
        for word in ["風", "今波", "みなざさ", "日今"] {
            assert!(!found(word, text), "{word}");
        }
        assert!(
            found("今日 音", text) && !found("今日 風", text),
            "every word must be there"
        );
    }

    #[test]
    fn latin_words_are_found_by_their_beginning() {
        let text = "The Waves, at Dawn; naïve WASM2 x";
        for word in ["wave", "waves", "WA", "w", "dawn", "naïve", "naï", "wasm2", "x"] {
            assert_eq!(
                found(word, text),
                word != "w",
                "{word}: a single letter is a whole word"
            );
        }
        assert!(!found("ave", text) && !found("wavey", text));
    }

    #[test]
    fn hashtags_are_whole_words_of_their_own() {
        assert!(found("#波音", "海へ #波音"));
        assert!(!found("#波", "海へ #波音"));
        assert!(found("#Rust-lang", "about #rust-lang"));
    }

    #[test]
    fn nothing_to_look_for_is_no_search() {
        assert_eq!(Search::parse("  、。 "), None);
        assert_eq!(Search::parse("#"), None);
    }

    #[test]
    fn a_search_cannot_break_out_of_its_expression() {
        for text in ["a\" OR \"b", "NEAR(a b)", "#a\"b", "*", "col: x", "-x", "^x"] {
            if let Some(search) = Search::parse(text) {
                let inside = search.expression().replace("\" AND \"", " ");
                let inside = inside.trim_matches('"');
                assert!(!inside.contains('"'), "{text}: {inside}");
            }
        }
    }
}
