//! What a line does to packets in one direction.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

/// How long a packet may wait for the line; what would wait longer is dropped, as routers do.
const QUEUE: Duration = Duration::from_millis(300);

/// The quality of a line, the same in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// One way.
    pub delay: Duration,
    /// Part of the packets that get lost, each way.
    pub loss: f64,
    /// Bits per second; `None` for no limit.
    pub rate: Option<u64>,
}

#[derive(Default)]
pub(super) struct Line {
    pub(super) quality: Quality,
    free: Option<Instant>,
}

impl Line {
    /// When a packet of so many bytes arrives at the other end, if it does.
    pub(super) fn carry(&mut self, bytes: usize, now: Instant, rng: &mut StdRng) -> Option<Instant> {
        if rng.random_bool(self.quality.loss) {
            return None;
        }
        let mut at = now;
        if let Some(rate) = self.quality.rate {
            let begin = self.free.map_or(now, |free| free.max(now));
            if begin - now > QUEUE {
                return None;
            }
            at = begin + Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
            self.free = Some(at);
        }
        Some(at + self.quality.delay)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_line_delays_limits_and_loses() {
        let mut rng = StdRng::seed_from_u64(4);
        let now = Instant::now();
        let mut line = Line::default();
        assert_eq!(line.carry(1_500, now, &mut rng), Some(now));

        line.quality.delay = Duration::from_millis(100);
        line.quality.rate = Some(1_000_000);
        // 12 ms each, and those that would wait for more than 300 ms are dropped.
        let arrivals: Vec<_> = (0..100)
            .filter_map(|_| line.carry(1_500, now, &mut rng))
            .collect();
        assert_eq!(arrivals[0], now + Duration::from_millis(112));
        assert_eq!(arrivals[9], now + Duration::from_millis(220));
        assert_eq!(arrivals.len(), 26);

        line.quality = Quality {
            loss: 0.05,
            ..Quality::default()
        };
        let lost = (0..10_000)
            .filter(|_| line.carry(100, now, &mut rng).is_none())
            .count();
        assert!((400..600).contains(&lost), "{lost}");
    }
}
