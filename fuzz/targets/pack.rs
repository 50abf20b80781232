//! Units of packed messages: broken, lying about their lengths, or inflating to more than anybody sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miniz_oxide::deflate::compress_to_vec;
use sazanami_core::sync::Message;
use sazanami_core::sync::pack::{MAX_UNIT, Packer, open};
use sazanami_fuzz::{START, Said, Speaker};

const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

#[derive(arbitrary::Arbitrary, Debug)]
enum Unit {
    Raw(Vec<u8>),
    Records(Vec<Record>, bool),
    /// What an honest peer packs, bent in some places.
    Packed(Vec<Said>, bool, Vec<(u16, u8)>),
    /// Little that inflates to much.
    Repeated(Vec<u8>, u16),
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Record {
    kind: u8,
    body: Vec<u8>,
    /// In place of its length.
    lies: Option<u64>,
}

fuzz_target!(|unit: Unit| {
    match unit {
        Unit::Raw(bytes) => read(bytes),
        Unit::Records(records, deflate) => {
            let mut bytes = Vec::new();
            for record in records {
                put(&mut bytes, record.lies.unwrap_or(record.body.len() as u64 + 1));
                bytes.push(record.kind);
                bytes.extend(record.body);
            }
            read(unit_of(&bytes, deflate));
        }
        Unit::Packed(said, deflate, bent) => {
            let mut unit = Speaker::new(1).pack(&said, 1, deflate, 0, START);
            for (at, byte) in bent {
                let at = usize::from(at) % unit.len();
                unit[at] ^= byte;
            }
            read(unit);
        }
        Unit::Repeated(bytes, times) => read(unit_of(&bytes.repeat(times.into()), true)),
    }
});

fn unit_of(records: &[u8], deflate: bool) -> Vec<u8> {
    if deflate {
        [vec![DEFLATE], compress_to_vec(records, 1)].concat()
    } else {
        [&[PLAIN], records].concat()
    }
}

/// As `core` writes numbers: seven bits a byte, the highest first.
fn put(out: &mut Vec<u8>, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(7).max(1);
    for digit in (0..digits).rev() {
        let more = if digit == 0 { 0 } else { 0x80 };
        out.push(more | (number >> (7 * digit)) as u8 & 0x7F);
    }
}

/// Every record is a message or the last one; what was understood means the same when it is packed again.
fn read(unit: Vec<u8>) {
    let plain = unit.first() == Some(&PLAIN);
    let most = if plain { unit.len() } else { MAX_UNIT };
    let Ok(records) = open(unit) else { return };
    let (mut messages, mut bytes, mut ended) = (Vec::new(), 0, false);
    for record in records {
        assert!(!ended, "there is something behind what is broken");
        let Ok((message, size)) = record else {
            ended = true;
            continue;
        };
        // At least one byte of length before each.
        bytes += size + 1;
        assert!(bytes <= most, "{bytes} bytes of records in {most}");
        if message != Message::Unknown {
            messages.push(message);
        }
    }
    let pack = |deflate| {
        let mut packer = Packer::default();
        messages.iter().for_each(|message| packer.add(message));
        packer.take(deflate)
    };
    // What came in odd forms may take more room in ours; a session splits what does not fit into one unit.
    if pack(false).len() > MAX_UNIT {
        return;
    }
    let again = open(pack(bytes % 2 == 0)).expect("own units open");
    let again: Vec<Message> = again
        .map(|record| record.expect("own records are read").0)
        .collect();
    assert_eq!(again, messages);
}
