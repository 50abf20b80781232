//! A small world of people and what they did, made from a seed, and everything that can be seen of it in a store.

use std::collections::BTreeMap;

use nostr::nips::nip19::ToBech32;
use nostr::prelude::{
    Event, EventBuilder, EventId, Filter, FinalizeEvent, Keys, Kind, PublicKey, Tag, Timestamp,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::fixtures::{NOW, START, person};
use super::{Failure, Outcome, ensure};
use crate::social::{self, Mutes, Ring};
use crate::store::{Act, Cause, Cursor, Known, Page, Scope, Store, StoreError};
use crate::time::Millis;

/// Events of one world.
pub const EVENTS: usize = 40;
/// Moments in which they fall: few, so that many share one.
const SECONDS: u64 = 25;
const PEOPLE: u8 = 4;
const PAGE: usize = 3;
/// More pages than any answer has.
const MAX_PAGES: usize = 4 * EVENTS;

const TEXTS: [&str; 8] = [
    "今日は波がとても静か #さざなみ",
    "Waves at dawn #Waves #sea",
    "波の音 #海 ＃さざなみ",
    "spoiler ahead: the ship sinks",
    "短い",
    "ＡＢＣ ｶﾀｶﾅ naïve WASM2",
    "Nothing to see here",
    "さざなみの音がする #SEA",
];
const HASHTAGS: [&str; 5] = ["さざなみ", "SEA", "waves", "海", "none"];
const SEARCHES: [&str; 13] = [
    "波",
    "さざなみ",
    "音 波",
    "wave",
    "w",
    "dawn waves",
    "#sea",
    "#さざなみ 音",
    "abc",
    "ｶﾀ",
    "naï",
    "風",
    " ",
];
const NAMES: [&str; 5] = ["あおい", "Wave", "waverly", "波平", "old wave"];
const LISTS: [&str; 2] = ["", "friends: near"];

/// People and what they did. The first of them is the person of the device.
#[derive(Debug)]
pub struct World {
    /// From which it was made.
    pub seed: u64,
    /// Who.
    pub people: Vec<Keys>,
    /// What, in the order in which it came about; times are another matter.
    pub events: Vec<Event>,
}

impl World {
    /// Makes the world of a seed; the same one every time.
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            people: (1..=PEOPLE).map(person).collect(),
            events: Vec::new(),
        };
        let mut random = StdRng::seed_from_u64(seed);
        while world.events.len() < EVENTS {
            let event = world.act(&mut random);
            if world.events.iter().all(|other| other.id != event.id) {
                world.events.push(event);
            }
        }
        world
    }

    /// Whose device it is.
    pub fn me(&self) -> PublicKey {
        self.people[0].public_key()
    }

    fn keys(&self) -> Vec<PublicKey> {
        self.people.iter().map(Keys::public_key).collect()
    }

    fn act(&self, random: &mut StdRng) -> Event {
        let who = &self.people[random.random_range(0..self.people.len())];
        let now = moment(random);
        let text = (*TEXTS.choose(random).unwrap_or(&"")).to_owned();
        let some = |random: &mut StdRng| self.events.choose(random).cloned();
        let notes = || self.events.iter().filter(|event| event.kind == Kind::TextNote);
        let a_note = |random: &mut StdRng| notes().collect::<Vec<_>>().choose(random).copied().cloned();
        let target = a_note(random);
        match (random.random_range(0..100), target) {
            (0..14, _) => social::note_event(who, text, now),
            (14..18, _) => tagged(who, Kind::TextNote, &text, self.odd_tags(random), now),
            (18..36, Some(to)) => social::reply_event(who, &to, text, now),
            (36..41, Some(of)) => social::quote_event(who, &of, text, now),
            (41..50, Some(of)) => {
                // Without the event itself: signatures differ from one making of a world to the next.
                let (id, author) = (of.id.to_hex(), of.pubkey.to_hex());
                let tags = vec![vec!["e", &id], vec!["p", &author], vec!["k", "1"]];
                let kind = if random.random() {
                    Kind::Repost
                } else {
                    Kind::GenericRepost
                };
                tagged(who, kind, "", tags, now)
            }
            (50..59, Some(to)) => {
                let content = ["+", "-", "🌊"].choose(random).copied().unwrap_or("+");
                social::reaction_event(who, &to, content, now)
            }
            (59..64, _) => {
                let profile = social::Profile {
                    name: NAMES.choose(random).map(|name| (*name).to_owned()),
                    ..social::Profile::default()
                };
                social::profile_event(who, &profile, now)
            }
            (64..74, _) => social::follows_event(who, &self.some_people(random), now),
            (74..77, _) => tagged(&self.people[0], Kind::MuteList, "", self.mute_tags(random), now),
            (77..81, _) => {
                let name = LISTS.choose(random).copied().unwrap_or_default();
                social::list_event(who, name, "", &self.some_people(random), now)
            }
            (81..83, _) => tagged::<&str>(who, Kind::Bookmarks, "", Vec::new(), now),
            (83..84, _) => tagged::<&str>(who, Kind::Reporting, &text, Vec::new(), now),
            (84..93, _) => {
                let mut targets: Vec<Event> = (0..random.random_range(1..=3))
                    .filter_map(|_| some(random))
                    .collect();
                targets.dedup();
                social::deletion_of(who, &targets, now)
            }
            (93..94, _) => social::vanish_event(who, "", now),
            (94..95, _) => tagged(
                who,
                Kind::RequestToVanish,
                "",
                vec![vec!["relay", "wss://x.example"]],
                now,
            ),
            (_, _) => {
                let ends = if random.random() {
                    START + 1
                } else {
                    NOW.0 / 1000 + 60
                };
                let ends = ends.to_string();
                let kind = if random.random() {
                    Kind::TextNote
                } else {
                    Kind::FollowSet
                };
                tagged(who, kind, &text, vec![vec!["expiration", &ends]], now)
            }
        }
    }

    fn some_people(&self, random: &mut StdRng) -> Vec<PublicKey> {
        self.keys().into_iter().filter(|_| random.random()).collect()
    }

    /// What no client of ours writes, and others do.
    fn odd_tags(&self, random: &mut StdRng) -> Vec<Vec<String>> {
        let someone = self
            .keys()
            .choose(random)
            .map(PublicKey::to_hex)
            .unwrap_or_default();
        let something = self
            .events
            .choose(random)
            .map(|event| event.id.to_hex())
            .unwrap_or_default();
        let missing = EventId::from_byte_array([random.random_range(1..4); 32]).to_hex();
        let mut tags = vec![
            vec!["p", &someone],
            vec!["e", &something],
            vec!["e", &missing],
            vec!["e", &missing, "", "reply"],
            vec!["e", &something, "", "root"],
            vec!["e", &something, "", "mention"],
            vec!["q", &something],
            vec!["q", &missing, "", &someone],
            vec!["t", "SEA"],
            vec!["content-warning", "深い"],
            vec![
                "imeta",
                "url https://media.example/1.jpg",
                "m image/jpeg",
                "dim 3x4",
            ],
        ];
        tags.retain(|_| random.random_range(0..3) == 0);
        tags.into_iter()
            .map(|tag| tag.into_iter().map(str::to_owned).collect())
            .collect()
    }

    fn mute_tags(&self, random: &mut StdRng) -> Vec<Vec<String>> {
        let someone = self.people[random.random_range(1..self.people.len())].public_key();
        let root = self
            .events
            .choose(random)
            .map(|event| vec![event.id])
            .unwrap_or_default();
        let mutes = Mutes {
            people: vec![someone],
            words: vec!["spoiler".to_owned(), "短い".to_owned()],
            hashtags: vec!["海".to_owned()],
            threads: root,
        };
        let mut tags: Vec<Vec<String>> = mutes_tags(&mutes);
        tags.retain(|_| random.random_range(0..3) == 0);
        tags
    }

    /// Everything that can be seen of it in a store, under a name of what was asked.
    ///
    /// # Errors
    /// The store fails, or a page's cursor leads astray.
    pub(super) fn look(&self, store: &dyn Store) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        self.look_at_pages(store, &mut seen)?;
        self.look_at_people(store, &mut seen)?;
        self.look_at_events(store, &mut seen)?;
        self.look_at_notices(store, &mut seen)?;
        Ok(seen)
    }

    fn look_at_pages(&self, store: &dyn Store, seen: &mut Seen) -> Outcome {
        let all = pages(|before| store.timeline(Scope::Everyone, before, PAGE))?;
        seen.add("everyone", all);
        for (n, key) in self.keys().into_iter().enumerate() {
            for scope in [
                Scope::FollowedBy(key),
                Scope::Author(key),
                Scope::Posts(key),
                Scope::Replies(key),
                Scope::Media(key),
            ] {
                let all = pages(|before| store.timeline(scope, before, PAGE))?;
                seen.add(format!("person {n}: {scope:?}"), all);
            }
            for name in LISTS {
                let all = pages(|before| store.list(&key, name, before, PAGE))?;
                seen.add(format!("person {n}: list {name:?}"), all);
            }
        }
        for tag in HASHTAGS {
            let all = pages(|before| store.hashtag(tag, before, PAGE))?;
            seen.add(format!("hashtag {tag}"), all);
        }
        for text in SEARCHES {
            let all = pages(|before| store.search_notes(text, before, PAGE))?;
            seen.add(format!("search {text:?}"), all);
        }
        Ok(())
    }

    fn look_at_people(&self, store: &dyn Store, seen: &mut Seen) -> Outcome {
        for (n, key) in self.keys().into_iter().enumerate() {
            seen.add(format!("person {n}: profile"), store.profile(&key)?);
            seen.add(format!("person {n}: notes"), store.note_count(&key)?);
            seen.add(format!("person {n}: follows"), store.follows(&key)?);
            seen.add(format!("person {n}: ring"), store.ring(&key)?);
            for kind in [Kind::Metadata, Kind::ContactList, Kind::MuteList, Kind::Bookmarks] {
                seen.add(
                    format!("person {n}: latest {kind}"),
                    store.replaceable(&key, kind)?,
                );
            }
            let (mut followers, count) = store.followers(&key, 99)?;
            followers.sort_unstable();
            seen.add(format!("person {n}: followers"), (followers, count));
            let address = key.to_bech32().unwrap_or_default();
            seen.add(format!("person {n}: by key"), store.search_people(&address, 9)?);
        }
        for ring in Ring::ALL {
            // Of strangers a store may know more or fewer.
            if ring != Ring::Stranger {
                let mut people = store.people_of(ring, 99)?;
                people.sort_unstable();
                seen.add(format!("ring {ring:?}"), people);
            }
        }
        for text in ["wave", "波", "WAVE", "あ", "nobody", "ld"] {
            seen.add(format!("people {text}"), store.search_people(text, 9)?);
        }
        Ok(())
    }

    fn look_at_events(&self, store: &dyn Store, seen: &mut Seen) -> Outcome {
        seen.add("items", store.items(&Filter::new())?);
        let mut after = None;
        let mut all = Vec::new();
        loop {
            let some = store.events_after(after, PAGE)?;
            let Some(last) = some.last() else {
                break;
            };
            after = Some(Cursor {
                created_at: last.created_at.as_secs(),
                id: last.id,
            });
            all.extend(some.into_iter().map(|event| event.id));
            ensure(all.len() <= self.events.len(), "an export comes to its end")?;
        }
        seen.add("export", all);
        let missing = (1..4).map(|byte| EventId::from_byte_array([byte; 32]));
        for id in self.events.iter().map(|event| event.id).chain(missing) {
            let known = store.known(&id)? == Known::Stored;
            seen.add(
                format!("event {id}"),
                (known, store.event(&id)?, store.note(&id)?),
            );
            seen.add(format!("counts of {id}"), store.counts(&id)?);
            let thread = store.thread(&id, None, PAGE)?;
            let below = pages(|after| Ok(store.thread(&id, after, PAGE)?.replies))?;
            seen.add(format!("thread of {id}"), (thread.ancestors, thread.note, below));
            for act in [Act::Reaction, Act::Repost] {
                seen.add(format!("{act:?} of {id}"), reactors(store, &id, act)?);
            }
        }
        let report = store.report()?;
        let kinds: BTreeMap<u16, u64> = report
            .kinds
            .iter()
            .map(|(kind, used)| (*kind, used.events))
            .collect();
        let people: BTreeMap<PublicKey, u64> = report
            .people
            .iter()
            .map(|(key, _, used)| (*key, used.events))
            .collect();
        let rings: BTreeMap<Ring, u64> = report
            .rings
            .iter()
            .map(|(ring, used)| (*ring, used.events))
            .collect();
        seen.add("report", (report.events.events, kinds, people, rings));
        Ok(())
    }

    fn look_at_notices(&self, store: &dyn Store, seen: &mut Seen) -> Outcome {
        let every = [
            Cause::Reply,
            Cause::Mention,
            Cause::Quote,
            Cause::Reaction,
            Cause::Repost,
            Cause::Follow,
        ];
        let single = every.iter().map(std::slice::from_ref);
        for causes in single.chain([&[][..], &every[..2]]) {
            let (mut before, mut all) = (None, Vec::new());
            let unread = store.notifications(causes, None, PAGE)?.unread;
            loop {
                let page = store.notifications(causes, before, PAGE)?;
                all.extend(page.list);
                before = page.next;
                if before.is_none() {
                    break;
                }
                ensure(all.len() <= self.events.len(), "notifications come to their end")?;
            }
            seen.add(format!("notifications {causes:?}"), (unread, all));
        }
        Ok(())
    }
}

/// What was seen, under what was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<String, String>);

impl Seen {
    fn add(&mut self, what: impl Into<String>, answer: impl std::fmt::Debug) {
        self.0.insert(what.into(), format!("{answer:#?}"));
    }

    /// Compares with what was expected, answer by answer.
    pub(super) fn is(&self, expected: &Self, when: impl std::fmt::Display) -> Outcome {
        for (what, answer) in &self.0 {
            let expected = expected.0.get(what).map(String::as_str).unwrap_or_default();
            ensure(
                answer == expected,
                format_args!("{when}: {what}:\n   found {answer}\nexpected {expected}"),
            )?;
        }
        Ok(())
    }
}

/// All pages, one after the other; the notes stand in order and none comes twice.
fn pages(
    mut next: impl FnMut(Option<Cursor>) -> Result<Page, StoreError>,
) -> Result<Vec<crate::store::Note>, Failure> {
    let (mut from, mut all) = (None, Vec::new());
    for _ in 0..MAX_PAGES {
        let page = next(from)?;
        ensure(page.notes.len() <= PAGE, "a page is no longer than asked for")?;
        all.extend(page.notes);
        from = page.next;
        if from.is_none() {
            return Ok(all);
        }
    }
    Err(Failure("pages come to their end".to_owned()))
}

/// Everybody who acted; in which order is up to the store, so by key here.
fn reactors(store: &dyn Store, id: &EventId, act: Act) -> Result<Vec<crate::store::Reactor>, Failure> {
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = store.reactors(id, act, after, 2)?;
        all.extend(page.people);
        after = page.next;
        if after.is_none() {
            all.sort_unstable_by_key(|person| person.key);
            return Ok(all);
        }
        ensure(all.len() <= usize::from(PEOPLE), "each person acts once")?;
    }
}

fn moment(random: &mut StdRng) -> Millis {
    Millis((START + random.random_range(0..SECONDS)) * 1000)
}

fn mutes_tags(mutes: &Mutes) -> Vec<Vec<String>> {
    let tag = |name: &str, value: String| vec![name.to_owned(), value];
    let people = mutes.people.iter().map(|key| tag("p", key.to_hex()));
    let words = mutes.words.iter().map(|word| tag("word", word.clone()));
    let hashtags = mutes.hashtags.iter().map(|word| tag("t", word.clone()));
    let threads = mutes.threads.iter().map(|id| tag("e", id.to_hex()));
    people.chain(words).chain(hashtags).chain(threads).collect()
}

/// An event with any tags.
pub fn tagged<S: Into<String>>(
    who: &Keys,
    kind: Kind,
    content: &str,
    tags: Vec<Vec<S>>,
    now: Millis,
) -> Event {
    let tags = tags.into_iter().filter_map(|tag| Tag::parse(tag).ok());
    EventBuilder::new(kind, content)
        .tags(tags)
        .custom_created_at(Timestamp::from_secs(now.0 / 1000))
        .finalize(who)
        .expect("a key pair signs what it is given")
}
