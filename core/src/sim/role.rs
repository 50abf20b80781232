//! Peers that do not play by the rules: whole nodes whose frames are tampered with on their way out, so that they
//! find their way into the mesh like everybody else.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How a peer behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// As the program does.
    #[default]
    Honest,
    /// Takes what it gets, and passes on nothing but its own.
    FreeRider,
    /// Sends noise where messages belong.
    Garbage,
    /// Passes events on with signatures that do not hold.
    Forger,
    /// Claims to have everything, also what does not exist, and delivers nothing.
    Withholder,
}

/// Part of the frames of a [`Role::Garbage`] that are noise: enough to pass a greeting now and then.
const NOISE: f64 = 0.1;

pub(super) struct Tamper {
    role: Role,
    rng: StdRng,
    own: String,
}

impl Tamper {
    pub(super) fn new(role: Role, seed: u64, own: String) -> Self {
        Self {
            role,
            rng: StdRng::seed_from_u64(seed),
            own,
        }
    }

    /// What is sent instead of this frame.
    pub(super) fn frames(&mut self, mut frame: Vec<u8>) -> Vec<Vec<u8>> {
        let (event, have) = (is(&frame, "EVENT"), is(&frame, "HAVE"));
        match self.role {
            Role::FreeRider if (event && !contains(&frame, &self.own)) || have => Vec::new(),
            Role::Withholder if event => Vec::new(),
            Role::Withholder if have => {
                let nothing = hex::encode(self.rng.random::<[u8; 32]>());
                let claim = format!(r#"["HAVE","{nothing}"]"#);
                vec![frame, [vec![0], claim.into_bytes()].concat()]
            }
            Role::Garbage if self.rng.random_bool(NOISE) => {
                vec![(0..100).map(|_| self.rng.random()).collect()]
            }
            Role::Forger if event => {
                if let Some(at) = find(&frame, r#""sig":""#) {
                    let digit = &mut frame[at + 10];
                    *digit = if *digit == b'0' { b'1' } else { b'0' };
                }
                vec![frame]
            }
            _ => vec![frame],
        }
    }
}

/// Whether a frame begins a message of this label.
pub(super) fn is(frame: &[u8], label: &str) -> bool {
    frame
        .get(3..)
        .and_then(|rest| rest.strip_prefix(label.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}

fn find(frame: &[u8], part: &str) -> Option<usize> {
    frame
        .windows(part.len())
        .position(|window| window == part.as_bytes())
}

fn contains(frame: &[u8], part: &str) -> bool {
    find(frame, part).is_some()
}
