//! Words for what the code knows as types.

use sazanami_core::node::api::{PeerState, RequestError, SignalState};
use sazanami_core::signaling::ErrorCode;
use sazanami_core::social::{MAX_NAME_CHARS, MAX_NOTE_CHARS, Ring, TextError};
use sazanami_core::transport::{PathKind, Route};

use crate::text::grouped;
use crate::text::time::{Ago, ago, civil};

/// What happened and what to do about it.
pub(crate) fn explain(error: &RequestError) -> String {
    match error {
        RequestError::Text(TextError::Empty) => t!("error-text-empty"),
        RequestError::Text(TextError::TooLong) => t!("error-text-long"),
        RequestError::NotAKey => t!("error-not-a-key"),
        RequestError::NoIdentity => t!("error-no-identity"),
        RequestError::AlreadySignedUp => t!("error-already-signed-up"),
        RequestError::NotYetSynced => t!("error-not-yet-synced"),
        RequestError::NotHere => t!("error-not-here"),
        RequestError::NotAServer => t!("error-not-a-server"),
        RequestError::TooManyServers => t!("error-too-many-servers"),
        RequestError::NotAnInvitation => t!("error-not-an-invitation"),
        RequestError::NotForThisDevice => t!("error-not-for-this-device"),
        RequestError::InvitationExpired => t!("error-invitation-expired"),
        RequestError::OwnInvitation => t!("error-own-invitation"),
        RequestError::NoRelay => t!("no-relay"),
        RequestError::AlreadyConnected => t!("error-already-connected"),
        RequestError::NotYours => t!("error-not-yours"),
        RequestError::FileTooLarge => t!("error-file-large"),
        RequestError::Full => t!("error-full"),
        RequestError::Damaged(reason) => {
            tracing::error!(%reason, "the storage is damaged");
            t!("error-damaged")
        }
        RequestError::Storage(reason) => {
            tracing::error!(%reason, "storage failed");
            t!("error-storage")
        }
        RequestError::NoTransfer => t!("error-no-transfer"),
        RequestError::NotAnExport => t!("error-not-an-export"),
        RequestError::IncompleteFile => t!("error-incomplete-file"),
        RequestError::HostileFile => t!("error-hostile-file"),
        RequestError::Stopped => t!("error-stopped"),
    }
}

/// How long ago a note was written.
pub(crate) fn relative(now_secs: u64, then_secs: u64, offset_minutes: i32) -> String {
    match ago(now_secs, then_secs) {
        Ago::Now => t!("time-now"),
        Ago::Minutes(count) => t!("time-minutes", count: count),
        Ago::Hours(count) => t!("time-hours", count: count),
        Ago::Days(count) => t!("time-days", count: count),
        Ago::Long => {
            let then = civil(then_secs, offset_minutes);
            if then.year == civil(now_secs, offset_minutes).year {
                t!("time-date", month: then.month, day: then.day)
            } else {
                t!("time-date-year", year: then.year.to_string(), month: then.month, day: then.day)
            }
        }
    }
}

/// The full local date and time.
pub(crate) fn absolute(secs: u64, offset_minutes: i32) -> String {
    let at = civil(secs, offset_minutes);
    t!("time-full", year: at.year.to_string(), month: at.month, day: at.day,
        time: format!("{}:{:02}", at.hour, at.minute))
}

/// How many characters are left, or over.
pub(crate) fn remaining(count: usize) -> String {
    if count <= MAX_NOTE_CHARS {
        t!("compose-left", count: MAX_NOTE_CHARS - count)
    } else {
        t!("compose-over", count: count - MAX_NOTE_CHARS)
    }
}

/// A count of notes.
pub(crate) fn notes(count: u64) -> String {
    t!("notes-count", count: count, shown: grouped(count))
}

pub(crate) fn peer_state(state: PeerState) -> String {
    match state {
        PeerState::Live => t!("peer-live"),
        PeerState::Syncing => t!("peer-syncing"),
        PeerState::Greeting => t!("peer-greeting"),
        PeerState::Connecting => t!("peer-connecting"),
    }
}

pub(crate) fn path(path: PathKind) -> String {
    match path {
        PathKind::Direct => t!("path-direct"),
        PathKind::Relayed => t!("path-relayed"),
    }
}

/// The way that a link is going to take, before it is known which it does.
pub(crate) fn route(route: Route) -> String {
    match route {
        Route::Any => t!("route-any"),
        Route::RelayOnly => t!("route-relay"),
    }
}

pub(crate) fn ring(ring: Ring) -> String {
    match ring {
        Ring::Me => t!("ring-me"),
        Ring::Friend => t!("ring-friend"),
        Ring::Followed => t!("ring-followed"),
        Ring::RoomMember => t!("ring-room"),
        Ring::FriendOfFriend => t!("ring-friend-of-friend"),
        Ring::Stranger => t!("ring-stranger"),
    }
}

pub(crate) fn signal(state: SignalState) -> String {
    match state {
        SignalState::Online => t!("signal-online"),
        SignalState::Connecting => t!("signal-connecting"),
        SignalState::Offline => t!("signal-offline"),
    }
}

/// The connection to one server of several.
pub(crate) fn server_state(state: SignalState) -> String {
    match state {
        SignalState::Online => t!("server-online"),
        SignalState::Connecting => t!("server-connecting"),
        SignalState::Offline => t!("server-offline"),
    }
}

/// What the signal server refused, and what follows.
pub(crate) fn refused(code: ErrorCode) -> String {
    match code {
        ErrorCode::Version => t!("refused-version"),
        ErrorCode::Proof => t!("refused-proof"),
        ErrorCode::RateLimited => t!("refused-rate"),
        ErrorCode::TooManyTopics => t!("refused-topics"),
        ErrorCode::TooManyConnections => t!("refused-connections"),
        ErrorCode::TimedOut => t!("refused-time"),
        ErrorCode::Malformed | ErrorCode::TooLarge | ErrorCode::NotWelcome => t!("refused-message"),
    }
}

/// The line that says how connected this device is.
pub(crate) fn connection(peers: usize, state: SignalState) -> String {
    match (peers, state) {
        (0, SignalState::Online) => t!("status-alone"),
        (0, SignalState::Connecting) => t!("status-connecting"),
        (0, SignalState::Offline) => t!("status-offline"),
        (peers, _) => t!("status-peers", count: peers),
    }
}

/// What is wrong with a name.
pub(crate) fn name_error(error: TextError) -> String {
    match error {
        TextError::Empty => t!("error-name-empty"),
        TextError::TooLong => t!("error-name-long", count: MAX_NAME_CHARS),
    }
}
