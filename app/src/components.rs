//! The parts that screens and sheets are made of.

mod avatar;
mod compose;
mod copy_button;
mod dialog;
mod icon;
mod key_card;
mod logo;
mod note_card;
mod note_text;
mod notice;
mod peer_list;
mod person_name;
mod recovered_card;
mod route_choice;
mod server_list;
mod status_button;
mod tabs;
mod timeline;

pub(crate) use avatar::Avatar;
pub(crate) use compose::Compose;
pub(crate) use copy_button::CopyButton;
pub(crate) use dialog::Dialog;
pub(crate) use icon::{Glyph, Icon};
pub(crate) use key_card::KeyCard;
pub(crate) use logo::Logo;
pub(crate) use note_card::NoteCard;
pub(crate) use note_text::NoteText;
pub(crate) use notice::{Notice, Tone};
pub(crate) use peer_list::PeerList;
pub(crate) use person_name::PersonName;
pub(crate) use recovered_card::RecoveredCard;
pub(crate) use route_choice::RouteChoice;
pub(crate) use server_list::ServerList;
pub(crate) use status_button::StatusButton;
pub(crate) use tabs::{Tab, Tabs};
pub(crate) use timeline::Timeline;
