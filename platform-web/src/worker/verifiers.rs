//! Workers that verify what arrives, while the node's own worker stores.
//!
//! They are started when there is work for them, one after the other, and ended when there has been none for long.
//! Until the first one listens, and where none can be started, this worker verifies itself. One that breaks or says
//! nothing is ended, and the node verifies what it had.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use js_sys::Reflect;
use sazanami_core::node::{Input, Job};
use sazanami_core::time::Millis;
use sazanami_core::verify::{self, Verifier};
use web_sys::WorkerNavigator;

use crate::bridge::{FromVerifier, ToVerifier};
use crate::child::Child;
use crate::verifier;

/// Workers at most: past this the one worker that stores is what a sync waits for.
const MAX_WORKERS: usize = 4;
/// On a phone, or with little memory: each takes some megabytes, and warms the device.
const MAX_SMALL: usize = 2;
/// Gigabytes that count as little memory.
const LITTLE_MEMORY: f64 = 4.0;
/// So many events are sooner verified than handed over.
const FEW: usize = 2;
/// Jobs of history that a worker has at hand.
const AT_HAND: usize = 8;
/// A worker that has work and says nothing for so long is stuck: a job takes it some tens of milliseconds.
const STUCK: Duration = Duration::from_secs(5);
/// How long its script may take to load.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Without any work for so long, workers are ended.
const IDLE: Duration = Duration::from_secs(60);
/// More time than this does not pass between two looks: the machine slept, and so did the workers.
const MAX_STEP: Duration = Duration::from_secs(2);
/// Workers that failed, after which no more are started.
const MAX_FAILURES: u32 = 4;

/// How many verify at once on this machine: the node's own worker stores meanwhile.
pub fn count(navigator: &WorkerNavigator) -> usize {
    // A whole number, and 1 where browsers do not tell.
    let cores = navigator.hardware_concurrency() as usize;
    let memory = Reflect::get(navigator, &"deviceMemory".into())
        .ok()
        .and_then(|gigabytes| gigabytes.as_f64());
    let is_phone = navigator
        .user_agent()
        .is_ok_and(|agent| agent.contains("Mobi") || agent.contains("Android"));
    let most = if is_phone || memory.is_some_and(|gigabytes| gigabytes < LITTLE_MEMORY) {
        MAX_SMALL
    } else {
        MAX_WORKERS
    };
    cores.saturating_sub(1).clamp(1, most)
}

/// The workers; dropping it ends them.
pub struct Verifiers {
    script: String,
    count: usize,
    running: Vec<Running>,
    started: u64,
    failures: u32,
    /// What no worker has yet: as much as the node gives out.
    waiting: VecDeque<Job>,
    answers: VecDeque<Input>,
    /// For what is verified here.
    verifier: Verifier,
    tell: mpsc::UnboundedSender<Said>,
    said: mpsc::UnboundedReceiver<Said>,
    idle: Duration,
    looked: Millis,
}

/// Which worker said it, or why it says nothing more.
type Said = (u64, Result<FromVerifier, String>);

struct Running {
    number: u64,
    child: Child,
    listens: bool,
    jobs: BTreeSet<u64>,
    /// How long it has said nothing though it has something to do.
    silent: Duration,
}

impl Verifiers {
    /// At most `count` workers, of a module script whose `main` branches by their name. None is started yet.
    pub fn new(script: String, count: usize) -> Self {
        let (tell, said) = mpsc::unbounded();
        Self {
            script,
            count,
            running: Vec::new(),
            started: 0,
            failures: 0,
            waiting: VecDeque::new(),
            answers: VecDeque::new(),
            verifier: Verifier::new(),
            tell,
            said,
            idle: Duration::ZERO,
            looked: Millis::default(),
        }
    }

    /// How many of them are ready for work.
    pub fn listening(&self) -> usize {
        self.running.iter().filter(|worker| worker.listens).count()
    }

    /// Takes a job; its answer comes by [`Self::next`].
    pub fn execute(&mut self, job: Job) {
        if job.events().len() <= FEW {
            return self.verify_here(&job);
        }
        self.idle = Duration::ZERO;
        if job.is_urgent() {
            self.waiting.push_front(job);
        } else {
            self.waiting.push_back(job);
        }
        let all_busy = self.running.iter().all(|worker| !worker.jobs.is_empty());
        if all_busy && self.running.len() < self.count && self.failures < MAX_FAILURES {
            self.start_one();
        }
        self.give();
    }

    /// The next answer.
    pub async fn next(&mut self) -> Input {
        loop {
            if let Some(answer) = self.answered() {
                return answer;
            }
            if self.listening() == 0
                && let Some(job) = self.waiting.pop_front()
            {
                self.verify_here(&job);
                continue;
            }
            // This side keeps a sender: there is always one to wait for.
            if let Some((number, said)) = self.said.next().await {
                self.heard(number, said);
            }
        }
    }

    /// An answer that is here already.
    pub fn answered(&mut self) -> Option<Input> {
        while self.answers.is_empty()
            && let Some(Some((number, said))) = self.said.next().now_or_never()
        {
            self.heard(number, said);
        }
        self.answers.pop_front()
    }

    /// Ends workers that are stuck, or have had nothing to do for long.
    pub fn tend(&mut self, now: Millis) {
        let step = now.since(self.looked).min(MAX_STEP);
        self.looked = now;
        let mut stuck = Vec::new();
        for worker in &mut self.running {
            let limit = if worker.listens { STUCK } else { START_LIMIT };
            if worker.listens && worker.jobs.is_empty() {
                continue;
            }
            worker.silent += step;
            if worker.silent >= limit {
                stuck.push(worker.number);
            }
        }
        for number in stuck {
            self.failed(number, "it does not answer");
        }
        if self.waiting.is_empty() && self.running.iter().all(|worker| worker.jobs.is_empty()) {
            self.idle += step;
            if self.idle >= IDLE {
                self.running.clear();
            }
        }
    }

    fn start_one(&mut self) {
        self.started += 1;
        let (number, tell) = (self.started, self.tell.clone());
        // Nobody hears it only while all ends.
        let tell = move |said| drop(tell.unbounded_send((number, said)));
        match Child::start(&self.script, verifier::NAME, tell) {
            Ok(child) => self.running.push(Running {
                number,
                child,
                listens: false,
                jobs: BTreeSet::new(),
                silent: Duration::ZERO,
            }),
            Err(reason) => {
                self.failures = MAX_FAILURES;
                tracing::warn!(reason, "no verifying workers here");
            }
        }
    }

    /// Hands over what waits, new events before history and to whoever has least to do.
    fn give(&mut self) {
        while let Some(job) = self.waiting.front() {
            let limit = if job.is_urgent() { usize::MAX } else { AT_HAND };
            let listening = self.running.iter_mut().filter(|worker| worker.listens);
            let Some(worker) = listening
                .min_by_key(|worker| worker.jobs.len())
                .filter(|worker| worker.jobs.len() < limit)
            else {
                return;
            };
            let message = ToVerifier {
                job: job.number(),
                urgent: job.is_urgent(),
                events: verify::encode(job.events()),
            };
            if worker.jobs.is_empty() {
                worker.silent = Duration::ZERO;
            }
            // Failing or not, it is answered: by the worker, or in its place.
            worker.jobs.insert(job.number());
            let (number, posted) = (worker.number, worker.child.post(&message));
            self.waiting.pop_front();
            if let Err(reason) = posted {
                self.failed(number, &reason);
            }
        }
    }

    fn heard(&mut self, number: u64, said: Result<FromVerifier, String>) {
        let Some(worker) = self.running.iter_mut().find(|worker| worker.number == number) else {
            // What an ended one had said before.
            return;
        };
        worker.silent = Duration::ZERO;
        match said {
            Ok(FromVerifier::Listening) => {
                worker.listens = true;
                tracing::info!(number, "a worker verifies beside the node");
            }
            Ok(FromVerifier::Verified { job, holds }) => {
                if worker.jobs.remove(&job) {
                    self.answers.push_back(Input::Verified { job, holds });
                }
            }
            Ok(FromVerifier::Failed(reason)) | Err(reason) => self.failed(number, &reason),
        }
        self.give();
    }

    fn failed(&mut self, number: u64, reason: &str) {
        let Some(at) = self.running.iter().position(|worker| worker.number == number) else {
            return;
        };
        tracing::warn!(reason, "a verifying worker is ended");
        self.failures += 1;
        let worker = self.running.swap_remove(at);
        // Without answers the node verifies itself.
        let lost = worker.jobs.into_iter().map(|job| Input::Verified {
            job,
            holds: Vec::new(),
        });
        self.answers.extend(lost);
    }

    fn verify_here(&mut self, job: &Job) {
        let holds = job
            .events()
            .map(|event| self.verifier.verify(event).is_ok())
            .collect();
        self.answers.push_back(Input::Verified {
            job: job.number(),
            holds,
        });
    }
}
