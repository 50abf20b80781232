//! The little of tar that is needed: headers of plain files (POSIX ustar), written and read.

use super::TransferError;

/// Everything in an archive comes in blocks of so many bytes.
pub(super) const BLOCK: usize = 512;
/// Eleven octal digits.
const MAX_SIZE: u64 = 0o77_777_777_777;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// What an entry's header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// As it stands there: only compared, never used as a path.
    pub(super) name: String,
    pub(super) size: u64,
    /// Whether it is a plain file; links, devices and extensions are not.
    pub(super) plain: bool,
}

/// The header of a plain file. Names are ours and short.
pub(super) fn header(name: &str, size: u64) -> [u8; BLOCK] {
    debug_assert!(name.len() <= 100 && size <= MAX_SIZE);
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    // The same every time: two exports of the same events are the same file.
    put(136, "00000000000\0");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[CHECKSUM].copy_from_slice(sum.as_bytes());
    block
}

/// Reads a header; `None` for the zeros at the end.
pub(super) fn read(block: &[u8; BLOCK]) -> Result<Option<Header>, TransferError> {
    const NOT: TransferError = TransferError::NotAnExport("no tar archive");
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if octal(&block[CHECKSUM]) != Some(checksum(block)) {
        return Err(NOT);
    }
    let text = |range: std::ops::Range<usize>| {
        let field = &block[range];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).map_err(|_| NOT)
    };
    let (name, prefix) = (text(0..100)?, text(345..500)?);
    let name = if prefix.is_empty() || !block[257..].starts_with(b"ustar\0") {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    };
    Ok(Some(Header {
        name,
        size: octal(&block[124..136]).ok_or(NOT)?,
        plain: matches!(block[156], b'0' | 0),
    }))
}

/// Zeros that fill the last block of an entry.
pub(super) fn padding(size: u64) -> usize {
    // Below 512 in any case.
    (size.wrapping_neg() % BLOCK as u64) as usize
}

/// The sum of all bytes, the checksum itself counting as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let bytes = block.iter().enumerate();
    bytes
        .map(|(at, byte)| u64::from(if CHECKSUM.contains(&at) { b' ' } else { *byte }))
        .sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(digits, 8)
        .ok()
        .filter(|size| *size <= MAX_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        let written = header("media/abc", 1234);
        let read = read(&written).unwrap().unwrap();
        assert_eq!(
            read,
            Header {
                name: "media/abc".to_owned(),
                size: 1234,
                plain: true
            }
        );
        assert_eq!(super::read(&[0; BLOCK]), Ok(None));
        let mut broken = written;
        broken[0] ^= 1;
        assert!(super::read(&broken).is_err(), "the checksum tells");
    }

    #[test]
    fn entries_end_on_a_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
