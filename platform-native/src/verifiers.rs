//! Threads that verify what arrives, while the node's own thread stores.
//!
//! Plain threads on one queue: jobs are small, bounded by the node, and never wait for each other, so nothing of a
//! work-stealing pool would be used.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use sazanami_core::node::{Input, Job};
use sazanami_core::verify::Verifier;
use tokio::sync::mpsc;

/// Threads at most: past this the one thread that stores is what a sync waits for.
const MAX_THREADS: usize = 8;

/// How many verify at once on this machine. The node's thread spends about as long on storing as one of them on
/// verifying, and sleeps the rest of the time.
pub fn count() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MAX_THREADS)
}

/// The threads; dropping it ends them.
pub struct Verifiers {
    queue: Arc<Queue>,
    answers: mpsc::UnboundedReceiver<Input>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// As many as the node gives out: some for each thread.
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Verifiers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let (sender, answers) = mpsc::unbounded_channel();
        let pool = Self {
            queue: Arc::default(),
            answers,
        };
        for _ in 0..count {
            let (queue, sender) = (pool.queue.clone(), sender.clone());
            thread::Builder::new()
                .name("verifier".to_owned())
                .spawn(move || queue.work(&sender))?;
        }
        Ok(pool)
    }

    /// Takes a job; its answer comes by [`Self::next`].
    pub fn execute(&self, job: Job) {
        let mut state = self.queue.lock();
        if job.is_urgent() {
            state.jobs.push_front(job);
        } else {
            state.jobs.push_back(job);
        }
        drop(state);
        self.queue.changed.notify_one();
    }

    /// The next answer.
    pub async fn next(&mut self) -> Input {
        match self.answers.recv().await {
            Some(answer) => answer,
            // All threads are gone: the node finds out by itself that its jobs are.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that could break half-way is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, answers: &mpsc::UnboundedSender<Input>) {
        let mut verifier = Verifier::new();
        while let Some(job) = self.next() {
            let holds = job.events().map(|event| verifier.verify(event).is_ok()).collect();
            let number = job.number();
            // Before the answer: then the events are the node's alone again, and need no copying.
            drop(job);
            if answers.send(Input::Verified { job: number, holds }).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nostr::prelude::{EventBuilder, FinalizeEvent, Keys, Kind};

    use super::*;

    #[tokio::test]
    async fn every_job_is_answered_and_forgeries_are_told() {
        let keys = Keys::generate();
        let jobs: Vec<Job> = (0..20)
            .map(|number| {
                let mut events: Vec<_> = (0..5)
                    .map(|n| {
                        EventBuilder::new(Kind::TextNote, format!("{n}"))
                            .finalize(&keys)
                            .unwrap()
                    })
                    .collect();
                events[number as usize % 5].content.push('!');
                Job::new(number, number % 3 == 0, events)
            })
            .collect();
        let mut verifiers = Verifiers::start(3).unwrap();
        jobs.iter().for_each(|job| verifiers.execute(job.clone()));
        let mut answers = BTreeMap::new();
        while answers.len() < jobs.len() {
            let Input::Verified { job, holds } = verifiers.next().await else {
                panic!("verifiers say nothing else");
            };
            assert!(answers.insert(job, holds).is_none(), "once");
        }
        for (job, holds) in answers {
            let forged = job as usize % 5;
            assert!(
                holds.iter().enumerate().all(|(n, holds)| *holds == (n != forged)),
                "{job}: {holds:?}"
            );
        }
    }

    #[test]
    fn threads_end_with_their_owner() {
        let mut verifiers = Verifiers::start(2).unwrap();
        let mut answers = std::mem::replace(&mut verifiers.answers, mpsc::unbounded_channel().1);
        drop(verifiers);
        // Each thread holds a sender.
        assert!(answers.blocking_recv().is_none());
    }
}
