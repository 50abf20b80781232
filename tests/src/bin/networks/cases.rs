//! The networks that two peers are put into.

use std::time::Duration;

use clap::ValueEnum;
use sazanami_core::transport::PathKind;
use sazanami_tests::internet::{NatKind, Quality};

/// What kind of peers meet, the one that is there already first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pairing {
    NativeNative,
    ChromiumNative,
    ChromiumChromium,
}

impl std::fmt::Display for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NativeNative => "native–native",
            Self::ChromiumNative => "Chromium–native",
            Self::ChromiumChromium => "Chromium–Chromium",
        })
    }
}

/// What else the second peer's network is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Condition {
    Plain,
    UdpBlocked,
    /// The first one's too.
    BothUdpBlocked,
    Line(Quality),
    /// It changes its addresses once both are connected.
    Moves,
    /// Both of it.
    BlockedAndMoves,
}

/// Two networks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) first: Option<NatKind>,
    pub(crate) second: Option<NatKind>,
    pub(crate) condition: Condition,
    /// How peers that may use every way are expected to meet.
    pub(crate) expected: PathKind,
    /// Among the few that `./test` tries.
    pub(crate) representative: bool,
}

const FULL: Option<NatKind> = Some(NatKind::FullCone);
const RESTRICTED: Option<NatKind> = Some(NatKind::PortRestricted);
const SYMMETRIC: Option<NatKind> = Some(NatKind::Symmetric);

const fn plain(name: &'static str, first: Option<NatKind>, second: Option<NatKind>, direct: bool) -> Case {
    Case {
        name,
        first,
        second,
        condition: Condition::Plain,
        expected: if direct {
            PathKind::Direct
        } else {
            PathKind::Relayed
        },
        representative: false,
    }
}

/// All of them.
pub(crate) const CASES: [Case; 17] = [
    plain("open, open", None, None, true),
    plain("open, full cone", None, FULL, true),
    plain("open, port-restricted", None, RESTRICTED, true),
    plain("open, symmetric", None, SYMMETRIC, true),
    plain("full cone, full cone", FULL, FULL, true),
    plain("full cone, port-restricted", FULL, RESTRICTED, true),
    plain("full cone, symmetric", FULL, SYMMETRIC, true),
    Case {
        representative: true,
        ..plain("port-restricted, port-restricted", RESTRICTED, RESTRICTED, true)
    },
    plain("port-restricted, symmetric", RESTRICTED, SYMMETRIC, false),
    Case {
        representative: true,
        ..plain("symmetric, symmetric", SYMMETRIC, SYMMETRIC, false)
    },
    Case {
        representative: true,
        condition: Condition::UdpBlocked,
        ..plain(
            "port-restricted, port-restricted without UDP",
            RESTRICTED,
            RESTRICTED,
            false,
        )
    },
    Case {
        representative: true,
        condition: Condition::BothUdpBlocked,
        ..plain("both port-restricted without UDP", RESTRICTED, RESTRICTED, false)
    },
    Case {
        condition: Condition::BlockedAndMoves,
        ..plain(
            "port-restricted, port-restricted without UDP that moves",
            RESTRICTED,
            RESTRICTED,
            false,
        )
    },
    Case {
        representative: true,
        condition: Condition::Line(Quality {
            delay: Duration::from_millis(100),
            loss: 0.05,
            rate: None,
        }),
        ..plain(
            "port-restricted, port-restricted with 200 ms and 5% loss each way",
            RESTRICTED,
            RESTRICTED,
            true,
        )
    },
    Case {
        condition: Condition::Line(Quality {
            delay: Duration::from_millis(10),
            loss: 0.0,
            rate: Some(1_000_000),
        }),
        ..plain(
            "port-restricted, port-restricted with 1 Mbit/s",
            RESTRICTED,
            RESTRICTED,
            true,
        )
    },
    Case {
        representative: true,
        condition: Condition::Moves,
        ..plain(
            "port-restricted, port-restricted that moves",
            RESTRICTED,
            RESTRICTED,
            true,
        )
    },
    Case {
        condition: Condition::Moves,
        ..plain("symmetric, symmetric that moves", SYMMETRIC, SYMMETRIC, false)
    },
];
