//! A tree, a scripted node that answers it, and hands to press its buttons.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use dioxus::core::{AttributeValue, ElementId, Event, Template, VirtualDom, WriteMutations};
use dioxus::html::{
    Code, Key, Modifiers, PlatformEventData, SerializedFormData, SerializedHtmlEventConverter,
    SerializedKeyboardData, SerializedMouseData, set_event_converter,
};
use futures::FutureExt;
use futures::channel::mpsc::UnboundedSender;
use futures::future::LocalBoxFuture;
use sazanami_app::{App, Backend, Host, NodePort, SessionState};
use sazanami_core::node::api::{
    Change, Command, FromNode, Network, Person, Reply, Request, RequestError, RingRoute, Routes, Secret,
    ServerInfo, ServerOrigin, SignalState,
};
use sazanami_core::signaling::ServerUrl;
use sazanami_core::social::Ring;
use sazanami_core::store::{Note, Page, Scope, StorageReport};
use sazanami_core::time::Millis;
use sazanami_core::transport::Route;
use sazanami_core::{EventId, Keys, PublicKey, identity};

/// The scripted clock: 2026-11-22 09:00 UTC.
pub(crate) const NOW: u64 = 1_795_338_000;

/// The platform's services, recorded.
#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) languages: Vec<String>,
    pub(crate) document: RefCell<(String, String)>,
    pub(crate) copied: RefCell<Vec<String>>,
    pub(crate) saved: RefCell<Vec<(String, String)>>,
}

impl Host for TestHost {
    fn languages(&self) -> Vec<String> {
        self.languages.clone()
    }

    fn now(&self) -> Millis {
        Millis(NOW * 1_000)
    }

    fn utc_offset_minutes(&self, _: Millis) -> i32 {
        540
    }

    fn sleep(&self, _: Duration) -> LocalBoxFuture<'static, ()> {
        futures::future::pending().boxed_local()
    }

    fn copy(&self, text: String) -> LocalBoxFuture<'static, Result<(), String>> {
        self.copied.borrow_mut().push(text);
        futures::future::ready(Ok(())).boxed_local()
    }

    fn save_file(
        &self,
        name: String,
        text: String,
    ) -> LocalBoxFuture<'static, Result<Option<String>, String>> {
        self.saved.borrow_mut().push((name, text));
        futures::future::ready(Ok(None)).boxed_local()
    }

    fn set_title(&self, _: &str) {}

    fn set_document(&self, language: &str, theme: &str) {
        *self.document.borrow_mut() = (language.to_owned(), theme.to_owned());
    }
}

/// A person of the script: the key is made of the number, the same in every run.
pub(crate) fn person(number: u8, name: Option<&str>) -> Person {
    let keys = Keys::parse(&format!("{:064x}", u64::from(number) + 1)).unwrap();
    let key = keys.public_key();
    let npub = identity::npub(&key);
    Person {
        key,
        npub,
        name: name.map(str::to_owned),
        me: false,
        followed: false,
        notes: 3,
        follows: 0,
    }
}

/// A note of the script, written some seconds before now.
pub(crate) fn note(number: u16, author: &Person, ago: u64, content: &str) -> Note {
    let mut id = [7; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Note {
        id: EventId::from_byte_array(id),
        author: author.key,
        author_name: author.name.clone(),
        created_at: NOW - ago,
        content: content.to_owned(),
        references: Default::default(),
        counts: Default::default(),
        repost: None,
    }
}

/// What the scripted node knows and how it answers.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) me: Option<Person>,
    pub(crate) people: HashMap<PublicKey, Person>,
    pub(crate) notes: Vec<Note>,
    pub(crate) network: Network,
    /// Chosen ways, the last one last.
    pub(crate) routes: Vec<(Ring, Route)>,
    pub(crate) storage: StorageReport,
    pub(crate) settings: BTreeMap<String, String>,
    /// Commands that fail, by their beginning in debug form.
    pub(crate) failing: Vec<(&'static str, RequestError)>,
    /// Commands that are kept unanswered, by their beginning in debug form.
    pub(crate) mute: Vec<&'static str>,
    /// Requests kept so.
    pub(crate) unanswered: Vec<Request>,
    /// Everything asked, in order.
    pub(crate) asked: Vec<Command>,
}

impl Node {
    fn answer(&mut self, command: Command) -> Result<Reply, RequestError> {
        let form = format!("{command:?}");
        if let Some((_, error)) = self.failing.iter().find(|(start, _)| form.starts_with(start)) {
            return Err(error.clone());
        }
        Ok(match command {
            Command::Me => Reply::Me(self.me.clone()),
            Command::SignUp { name } => {
                let mut me = person(0, Some(&name));
                (me.me, me.notes) = (true, 0);
                self.me = Some(me);
                Reply::Me(self.me.clone())
            }
            Command::Import { nsec } => {
                let keys = identity::parse_nsec(&nsec).map_err(|_| RequestError::NotAKey)?;
                let key = keys.public_key();
                let npub = identity::npub(&key);
                self.me = Some(Person {
                    key,
                    npub,
                    name: None,
                    me: true,
                    followed: false,
                    notes: 0,
                    follows: 0,
                });
                Reply::Me(self.me.clone())
            }
            Command::Secret => Reply::Secret(Secret {
                nsec: "nsec1scripted".into(),
                npub: self.me.clone().unwrap().npub,
            }),
            Command::Timeline { scope, before, limit } => {
                Reply::Page(self.page(scope, before.map(|c| c.id), limit))
            }
            Command::Note(id) => Reply::Note(self.notes.iter().find(|note| note.id == id).cloned()),
            Command::Person(key) => Reply::Person(self.person(key)),
            Command::Post { text } => {
                let me = self.me.clone().unwrap();
                let posted = note(9_000 + u16::try_from(self.notes.len()).unwrap(), &me, 0, &text);
                self.notes.insert(0, posted.clone());
                Reply::Posted(posted)
            }
            Command::Delete(id) => {
                self.notes.retain(|note| note.id != id);
                Reply::Done
            }
            Command::Follow { person, follow } => {
                self.people.get_mut(&person).unwrap().followed = follow;
                Reply::Done
            }
            Command::Rename { .. } => Reply::Done,
            Command::Network => Reply::Network(self.network.clone()),
            Command::Routes => {
                let default = |ring| RingRoute {
                    ring,
                    route: if ring <= Ring::Friend {
                        Route::Any
                    } else {
                        Route::RelayOnly
                    },
                };
                let mut rings = Ring::ALL.map(default).to_vec();
                for (ring, route) in &self.routes {
                    rings[*ring as usize].route = *route;
                }
                Reply::Routes(Routes { rings, forced: None })
            }
            Command::SetRoute { ring, route } => {
                self.routes.push((ring, route));
                Reply::Done
            }
            Command::AddServer(url) => match ServerUrl::typed(&url) {
                Ok(url) => {
                    self.network.servers.push(ServerInfo {
                        url,
                        state: SignalState::Connecting,
                        refused: None,
                        origin: ServerOrigin::Added,
                    });
                    Reply::Done
                }
                Err(_) => return Err(RequestError::NotAServer),
            },
            Command::RemoveServer(url) => {
                self.network.servers.retain(|server| server.url != url);
                Reply::Done
            }
            Command::Storage => Reply::Storage(Box::new(self.storage.clone())),
            // No screen asks for the rest yet.
            Command::Answer { .. }
            | Command::Quote { .. }
            | Command::Repost(_)
            | Command::React { .. }
            | Command::Mute { .. }
            | Command::Hashtag { .. }
            | Command::List { .. }
            | Command::Thread { .. }
            | Command::Reactors { .. }
            | Command::Notifications { .. }
            | Command::ReadUntil(_)
            | Command::SearchNotes { .. }
            | Command::SearchPeople { .. }
            | Command::SetBudget { .. }
            | Command::Compact
            | Command::StartExport(..)
            | Command::NextExport
            | Command::StartImport
            | Command::NextImport { .. }
            | Command::FinishImport
            | Command::StopTransfers
            | Command::KeepBlob { .. }
            | Command::Blob { .. }
            | Command::ForgetBlob(..)
            | Command::DeleteBlob(..)
            | Command::Media
            | Command::SetMediaBudget(..) => return Err(RequestError::Stopped),
            Command::Setting(name) => Reply::Setting(self.settings.get(&name).cloned()),
            Command::SetSetting { name, value } => {
                match value {
                    Some(value) => self.settings.insert(name, value),
                    None => self.settings.remove(&name),
                };
                Reply::Done
            }
        })
    }

    fn person(&self, key: PublicKey) -> Person {
        let me = self.me.as_ref().filter(|me| me.key == key);
        me.or(self.people.get(&key)).cloned().unwrap_or_else(|| {
            let npub = identity::npub(&key);
            Person {
                key,
                npub,
                name: None,
                me: false,
                followed: false,
                notes: 0,
                follows: 0,
            }
        })
    }

    fn page(&self, scope: Scope, before: Option<EventId>, limit: usize) -> Page {
        let wanted = |note: &&Note| match scope {
            Scope::Everyone => true,
            Scope::Author(author) | Scope::Posts(author) | Scope::Replies(author) | Scope::Media(author) => {
                note.author == author
            }
            Scope::FollowedBy(owner) => note.author == owner || self.person(note.author).followed,
        };
        let mut all = self.notes.iter().filter(wanted).cloned().collect::<Vec<_>>();
        if let Some(before) = before {
            let at = all.iter().position(|note| note.id == before).unwrap();
            all.drain(..=at);
        }
        let more = all.len() > limit;
        all.truncate(limit);
        Page {
            next: if more { all.last().map(Note::cursor) } else { None },
            notes: all,
        }
    }
}

/// The tree with its script.
pub(crate) struct World {
    dom: VirtualDom,
    port: NodePort,
    pub(crate) states: UnboundedSender<SessionState>,
    pub(crate) host: Rc<TestHost>,
    pub(crate) node: Node,
    elements: Elements,
}

impl World {
    /// A tree in these languages, its session starting.
    pub(crate) fn new(languages: &[&str]) -> Self {
        static CONVERTER: Once = Once::new();
        CONVERTER.call_once(|| set_event_converter(Box::new(SerializedHtmlEventConverter)));
        let languages = languages.iter().map(|tag| (*tag).to_owned()).collect();
        let host = Rc::new(TestHost {
            languages,
            ..TestHost::default()
        });
        let (backend, port, states) = Backend::new(host.clone());
        let mut elements = Elements::default();
        let mut dom = VirtualDom::new(App).with_root_context(backend);
        dom.rebuild(&mut elements);
        Self {
            dom,
            port,
            states,
            host,
            node: Node::default(),
            elements,
        }
    }

    /// A tree whose person has signed up and sees these notes.
    pub(crate) fn at_home(languages: &[&str], notes: Vec<Note>) -> Self {
        let mut world = Self::new(languages);
        let mut me = person(0, Some("葵"));
        me.me = true;
        world.node.me = Some(me);
        world.node.notes = notes;
        world.node.settings.insert("key-card".into(), "done".into());
        world
    }

    /// The session is ready; everything is asked and answered.
    pub(crate) fn ready(mut self) -> Self {
        self.session(SessionState::Ready);
        self
    }

    pub(crate) fn session(&mut self, state: SessionState) {
        self.states.unbounded_send(state).unwrap();
        self.settle();
    }

    /// Something changed in the node.
    pub(crate) fn change(&mut self, change: Change) {
        self.port.events.push(FromNode::Changed(change));
        self.settle();
    }

    /// Answers what was kept unanswered.
    pub(crate) fn unmute(&mut self) {
        self.node.mute.clear();
        for Request { id, command, .. } in std::mem::take(&mut self.node.unanswered) {
            let result = self.node.answer(command);
            self.port.events.push(FromNode::Reply { id, result });
        }
        self.settle();
    }

    /// Runs the tree and the node until neither has anything to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..500 {
            let mut busy = self.dom.wait_for_work().now_or_never().is_some();
            self.dom.render_immediate(&mut self.elements);
            while let Ok(Request { id, key, command }) = self.port.requests.try_recv() {
                busy = true;
                self.node.asked.push(command.clone());
                let form = format!("{command:?}");
                if self.node.mute.iter().any(|start| form.starts_with(start)) {
                    self.node.unanswered.push(Request { id, key, command });
                } else {
                    let result = self.node.answer(command);
                    self.port.events.push(FromNode::Reply { id, result });
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the tree does not come to rest");
    }

    /// The tree as HTML.
    pub(crate) fn html(&self) -> String {
        dioxus_ssr::render(&self.dom)
    }

    /// The places of texts in the HTML, to tell their order.
    pub(crate) fn order<const N: usize>(&self, texts: [&str; N]) -> [Option<usize>; N] {
        let html = self.html();
        texts.map(|text| html.find(text))
    }

    /// Whether the tree shows a text.
    #[track_caller]
    pub(crate) fn sees(&self, text: &str) {
        let html = self.html();
        assert!(html.contains(text), "{text:?} is not in:\n{html}");
    }

    /// Whether it does not.
    #[track_caller]
    pub(crate) fn misses(&self, text: &str) {
        let html = self.html();
        assert!(!html.contains(text), "{text:?} is in:\n{html}");
    }

    #[track_caller]
    pub(crate) fn click(&mut self, attribute: (&str, &str)) {
        self.fire("click", Some(attribute), SerializedMouseData::default());
    }

    #[track_caller]
    pub(crate) fn type_into(&mut self, attribute: Option<(&str, &str)>, text: &str) {
        self.fire(
            "input",
            attribute,
            SerializedFormData::new(text.into(), Vec::new()),
        );
    }

    #[track_caller]
    pub(crate) fn submit(&mut self, attribute: Option<(&str, &str)>) {
        self.fire(
            "submit",
            attribute,
            SerializedFormData::new(String::new(), Vec::new()),
        );
    }

    #[track_caller]
    pub(crate) fn press(&mut self, attribute: (&str, &str), key: Key, modifiers: Modifiers, composing: bool) {
        let data = SerializedKeyboardData::new(
            key,
            Code::Enter,
            dioxus::html::Location::Standard,
            false,
            modifiers,
            composing,
        );
        self.fire("keydown", Some(attribute), data);
    }

    /// Fires an event at the one element that listens to it and has the attribute.
    #[track_caller]
    pub(crate) fn fire(&mut self, event: &str, attribute: Option<(&str, &str)>, data: impl Any) {
        let found = self.elements.find(event, attribute);
        let [element] = found[..] else {
            panic!("{} elements for {event} at {attribute:?}", found.len())
        };
        let data: Rc<dyn Any> = Rc::new(PlatformEventData::new(Box::new(data)));
        self.dom
            .runtime()
            .handle_event(event, Event::new(data, true), element);
        self.settle();
    }
}

/// Which elements listen to what, and their attributes as far as they are not fixed in the markup.
#[derive(Default)]
struct Elements(HashMap<ElementId, Element>);

#[derive(Default)]
struct Element {
    attributes: HashMap<&'static str, String>,
    listeners: Vec<&'static str>,
}

impl Elements {
    fn find(&self, event: &str, attribute: Option<(&str, &str)>) -> Vec<ElementId> {
        let fits = |element: &Element| {
            element.listeners.contains(&event)
                && attribute
                    .is_none_or(|(name, value)| element.attributes.get(name).is_some_and(|own| own == value))
        };
        self.0
            .iter()
            .filter(|(_, element)| fits(element))
            .map(|(id, _)| *id)
            .collect()
    }
}

impl WriteMutations for Elements {
    fn append_children(&mut self, _: ElementId, _: usize) {}
    fn assign_node_id(&mut self, _: &'static [u8], id: ElementId) {
        self.0.remove(&id);
    }
    fn create_placeholder(&mut self, id: ElementId) {
        self.0.remove(&id);
    }
    fn create_text_node(&mut self, _: &str, id: ElementId) {
        self.0.remove(&id);
    }
    fn load_template(&mut self, _: Template, _: usize, id: ElementId) {
        self.0.remove(&id);
    }
    fn replace_node_with(&mut self, id: ElementId, _: usize) {
        self.0.remove(&id);
    }
    fn replace_placeholder_with_nodes(&mut self, _: &'static [u8], _: usize) {}
    fn insert_nodes_after(&mut self, _: ElementId, _: usize) {}
    fn insert_nodes_before(&mut self, _: ElementId, _: usize) {}
    fn set_attribute(
        &mut self,
        name: &'static str,
        _: Option<&'static str>,
        value: &AttributeValue,
        id: ElementId,
    ) {
        let attributes = &mut self.0.entry(id).or_default().attributes;
        match value {
            AttributeValue::Text(text) => attributes.insert(name, text.clone()),
            AttributeValue::Bool(value) => attributes.insert(name, value.to_string()),
            _ => attributes.remove(name),
        };
    }
    fn set_node_text(&mut self, _: &str, _: ElementId) {}
    fn create_event_listener(&mut self, name: &'static str, id: ElementId) {
        self.0.entry(id).or_default().listeners.push(name);
    }
    fn remove_event_listener(&mut self, name: &'static str, id: ElementId) {
        if let Some(element) = self.0.get_mut(&id) {
            element.listeners.retain(|own| *own != name);
        }
    }
    fn remove_node(&mut self, id: ElementId) {
        self.0.remove(&id);
    }
    fn push_root(&mut self, _: ElementId) {}
}
