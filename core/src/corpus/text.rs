//! Words of two languages, Zipf-distributed as in real text, with a long tail of rare made-up ones.

use super::random::{Random, Zipf};

/// Distinct words of each language: about what a year of short notes uses often enough to matter to an index.
const VOCABULARY: usize = 20_000;
/// Distinct hashtags of each language.
const HASHTAGS: usize = 400;

const ENGLISH: [&str; 72] = [
    "the", "to", "and", "of", "a", "in", "is", "it", "you", "that", "for", "on", "we", "this", "with",
    "just", "have", "be", "are", "was", "not", "but", "so", "my", "what", "all", "from", "can", "new",
    "about", "people", "time", "like", "good", "today", "think", "know", "see", "morning", "work", "day",
    "more", "now", "here", "make", "really", "post", "water", "coffee", "train", "music", "photo", "garden",
    "river", "mountain", "paper", "ripple", "network", "relay", "peer", "browser", "signal", "letter",
    "winter", "summer", "window", "kitchen", "friend", "story", "weather", "question", "answer",
];
const SYLLABLES: [&str; 24] = [
    "ba", "ker", "lo", "min", "dra", "ven", "sto", "ri", "tel", "ca", "pho", "ne", "gar", "lin", "su", "mer",
    "qua", "tor", "wi", "den", "fla", "po", "shi", "rus",
];

const JAPANESE: [&str; 84] = [
    "今日",
    "私",
    "人",
    "時間",
    "今",
    "何",
    "本当",
    "自分",
    "海",
    "波",
    "山",
    "川",
    "雨",
    "雪",
    "風",
    "空",
    "月",
    "星",
    "朝",
    "夜",
    "春",
    "夏",
    "秋",
    "冬",
    "猫",
    "犬",
    "鳥",
    "魚",
    "花",
    "木",
    "森",
    "道",
    "駅",
    "電車",
    "東京",
    "京都",
    "大阪",
    "北海道",
    "仕事",
    "学校",
    "会社",
    "友達",
    "家族",
    "写真",
    "音楽",
    "映画",
    "本",
    "言葉",
    "手紙",
    "珈琲",
    "お茶",
    "ご飯",
    "ラーメン",
    "パン",
    "りんご",
    "ネットワーク",
    "ブラウザ",
    "さざなみ",
    "プログラム",
    "データ",
    "リレー",
    "コーヒー",
    "散歩",
    "旅行",
    "勉強",
    "料理",
    "天気",
    "気持ち",
    "問題",
    "答え",
    "世界",
    "日本",
    "自然",
    "静か",
    "綺麗",
    "嬉しい",
    "楽しい",
    "寒い",
    "暑い",
    "眠い",
    "新しい",
    "古い",
    "大きい",
    "小さい",
];
const PARTICLES: [&str; 12] = [
    "は", "が", "を", "に", "の", "で", "と", "も", "から", "まで", "へ", "や",
];
const ENDINGS: [&str; 16] = [
    "です。",
    "ます。",
    "だった。",
    "だよね",
    "かな？",
    "した。",
    "たい！",
    "している。",
    "なりました。",
    "ください。",
    "と思う。",
    "でしょう。",
    "ない。",
    "行こう",
    "食べた。",
    "見た。",
];
/// Pairs of these make the rare words.
const KANJI: &str = "一二三上下中大小山川田日月火水木金土人口手足目耳力男女子学校先生年早夕空天気雨花草虫犬石玉音赤青白黒\
                     町村林森竹糸貝車王正出入立休見夏秋冬春朝昼夜電汽船道通遠近高低強弱新古明暗国語算数理科社会体育\
                     図工東西南北京都府県市区内外前後午毎週曜時分半今何番友父母兄弟姉妹家戸門店台所室場公園寺社池海岸";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Japanese,
}

impl Language {
    /// The one that a person writes.
    pub(super) fn of(author: usize) -> Self {
        if author.is_multiple_of(2) {
            Self::Japanese
        } else {
            Self::English
        }
    }
}

pub(super) struct Words {
    english: Vec<String>,
    japanese: Vec<String>,
    frequency: Zipf,
    hashtags: Zipf,
}

impl Words {
    pub(super) fn new() -> Self {
        let rare = |place: usize| {
            let n = SYLLABLES.len();
            let parts = [place % n, place / n % n, place / n / n % n];
            parts.map(|part| SYLLABLES[part]).concat()
        };
        let known = ENGLISH.iter().map(|word| (*word).to_owned());
        let english = known.chain((0..).map(rare)).take(VOCABULARY).collect();
        let kanji: Vec<char> = KANJI.chars().filter(|c| !c.is_whitespace()).collect();
        let pair = |place: usize| -> String {
            // The factor spreads neighbours in frequency over the characters.
            let place = place * 7_919;
            [
                kanji[place % kanji.len()],
                kanji[place / kanji.len() % kanji.len()],
            ]
            .iter()
            .collect()
        };
        let known = JAPANESE.iter().map(|word| (*word).to_owned());
        let japanese = known.chain((0..).map(pair)).take(VOCABULARY).collect();
        Self {
            english,
            japanese,
            frequency: Zipf::new(VOCABULARY),
            hashtags: Zipf::new(HASHTAGS),
        }
    }

    /// Text of about so many words.
    pub(super) fn sentence(&self, language: Language, random: &mut Random, words: u64) -> String {
        let mut text = String::new();
        for place in 0..words {
            let word = self.frequency.pick(random);
            match language {
                Language::English => {
                    if place > 0 {
                        text.push_str(if random.below(12) == 0 { ", " } else { " " });
                    }
                    text.push_str(&self.english[word]);
                }
                Language::Japanese => {
                    text.push_str(&self.japanese[word]);
                    if random.below(6) == 0 || place + 1 == words {
                        text.push_str(ENDINGS[random.below(ENDINGS.len() as u64) as usize]);
                    } else {
                        text.push_str(PARTICLES[random.below(PARTICLES.len() as u64) as usize]);
                    }
                }
            }
        }
        text
    }

    pub(super) fn hashtag(&self, language: Language, random: &mut Random) -> String {
        // Past the particles and articles of everyday text.
        let place = 30 + self.hashtags.pick(random);
        match language {
            Language::English => self.english[place].clone(),
            Language::Japanese => self.japanese[place].clone(),
        }
    }

    pub(super) fn name(&self, language: Language, author: usize, version: u32) -> String {
        let mark = if version > 1 { "★" } else { "" };
        match language {
            Language::English => format!("{} {author}{mark}", self.english[40 + author % 4_000]),
            Language::Japanese => format!("{}{author}{mark}", self.japanese[40 + author % 4_000]),
        }
    }
}
