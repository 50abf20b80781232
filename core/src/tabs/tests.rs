//! Tabs of one profile under virtual time: they post, close, crash, hang and wake while messages are on their way. The
//! node and its store are real; the lock behaves as the browser's does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::identity::{MemoryVault, Vault};
use crate::node::api::{Command, Reply, RequestError};
use crate::node::{Config, Input, Node, Output};
use crate::store::{MemoryStore, Note, Scope, Store};
use crate::time::Millis;
use crate::transport::Route;

const START: Millis = Millis(1_700_000_000_000);
const STEP: Duration = Duration::from_millis(20);

/// A page.
struct Page {
    tab: Tab,
    next: u64,
    /// Requests and what they post.
    asked: BTreeMap<u64, String>,
    replies: BTreeMap<u64, Result<Reply, RequestError>>,
    changes: Vec<Change>,
    hangs: bool,
}

/// The owner's worker.
struct Engine {
    owner: TabId,
    node: Node<MemoryStore>,
    host: Host,
}

// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
enum Mail {
    All(ToAll),
    Node(TabId, ToNode),
    Tab(TabId, ToTab),
}

struct World {
    random: StdRng,
    now: Millis,
    pages: BTreeMap<TabId, Page>,
    /// Who has the lock, and who waits for it.
    lock: VecDeque<TabId>,
    engine: Option<Engine>,
    /// When the owner's node has started, if it has not yet.
    starting: Option<(TabId, Millis)>,
    disk: Option<(MemoryStore, Box<dyn Vault>)>,
    mail: VecDeque<(Millis, Mail)>,
    /// What waits for somebody who hangs.
    held: Vec<Mail>,
    /// Texts that an interface was told to be posted.
    posted: Vec<String>,
    next: u64,
    starts: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            now: START,
            pages: BTreeMap::new(),
            lock: VecDeque::new(),
            engine: None,
            starting: None,
            disk: Some((MemoryStore::default(), Box::new(MemoryVault::default()))),
            mail: VecDeque::new(),
            held: Vec::new(),
            posted: Vec::new(),
            next: 1,
            starts: 0,
        }
    }

    fn open(&mut self) -> TabId {
        let id = TabId(self.next);
        self.next += 1;
        let page = Page {
            tab: Tab::new(id, true, self.now),
            next: 1,
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            changes: Vec::new(),
            hangs: false,
        };
        self.pages.insert(id, page);
        self.lock.push_back(id);
        id
    }

    /// The tab is gone, and with it its worker and whatever that had not sent yet.
    fn kill(&mut self, id: TabId) {
        self.pages.remove(&id);
        let owns = self.engine.as_ref().is_some_and(|engine| engine.owner == id);
        if owns || self.lock.front() == Some(&id) {
            self.end_engine();
            let random = &mut self.random;
            self.mail.retain(|(_, mail)| {
                let from_node = matches!(mail, Mail::Tab(..) | Mail::All(ToAll::Started));
                !from_node || random.random_bool(0.5)
            });
        }
        self.lock.retain(|waiting| *waiting != id);
    }

    fn end_engine(&mut self) {
        self.starting = None;
        if let Some(engine) = self.engine.take() {
            self.disk = Some(engine.node.into_parts());
        }
    }

    fn ask(&mut self, id: TabId, command: Command) -> u64 {
        let now = self.now;
        let page = self.pages.get_mut(&id).expect("an open tab");
        let number = page.next;
        page.next += 1;
        if let Command::Post { text } = &command {
            page.asked.insert(number, text.clone());
        }
        let request = Request {
            id: number,
            key: None,
            command,
        };
        page.tab.ask(request, now);
        number
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + STEP;
            self.elect();
            self.deliver();
            for id in self.pages.keys().copied().collect::<Vec<_>>() {
                self.drive(id);
            }
            self.drive_engine();
        }
    }

    /// The browser: whoever is first has the lock, and starts its worker, which takes a while.
    fn elect(&mut self) {
        let Some(owner) = self.lock.front().copied() else {
            return;
        };
        let now = self.now;
        let page = self.pages.get_mut(&owner).expect("only open tabs wait");
        if page.hangs || self.engine.as_ref().is_some_and(|engine| engine.owner == owner) {
            return;
        }
        match self.starting {
            Some((starting, due)) if starting == owner && now >= due => {
                let Some((store, vault)) = self.disk.take() else {
                    return;
                };
                self.starting = None;
                self.starts += 1;
                let config = Config {
                    servers: Vec::new(),
                    route: Some(Route::Any),
                    verifiers: 0,
                    seed: [self.starts as u8; 32],
                };
                let node = Node::new(config, store, vault, now).unwrap();
                let id = NodeId(u64::from(self.starts));
                let host = Host::new(id, None);
                self.engine = Some(Engine { owner, node, host });
                page.tab.started(None, now);
                self.post(Mail::All(ToAll::Started));
            }
            Some((starting, _)) if starting == owner => {}
            _ => {
                let due = now + Duration::from_millis(self.random.random_range(50..400));
                self.starting = Some((owner, due));
                page.tab.own();
            }
        }
    }

    fn post(&mut self, mail: Mail) {
        // One channel: messages keep their order.
        let last = self.mail.back().map_or(self.now, |(due, _)| *due);
        let due = self.now + Duration::from_millis(self.random.random_range(0..40));
        self.mail.push_back((due.max(last), mail));
    }

    fn deliver(&mut self) {
        while self.mail.front().is_some_and(|(due, _)| *due <= self.now) {
            let Some((_, mail)) = self.mail.pop_front() else {
                return;
            };
            let now = self.now;
            match mail {
                Mail::All(ToAll::LetGo) => {
                    // The robbed one hears it before anything else that is told to it.
                    let owner = self.lock.front().copied();
                    if self
                        .engine
                        .as_ref()
                        .is_some_and(|engine| Some(engine.owner) != owner)
                    {
                        self.end_engine();
                    }
                }
                Mail::All(message) => {
                    let owner = self.lock.front().and_then(|owner| self.pages.get(owner));
                    let lives = owner.is_some_and(|owner| !owner.hangs);
                    if lives && matches!(message, ToAll::Here { .. }) {
                        self.post(Mail::All(ToAll::Alive));
                    }
                    for page in self.pages.values_mut().filter(|page| !page.hangs) {
                        page.tab.hear_all(message, now);
                    }
                    match &mut self.engine {
                        Some(engine) if self.pages[&engine.owner].hangs => {
                            self.held.push(Mail::All(message));
                        }
                        Some(engine) => engine.host.hear_all(message, now),
                        None => {}
                    }
                }
                Mail::Node(tab, message) => match &mut self.engine {
                    Some(engine) if self.pages[&engine.owner].hangs => {
                        self.held.push(Mail::Node(tab, message));
                    }
                    Some(engine) => {
                        if let Some(request) = engine.host.hear(tab, message) {
                            engine.node.handle(Input::Request(request), now);
                        }
                    }
                    None => {}
                },
                Mail::Tab(id, message) => match self.pages.get_mut(&id) {
                    Some(page) if page.hangs => self.held.push(Mail::Tab(id, message)),
                    Some(page) => page.tab.hear(message, now),
                    None => {}
                },
            }
        }
    }

    fn drive(&mut self, id: TabId) {
        let now = self.now;
        let Some(page) = self.pages.get_mut(&id).filter(|page| !page.hangs) else {
            return;
        };
        page.tab.tick(now);
        while let Some(output) = self.pages.get_mut(&id).and_then(|page| page.tab.poll()) {
            match output {
                TabOutput::SendAll(message) => self.post(Mail::All(message)),
                TabOutput::Send(message) => self.post(Mail::Node(id, message)),
                TabOutput::Ask(request) => {
                    if let Some(engine) = self.engine.as_mut().filter(|engine| engine.owner == id) {
                        let request = engine.host.ask(request);
                        engine.node.handle(Input::Request(request), now);
                    }
                }
                TabOutput::Tell(FromNode::Reply { id: number, result }) => {
                    let page = self.pages.get_mut(&id).expect("it is driven");
                    if let (Some(text), Ok(Reply::Posted(_))) = (page.asked.remove(&number), &result) {
                        self.posted.push(text);
                    }
                    page.replies.insert(number, result);
                }
                TabOutput::Tell(FromNode::Changed(change)) => {
                    self.pages
                        .get_mut(&id)
                        .expect("it is driven")
                        .changes
                        .push(change);
                }
                TabOutput::Answers(_) => {}
                TabOutput::Steal => {
                    let robbed = self.lock.front().copied();
                    if robbed.is_some_and(|owner| self.pages[&owner].hangs) {
                        self.lock.pop_front();
                        self.lock.retain(|waiting| *waiting != id);
                        self.lock.push_front(id);
                        self.lock.extend(robbed);
                        self.post(Mail::All(ToAll::LetGo));
                    }
                }
            }
        }
    }

    fn drive_engine(&mut self) {
        let now = self.now;
        let Some(engine) = &mut self.engine else {
            return;
        };
        let Some(page) = self.pages.get_mut(&engine.owner).filter(|page| !page.hangs) else {
            return;
        };
        engine.node.handle(Input::Tick, now);
        let mut told = Vec::new();
        while let Some(output) = engine.node.poll_output() {
            if let Output::Interface(message) = output {
                told.extend(engine.host.tell(message));
            }
        }
        for message in told {
            page.tab.told(message);
        }
        while let Some((tab, message)) = self.engine.as_mut().and_then(|engine| engine.host.poll()) {
            self.post(Mail::Tab(tab, message));
        }
    }

    /// A page that hung goes on: it finds the lock lost.
    fn wake(&mut self, id: TabId) {
        let owner = self.lock.front().copied();
        let now = self.now;
        let page = self.pages.get_mut(&id).expect("an open tab");
        page.hangs = false;
        if owner != Some(id) {
            page.tab.disown(now);
        }
        for mail in std::mem::take(&mut self.held) {
            self.post(mail);
        }
    }

    fn notes(&mut self) -> Vec<Note> {
        self.end_engine();
        let (store, _) = self.disk.as_ref().expect("the node has ended");
        store.timeline(Scope::Everyone, None, 100_000).unwrap().notes
    }

    /// Who has the lock and a node that answers.
    fn owner(&self) -> TabId {
        self.engine.as_ref().expect("a node").owner
    }
}

/// A world with an identity and so many tabs.
fn world(seed: u64, tabs: usize) -> (World, Vec<TabId>) {
    let mut world = World::new(seed);
    let tabs: Vec<TabId> = (0..tabs).map(|_| world.open()).collect();
    world.run(Duration::from_secs(2));
    world.ask(tabs[0], Command::SignUp { name: "波".into() });
    world.run(Duration::from_secs(1));
    (world, tabs)
}

fn post(text: &str) -> Command {
    Command::Post { text: text.into() }
}

#[test]
fn tabs_ask_one_node_and_hear_of_each_other() {
    let (mut world, tabs) = world(1, 3);
    for (n, tab) in tabs.iter().enumerate() {
        let number = world.ask(*tab, post(&format!("post {n}")));
        world.run(Duration::from_millis(200));
        let reply = &world.pages[tab].replies[&number];
        assert!(matches!(reply, Ok(Reply::Posted(_))), "{reply:?}");
    }
    for tab in &tabs {
        let added = |change: &&Change| matches!(change, Change::NoteAdded(_));
        let heard = world.pages[tab].changes.iter().filter(added).count();
        assert_eq!(heard, 3, "{tab:?}");
    }
    assert_eq!(world.starts, 1);
}

#[test]
fn an_owner_that_closes_is_followed_at_once() {
    let (mut world, tabs) = world(2, 2);
    world.kill(tabs[0]);
    let number = world.ask(tabs[1], post("after"));
    world.run(Duration::from_millis(600));
    assert!(matches!(
        world.pages[&tabs[1]].replies[&number],
        Ok(Reply::Posted(_))
    ));
    assert!(world.pages[&tabs[1]].changes.contains(&Change::Everything));
}

#[test]
fn an_owner_that_hangs_is_robbed_and_wakes_as_an_ordinary_tab() {
    let (mut world, tabs) = world(3, 3);
    world.pages.get_mut(&tabs[0]).unwrap().hangs = true;
    let number = world.ask(tabs[1], post("meanwhile"));
    world.run(Duration::from_secs(2));
    assert!(matches!(
        world.pages[&tabs[1]].replies[&number],
        Ok(Reply::Posted(_))
    ));
    assert_ne!(world.owner(), tabs[0]);
    world.wake(tabs[0]);
    let number = world.ask(tabs[0], post("awake"));
    world.run(Duration::from_secs(1));
    assert!(matches!(
        world.pages[&tabs[0]].replies[&number],
        Ok(Reply::Posted(_))
    ));
    assert_eq!(world.starts, 2, "nobody robs twice");
}

#[test]
fn an_owner_that_lives_is_never_robbed() {
    let (mut world, _) = world(4, 10);
    world.run(Duration::from_secs(600));
    assert_eq!(world.starts, 1);
}

#[test]
fn without_any_owner_a_request_is_refused_in_time() {
    let mut tab = Tab::new(TabId(1), true, START);
    let request = Request {
        id: 7,
        key: None,
        command: Command::Me,
    };
    tab.ask(request, START);
    let mut now = START;
    while now.since(START) < Duration::from_secs(22) {
        now = now + Duration::from_millis(400);
        tab.tick(now);
    }
    let refused = FromNode::Reply {
        id: 7,
        result: Err(RequestError::Stopped),
    };
    let outputs: Vec<_> = std::iter::from_fn(|| tab.poll()).collect();
    assert!(outputs.contains(&TabOutput::Tell(refused)), "{outputs:?}");
}

#[test]
fn a_tab_that_takes_nothing_is_told_to_ask_anew() {
    let (mut host, tab, node) = (Host::new(NodeId(9), None), TabId(1), NodeId(9));
    let here = ToAll::Here {
        tab,
        node: None,
        visible: true,
    };
    host.hear_all(here, START);
    let mut changes = 0;
    let mut last = 0;
    for _ in 0..10_000 {
        host.tell(FromNode::Changed(Change::Network));
        while let Some((_, message)) = host.poll() {
            if let ToTab::Changes { upto, changes: some } = message {
                changes += some.len();
                last = upto;
            }
        }
    }
    assert!((1_000..6_000).contains(&changes), "{changes} on their way");
    host.hear(tab, ToNode::Taken { node, upto: last });
    let Some((_, ToTab::Changes { changes, .. })) = host.poll() else {
        panic!("it is told")
    };
    assert_eq!(changes, [Change::Everything]);
}

#[test]
fn nothing_is_lost_and_nothing_is_doubled() {
    let runs = std::env::var("SAZANAMI_TABS_RUNS").map_or(40, |runs| runs.parse().expect("a number"));
    let mut takeovers = 0;
    for seed in 0..runs {
        let (mut world, _) = world(1000 + seed, 4);
        let mut n = 0;
        for _ in 0..120 {
            let tabs: Vec<TabId> = world.pages.keys().copied().collect();
            let any = tabs[world.random.random_range(0..tabs.len())];
            let first = world.lock[0];
            match world.random.random_range(0..20) {
                0 if tabs.len() > 1 => world.kill(any),
                1 if tabs.len() > 1 => world.kill(first),
                2 => {
                    world.open();
                }
                3 if tabs.len() > 1 => world.pages.get_mut(&first).unwrap().hangs = true,
                4 => {
                    for id in tabs {
                        world.wake(id);
                    }
                }
                _ if !world.pages[&any].hangs => {
                    n += 1;
                    world.ask(any, post(&format!("post {n}")));
                }
                _ => {}
            }
            let pause = world.random.random_range(0..300);
            world.run(Duration::from_millis(pause));
        }
        for id in world.pages.keys().copied().collect::<Vec<_>>() {
            world.wake(id);
        }
        world.run(Duration::from_secs(5));
        for (id, page) in &world.pages {
            assert!(
                page.asked.is_empty(),
                "seed {seed}: {id:?} waits for {:?}",
                page.asked
            );
            let refused = page.replies.values().find(|reply| reply.is_err());
            assert_eq!(refused, None, "seed {seed}: {id:?}");
        }
        let mut texts: Vec<String> = world.notes().into_iter().map(|note| note.content).collect();
        texts.sort();
        let all = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), all, "seed {seed}: something was posted twice");
        let lost: Vec<_> = world
            .posted
            .iter()
            .filter(|text| texts.binary_search(text).is_err())
            .collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
        assert!(
            world.posted.len() > 30,
            "seed {seed}: {} posts",
            world.posted.len()
        );
        takeovers += world.starts - 1;
    }
    println!("{takeovers} takeovers in {runs} runs");
    assert!(takeovers > 40);
}
