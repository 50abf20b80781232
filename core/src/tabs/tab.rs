//! A page's side: what its interface has asked, and of whom.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{NodeId, TabId, ToAll, ToNode, ToTab};
use crate::node::api::{Change, FromNode, Request, RequestError};
use crate::store::RequestKey;
use crate::time::Millis;

/// Between heartbeats of a tab that the person sees.
const SHOWN: Duration = Duration::from_millis(400);
/// Of one that they do not; browsers wake those seldom anyway.
const HIDDEN: Duration = Duration::from_secs(15);
/// A heartbeat that is later than this says of its tab that it slept. One that is a little late counts: the next one comes
/// a whole period after it, and an owner that lives has answered by then.
const SLEPT: Duration = Duration::from_secs(3);
/// Of the owner, which has nobody to ask.
const OWNER: Duration = Duration::from_secs(5);
/// Heartbeats without any sign of life after which an owner hangs.
const UNANSWERED: u32 = 3;
/// Requests that wait for an answer; more are refused.
const MAX_ASKED: usize = 256;
/// How long a request waits while nobody shows any sign of life.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it waits in all: compacting a large database takes minutes, putting together a damaged one longer.
const LIMIT: Duration = Duration::from_secs(3600);
/// Nodes that one request is asked of: it may be what breaks them.
const MAX_TRIES: u32 = 8;

/// What the interface is to know of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Why nothing is durable, where it is not.
    pub ephemeral: Option<String>,
}

/// What a tab wants done.
#[derive(Clone, Debug, PartialEq)]
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
pub enum TabOutput {
    /// Send to all.
    SendAll(ToAll),
    /// Send on this tab's line.
    Send(ToNode),
    /// Give to the own node.
    Ask(Request),
    /// Give to the interface.
    Tell(FromNode),
    /// A node answers, whoever owns it.
    Answers(Standing),
    /// The owner shows no sign of life: take the node from it, unless another tab does.
    Steal,
}

/// A page's way to the node, whoever owns it.
#[derive(Debug)]
pub struct Tab {
    id: TabId,
    node: Way,
    /// A node has answered before: what is shown may be old when the next one does.
    shows: bool,
    visible: bool,
    asked: BTreeMap<u64, Asked>,
    /// Heartbeats since the last sign of life.
    unanswered: u32,
    /// The last sign of life.
    alive: Millis,
    beat: Option<Millis>,
    outputs: VecDeque<TabOutput>,
}

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nowhere: no node is known.
    Nowhere,
    /// Another tab's.
    Other(NodeId),
    /// This tab owns the node, which has not started yet.
    Starting,
    /// This tab's.
    Own,
}

#[derive(Debug)]
struct Asked {
    request: Request,
    since: Millis,
    tries: u32,
}

impl Tab {
    /// A tab that knows of no node yet.
    pub fn new(id: TabId, visible: bool, now: Millis) -> Self {
        Self {
            id,
            node: Way::Nowhere,
            shows: false,
            visible,
            asked: BTreeMap::new(),
            unanswered: 0,
            alive: now,
            beat: None,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<TabOutput> {
        self.outputs.pop_front()
    }

    /// When [`Tab::tick`] is due next after `now`.
    pub fn wait(&self, now: Millis) -> Duration {
        self.beat
            .map_or(Duration::ZERO, |beat| (beat + self.period()).since(now))
    }

    /// The interface asks.
    pub fn ask(&mut self, request: Request, now: Millis) {
        if self.asked.len() >= MAX_ASKED {
            return self.refuse(request.id);
        }
        let asked = Asked {
            request: Request {
                key: Some(self.key(request.id)),
                ..request
            },
            since: now,
            tries: 0,
        };
        let id = asked.request.id;
        self.asked.insert(id, asked);
        self.pass_on(id);
    }

    /// The person sees the tab, or does not any more.
    pub fn show(&mut self, visible: bool, now: Millis) {
        if self.visible != visible {
            self.visible = visible;
            // Time has passed that says nothing of the owner.
            self.beat = None;
            if visible {
                self.outputs.push_back(TabOutput::SendAll(ToAll::Shown));
            }
            self.tick(now);
        }
    }

    /// The tab goes, or is put to sleep: nobody is to wait for it.
    pub fn leave(&mut self) {
        self.node = Way::Nowhere;
        self.outputs.push_back(TabOutput::SendAll(ToAll::Leave(self.id)));
    }

    /// This tab owns the node now, which is to be started.
    pub fn own(&mut self) {
        self.node = Way::Starting;
        self.unanswered = 0;
    }

    /// The own node has started.
    pub fn started(&mut self, ephemeral: Option<String>, now: Millis) {
        self.node = Way::Own;
        self.answers(ephemeral, now);
    }

    /// The own node has ended: another one is to be found.
    pub fn disown(&mut self, now: Millis) {
        if matches!(self.node, Way::Own | Way::Starting) {
            self.node = Way::Nowhere;
            self.unanswered = 0;
            self.alive = now;
            self.beat = None;
        }
    }

    /// The own node says something.
    pub fn told(&mut self, message: FromNode) {
        if self.node == Way::Own {
            self.take(message);
        }
    }

    /// A node says something to this tab.
    pub fn hear(&mut self, message: ToTab, now: Millis) {
        // The worker lives. Whether its page does, without which there are no links, only `Alive` says.
        self.alive = now;
        match message {
            // One that was robbed and does not know it yet; or a tab that has become the owner since.
            ToTab::Welcome { .. } if matches!(self.node, Way::Own | Way::Starting) => {}
            // Said again, since the first one was long on its way.
            ToTab::Welcome {
                node, known: true, ..
            } if self.node == Way::Other(node) => {}
            ToTab::Welcome { node, ephemeral, .. } => {
                self.node = Way::Other(node);
                self.answers(ephemeral, now);
            }
            // An answer is one, whoever gives it.
            ToTab::FromNode(message) => self.take(message),
            ToTab::Changes { upto, changes } => {
                if let Way::Other(node) = self.node {
                    self.send(ToNode::Taken { node, upto });
                }
                for change in changes {
                    self.take(FromNode::Changed(change));
                }
            }
        }
    }

    /// Something was said to all tabs.
    pub fn hear_all(&mut self, message: ToAll, now: Millis) {
        match message {
            ToAll::Alive => self.lives(now),
            ToAll::Started => {
                self.lives(now);
                self.beat = None;
                self.tick(now);
            }
            ToAll::Here { .. } | ToAll::Leave(_) | ToAll::Shown | ToAll::LetGo => {}
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        let waited = self.beat.map(|beat| now.since(beat));
        if waited.is_some_and(|waited| waited < self.period()) {
            return;
        }
        self.beat = Some(now);
        if !matches!(self.node, Way::Own | Way::Starting) {
            // A tab that slept knows nothing of the owner.
            if waited.is_none_or(|waited| waited > self.period() + SLEPT) {
                self.unanswered = 0;
            } else if self.unanswered >= UNANSWERED {
                self.unanswered = 0;
                self.outputs.push_back(TabOutput::Steal);
            }
            self.unanswered += 1;
            let (tab, visible) = (self.id, self.visible);
            let node = match self.node {
                Way::Other(node) => Some(node),
                _ => None,
            };
            self.outputs
                .push_back(TabOutput::SendAll(ToAll::Here { tab, node, visible }));
        }
        self.expire(now);
    }

    /// No node is to be had: answers everything that waits.
    pub fn give_up(&mut self) {
        for id in std::mem::take(&mut self.asked).into_keys() {
            self.refuse(id);
        }
    }

    fn period(&self) -> Duration {
        match self.node {
            Way::Own | Way::Starting => OWNER,
            _ if self.visible => SHOWN,
            _ => HIDDEN,
        }
    }

    /// A node answers that has heard nothing from this tab yet.
    fn answers(&mut self, ephemeral: Option<String>, now: Millis) {
        self.lives(now);
        self.outputs.push_back(TabOutput::Answers(Standing { ephemeral }));
        for id in self.asked.keys().copied().collect::<Vec<_>>() {
            self.pass_on(id);
        }
        // What changed between the nodes, nobody has told.
        if std::mem::replace(&mut self.shows, true) {
            self.take(FromNode::Changed(Change::Everything));
        }
    }

    fn pass_on(&mut self, id: u64) {
        let node = match self.node {
            Way::Nowhere | Way::Starting => return,
            Way::Other(node) => Some(node),
            Way::Own => None,
        };
        let Some(asked) = self.asked.get_mut(&id) else {
            return;
        };
        asked.tries += 1;
        if asked.tries > MAX_TRIES {
            self.asked.remove(&id);
            return self.refuse(id);
        }
        let request = asked.request.clone();
        match node {
            Some(node) => self.send(ToNode::Ask { node, request }),
            None => self.outputs.push_back(TabOutput::Ask(request)),
        }
    }

    fn take(&mut self, message: FromNode) {
        if let FromNode::Reply { id, .. } = message
            && self.asked.remove(&id).is_none()
        {
            return;
        }
        self.outputs.push_back(TabOutput::Tell(message));
    }

    fn lives(&mut self, now: Millis) {
        self.unanswered = 0;
        self.alive = now;
    }

    fn expire(&mut self, now: Millis) {
        let owner = matches!(self.node, Way::Own | Way::Starting);
        let alone = !owner && now.since(self.alive) > PATIENCE;
        let over = |asked: &Asked| {
            let waited = now.since(asked.since);
            waited > LIMIT || (alone && waited > PATIENCE)
        };
        let late: Vec<u64> = self
            .asked
            .iter()
            .filter(|(_, asked)| over(asked))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.asked.remove(&id);
            self.refuse(id);
        }
    }

    fn refuse(&mut self, id: u64) {
        let result = Err(RequestError::Stopped);
        self.outputs
            .push_back(TabOutput::Tell(FromNode::Reply { id, result }));
    }

    fn send(&mut self, message: ToNode) {
        self.outputs.push_back(TabOutput::Send(message));
    }

    /// A request's name for good: tabs differ, and so do the requests of one.
    fn key(&self, id: u64) -> RequestKey {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.id.0.to_be_bytes());
        key[8..].copy_from_slice(&id.to_be_bytes());
        RequestKey(key)
    }
}
