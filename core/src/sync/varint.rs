//! Numbers of variable length as negentropy writes them: seven bits a byte, the highest first.

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, number: u64) {
    for shift in (1..10).rev().map(|n| n * 7) {
        if number >> shift > 0 {
            out.push(0x80 | (number >> shift) as u8);
        }
    }
    out.push((number & 0x7f) as u8);
}

/// Takes a number from the front; `None` when it is cut off or larger than 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if number > u64::MAX >> 7 {
            return None;
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
}

/// Takes this many bytes from the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(number in any::<u64>(), small in 0..300u64) {
            for number in [number, small, u64::MAX, 0x7f, 0x80] {
                let mut out = Vec::new();
                put(&mut out, number);
                prop_assert!(out.len() <= 10);
                prop_assert_eq!(take(&mut out.as_slice()), Some(number));
                prop_assert_eq!(take(&mut &out[..out.len() - 1]), None);
            }
        }
    }

    #[test]
    fn a_number_without_end_is_none() {
        assert_eq!(take(&mut [0xff; 11].as_slice()), None);
    }
}
