//! How the tabs of one profile share one node.
//!
//! One tab owns the node; which one, the platform decides (Web Locks). The owner starts the node in a worker, next to
//! the database, and has the links. Every other tab speaks to that worker:
//!
//! ```text
//!   Tab (one per page, for its whole life)          Host (one per node, in the owner's worker)
//!    │ ▲                                                │ ▲
//!    │ └──────── ToAll: heartbeats, who lives ──────────┴─┘   one channel for all, the owner's page too
//!    └────────── ToNode ▶ ◀ ToTab: requests, answers, changes   one line per tab
//! ```
//!
//! - [`Tab`] keeps the requests of its interface until they are answered, whoever owns the node by then: what had no
//!   answer is asked again of the next one. Each carries a [`RequestKey`], by which the store knows what it has written,
//!   so that nothing is lost and nothing is doubled.
//! - [`Host`] gives every request its own number towards the node, and each answer to who asked. Changes go to all; a tab
//!   that does not take them is told to ask anew instead ([`Change::Everything`]), so nothing piles up.
//! - An owner that closes or crashes lets go of the lock by itself. One that hangs shows neither in its page nor in its
//!   worker that it lives: then [`Tab`] says so, and the platform takes the lock by force.
//!
//! No message is trusted to arrive: a tab that hears nothing asks again with its next heartbeat.

use serde::{Deserialize, Serialize};

use crate::node::api::{Change, FromNode, Request};
#[cfg(doc)]
use crate::store::RequestKey;

mod host;
mod tab;
#[cfg(test)]
mod tests;

pub use host::Host;
pub use tab::{Standing, Tab, TabOutput};

/// A page's life; random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TabId(pub u64);

/// A node's life, from its start in a worker to its end; random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// To all tabs and to the node. Small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAll {
    /// A tab is here, and asks who else is; its heartbeat.
    Here {
        /// The tab.
        tab: TabId,
        /// The node that it takes for the one there is.
        node: Option<NodeId>,
        /// Whether the person sees it.
        visible: bool,
    },
    /// A tab is going.
    Leave(TabId),
    /// The person sees a tab now: those that are hidden let it go first.
    Shown,
    /// The owner lives: its page or its worker.
    Alive,
    /// A node has started.
    Started,
    /// The lock has been taken by force: who still has the database closes it.
    LetGo,
}

/// From a tab to the node, on the tab's own line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToNode {
    /// The interface asks.
    Ask {
        /// The node that is meant: one that was robbed and does not know it yet is not.
        node: NodeId,
        /// The request.
        request: Request,
    },
    /// Changes were taken.
    Taken {
        /// Whose they were.
        node: NodeId,
        /// As in [`ToTab::Changes`].
        upto: u64,
    },
}

/// From the node to a tab, on the tab's own line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
pub enum ToTab {
    /// The tab did not know of this node.
    Welcome {
        /// The node.
        node: NodeId,
        /// Whether the node knew of the tab: otherwise it knows nothing of what that has asked.
        known: bool,
        /// Why nothing is durable, where it is not.
        ephemeral: Option<String>,
    },
    /// For the interface.
    FromNode(FromNode),
    /// What has changed.
    Changes {
        /// What the changes sent so far have cost; to be answered by [`ToNode::Taken`].
        upto: u64,
        /// In their order.
        changes: Vec<Change>,
    },
}
