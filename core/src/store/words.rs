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

/// A piece of a folded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Letters between spaces.
    Word(&'a str),
    /// Characters of a script without spaces, or emoji.
    Run(&'a str),
}

/// The index entries of a note, each once, separated by spaces.
pub(super) fn index(content: &str, hashtags: &[String]) -> String {
    let folded = fold(content);
    let mut tokens = Vec::new();
    pieces(&folded, |piece| {
        let room = MAX_TOKENS.saturating_sub(tokens.len());
        match piece {
            Piece::Word(word) => tokens.extend(
                PREFIXES
                    .map(|letters| prefix(word, letters))
                    .into_iter()
                    .take(room),
            ),
            Piece::Run(run) => tokens.extend(
                singles(run)
                    .zip(pairs(run).chain([""]))
                    .flat_map(|(a, b)| [a, b])
                    .take(room),
            ),
        }
    });
    let tags: Vec<String> = hashtags.iter().map(|tag| hashtag(tag)).collect();
    tokens.extend(tags.iter().map(String::as_str));
    tokens.sort_unstable();
    tokens.dedup();
    tokens.retain(|token| !token.is_empty());
    tokens.join(" ")
}

/// What a person looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// Folded.
    words: Vec<String>,
    runs: Vec<String>,
    tags: Vec<String>,
}

impl Search {
    /// Reads a search; `None` when there is nothing in it to look for.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut search = Self {
            words: Vec::new(),
            runs: Vec::new(),
            tags: Vec::new(),
        };
        for part in text.split_whitespace().take(MAX_TERMS) {
            match part.strip_prefix('#').or_else(|| part.strip_prefix('＃')) {
                Some(tag) if !tag.is_empty() => search.tags.push(tag.to_lowercase()),
                _ => pieces(&fold(part), |piece| match piece {
                    Piece::Word(word) => search.words.push(word.to_owned()),
                    Piece::Run(run) => search.runs.push(run.to_owned()),
                }),
            }
        }
        search.words.truncate(MAX_TERMS);
        search.runs.truncate(MAX_TERMS);
        let empty = search.words.is_empty() && search.runs.is_empty() && search.tags.is_empty();
        (!empty).then_some(search)
    }

    /// As an FTS5 expression: every entry must be there.
    pub(super) fn expression(&self) -> String {
        let mut tokens = BTreeSet::new();
        for word in &self.words {
            let letters = word.chars().count();
            let by = if letters < PREFIXES[1] {
                PREFIXES[0]
            } else {
                PREFIXES[1]
            };
            tokens.insert(prefix(word, by).to_owned());
        }
        for run in &self.runs {
            tokens.extend(pairs(run).map(str::to_owned));
            if pairs(run).next().is_none() {
                tokens.insert(run.clone());
            }
        }
        tokens.extend(self.tags.iter().map(|tag| hashtag(tag)));
        let quoted = tokens.iter().map(|token| format!("\"{token}\""));
        quoted.collect::<Vec<_>>().join(" AND ")
    }

    /// Whether a note has everything that is looked for. Its hashtags are read only when they matter.
    pub(super) fn matches(&self, content: &str, hashtags: impl FnOnce() -> Vec<String>) -> bool {
        if !self.tags.is_empty() {
            let hashtags = hashtags();
            if !self.tags.iter().all(|tag| hashtags.contains(tag)) {
                return false;
            }
        }
        let folded = fold(content);
        let (mut words, mut runs) = (vec![false; self.words.len()], vec![false; self.runs.len()]);
        pieces(&folded, |piece| match piece {
            Piece::Word(word) => {
                for (wanted, found) in self.words.iter().zip(&mut words) {
                    // A single letter begins too much: it is a word.
                    let whole = wanted.chars().nth(1).is_none();
                    *found |= if whole {
                        word == wanted
                    } else {
                        word.starts_with(wanted.as_str())
                    };
                }
            }
            Piece::Run(run) => {
                for (wanted, found) in self.runs.iter().zip(&mut runs) {
                    *found |= run.contains(wanted.as_str());
                }
            }
        });
        words.into_iter().chain(runs).all(|found| found)
    }
}

/// The first letters of a word.
fn prefix(word: &str, letters: usize) -> &str {
    word.char_indices()
        .nth(letters)
        .map_or(word, |(end, _)| &word[..end])
}

fn singles(run: &str) -> impl Iterator<Item = &str> {
    run.char_indices()
        .map(|(start, c)| &run[start..start + c.len_utf8()])
}

fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().skip(1).map(|(start, c)| start + c.len_utf8());
    run.char_indices()
        .zip(ends)
        .map(|((start, _), end)| &run[start..end])
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

/// Visits the pieces of a folded text.
fn pieces<'a>(folded: &'a str, mut visit: impl FnMut(Piece<'a>)) {
    #[derive(Clone, Copy, PartialEq)]
    enum Sort {
        Between,
        Letter,
        Dense,
    }
    let (mut sort, mut start) = (Sort::Between, 0);
    let mut end = |sort: Sort, part: &'a str| match sort {
        Sort::Between => {}
        Sort::Letter => visit(Piece::Word(part)),
        Sort::Dense => visit(Piece::Run(part)),
    };
    for (at, c) in folded.char_indices() {
        let next = if is_dense(c) {
            Sort::Dense
        } else if c.is_alphanumeric() {
            Sort::Letter
        } else {
            Sort::Between
        };
        if next != sort {
            end(sort, &folded[start..at]);
            (sort, start) = (next, at);
        }
    }
    end(sort, &folded[start..]);
}

/// Lower case, and full-width forms as the ASCII that they stand for.
fn fold(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ => c,
    };
    text.chars().map(narrow).flat_map(char::to_lowercase).collect()
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
        let matches = search.matches(text, || tags.clone());
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
