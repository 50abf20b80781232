//! The rows in a SQLite file whose structure cannot be trusted: every page by itself, whatever leads to it.
//!
//! By <https://www.sqlite.org/fileformat2.html>: leaf pages say what they hold, so rows are found without the schema and
//! without the pages above. What the log holds of a page, a write-ahead log or a rollback journal, is read besides what
//! the file holds of it.

use std::collections::BTreeMap;

/// Bytes of a file that may be unreadable in places.
pub trait Bytes {
    /// How many there are.
    fn size(&self) -> u64;

    /// Reads from `offset` on; how many bytes were read, fewer at the end and where the medium fails.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize;
}

const MAGIC: &[u8] = b"SQLite format 3\0";
/// What this program's builds of SQLite write: natively, in the browser. Tried when the file does not say.
const PAGE_SIZES: [usize; 2] = [4096, 8192];
/// What a rollback journal begins with: the browser's, where no write-ahead log can be.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;
/// Pages that are looked at to tell the page size.
const SAMPLE: u64 = 64;
/// Longer rows than any that is written here, in bytes: a damaged length reserves no memory.
const MAX_ROW: usize = 1024 * 1024;
/// More columns than any table has.
const MAX_COLUMNS: usize = 16;

const INDEX_INTERIOR: u8 = 2;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    /// A real number, or text that is none: nothing that is written here.
    Other,
}

/// Where a row was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a table, under this rowid.
    Table(i64),
    /// In an index, or a table without rowids.
    Index,
}

/// A damaged database.
pub(super) struct Pages<'a> {
    file: &'a mut dyn Bytes,
    log: Option<&'a mut dyn Bytes>,
    page_size: usize,
    usable: usize,
    /// The place of a page in the log: its newest version, or the one before a transaction that was not completed.
    logged: BTreeMap<u32, u64>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a mut dyn Bytes, log: Option<&'a mut dyn Bytes>) -> Self {
        let mut pages = Self {
            file,
            log,
            page_size: 0,
            usable: 0,
            logged: BTreeMap::new(),
        };
        let mut header = [0; 100];
        pages.file.read_at(0, &mut header);
        let genuine = header.starts_with(MAGIC);
        let named = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let named = if named == 1 { 65_536 } else { named };
        pages.page_size = match named {
            512..=65_536 if genuine && named.is_power_of_two() => named,
            _ => pages.guess(),
        };
        let reserved = if genuine { usize::from(header[20]) } else { 0 };
        pages.usable = pages.page_size - reserved.min(pages.page_size - 480);
        pages.read_log();
        pages
    }

    /// The page size at which most pages look like pages.
    fn guess(&mut self) -> usize {
        let mut header = [0; 12];
        if let Some(log) = &mut self.log
            && log.read_at(0, &mut header) == header.len()
        {
            let named = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
            if PAGE_SIZES.contains(&named) {
                return named;
            }
        }
        let mut score = |size: usize| {
            let mut page = vec![0; size];
            let count = (self.file.size() / size as u64).min(SAMPLE);
            (1..count)
                .filter(|n| {
                    self.file.read_at(n * size as u64, &mut page) == size
                        && page[0] == TABLE_LEAF
                        && leaf_looks_right(&page)
                })
                .count()
                * size
        };
        let [small, large] = PAGE_SIZES;
        if score(large) > score(small) { large } else { small }
    }

    /// Where the log holds pages: frames of its present round, which carry its salt.
    fn read_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut header = [0; LOG_HEADER as usize];
        if log.read_at(0, &mut header) < header.len() {
            return;
        }
        if header.starts_with(&JOURNAL_MAGIC) {
            return self.read_journal();
        }
        let mut offset = LOG_HEADER;
        let mut frame = [0; FRAME_HEADER];
        while log.read_at(offset, &mut frame) == FRAME_HEADER && frame[8..16] == header[16..24] {
            let number = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
            self.logged.insert(number, offset + FRAME_HEADER as u64);
            offset += (FRAME_HEADER + self.page_size) as u64;
        }
    }

    /// Where a rollback journal holds pages: in runs behind headers that fill a sector each.
    fn read_journal(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut offset = 0;
        let mut header = [0; 28];
        while log.read_at(offset, &mut header) == header.len() && header.starts_with(&JOURNAL_MAGIC) {
            let number =
                |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let sector = u64::from(number(20));
            if !(512..=65_536).contains(&sector) {
                return;
            }
            offset += sector;
            for _ in 0..number(8) {
                let mut page = [0; 4];
                if log.read_at(offset, &mut page) < page.len() {
                    return;
                }
                self.logged.entry(u32::from_be_bytes(page)).or_insert(offset + 4);
                // Behind the page stands its checksum: the rows prove themselves.
                offset += (8 + self.page_size) as u64;
            }
            offset = offset.next_multiple_of(sector);
        }
    }

    /// Shows every row that can be read to `see`, until that says no.
    pub(super) fn rows<E>(
        &mut self,
        mut see: impl FnMut(Place, &[Value<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let count = u32::try_from(self.file.size().div_ceil(self.page_size as u64)).unwrap_or(u32::MAX);
        // One by one: a damaged log may name any number.
        let beyond: Vec<u32> = self
            .logged
            .keys()
            .copied()
            .filter(|number| *number > count)
            .collect();
        let mut page = vec![0; self.page_size];
        let mut row = Vec::new();
        for number in (1..=count).chain(beyond) {
            // What stands in the log is newer, and comes later.
            for logged in [false, true] {
                if self.read(number, logged, &mut page) {
                    self.rows_of(number, &page, &mut row, &mut see)?;
                }
            }
        }
        Ok(())
    }

    /// A page as the file or as the log holds it; false where it is not there or unreadable.
    fn read(&mut self, number: u32, logged: bool, page: &mut [u8]) -> bool {
        if logged {
            let Some(offset) = self.logged.get(&number) else {
                return false;
            };
            let Some(log) = &mut self.log else { return false };
            log.read_at(*offset, page) == page.len()
        } else {
            let offset = u64::from(number.saturating_sub(1)) * self.page_size as u64;
            number > 0 && self.file.read_at(offset, page) == page.len()
        }
    }

    fn rows_of<E>(
        &mut self,
        number: u32,
        page: &[u8],
        row: &mut Vec<u8>,
        see: &mut impl FnMut(Place, &[Value<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = if number == 1 { 100 } else { 0 };
        let kind = page[start];
        let header = match kind {
            TABLE_LEAF | INDEX_LEAF => 8,
            INDEX_INTERIOR => 12,
            _ => return Ok(()),
        };
        let count = usize::from(u16::from_be_bytes([page[start + 3], page[start + 4]]));
        for cell in 0..count {
            let at = start + header + cell * 2;
            let Some(&[high, low]) = page.get(at..at + 2) else {
                break;
            };
            let mut cell = usize::from(u16::from_be_bytes([high, low]));
            if kind == INDEX_INTERIOR {
                cell += 4;
            }
            let Some(place) = self.row(kind, page, cell, row) else {
                continue;
            };
            let mut values = [Value::Null; MAX_COLUMNS];
            if let Some(columns) = values_of(row, &mut values) {
                see(place, &values[..columns])?;
            }
        }
        Ok(())
    }

    /// Joins a row from its page and those it overflows to.
    fn row(&mut self, kind: u8, page: &[u8], cell: usize, row: &mut Vec<u8>) -> Option<Place> {
        let mut rest = page.get(cell..self.usable)?;
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        if length > MAX_ROW {
            return None;
        }
        let usable = self.usable;
        let smallest = (usable - 12) * 32 / 255 - 23;
        let (place, most) = if kind == TABLE_LEAF {
            (Place::Table(varint(&mut rest)?), usable - 35)
        } else {
            (Place::Index, (usable - 12) * 64 / 255 - 23)
        };
        row.clear();
        if length <= most {
            row.extend_from_slice(rest.get(..length)?);
            return Some(place);
        }
        let local = smallest + (length - smallest) % (usable - 4);
        let local = if local <= most { local } else { smallest };
        row.extend_from_slice(rest.get(..local)?);
        let mut next = u32::from_be_bytes(*rest.get(local..)?.first_chunk()?);
        let mut page = vec![0; self.page_size];
        // Each page brings the end nearer: a chain in a circle ends too.
        while row.len() < length {
            if !(self.read(next, true, &mut page) || self.read(next, false, &mut page)) {
                return None;
            }
            let part = (length - row.len()).min(usable - 4);
            row.extend_from_slice(&page[4..4 + part]);
            next = u32::from_be_bytes(*page.first_chunk()?);
        }
        Some(place)
    }
}

/// Whether the cells lie where a leaf's cells lie: behind the pointers to them, from the page's end on.
fn leaf_looks_right(page: &[u8]) -> bool {
    let count = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let first = 8 + count * 2;
    let Some(pointers) = page.get(8..first) else {
        return false;
    };
    let cells = || {
        pointers
            .as_chunks()
            .0
            .iter()
            .map(|pointer| usize::from(u16::from_be_bytes(*pointer)))
    };
    cells().all(|cell| (first..page.len()).contains(&cell)) && cells().any(|cell| cell >= page.len() / 2)
}

/// Reads the columns of a row; how many there are.
fn values_of<'r>(row: &'r [u8], values: &mut [Value<'r>]) -> Option<usize> {
    let mut header = row;
    let length = usize::try_from(varint(&mut header)?).ok()?;
    let taken = row.len() - header.len();
    let mut types = header.get(..length.checked_sub(taken)?)?;
    let mut data = row.get(length..)?;
    let mut columns = 0;
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            10.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let (bytes, rest) = data.split_at_checked(size)?;
        data = rest;
        *values.get_mut(columns)? = match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Other,
            _ if kind % 2 == 0 => Value::Blob(bytes),
            _ => std::str::from_utf8(bytes).map_or(Value::Other, Value::Text),
        };
        columns += 1;
    }
    Some(columns)
}

/// A big-endian signed number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| {
        number << 8 | i64::from(*byte)
    })
}

/// SQLite's variable-length number: seven bits per byte, the ninth byte whole.
fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0i64;
    for position in 0..9 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        if position == 8 {
            return Some(number << 8 | i64::from(*byte));
        }
        number = number << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    impl Bytes for Vec<u8> {
        fn size(&self) -> u64 {
            self.len() as u64
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize {
            let from = usize::try_from(offset).unwrap().min(self.len());
            let part = &self[from..(from + buffer.len()).min(self.len())];
            buffer[..part.len()].copy_from_slice(part);
            part.len()
        }
    }

    /// Rows of every size, in a table and in one without rowids.
    fn database(page_size: usize) -> (Vec<u8>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!(
            "PRAGMA page_size = {page_size}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB, i INTEGER, s TEXT) STRICT;
             CREATE TABLE w (k TEXT PRIMARY KEY, v TEXT) STRICT, WITHOUT ROWID;"
        ))
        .unwrap();
        let mut insert = db.prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4)").unwrap();
        let mut fill = |range: std::ops::Range<i64>| {
            for n in range {
                let blob = vec![n as u8; (n * 61) as usize];
                insert
                    .execute(rusqlite::params![n, blob, -n * 40_000_000, format!("row {n}")])
                    .unwrap();
            }
        };
        fill(0..200);
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        fill(200..250);
        db.execute("INSERT INTO w VALUES ('me', 'you')", []).unwrap();
        let log = std::fs::read(folder.path().join("a.db-wal")).unwrap();
        (std::fs::read(&path).unwrap(), log)
    }

    fn found(mut file: Vec<u8>, mut log: Vec<u8>) -> (Vec<i64>, bool) {
        let (mut numbers, mut settings) = (Vec::new(), false);
        let seen: Result<(), ()> =
            Pages::new(&mut file, Some(&mut log)).rows(|place, values| match (place, values) {
                (Place::Table(n), [Value::Null, Value::Blob(blob), Value::Integer(i), Value::Text(s)]) => {
                    assert_eq!(
                        (*i, *s, blob.len()),
                        (-n * 40_000_000, &*format!("row {n}"), (n * 61) as usize)
                    );
                    assert!(blob.iter().all(|byte| *byte == n as u8));
                    numbers.push(n);
                    Ok(())
                }
                (Place::Index, [Value::Text("me"), Value::Text("you")]) => {
                    settings = true;
                    Ok(())
                }
                _ => Ok(()),
            });
        seen.unwrap();
        numbers.sort_unstable();
        numbers.dedup();
        (numbers, settings)
    }

    #[test]
    fn every_row_is_found_in_file_and_log() {
        for page_size in [512, 4096, 8192, 65_536] {
            let (file, log) = database(page_size);
            assert_eq!(
                found(file, log),
                ((0..250).collect(), true),
                "pages of {page_size}"
            );
        }
    }

    #[test]
    fn rows_are_found_without_the_first_page() {
        for page_size in PAGE_SIZES {
            let (mut file, _) = database(page_size);
            file[..page_size].fill(0);
            let (numbers, _) = found(file, Vec::new());
            assert_eq!(numbers, (0..200).collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_damage_is_no_panic(
            seed in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut file, mut log) = database(4096);
            for (at, byte) in seed {
                let at = at.index(file.len() + log.len());
                match at.checked_sub(file.len()) {
                    Some(at) => log[at] = byte,
                    None => file[at] = byte,
                }
            }
            let length = cut.index(log.len());
            log.truncate(length);
            let _ = Pages::new(&mut file, Some(&mut log)).rows(|_, _| Ok::<(), ()>(()));
        }
    }
}
