//! Token buckets: how much may happen in a burst, and how fast it comes back.

use std::collections::HashMap;
use std::hash::Hash;

use sazanami_core::time::Millis;

/// A limit over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// What may happen at once.
    pub burst: f64,
    /// What comes back per second.
    pub per_second: f64,
}

impl Rate {
    /// A burst, and what comes back per second.
    pub const fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second }
    }
}

/// What is left of a [`Rate`]. The rate is passed in, so that a bucket stays small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    filled: Millis,
}

impl TokenBucket {
    pub(crate) const fn full(rate: Rate, now: Millis) -> Self {
        Self {
            tokens: rate.burst,
            filled: now,
        }
    }

    /// Takes `amount` if it is there, else takes nothing.
    pub(crate) fn take(&mut self, rate: Rate, amount: f64, now: Millis) -> bool {
        self.fill(rate, now);
        let enough = self.tokens >= amount;
        if enough {
            self.tokens -= amount;
        }
        enough
    }

    fn fill(&mut self, rate: Rate, now: Millis) {
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate.per_second).min(rate.burst);
        // Also when the clock went back: else nothing would come back until it has caught up.
        self.filled = now;
    }

    fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }
}

/// One bucket per key. A key whose bucket is full again needs no memory, so what is kept is bounded.
#[derive(Debug)]
pub(crate) struct KeyedBuckets<K> {
    rate: Rate,
    buckets: HashMap<K, TokenBucket>,
}

/// Most keys remembered at once, about 3 MiB: more different addresses than that within the time in which a bucket
/// fills again are an attack, and newcomers then wait.
const MAX_KEYS: usize = 65_536;

impl<K: Hash + Eq> KeyedBuckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: HashMap::new(),
        }
    }

    /// Takes one token of `key`.
    pub(crate) fn take(&mut self, key: K, now: Millis) -> bool {
        self.take_some(key, 1.0, now)
    }

    /// Takes `amount` tokens of `key`, or nothing.
    pub(crate) fn take_some(&mut self, key: K, amount: f64, now: Millis) -> bool {
        let rate = self.rate;
        if self.buckets.len() >= MAX_KEYS && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| !bucket.is_full(rate, now));
            if self.buckets.len() >= MAX_KEYS {
                return false;
            }
        }
        self.buckets
            .entry(key)
            .or_insert_with(|| TokenBucket::full(rate, now))
            .take(rate, amount, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate::new(3.0, 2.0);
        let mut bucket = TokenBucket::full(rate, Millis(0));
        assert_eq!((0..5).filter(|_| bucket.take(rate, 1.0, Millis(0))).count(), 3);
        assert!(!bucket.take(rate, 1.0, Millis(499)));
        assert!(bucket.take(rate, 1.0, Millis(500)));
        assert_eq!(
            (0..9)
                .filter(|_| bucket.take(rate, 1.0, Millis(1_000_000)))
                .count(),
            3,
            "never above the burst"
        );
    }

    #[test]
    fn a_clock_that_goes_back_neither_fills_nor_blocks() {
        let rate = Rate::new(1.0, 1.0);
        let mut bucket = TokenBucket::full(rate, Millis(1_000_000));
        assert!(bucket.take(rate, 1.0, Millis(1_000_000)));
        assert!(!bucket.take(rate, 1.0, Millis(5)));
        assert!(bucket.take(rate, 1.0, Millis(1_005)));
    }

    #[test]
    fn keys_do_not_share_and_their_number_is_bounded() {
        let mut buckets = KeyedBuckets::new(Rate::new(1.0, 1.0));
        assert!(buckets.take(0, Millis(0)));
        assert!(!buckets.take(0, Millis(0)));
        for key in 1..MAX_KEYS {
            assert!(buckets.take(key, Millis(0)));
        }
        assert!(!buckets.take(usize::MAX, Millis(0)), "full");
        assert!(
            buckets.take(usize::MAX, Millis(1_000)),
            "those that filled again made room"
        );
        assert!(buckets.buckets.len() < 10);
    }
}
