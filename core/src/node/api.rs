//! What the interface asks of a node and what it hears back, as data: the browser's node runs in a worker, the
//! desktop's on a thread of its own.

use nostr::prelude::{EventId, PublicKey};
use serde::{Deserialize, Serialize};

use crate::media::{BlobId, Usage};
use crate::signaling::{ErrorCode, ServerUrl, SessionId};
use crate::social::{Ring, TextError};
use crate::store::transfer::{Format, Imported};
use crate::store::{
    Act, Budget, Cause, Cursor, FoundPerson, Note, Notifications, Page, Query, Reactors, RequestKey, Scope,
    StorageReport, Thread,
};
use crate::time::Millis;
use crate::transport::{PathKind, Route};

/// A numbered request; the answer carries the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the interface, unique among those in flight.
    pub id: u64,
    /// Names it for good, where it may be asked again of another node on the same store: what it writes is written
    /// once. `None` where nobody asks twice.
    pub key: Option<RequestKey>,
    /// What is asked.
    pub command: Command,
}

/// What the interface asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Who am I? Answered by [`Reply::Me`].
    Me,
    /// First visit: make a key and a profile of this name. [`Reply::Me`].
    SignUp {
        /// The name to be shown.
        name: String,
    },
    /// Use a key that the person has. [`Reply::Me`].
    Import {
        /// `nsec1…` or hex.
        nsec: String,
    },
    /// Show the secret key. [`Reply::Secret`].
    Secret,
    /// A page of notes. [`Reply::Page`].
    Timeline {
        /// Whose.
        scope: Scope,
        /// From where; `None` for the newest.
        before: Option<Cursor>,
        /// At most 200.
        limit: usize,
    },
    /// One note. [`Reply::Note`].
    Note(EventId),
    /// One person. [`Reply::Person`].
    Person(PublicKey),
    /// Write a note; answered when it is on disk. [`Reply::Posted`].
    Post {
        /// Its text.
        text: String,
    },
    /// Delete an own note. [`Reply::Done`].
    Delete(EventId),
    /// Follow or stop following. [`Reply::Done`].
    Follow {
        /// Whom.
        person: PublicKey,
        /// Or no longer.
        follow: bool,
    },
    /// Change the own name. [`Reply::Done`].
    Rename {
        /// The new name.
        name: String,
    },
    /// Write a reply to a note. [`Reply::Posted`].
    Answer {
        /// The note that is replied to; it must be here.
        to: EventId,
        /// Its text.
        text: String,
    },
    /// Write a note that quotes another. [`Reply::Posted`].
    Quote {
        /// The note that is quoted; it must be here.
        of: EventId,
        /// Its text.
        text: String,
    },
    /// Repost a note. [`Reply::Done`].
    Repost(EventId),
    /// React to a note. [`Reply::Done`].
    React {
        /// The note; it must be here.
        to: EventId,
        /// `+` or one emoji.
        content: String,
    },
    /// Mute or unmute a person; nobody else learns of it (NIP-51, the private part of the list). [`Reply::Done`].
    Mute {
        /// Whom.
        person: PublicKey,
        /// Or no longer.
        mute: bool,
    },
    /// A page of notes with a hashtag. [`Reply::Page`].
    Hashtag {
        /// With or without the `#`.
        tag: String,
        /// From where; `None` for the newest.
        before: Option<Cursor>,
        /// At most 200.
        limit: usize,
    },
    /// A page of a follow set's notes (NIP-51). [`Reply::Page`].
    List {
        /// Whose list.
        owner: PublicKey,
        /// Its identifier.
        name: String,
        /// From where; `None` for the newest.
        before: Option<Cursor>,
        /// At most 200.
        limit: usize,
    },
    /// A note with what stands above and below it. [`Reply::Thread`].
    Thread {
        /// The note.
        id: EventId,
        /// The reply to continue after.
        after: Option<Cursor>,
        /// Replies at most; at most 200.
        limit: usize,
    },
    /// Who reacted to or reposted a note. [`Reply::Reactors`].
    Reactors {
        /// The note.
        id: EventId,
        /// What they did.
        act: Act,
        /// The person to continue after.
        after: Option<PublicKey>,
        /// At most 200.
        limit: usize,
    },
    /// What others did that concerns this person. [`Reply::Notifications`].
    Notifications {
        /// Which; empty for all.
        causes: Vec<Cause>,
        /// From where; `None` for the newest.
        before: Option<Cursor>,
        /// At most 200.
        limit: usize,
    },
    /// Notifications up to this place have been read. [`Reply::Done`].
    ReadUntil(Cursor),
    /// Notes by their words. [`Reply::Page`].
    SearchNotes {
        /// What to look for.
        text: String,
        /// From where; `None` for the newest.
        before: Option<Cursor>,
        /// At most 200.
        limit: usize,
    },
    /// People by their name or key. [`Reply::People`].
    SearchPeople {
        /// What to look for.
        text: String,
        /// At most 200.
        limit: usize,
    },
    /// What takes the space. [`Reply::Storage`].
    Storage,
    /// How much of a ring's events is kept. [`Reply::Done`].
    SetBudget {
        /// Whose.
        ring: Ring,
        /// How much.
        budget: Budget,
    },
    /// Give free space back to the disk, now. [`Reply::Storage`], when it is done.
    Compact,
    /// Start writing everything as one file; an export that is under way ends. [`Reply::Exporting`], with how much
    /// there is.
    StartExport(Format),
    /// The next bytes of the file; what is stored meanwhile may be in it or not. [`Reply::Exporting`], until `ended`.
    NextExport,
    /// Start reading an export, or any JSON lines of events; an import that is under way ends. [`Reply::Importing`].
    StartImport,
    /// The next bytes of the file, at most [`super::MAX_PIECE`]. [`Reply::Importing`].
    NextImport {
        /// In the order of the file.
        bytes: Vec<u8>,
    },
    /// The file has ended. [`Reply::Importing`].
    FinishImport,
    /// Give up the export and the import that are under way; what was taken in stays. [`Reply::Done`].
    StopTransfers,
    /// The network as it is. [`Reply::Network`].
    Network,
    /// Use a signal server beside the others, from now on. [`Reply::Done`].
    AddServer(String),
    /// Do not use a signal server any more that was added or recommended. [`Reply::Done`].
    RemoveServer(ServerUrl),
    /// Make a text with which somebody can connect to this device without any server. [`Reply::Meeting`], and later
    /// [`Change::Meeting`].
    Invite,
    /// Use a text that somebody gave: their invitation, or their reply to this device's. [`Reply::Meeting`].
    Meet(String),
    /// How far that is. [`Reply::Meeting`].
    Meeting,
    /// Give up what is not connected yet. [`Reply::Done`].
    EndMeeting,
    /// Which way to people of each ring. [`Reply::Routes`].
    Routes,
    /// Choose the way to people of a ring, from now on: links that break the choice end, and are made anew, but those that were made by hand. Kept; a node
    /// that was started with one way for everybody keeps to that until it ends. [`Reply::Done`].
    SetRoute {
        /// Whom.
        ring: Ring,
        /// Which way.
        route: Route,
    },
    /// Keep a picture or file as an own one; answered when it is on disk. [`Reply::BlobKept`].
    KeepBlob {
        /// Its bytes, at most [`crate::media::MAX_BLOB`].
        bytes: Vec<u8>,
    },
    /// Show a picture or file; it is fetched from peers when it is not here. [`Reply::Blob`], and later
    /// [`Change::Blob`].
    Blob {
        /// Its name: the `x` of an `imeta` tag (NIP-92), or what a Blossom address ends with.
        id: BlobId,
        /// Its size where the event tells it (`size` in `imeta`).
        size: Option<u64>,
    },
    /// A picture is not shown any more: do not fetch it on. [`Reply::Done`].
    ForgetBlob(BlobId),
    /// Remove a picture or file from this device. [`Reply::Done`].
    DeleteBlob(BlobId),
    /// What media take. [`Reply::Media`].
    Media,
    /// How many bytes media may take; others' are dropped until they do. [`Reply::Done`].
    SetMediaBudget(u64),
    /// A device setting. [`Reply::Setting`].
    Setting(String),
    /// Keep a device setting. [`Reply::Done`].
    SetSetting {
        /// Which, at most 64 bytes.
        name: String,
        /// At most 64 KiB; `None` forgets it.
        value: Option<String>,
    },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The own identity; `None` before sign-up.
    Me(Option<Person>),
    /// The secret key.
    Secret(Secret),
    /// Notes.
    Page(Page),
    /// A note; `None` when it is not here.
    Note(Option<Note>),
    /// A person.
    Person(Person),
    /// The note as stored.
    Posted(Note),
    /// A thread.
    Thread(Box<Thread>),
    /// People who acted on a note.
    Reactors(Reactors),
    /// Notifications.
    Notifications(Notifications),
    /// People that a search found.
    People(Vec<FoundPerson>),
    /// What takes the space.
    Storage(Box<StorageReport>),
    /// An export.
    Exporting(Exporting),
    /// An import.
    Importing(Importing),
    /// The network.
    Network(Network),
    /// A link that is made without a server.
    Meeting(Meeting),
    /// Which way to people of each ring.
    Routes(Routes),
    /// The name of what was kept.
    BlobKept(BlobId),
    /// A picture or file.
    Blob(Blob),
    /// What media take.
    Media(Usage),
    /// A setting's value.
    Setting(Option<String>),
    /// Done, and on disk.
    Done,
}

/// A request that could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RequestError {
    /// The text is empty or too long.
    #[error("{0}")]
    Text(TextError),
    /// Not a secret key.
    #[error("this is not a secret key (nsec1… or 64 hex digits)")]
    NotAKey,
    /// Needs an identity, and there is none yet.
    #[error("there is no identity on this device yet")]
    NoIdentity,
    /// There is an identity already: another one would replace it.
    #[error("there is an identity on this device already")]
    AlreadySignedUp,
    /// The key was imported and nothing of it has arrived yet: a change now would replace a list that is elsewhere.
    #[error("the imported profile has not arrived yet: connect to somebody first")]
    NotYetSynced,
    /// Not the address of a signal server.
    #[error("this is not a server's address (https://example.org)")]
    NotAServer,
    /// As many signal servers as can be used are used.
    #[error("no more servers can be used at once")]
    TooManyServers,
    /// Neither an invitation nor a reply, or not all of it.
    #[error("this is no invitation and no reply, or not all of it")]
    NotAnInvitation,
    /// Altered, a reply to somebody else's invitation, or to one that is not open any more.
    #[error("this is meant for another device or for an earlier invitation, or was altered")]
    NotForThisDevice,
    /// Too late.
    #[error("this has expired: make a new one")]
    InvitationExpired,
    /// One's own text.
    #[error("this is this device's own invitation: somebody else is to use it")]
    OwnInvitation,
    /// This device goes through a relay only, and knows none.
    #[error("there is no relay")]
    NoRelay,
    /// There is a link already.
    #[error("this device is connected already")]
    AlreadyConnected,
    /// What is replied to, quoted, reposted or reacted to is not stored here.
    #[error("this note is not here")]
    NotHere,
    /// Only own notes can be deleted.
    #[error("this note is somebody else's, or not here")]
    NotYours,
    /// A file is over [`crate::media::MAX_BLOB`].
    #[error("the file is too large")]
    FileTooLarge,
    /// The disk or the quota is full.
    #[error("the storage is full")]
    Full,
    /// The database is damaged: what can be read of it is being put together again.
    #[error("the storage is damaged: {0}")]
    Damaged(String),
    /// The store or the key's place failed.
    #[error("storage failed: {0}")]
    Storage(String),
    /// No export or import is under way.
    #[error("no export or import is under way")]
    NoTransfer,
    /// A file to import is neither JSON lines of events nor an archive as an export writes it.
    #[error("this is not an export of posts (.jsonl or .tar)")]
    NotAnExport,
    /// A file to import ends in the middle; what was in it is here.
    #[error("the file is incomplete")]
    IncompleteFile,
    /// Too much of a file to import is broken or forged; what was good until then is here.
    #[error("too much of the file is broken or forged")]
    HostileFile,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// A piece of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exporting {
    /// The next bytes of the file.
    pub bytes: Vec<u8>,
    /// Whether they are the last.
    pub ended: bool,
    /// Events written so far; in the first answer: how many there are.
    pub events: u64,
    /// Images and files written so far; in the first answer: how many there are.
    pub media: u64,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Importing {
    /// Whether it is done.
    pub ended: bool,
    /// What has become of the file so far.
    pub done: Imported,
}

/// A picture or file, or how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blob {
    /// All of it, its hash checked.
    Here(Vec<u8>),
    /// It is being fetched.
    Coming {
        /// Bytes that are here.
        have: u64,
        /// Its size, where known.
        size: Option<u64>,
        /// How many connected peers are known to have it.
        holders: usize,
    },
}

/// A person as the interface shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The key.
    pub key: PublicKey,
    /// Its written form.
    pub npub: String,
    /// The name, where a profile is known.
    pub name: Option<String>,
    /// Whether it is this device's own identity.
    pub me: bool,
    /// Whether this device's person follows them.
    pub followed: bool,
    /// How many of their notes are here.
    pub notes: u64,
    /// How many people they follow, as far as known here.
    pub follows: u64,
}

/// A secret key, to be shown and saved. Its debug form hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// `nsec1…`.
    pub nsec: String,
    /// `npub1…`.
    pub npub: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret of {}", self.npub)
    }
}

/// The connection to a signal server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalState {
    /// Not connected; trying again by itself.
    #[default]
    Offline,
    /// Being made.
    Connecting,
    /// Welcomed.
    Online,
}

/// Why a signal server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerOrigin {
    /// The program was started with it; in the browser, the page came from it.
    Started,
    /// The person added it.
    Added,
    /// One of the others recommends it.
    Recommended,
}

/// A signal server as the interface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its address.
    pub url: ServerUrl,
    /// The connection to it.
    pub state: SignalState,
    /// What it refused lately, if anything.
    pub refused: Option<ErrorCode>,
    /// Why it is used.
    pub origin: ServerOrigin,
}

/// How far a link to a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PeerState {
    /// Everything wanted is here; new events arrive as they are written.
    Live,
    /// Fetching what is missing.
    Syncing,
    /// Connected, proving who each is.
    Greeting,
    /// Being connected.
    Connecting,
}

/// A peer as the interface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its session.
    pub session: SessionId,
    /// The person, once proven.
    pub person: Option<PublicKey>,
    /// Their name, where known.
    pub name: Option<String>,
    /// How far the link is.
    pub state: PeerState,
    /// Which way is allowed, before and after it is known which is taken.
    pub route: Route,
    /// Direct or relayed, once known.
    pub path: Option<PathKind>,
    /// Round-trip time in milliseconds, by the session's own pings, once known.
    pub rtt_ms: Option<u32>,
    /// Bytes sent to it so far.
    pub sent: u64,
    /// Bytes that came from it so far.
    pub received: u64,
}

/// The network around this device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The signal server that is furthest: one is enough.
    pub signal: SignalState,
    /// What one of them refused lately, if anything.
    pub refused: Option<ErrorCode>,
    /// All of them, in the order in which they are preferred.
    pub servers: Vec<ServerInfo>,
    /// The peers, connected ones first.
    pub peers: Vec<Peer>,
    /// Some people are to be reached through a relay only, and there is none: they are not connected.
    pub misses_relay: bool,
}

/// A link that is made without a server, by texts that people give each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Meeting {
    /// None is being made.
    None,
    /// The text is being made; it takes some seconds.
    Preparing,
    /// To be given to somebody, who gives back a reply.
    Invitation {
        /// The text, small enough for a QR code.
        text: String,
        /// Until when it can be used, by this device's clock.
        expires: Millis,
    },
    /// To be given back to the one who invited; the link opens once they use it.
    Reply {
        /// The text, small enough for a QR code.
        text: String,
        /// Until when it can be used, by this device's clock.
        expires: Millis,
    },
    /// Everything is said.
    Connecting,
    /// Connected, and with whom.
    Connected(Option<PublicKey>),
    /// No way was found, or the link has ended.
    Failed,
}

/// The way to people of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingRoute {
    /// Whom.
    pub ring: Ring,
    /// Which way.
    pub route: Route,
}

/// Which way to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Of each ring, the nearest first.
    pub rings: Vec<RingRoute>,
    /// The same way for everybody while this node runs, whatever the rings say: how it was started.
    pub forced: Option<Route>,
}

/// What changed: a screen that shows it asks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// Moved once to the interface, and notes are most of it.
#[allow(clippy::large_enum_variant)]
pub enum Change {
    /// A note arrived or was written.
    NoteAdded(Note),
    /// A note was deleted.
    NoteRemoved(EventId),
    /// A person's profile, follow list or note count changed.
    Person(PublicKey),
    /// The own identity was made, imported or renamed.
    Me,
    /// Peers, servers, or the connections to them changed.
    Network,
    /// Answers to these queries are other ones now.
    Queries(Vec<Query>),
    /// A link that is made without a server is at another point.
    Meeting,
    /// A picture or file has come, or is given up.
    Blob(BlobId),
    /// There is no room for others' pictures.
    MediaFull,
    /// Changes may have been missed: everything that is shown is asked again.
    Everything,
}

/// From the node to the interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNode {
    /// The answer to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// The answer.
        result: Result<Reply, RequestError>,
    },
    /// Something changed.
    Changed(Change),
}
