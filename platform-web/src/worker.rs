//! The worker: a node next to its databases, off the page's thread.
//!
//! It says [`FromWorker::Listening`], gets [`ToWorker::Start`], opens the databases, and from then on hands every
//! input to the node and every output to the page. Other tabs speak to it directly (`tabs`), so that they are served
//! even while its page is busy.

use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, StreamExt, select};
use gloo_timers::future::sleep;
use sazanami_core::node::{Config, Input, Node, Output, StartError};
use sazanami_core::signaling::ServerUrl;
use sazanami_core::store::SqliteStore;
use sazanami_core::tabs::{NodeId, ToAll};
use sazanami_core::transport::{Route, TransportEvent};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::breath::Breath;
use crate::bridge::{self, FromWorker, State, ToWorker};
use crate::channel::Public;
use crate::clock::now;
use crate::dom::{Listener, describe};
use crate::random::random;

pub mod blobs;
mod databases;
mod recovery;
mod slots;
mod tabs;
mod vault;
pub mod verifiers;

pub use databases::{OpenError, Pool};
pub use vault::{SqliteVault, TwinVault};

use databases::Databases;
use tabs::{Heard, Sharing, Tabs};
use verifiers::Verifiers;

/// Frames handled before the page is told: a report for each would double the messages.
const REPORT_FRAMES: u32 = 16;
/// Inputs that are handed to the node together.
const TOGETHER: usize = 64;
/// The longest sleep: a machine that was suspended counts no time, so the clock is looked at now and then.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Runs the worker in this scope.
pub fn start(scope: DedicatedWorkerGlobalScope) {
    report_panics();
    let (sender, inbox) = mpsc::unbounded();
    let listener = Listener::new(&scope, "message", move |event| {
        // The receiver lives as long as the worker.
        let _ = sender.unbounded_send(bridge::from_js(&event.unchecked_ref::<MessageEvent>().data()));
    });
    spawn_local(async move {
        run(Page(scope.clone()), inbox).await;
        drop(listener);
        // Whatever it holds still is free now.
        scope.close();
    });
}

type Inbox = mpsc::UnboundedReceiver<Result<ToWorker, bridge::BadMessage>>;

/// The way to the page.
#[derive(Clone)]
struct Page(DedicatedWorkerGlobalScope);

impl Page {
    fn post(&self, message: &FromWorker) {
        let (buffer, transfer) = bridge::to_js(message);
        if let Err(error) = self.0.post_message_with_transfer(&buffer, &transfer) {
            web_sys::console::error_2(&"sazanami: the worker cannot reach its page:".into(), &error);
        }
    }

    fn state(&self, state: State) {
        self.post(&FromWorker::State(state));
    }
}

/// A panic ends everything here, silently unless the page is told.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        if let Ok(scope) = js_sys::global().dyn_into::<DedicatedWorkerGlobalScope>() {
            Page(scope).state(State::Failed(info.to_string()));
        }
    }));
}

async fn run(page: Page, mut inbox: Inbox) {
    page.post(&FromWorker::Listening);
    let route = loop {
        match inbox.next().await {
            Some(Ok(ToWorker::Start { route })) => break route,
            Some(Ok(ToWorker::Input(_) | ToWorker::Alive)) => {}
            Some(Err(error)) => return page.state(State::Failed(error.to_string())),
            None => return,
        }
    };
    let script = page.0.location().href();
    let mut tabs = Tabs::join(script.clone());
    let waiting = page.clone();
    let opening = databases::open(move || waiting.state(State::Recovering));
    let opened = select! {
        opened = Box::pin(opening).fuse() => opened,
        () = Box::pin(tabs.robbed()).fuse() => return page.post(&FromWorker::LetGo),
    };
    let databases = match opened {
        Ok(databases) => databases,
        Err(OpenError::Busy(reason)) => return page.state(State::Busy(reason)),
        Err(OpenError::Failed(reason)) => return page.state(State::Failed(reason)),
    };
    let Databases {
        store,
        vault,
        blobs,
        pool,
        ephemeral,
    } = databases;
    // The one that the page came from.
    let servers: Vec<ServerUrl> = page.0.location().origin().parse().into_iter().collect();
    let count = verifiers::count(&page.0.navigator());
    let mut verifiers = Verifiers::new(script, count);
    let node = random().map_err(Ending::Failed).and_then(|seed| {
        Node::new(config(servers.clone(), route, count, seed), store, vault, now())
            .map(|node| node.with_blobs(blobs))
            .map_err(|error| match error {
                StartError::Store(error) if error.damaged => Ending::Damaged,
                error => Ending::Failed(error.to_string()),
            })
    });
    let ending = match node {
        Ok(mut node) => match random() {
            Ok(id) => {
                let sharing = tabs.share(NodeId(u64::from_le_bytes(id)), ephemeral.clone());
                page.state(ephemeral.map_or(State::Ready, State::Ephemeral));
                drive(&mut node, &page, &mut inbox, sharing, &mut verifiers).await
            }
            Err(reason) => Ending::Failed(reason),
        },
        // Dropping the node closes the databases, which frees their files.
        Err(ending) => ending,
    };
    page.post(&end(ending, pool).await);
}

/// Lets go of the files; what to tell the page.
async fn end(ending: Ending, pool: Option<Pool>) -> FromWorker {
    let state = match (ending, pool) {
        (Ending::Robbed, pool) => {
            release(pool);
            return FromWorker::LetGo;
        }
        (Ending::Failed(reason), pool) => {
            release(pool);
            State::Failed(reason)
        }
        (Ending::Damaged, Some(mut pool)) => {
            let put_aside = pool.put_aside().await;
            release(Some(pool));
            match put_aside {
                Ok(()) => State::Damaged,
                Err(error) => State::Failed(error.to_string()),
            }
        }
        (Ending::Damaged, None) => State::Failed("the store in memory is damaged".to_owned()),
    };
    FromWorker::State(state)
}

fn release(pool: Option<Pool>) {
    if let Some(pool) = pool
        && let Err(error) = pool.release()
    {
        web_sys::console::error_1(&format!("sazanami: the database files stay taken: {error}").into());
    }
}

/// Why a node ends.
enum Ending {
    /// Another tab has taken the lock by force.
    Robbed,
    Failed(String),
    /// Its store was found damaged.
    Damaged,
}

/// Runs the node until it has to let go or cannot go on.
async fn drive(
    node: &mut Node<SqliteStore>,
    page: &Page,
    inbox: &mut Inbox,
    mut sharing: Sharing,
    verifiers: &mut Verifiers,
) -> Ending {
    let mut breath = match Breath::new() {
        Ok(breath) => breath,
        Err(error) => return Ending::Failed(describe(&error)),
    };
    let mut frames = 0;
    loop {
        while let Some(output) = node.poll_output() {
            match output {
                Output::Verify(job) => verifiers.execute(job),
                Output::Interface(message) => {
                    if let Some(message) = sharing.tell(message) {
                        page.post(&FromWorker::Output(Output::Interface(message)));
                    }
                }
                output => page.post(&FromWorker::Output(output)),
            }
        }
        sharing.flush();
        verifiers.tend(now());
        if node.is_damaged() {
            return Ending::Damaged;
        }
        let wait = node.next_tick().since(now()).min(MAX_SLEEP);
        let first = select! {
            message = inbox.next() => {
                sharing.page_runs();
                message
            }
            heard = Box::pin(sharing.next()).fuse() => {
                if matches!(heard, Heard::All(Public { said: ToAll::LetGo, .. })) {
                    return Ending::Robbed;
                }
                match sharing.hear(heard) {
                    Some(request) => {
                        node.handle(Input::Request(request), now());
                        continue;
                    }
                    None => continue,
                }
            }
            answer = verifiers.next().fuse() => {
                // What has arrived while this thread was storing is stored with it.
                breath.take().await;
                Some(Ok(ToWorker::Input(answer)))
            }
            () = sleep(wait).fuse() => Some(Ok(ToWorker::Input(Input::Tick))),
        };
        let mut end = None;
        let mut inputs = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Some(Ok(ToWorker::Input(Input::Request(request)))) => {
                    inputs.push(Input::Request(sharing.ask(request)));
                }
                Some(Ok(ToWorker::Input(input))) => inputs.push(input),
                Some(Ok(ToWorker::Start { .. } | ToWorker::Alive)) => {}
                // It lives as long as the worker.
                None => end = Some(Ending::Failed("the page is gone".to_owned())),
                Some(Err(error)) => end = Some(Ending::Failed(error.to_string())),
            }
            next = (inputs.len() < TOGETHER && end.is_none())
                .then(|| inbox.next().now_or_never())
                .flatten();
        }
        inputs.extend(std::iter::from_fn(|| verifiers.answered()));
        let is_frame = |input: &&Input| matches!(input, Input::Transport(TransportEvent::Frame { .. }));
        frames += inputs.iter().filter(is_frame).count() as u32;
        node.handle_all(inputs, now());
        if frames >= REPORT_FRAMES {
            page.post(&FromWorker::Handled(std::mem::take(&mut frames)));
        }
        if let Some(end) = end {
            return end;
        }
    }
}

fn config(servers: Vec<ServerUrl>, route: Option<Route>, verifiers: usize, seed: [u8; 32]) -> Config {
    Config {
        servers,
        route,
        verifiers,
        seed,
    }
}
