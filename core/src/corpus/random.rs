//! Randomness that is the same with every release of every crate: a corpus is compared over years.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not zero; the bias of a small limit does not matter here.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}

/// Picks rank `r` (from 0) with a weight of `1 / (r + 1)`.
pub(super) struct Zipf(Vec<u64>);

impl Zipf {
    /// Weights are whole numbers, since the last digit of a float differs from machine to machine.
    const UNIT: u64 = 1 << 40;

    pub(super) fn new(ranks: usize) -> Self {
        let mut sum = 0;
        let weights = (1..=ranks as u64).map(|rank| {
            sum += Self::UNIT / rank;
            sum
        });
        Self(weights.collect())
    }

    pub(super) fn pick(&self, random: &mut Random) -> usize {
        let total = self.0.last().copied().unwrap_or(1);
        let at = random.below(total);
        self.0.partition_point(|sum| *sum <= at)
    }
}
