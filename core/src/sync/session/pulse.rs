//! Whether the peer is still there: pings on links that are quiet, and what to think of one without an answer.
//!
//! A peer that vanishes is noticed within ten seconds by a device that is awake: at most three and a second until the
//! ping, and four and a half and a second until the verdict. Answers come from whoever gets the ping, not from a timer,
//! so that a tab whose timers are throttled is not taken for gone; and a device that was asleep itself asks anew before
//! it judges. Bytes that leave the send buffer ahead of a ping show that the line is slow, not dead.

use std::time::Duration;

use crate::time::Millis;

/// Silence after which a ping is sent: where the other side pings, this one need not.
const QUIET: Duration = Duration::from_secs(3);
/// The round-trip time is measured at least this often.
const MEASURE: Duration = Duration::from_secs(30);
/// A ping without an answer for so long may mean that the path broke.
const SUSPECT: Duration = Duration::from_millis(2_500);
/// A ping without an answer for so long means that the peer is gone.
const GONE: Duration = Duration::from_millis(4_500);
/// How often one silence may be judged anew, after sleep or when the peer was heard of by other ways.
const MAX_REPRIEVES: u32 = 3;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Quiet,
    /// Send a ping, and say so by [`Pulse::pinged`].
    Ping,
    Suspect,
    Gone,
}

#[derive(Debug)]
pub(super) struct Pulse {
    heard: Millis,
    /// The newest ping, until it is answered.
    ping: Option<(u64, Millis)>,
    measured: Millis,
    /// Since when an answer is awaited.
    waiting: Option<Millis>,
    suspected: bool,
    reprieves: u32,
    /// Bytes ahead of the ping in the send buffer; `None` while it waits for a place there.
    ahead: Option<usize>,
    moved: bool,
}

impl Pulse {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            heard: now,
            ping: None,
            // The first ping goes out at once.
            measured: Millis::default(),
            waiting: None,
            suspected: false,
            reprieves: 0,
            ahead: None,
            moved: false,
        }
    }

    /// When the peer was heard last.
    pub(super) fn last(&self) -> Millis {
        self.heard
    }

    pub(super) fn heard(&mut self, now: Millis) {
        self.heard = now;
        self.waiting = None;
        self.suspected = false;
        self.reprieves = 0;
    }

    pub(super) fn tick(&mut self, now: Millis) -> Beat {
        if std::mem::take(&mut self.moved)
            && let Some(since) = &mut self.waiting
        {
            *since = now;
        }
        if let Some(since) = self.waiting {
            let silent = now.since(since);
            if silent >= GONE {
                return Beat::Gone;
            }
            if silent >= SUSPECT && !self.suspected {
                self.suspected = true;
                return Beat::Suspect;
            }
        }
        let pinged = self.ping.map(|(_, at)| at);
        let is_due = now.since(self.heard) >= QUIET || now.since(self.measured) >= MEASURE;
        if is_due && pinged.is_none_or(|at| now.since(at) >= QUIET) {
            Beat::Ping
        } else {
            Beat::Quiet
        }
    }

    pub(super) fn pinged(&mut self, number: u64, now: Millis) {
        self.ping = Some((number, now));
        if self.waiting.is_none() {
            self.waiting = Some(now);
            self.ahead = None;
        }
    }

    /// The ping has taken its place in the send buffer, behind so many bytes.
    pub(super) fn sent(&mut self, ahead: usize) {
        self.ahead.get_or_insert(ahead);
    }

    pub(super) fn drained(&mut self, bytes: usize) {
        match &mut self.ahead {
            None => self.moved = self.waiting.is_some(),
            Some(0) => {}
            Some(ahead) => {
                *ahead = ahead.saturating_sub(bytes);
                self.moved = true;
            }
        }
    }

    /// The round-trip time, when this answers the newest ping.
    pub(super) fn answered(&mut self, number: u64, now: Millis) -> Option<Duration> {
        let (_, at) = self.ping.take_if(|(expected, _)| *expected == number)?;
        self.measured = now;
        Some(now.since(at))
    }

    /// This device slept, or its clock was set.
    pub(super) fn woke(&mut self, now: Millis) {
        self.measured = self.measured.min(now);
        // The next tick asks.
        self.ping = None;
        self.heard = Millis(self.heard.0.min(now.0.saturating_sub(QUIET.as_millis() as u64)));
        self.reprieve(now);
    }

    /// The peer was heard of by other ways.
    pub(super) fn vouched(&mut self, now: Millis) {
        self.reprieve(now);
    }

    fn reprieve(&mut self, now: Millis) {
        if let Some(since) = &mut self.waiting
            && (self.reprieves < MAX_REPRIEVES || now < *since)
        {
            self.reprieves += 1;
            *since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_700_000_000_000);

    /// A side of a link, by the second.
    struct Side {
        pulse: Pulse,
        now: Millis,
        pings: u64,
    }

    impl Side {
        fn new() -> Self {
            Self {
                pulse: Pulse::new(START),
                now: START,
                pings: 0,
            }
        }

        fn tick_after(&mut self, wait: Duration) -> Beat {
            self.now = self.now + wait;
            let beat = self.pulse.tick(self.now);
            if beat == Beat::Ping {
                self.pings += 1;
                self.pulse.pinged(self.pings, self.now);
                self.pulse.sent(0);
            }
            beat
        }

        fn second(&mut self) -> Beat {
            self.tick_after(Duration::from_secs(1))
        }

        fn hear_pong(&mut self) {
            self.pulse.heard(self.now);
            self.pulse.answered(self.pings, self.now);
        }
    }

    #[test]
    fn a_peer_that_vanishes_is_gone_within_ten_seconds() {
        // Whenever it vanishes, by the tenth of a second after it was heard.
        for tenth in 0..40 {
            let mut side = Side::new();
            side.second();
            side.hear_pong();
            side.now = side.now + Duration::from_millis(100 * tenth);
            side.pulse.heard(side.now);
            let vanished = side.now;
            let mut suspected = false;
            loop {
                match side.second() {
                    Beat::Gone => break,
                    Beat::Suspect => suspected = true,
                    _ => {}
                }
                assert!(side.now.since(vanished) < Duration::from_secs(10));
            }
            assert!(suspected, "the path is suspected first");
            assert!(side.now.since(vanished) <= Duration::from_secs(10));
        }
    }

    #[test]
    fn a_busy_or_pinging_peer_is_not_pinged() {
        let mut side = Side::new();
        side.second();
        side.hear_pong();
        for _ in 0..29 {
            side.second();
            side.pulse.heard(side.now);
        }
        assert_eq!(side.pings, 1);
        for _ in 0..2 {
            side.second();
            side.pulse.heard(side.now);
        }
        assert_eq!(side.pings, 2, "but now and then, to measure");
    }

    #[test]
    fn a_side_whose_timers_come_once_a_minute_judges_nobody_by_them() {
        let mut side = Side::new();
        for _ in 0..60 {
            side.now = side.now + Duration::from_secs(60);
            side.pulse.woke(side.now);
            assert_ne!(side.tick_after(Duration::ZERO), Beat::Gone);
            // The pong comes by a message's event, with the minute's tick far off.
            side.now = side.now + Duration::from_millis(50);
            side.hear_pong();
        }
        assert_eq!(side.pings, 60);
    }

    #[test]
    fn and_yet_gives_up_a_peer_that_is_gone() {
        let mut side = Side::new();
        side.second();
        let minutes = (0..10)
            .take_while(|_| {
                side.now = side.now + Duration::from_secs(60);
                side.pulse.woke(side.now);
                side.tick_after(Duration::ZERO) != Beat::Gone
            })
            .count();
        assert!(minutes <= MAX_REPRIEVES as usize + 1, "{minutes} minutes");
    }

    #[test]
    fn after_sleep_the_peer_is_asked_at_once_and_given_time() {
        for back in [false, true] {
            let mut side = Side::new();
            side.second();
            side.now = if back {
                Millis(side.now.0 - 3_600_000)
            } else {
                side.now + Duration::from_secs(3_600)
            };
            side.pulse.woke(side.now);
            assert_eq!(side.tick_after(Duration::ZERO), Beat::Ping);
            assert_ne!(side.second(), Beat::Gone);
            let judged = (0..10).take_while(|_| side.second() != Beat::Gone).count();
            assert!(judged <= 5, "{judged} s");
        }
    }

    #[test]
    fn a_slow_line_is_not_a_dead_one() {
        let mut side = Side::new();
        side.now = side.now + Duration::from_secs(3);
        assert_eq!(side.pulse.tick(side.now), Beat::Ping);
        side.pulse.pinged(1, side.now);
        side.pulse.sent(100_000);
        for _ in 0..50 {
            side.pulse.drained(2_000);
            assert_ne!(side.second(), Beat::Gone);
        }
        // What leaves after the ping shows nothing: a dead line's buffer takes it too.
        side.pulse.drained(2_000);
        let judged = (0..10)
            .take_while(|_| {
                side.pulse.drained(20);
                side.second() != Beat::Gone
            })
            .count();
        assert!(judged <= 5, "{judged} s");
    }
}
