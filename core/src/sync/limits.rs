//! What a peer and an author may cost: limits, and points for those who pass them.
//!
//! | what | limit | past it |
//! |---|---|---|
//! | new events of a peer | [`LIVE_EVENTS`], [`LIVE_BYTES`] | not taken, [`Offence::Flood`]; reconciled later |
//! | new events of a stranger | [`AUTHOR_EVENTS`], [`AUTHOR_BYTES`] | not taken live; reconciled later, within budgets |
//! | messages other than events | [`MESSAGES`] | [`Offence::Messages`] |
//! | reconciliations of a peer | [`RECONCILIATIONS`], [`RECONCILE_MESSAGES`], [`RECONCILE_BYTES`] | refused in words |
//! | history sent to a peer | [`SERVED_BYTES`] | waits |
//! | history of a plain client | [`PUBLISHED_BYTES`] | refused in words |
//! | what is looked for, for a plain client | [`EFFORT`] | refused in words |
//! | a plain client's forgeries, and messages that are none | – | [`Offence::Forged`], [`Offence::Nonsense`] |
//! | events that a peer has and does not send | – | [`Offence::Withheld`] |
//! | bad signatures, ids, frames, messages | none | banned at once |
//!
//! Points halve every [`HALF_LIFE`]; at [`TOO_MANY`] the peer is told so and banned.

use std::collections::BTreeMap;
use std::time::Duration;

use nostr::prelude::PublicKey;

use crate::time::Millis;

/// So much at once, and so much more each second.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    burst: f64,
    per_second: f64,
}

/// New events from one peer: a network of thousands writes some ten a second; whoever comes back forwards what it
/// heard elsewhere, its whole queue of 5,000 at once.
pub const LIVE_EVENTS: Rate = Rate {
    burst: 10_000.0,
    per_second: 200.0,
};
/// Their bytes: events of a usual size many times over, few of the largest.
pub const LIVE_BYTES: Rate = Rate {
    burst: 32.0 * MIB,
    per_second: 0.5 * MIB,
};
/// New events of an author who is a stranger: nobody writes one a second for long; the burst is an import, or a test.
pub const AUTHOR_EVENTS: Rate = Rate {
    burst: 2_000.0,
    per_second: 1.0,
};
/// Their bytes: 8 MiB, then 8 MiB an hour.
pub const AUTHOR_BYTES: Rate = Rate {
    burst: 8.0 * MIB,
    per_second: 8.0 * MIB / 3_600.0,
};
/// Messages that are no events: each costs a parse and a look-up, some microseconds. A pull of small batches makes
/// some ten a second, announcements some hundred.
pub const MESSAGES: Rate = Rate {
    burst: 5_000.0,
    per_second: 500.0,
};
/// Reconciliations that a peer opens: the first of a filter reads the whole index.
pub const RECONCILIATIONS: Rate = Rate {
    burst: 20.0,
    per_second: 20.0 / 60.0,
};
/// Reconciliation messages of a peer: fetching a million events takes a hundred.
pub const RECONCILE_MESSAGES: Rate = Rate {
    burst: 600.0,
    per_second: 10.0,
};
/// Their bytes: each range in them costs a microsecond, and 20 bytes to ask.
pub const RECONCILE_BYTES: Rate = Rate {
    burst: 4.0 * MIB,
    per_second: 4.0 * MIB / 60.0,
};
/// History sent to one peer: a million events at once, after that 1 MiB a second.
pub const SERVED_BYTES: Rate = Rate {
    burst: 512.0 * MIB,
    per_second: MIB,
};
/// History that the clients of one address publish: as much as a peer is sent.
pub const PUBLISHED_BYTES: Rate = SERVED_BYTES;
/// Rows that are looked at for the clients of one address: each costs a microsecond or two.
pub const EFFORT: Rate = Rate {
    burst: 2_000_000.0,
    per_second: 50_000.0,
};

const MIB: f64 = 1024.0 * 1024.0;

/// Points at which a peer is banned.
pub const TOO_MANY: f64 = 100.0;
/// In which points become half as many: a slip is forgotten within the hour, a flood is not outwaited.
pub const HALF_LIFE: Duration = Duration::from_secs(300);
/// People whose points are remembered while no link to them is open.
const MAX_PEOPLE: usize = 1_000;
/// Authors whose rate is known; 64 bytes each.
const MAX_AUTHORS: usize = 4_096;

/// What a peer did that an honest one does rarely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A new event past a rate: a thousand of them.
    Flood,
    /// A message past the rate: a hundred of them.
    Messages,
    /// An event that it has and does not send: two thousand. An honest one deletes some in between.
    Withheld,
    /// A forged event of a plain client, which may only pass it on: twenty of them.
    Forged,
    /// A message of a plain client that is none: a hundred of them.
    Nonsense,
}

impl Offence {
    fn points(self) -> f64 {
        match self {
            Self::Flood => 0.1,
            Self::Messages => 1.0,
            Self::Withheld => 0.05,
            Self::Forged => 5.0,
            Self::Nonsense => 1.0,
        }
    }

    /// In words, for the peer.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Flood => "too many new events",
            Self::Messages => "too many messages",
            Self::Withheld => "events were offered and not sent",
            Self::Forged => "too many forged events",
            Self::Nonsense => "too many bad messages",
        }
    }
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    spent: f64,
    at: Millis,
}

impl Bucket {
    /// Takes an amount; false, and nothing taken, when there is less.
    pub fn take(&mut self, rate: Rate, amount: usize, now: Millis) -> bool {
        self.refill(rate, now);
        let spent = self.spent + amount as f64;
        let fits = spent <= rate.burst;
        if fits {
            self.spent = spent;
        }
        fits
    }

    /// Takes an amount that is known only now, even if there is less.
    pub fn charge(&mut self, rate: Rate, amount: usize, now: Millis) {
        self.refill(rate, now);
        self.spent += amount as f64;
    }

    /// Whether nothing of it is in use.
    fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.refill(rate, now);
        self.spent == 0.0
    }

    fn refill(&mut self, rate: Rate, now: Millis) {
        let passed = now.since(self.at).as_secs_f64();
        self.spent = (self.spent - passed * rate.per_second).max(0.0);
        self.at = self.at.max(now);
    }
}

/// Points of a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    points: f64,
    at: Millis,
}

impl Score {
    /// Adds an offence; true when it is one too many.
    pub fn add(&mut self, offence: Offence, times: usize, now: Millis) -> bool {
        self.points = self.points(now) + offence.points() * times as f64;
        self.at = now;
        self.points >= TOO_MANY
    }

    /// Points that are left.
    pub fn points(&self, now: Millis) -> f64 {
        let halves = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.points * 0.5f64.powf(halves)
    }
}

/// The points of people who were linked lately, so that coming back does not clear them.
#[derive(Debug, Default)]
pub struct Scores(BTreeMap<PublicKey, Score>);

impl Scores {
    /// Remembers what a session ended with.
    pub fn keep(&mut self, person: PublicKey, score: Score, now: Millis) {
        if score.points(now) < 1.0 {
            self.0.remove(&person);
            return;
        }
        self.0.insert(person, score);
        if self.0.len() > MAX_PEOPLE {
            let least = self
                .0
                .iter()
                .min_by(|(_, a), (_, b)| a.points(now).total_cmp(&b.points(now)));
            let least = least.map(|(person, _)| *person);
            least.and_then(|person| self.0.remove(&person));
        }
    }

    /// What a new session of a person begins with.
    pub fn of(&self, person: &PublicKey) -> Score {
        self.0.get(person).copied().unwrap_or_default()
    }
}

/// How much new there is of each author, over all links.
#[derive(Debug, Default)]
pub struct Authors(BTreeMap<PublicKey, (Bucket, Bucket)>);

impl Authors {
    /// Counts a new event; false when its author has written too much lately.
    pub fn admit(&mut self, author: PublicKey, bytes: usize, now: Millis) -> bool {
        if self.0.len() >= MAX_AUTHORS && !self.0.contains_key(&author) {
            self.0
                .retain(|_, (events, _)| !events.is_full(AUTHOR_EVENTS, now));
            if self.0.len() >= MAX_AUTHORS {
                // So many at once are one person's: the limits of the links hold them.
                self.0.clear();
            }
        }
        let (events, total) = self.0.entry(author).or_default();
        events.take(AUTHOR_EVENTS, 1, now) && total.take(AUTHOR_BYTES, bytes, now)
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::Keys;

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(LIVE_EVENTS, 1, NOW)));
        assert!(!bucket.take(LIVE_EVENTS, 1, NOW));
        let later = NOW + Duration::from_secs(1);
        assert_eq!(
            (0..1_000).filter(|_| bucket.take(LIVE_EVENTS, 1, later)).count(),
            200
        );
        assert!(!bucket.take(LIVE_EVENTS, 1, NOW), "time does not run back");
    }

    #[test]
    fn points_add_up_and_fade() {
        let mut score = Score::default();
        assert!(!score.add(Offence::Messages, 99, NOW));
        let later = NOW + HALF_LIFE;
        assert!((score.points(later) - 49.5).abs() < 0.01);
        assert!(!score.add(Offence::Messages, 50, later));
        assert!(score.add(Offence::Messages, 1, later));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut scores, mut authors) = (Scores::default(), Authors::default());
        let bad = Keys::generate().public_key();
        let mut score = Score::default();
        score.add(Offence::Messages, 90, NOW);
        scores.keep(bad, score, NOW);
        for n in 0..(MAX_AUTHORS + 10) {
            let person = PublicKey::from_byte_array([(n % 251) as u8; 32]);
            let mut bytes = *person.as_bytes();
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            let person = PublicKey::from_byte_array(bytes);
            let mut score = Score::default();
            score.add(Offence::Messages, 2, NOW);
            scores.keep(person, score, NOW);
            assert!(authors.admit(person, 300, NOW));
        }
        assert!(scores.0.len() <= MAX_PEOPLE && authors.0.len() <= MAX_AUTHORS);
        assert!(
            scores.of(&bad).points(NOW) > 89.0,
            "the worst are remembered longest"
        );
        assert!(!(0..3_000).all(|_| authors.admit(bad, 300, NOW)));
        assert!(
            !authors.admit(Keys::generate().public_key(), 9 << 20, NOW),
            "by bytes too"
        );
    }
}
