//! Two sessions over a link in memory, each with a store of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nostr::prelude::Keys;
use sazanami_core::signaling::SessionId;
use sazanami_core::store::{SqliteStore, Store};
use sazanami_core::sync::{Env, ReconcileSets, Session, SessionEvent};
use sazanami_core::time::Millis;

/// What a sync took.
pub struct Outcome {
    /// The peer that had everything.
    pub full: SqliteStore,
    /// The peer that lacked something.
    pub other: SqliteStore,
    /// From the open link to both being live.
    pub took: Duration,
    /// Both ways, proofs and pings included.
    pub bytes: usize,
    /// How often both sides sent what they had to say: half a round trip each.
    pub turns: usize,
}

struct End {
    store: SqliteStore,
    sets: ReconcileSets,
    session: Session,
    live: bool,
}

impl End {
    fn new(store: SqliteStore, own: &Keys, peer: &Keys, now: Millis) -> Self {
        let id = |keys: &Keys| SessionId(keys.public_key());
        let session = Session::new(Keys::generate(), id(own), id(peer), "challenge".to_owned(), now);
        Self {
            store,
            sets: ReconcileSets::default(),
            session,
            live: false,
        }
    }

    fn with<T>(&mut self, now: Millis, work: impl FnOnce(&mut Session, &mut Env<'_>) -> T) -> T {
        let mut env = Env {
            store: &mut self.store,
            sets: &mut self.sets,
            now,
        };
        work(&mut self.session, &mut env)
    }

    fn hear(&mut self, frames: &[Vec<u8>], now: Millis) -> Result<()> {
        for frame in frames {
            self.with(now, |session, env| session.frame(frame, env))?;
            self.work(now)?;
        }
        Ok(())
    }

    fn work(&mut self, now: Millis) -> Result<()> {
        loop {
            let mut idle = true;
            while let Some(event) = self.session.poll_event() {
                idle = false;
                match event {
                    SessionEvent::Arrived { events, live } => {
                        let outcomes = self.store.put(&events, now)?;
                        self.sets.apply(&self.store.take_changes());
                        self.session.stored(&events, &outcomes, live);
                    }
                    SessionEvent::Live => self.live = true,
                    SessionEvent::Ended { reason, .. } => bail!("the session ended: {reason}"),
                    SessionEvent::Announced(ids) => self.session.ask(ids),
                    SessionEvent::Proven(_)
                    | SessionEvent::RoundTrip(_)
                    | SessionEvent::Withheld(_)
                    | SessionEvent::Suspect => {}
                }
            }
            self.with(now, Session::advance)?;
            if idle {
                return Ok(());
            }
        }
    }

    fn frames(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.session.poll_frame(&self.store)? {
            self.session.drained(frame.len());
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// Lets two stores sync until both sides are live.
///
/// # Errors
/// When a store fails, or the sessions end or stall.
pub fn sync(full: SqliteStore, other: SqliteStore, now: Millis) -> Result<Outcome> {
    let (one, two) = (Keys::generate(), Keys::generate());
    let mut full = End::new(full, &one, &two, now);
    let mut other = End::new(other, &two, &one, now);
    for end in [&mut full, &mut other] {
        // Kept up to date by a node that runs already.
        end.store.take_changes();
    }
    let begun = Instant::now();
    let (mut bytes, mut turns) = (0, 0);
    while !(full.live && other.live) {
        let (there, back) = (full.frames()?, other.frames()?);
        ensure!(!there.is_empty() || !back.is_empty(), "the sessions stall");
        bytes += there.iter().chain(&back).map(Vec::len).sum::<usize>();
        other.hear(&there, now)?;
        full.hear(&back, now)?;
        turns += 1;
    }
    Ok(Outcome {
        took: begun.elapsed(),
        full: full.store,
        other: other.store,
        bytes,
        turns,
    })
}
