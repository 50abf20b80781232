//! A node's side: who is here, who has asked what, and who has taken the changes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{NodeId, TabId, ToAll, ToNode, ToTab};
use crate::node::api::{Change, FromNode, Request};
use crate::time::Millis;

/// Tabs at most; of more, the one that was not heard of for longest has to say again that it is here.
const MAX_TABS: usize = 64;
/// A tab that was not heard of for so long is gone. Hidden ones may wake once a minute only.
const SILENCE: Duration = Duration::from_secs(180);
/// Bytes of changes, about, that may be on their way to one tab.
const MAX_UNTAKEN: u64 = 1024 * 1024;

/// Shares a node between the page that owns it and other tabs.
#[derive(Debug)]
pub struct Host {
    node: NodeId,
    ephemeral: Option<String>,
    tabs: BTreeMap<TabId, Guest>,
    /// Who asked under which number; `None` is the own page. Short: a node answers at once.
    asked: BTreeMap<u64, (Option<TabId>, u64)>,
    next: u64,
    changes: Vec<Change>,
    outputs: VecDeque<(TabId, ToTab)>,
}

#[derive(Debug)]
struct Guest {
    heard: Millis,
    sent: u64,
    taken: u64,
    /// Changes were left out.
    missed: bool,
}

impl Host {
    /// A host of a node that answers.
    pub fn new(node: NodeId, ephemeral: Option<String>) -> Self {
        Self {
            node,
            ephemeral,
            tabs: BTreeMap::new(),
            asked: BTreeMap::new(),
            next: 0,
            changes: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The own page asks: what to give to the node.
    pub fn ask(&mut self, request: Request) -> Request {
        self.renumber(None, request)
    }

    /// Whether a tab has a line to this node: it gets one when it says that it is here, until it leaves or is silent.
    pub fn knows(&self, tab: TabId) -> bool {
        self.tabs.contains_key(&tab)
    }

    /// Something was said to all.
    pub fn hear_all(&mut self, message: ToAll, now: Millis) {
        match message {
            ToAll::Here { tab, node, .. } => self.see(tab, node, now),
            ToAll::Leave(tab) => {
                self.tabs.remove(&tab);
            }
            ToAll::Shown | ToAll::Alive | ToAll::Started | ToAll::LetGo => {}
        }
    }

    /// A tab says something on its line: what to give to the node, if anything.
    pub fn hear(&mut self, tab: TabId, message: ToNode) -> Option<Request> {
        match message {
            ToNode::Ask { node, request } => {
                // One whom this node does not know is welcomed at its next heartbeat, and asks again then.
                let known = node == self.node && self.tabs.contains_key(&tab);
                known.then(|| self.renumber(Some(tab), request))
            }
            ToNode::Taken { node, upto } => {
                if node == self.node
                    && let Some(guest) = self.tabs.get_mut(&tab)
                {
                    guest.taken = upto.clamp(guest.taken, guest.sent);
                    if guest.missed {
                        guest.missed = false;
                        self.send_changes(tab, vec![Change::Everything]);
                    }
                }
                None
            }
        }
    }

    /// The node says something: what of it is for the own page.
    pub fn tell(&mut self, message: FromNode) -> Option<FromNode> {
        match message {
            FromNode::Reply { id, result } => {
                let (tab, id) = self.asked.remove(&id)?;
                let reply = FromNode::Reply { id, result };
                match tab {
                    None => Some(reply),
                    Some(tab) => {
                        self.outputs.push_back((tab, ToTab::FromNode(reply)));
                        None
                    }
                }
            }
            FromNode::Changed(change) => {
                if !self.tabs.is_empty() {
                    self.changes.push(change.clone());
                }
                Some(FromNode::Changed(change))
            }
        }
    }

    /// What to send to a tab; when there is nothing more, what has changed until then has been sent too.
    pub fn poll(&mut self) -> Option<(TabId, ToTab)> {
        if self.outputs.is_empty() && !self.changes.is_empty() {
            let changes = std::mem::take(&mut self.changes);
            for tab in self.tabs.keys().copied().collect::<Vec<_>>() {
                self.send_changes(tab, changes.clone());
            }
        }
        self.outputs.pop_front()
    }

    fn send_changes(&mut self, tab: TabId, changes: Vec<Change>) {
        let Some(guest) = self.tabs.get_mut(&tab) else {
            return;
        };
        if guest.missed || guest.sent - guest.taken > MAX_UNTAKEN {
            guest.missed = true;
            return;
        }
        guest.sent += changes.iter().map(cost).sum::<u64>();
        let upto = guest.sent;
        self.outputs.push_back((tab, ToTab::Changes { upto, changes }));
    }

    fn see(&mut self, tab: TabId, node: Option<NodeId>, now: Millis) {
        if let Some(guest) = self.tabs.get_mut(&tab) {
            guest.heard = now;
            if node != Some(self.node) {
                self.welcome(tab, true);
            }
            return;
        }
        self.tabs.retain(|_, guest| now.since(guest.heard) < SILENCE);
        if self.tabs.len() >= MAX_TABS
            && let Some(longest) = self
                .tabs
                .iter()
                .min_by_key(|(_, guest)| guest.heard)
                .map(|(tab, _)| *tab)
        {
            self.tabs.remove(&longest);
        }
        let guest = Guest {
            heard: now,
            sent: 0,
            taken: 0,
            missed: false,
        };
        self.tabs.insert(tab, guest);
        self.welcome(tab, false);
    }

    fn welcome(&mut self, tab: TabId, known: bool) {
        let welcome = ToTab::Welcome {
            node: self.node,
            known,
            ephemeral: self.ephemeral.clone(),
        };
        self.outputs.push_back((tab, welcome));
    }

    fn renumber(&mut self, tab: Option<TabId>, request: Request) -> Request {
        self.next += 1;
        self.asked.insert(self.next, (tab, request.id));
        Request {
            id: self.next,
            ..request
        }
    }
}

/// What a change takes on its way, in bytes, about.
fn cost(change: &Change) -> u64 {
    let text = match change {
        Change::NoteAdded(note) => note.content.len() * 2,
        Change::Queries(queries) => queries.len() * 64,
        _ => 0,
    };
    text as u64 + 256
}
