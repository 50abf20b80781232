//! A generated network of people, for benchmarks: the same events for the same [`Plan`], on every machine.
//!
//! Authors and words are Zipf-distributed, half of the people write Japanese and half English, and a year passes
//! from the first event to the last. The mix follows what public relays carry: notes, replies in threads, reactions,
//! reposts, quotes, profiles, follow lists, deletions, with hashtags, mentions, media and content warnings. People
//! publish their profile and follow list before anything else; later versions supersede them.
//!
//! Drafts come in the order of their making, since each may name earlier ones; signing, which takes the time, can
//! then be done in parallel. Reposts carry no copy of the reposted event, as NIP-18 allows: its signature would have
//! to be made first.

use std::collections::VecDeque;

use nostr::prelude::{
    Event, EventId, Keys, Kind, PublicKey, SecretKey, Signature, Tag, Timestamp, ToBech32, UnsignedEvent,
};
use secp256k1::{Keypair, Secp256k1, SignOnly};
use sha2::{Digest, Sha256};

use random::{Random, Zipf};
use text::{Language, Words};

mod random;
mod text;

/// Where the published figures' corpora begin: 2025-01-01T00:00:00Z.
const START: u64 = 1_735_689_600;
/// And how long they last: one year, in seconds.
const SPAN: u64 = 365 * 24 * 3_600;
/// Notes that replies, reactions, reposts and quotes look back on: about a day of a busy network. It does not grow
/// with the corpus, so neither do threads.
const RECENT_NOTES: usize = 4_096;
/// Own events that a deletion chooses from.
const OWN_EVENTS: usize = 8;
/// Longest follow list; the mean is about a fifth of it.
const MAX_FOLLOWS: u64 = 250;

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything random.
    pub seed: u64,
    /// How many events.
    pub events: usize,
    /// How many people.
    pub authors: usize,
    /// When the first event is made, in seconds since the epoch.
    pub start: u64,
    /// How many seconds pass until the last.
    pub span: u64,
}

impl Plan {
    /// As many people as the targets of the benchmarks name: 500 for 20,000 events, 20,000 for 1,000,000.
    pub fn new(seed: u64, events: usize) -> Self {
        Self {
            seed,
            events,
            authors: (events / 50).max(500),
            start: START,
            span: SPAN,
        }
    }

    /// The same in the days before `end`: for peers that keep no old events of strangers.
    pub fn lately(seed: u64, events: usize, days: u64, end: u64) -> Self {
        let span = days * 24 * 3_600;
        Self {
            start: end.saturating_sub(span),
            span,
            ..Self::new(seed, events)
        }
    }

    /// The people, the busiest first.
    pub fn people(&self) -> Vec<Keys> {
        (0..self.authors as u64).map(|rank| self.keys(rank)).collect()
    }

    /// People who write nothing here: those who read.
    pub fn reader(&self, number: u64) -> Keys {
        self.keys(u64::MAX - number)
    }

    /// When the last event was made, in seconds since the epoch.
    pub fn end(&self) -> u64 {
        self.start + self.span
    }

    fn keys(&self, rank: u64) -> Keys {
        let mut hash = Sha256::new();
        hash.update(b"sazanami corpus");
        hash.update(self.seed.to_be_bytes());
        hash.update(rank.to_be_bytes());
        let secret =
            SecretKey::from_slice(&hash.finalize()).expect("all but one hash in 2^127 is a secret key");
        Keys::new(secret)
    }
}

/// An event that lacks nothing but its signature.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who signs: the place in [`Plan::people`].
    pub author: usize,
    id: EventId,
    event: UnsignedEvent,
}

/// Signs drafts: deterministically, as BIP-340 does without auxiliary randomness.
pub struct Signer {
    context: Secp256k1<SignOnly>,
    pairs: Vec<Keypair>,
}

impl Signer {
    /// Signs for these people.
    pub fn new(people: &[Keys]) -> Self {
        let context = Secp256k1::signing_only();
        let pair = |keys: &Keys| Keypair::from_secret_key(&context, keys.secret_key());
        let pairs = people.iter().map(pair).collect();
        Self { context, pairs }
    }

    /// The finished event.
    ///
    /// # Panics
    /// When the draft is of another plan with more people.
    pub fn sign(&self, draft: Draft) -> Event {
        let signature = self
            .context
            .sign_schnorr_no_aux_rand(draft.id.as_bytes(), &self.pairs[draft.author]);
        let UnsignedEvent {
            pubkey,
            created_at,
            kind,
            tags,
            content,
            ..
        } = draft.event;
        let signature = Signature::from_byte_array(signature.to_byte_array());
        Event::new(draft.id, pubkey, created_at, kind, tags, content, signature)
    }
}

/// Makes the drafts of a plan, in order.
pub struct Corpus {
    plan: Plan,
    people: Vec<PublicKey>,
    random: Random,
    ranks: Zipf,
    words: Words,
    made: usize,
    state: Vec<Person>,
    recent: VecDeque<Note>,
}

#[derive(Clone, Default)]
struct Person {
    profiles: u32,
    follows: bool,
    own: VecDeque<(EventId, Kind)>,
}

/// The note that began a thread, and its author.
type Root = (EventId, usize);

#[derive(Clone)]
struct Note {
    id: EventId,
    author: usize,
    root: Option<Root>,
}

/// What somebody is about to sign.
struct Made {
    kind: Kind,
    content: String,
    tags: Vec<Tag>,
    /// The thread, when it is a reply.
    root: Option<Root>,
}

impl Made {
    fn new(kind: Kind, content: impl Into<String>, tags: impl Into<Vec<Tag>>) -> Self {
        Self {
            kind,
            content: content.into(),
            tags: tags.into(),
            root: None,
        }
    }
}

impl Corpus {
    /// The corpus of a plan.
    pub fn new(plan: Plan) -> Self {
        let people = plan.people().iter().map(Keys::public_key).collect();
        Self {
            random: Random::new(plan.seed),
            ranks: Zipf::new(plan.authors),
            words: Words::new(),
            made: 0,
            state: vec![Person::default(); plan.authors],
            recent: VecDeque::with_capacity(RECENT_NOTES),
            people,
            plan,
        }
    }

    fn make(&mut self, author: usize) -> Made {
        if self.state[author].profiles == 0 {
            return self.profile(author);
        }
        if !self.state[author].follows {
            return self.follows(author);
        }
        match self.random.below(1_000) {
            0..390 => self.note(author),
            390..600 => self.reply(author),
            600..870 => self.reaction(author),
            870..930 => self.repost(author),
            930..950 => self.quote(author),
            950..965 => self.profile(author),
            965..980 => self.follows(author),
            _ => self.deletion(author),
        }
    }

    fn profile(&mut self, author: usize) -> Made {
        self.state[author].profiles += 1;
        let version = self.state[author].profiles;
        let language = Language::of(author);
        let name = self.words.name(language, author, version);
        let about = self.words.sentence(language, &mut self.random, 12);
        let profile = serde_json::json!({
            "name": name,
            "about": about,
            "picture": format!("https://img.example/{author}/{version}.webp"),
            "nip05": format!("p{author}@example.com"),
        });
        Made::new(Kind::Metadata, profile.to_string(), [])
    }

    fn follows(&mut self, author: usize) -> Made {
        self.state[author].follows = true;
        // Squared: most lists are short.
        let share = self.random.below(1_000);
        let wanted = (5 + MAX_FOLLOWS * share * share / 1_000_000).min(self.plan.authors as u64);
        let mut seen = std::collections::HashSet::new();
        let mut followed = Vec::new();
        for _ in 0..wanted {
            let one = self.somebody();
            if one != author && seen.insert(one) {
                followed.push(Tag::public_key(self.people[one]));
            }
        }
        Made::new(Kind::ContactList, "", followed)
    }

    /// Half by fame, half by chance.
    fn somebody(&mut self) -> usize {
        if self.random.below(2) == 0 {
            self.ranks.pick(&mut self.random)
        } else {
            self.random.below(self.plan.authors as u64) as usize
        }
    }

    fn note(&mut self, author: usize) -> Made {
        self.written(author, Vec::new(), None)
    }

    fn reply(&mut self, author: usize) -> Made {
        let Some(to) = self.recent_note() else {
            return self.note(author);
        };
        let marked = |id: EventId, mark: &str, author: usize| {
            let author = self.people[author].to_hex();
            Tag::custom("e", [id.to_hex(), String::new(), mark.to_owned(), author])
        };
        // NIP-10: a reply to the root has the root mark alone.
        let mut tags = match to.root {
            Some((root, by)) => vec![marked(root, "root", by), marked(to.id, "reply", to.author)],
            None => vec![marked(to.id, "root", to.author)],
        };
        tags.push(Tag::public_key(self.people[to.author]));
        let root = to.root.unwrap_or((to.id, to.author));
        if root.1 != to.author {
            tags.push(Tag::public_key(self.people[root.1]));
        }
        self.written(author, tags, Some(root))
    }

    fn quote(&mut self, author: usize) -> Made {
        let Some(quoted) = self.recent_note() else {
            return self.note(author);
        };
        let by = self.people[quoted.author];
        let tags = vec![
            Tag::custom("q", [quoted.id.to_hex(), String::new(), by.to_hex()]),
            Tag::public_key(by),
        ];
        let mut made = self.written(author, tags, None);
        let address = quoted.id.to_bech32().expect("32 bytes have an address");
        made.content.push_str("\nnostr:");
        made.content.push_str(&address);
        made
    }

    /// Text with what people put into it.
    fn written(&mut self, author: usize, mut tags: Vec<Tag>, root: Option<Root>) -> Made {
        let language = Language::of(author);
        // Squared: most notes are short.
        let share = self.random.below(100);
        let mut content = self
            .words
            .sentence(language, &mut self.random, 3 + share * share / 180);
        if self.random.below(100) < 15 {
            for _ in 0..=self.random.below(2) {
                let hashtag = self.words.hashtag(language, &mut self.random);
                content.push_str(" #");
                content.push_str(&hashtag);
                tags.push(Tag::custom("t", [hashtag.to_lowercase()]));
            }
        }
        if self.random.below(100) < 8 {
            let named = self.somebody();
            let named = self.people[named];
            let address = named.to_bech32().expect("a key has an address");
            content = format!("nostr:{address} {content}");
            tags.push(Tag::public_key(named));
        }
        if self.random.below(100) < 5 {
            let hash = hex::encode(self.random.bytes());
            let url = format!("https://media.example/{hash}.webp");
            content.push('\n');
            content.push_str(&url);
            let parts = [
                format!("url {url}"),
                "m image/webp".to_owned(),
                format!("x {hash}"),
                "dim 1280x960".to_owned(),
            ];
            tags.push(Tag::custom("imeta", parts));
        }
        if self.random.below(100) < 1 {
            tags.push(Tag::custom("content-warning", ["spoiler"]));
        }
        Made {
            root,
            ..Made::new(Kind::TextNote, content, tags)
        }
    }

    fn reaction(&mut self, author: usize) -> Made {
        let Some(to) = self.popular_note() else {
            return self.note(author);
        };
        let content = ["+", "+", "+", "🌊", "❤️", "👏", "😂", "-"][self.random.below(8) as usize];
        let tags = [
            Tag::event(to.id),
            Tag::public_key(self.people[to.author]),
            Tag::custom("k", ["1"]),
        ];
        Made::new(Kind::Reaction, content, tags)
    }

    fn repost(&mut self, author: usize) -> Made {
        let Some(of) = self.popular_note() else {
            return self.note(author);
        };
        let tags = [
            Tag::custom("e", [of.id.to_hex(), "wss://relay.example".to_owned()]),
            Tag::public_key(self.people[of.author]),
        ];
        Made::new(Kind::Repost, "", tags)
    }

    fn deletion(&mut self, author: usize) -> Made {
        let count = self.state[author].own.len() as u64;
        if count == 0 {
            return self.note(author);
        }
        let place = self.random.below(count) as usize;
        let Some((id, kind)) = self.state[author].own.remove(place) else {
            return self.note(author);
        };
        self.recent.retain(|note| note.id != id);
        let tags = [Tag::event(id), Tag::custom("k", [kind.as_u16().to_string()])];
        Made::new(Kind::EventDeletion, "", tags)
    }

    /// The newer, the likelier.
    fn recent_note(&mut self) -> Option<Note> {
        let count = self.recent.len() as u64;
        if count == 0 {
            return None;
        }
        let back = self.random.below(count).min(self.random.below(count));
        self.recent.get((count - 1 - back) as usize).cloned()
    }

    /// Of two recent notes that of the better known author.
    fn popular_note(&mut self) -> Option<Note> {
        let (one, other) = (self.recent_note()?, self.recent_note()?);
        Some(if one.author <= other.author { one } else { other })
    }
}

impl Iterator for Corpus {
    type Item = Draft;

    fn next(&mut self) -> Option<Draft> {
        if self.made >= self.plan.events {
            return None;
        }
        let author = self.ranks.pick(&mut self.random);
        let made = self.make(author);
        let Plan {
            events, start, span, ..
        } = self.plan;
        let step = span / events as u64;
        let at = start + span * self.made as u64 / events as u64 + self.random.below(3 * step + 2);
        self.made += 1;
        let at = Timestamp::from(at.min(self.plan.end()));
        let mut event = UnsignedEvent::new(self.people[author], at, made.kind, made.tags, made.content);
        let id = event.id();
        if event.kind == Kind::TextNote {
            self.recent.push_back(Note {
                id,
                author,
                root: made.root,
            });
            if self.recent.len() > RECENT_NOTES {
                self.recent.pop_front();
            }
        }
        if !event.kind.is_replaceable() && event.kind != Kind::EventDeletion {
            let own = &mut self.state[author].own;
            own.push_back((id, event.kind));
            if own.len() > OWN_EVENTS {
                own.pop_front();
            }
        }
        Some(Draft { author, id, event })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const PLAN: Plan = Plan {
        seed: 7,
        events: 3_000,
        authors: 50,
        start: START,
        span: SPAN,
    };

    #[test]
    fn the_same_plan_makes_the_same_events_for_ever() {
        let signer = Signer::new(&PLAN.people());
        let mut hash = Sha256::new();
        for draft in Corpus::new(PLAN) {
            let event = signer.sign(draft);
            hash.update(event.id.as_bytes());
            hash.update(event.sig.as_bytes());
        }
        // Figures are compared over years: whoever changes this changes what they mean.
        assert_eq!(
            hex::encode(hash.finalize()),
            "61a961c31328d1cf04af53a85ac2ea4bda255095cad95dc3667c08a8b6d3f1f8"
        );
        let other = Corpus::new(Plan { seed: 8, ..PLAN }).next().map(|draft| draft.id);
        assert_ne!(Corpus::new(PLAN).next().map(|draft| draft.id), other);
    }

    #[test]
    fn events_are_valid_and_of_every_kind() {
        let signer = Signer::new(&PLAN.people());
        let mut kinds = BTreeMap::new();
        for draft in Corpus::new(PLAN) {
            let event = signer.sign(draft);
            event.verify().unwrap();
            *kinds.entry(event.kind.as_u16()).or_insert(0) += 1;
        }
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), [0, 1, 3, 5, 6, 7]);
        assert!(kinds[&1] > PLAN.events / 2, "{kinds:?}");
    }

    #[test]
    fn what_an_event_names_was_made_before() {
        let mut seen = BTreeSet::new();
        for draft in Corpus::new(PLAN) {
            let named: Vec<EventId> = draft.event.tags.event_ids().collect();
            assert!(named.iter().all(|id| seen.contains(id)), "{:?}", draft.event);
            assert!(seen.insert(draft.id), "made twice: {:?}", draft.event);
        }
    }

    #[test]
    fn few_write_most() {
        let mut counts = vec![0; PLAN.authors];
        Corpus::new(PLAN).for_each(|draft| counts[draft.author] += 1);
        assert!(counts[0] > 10 * counts[PLAN.authors - 1], "{counts:?}");
    }
}
