//! Which blocks of the file are free.

use std::collections::BTreeMap;

use super::BLOCK;

/// Neighbouring blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u32,
    pub(super) count: u32,
}

impl Extent {
    pub(super) fn offset(&self) -> u64 {
        u64::from(self.start) * BLOCK
    }

    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.count) * BLOCK
    }
}

/// Free blocks, and those that become free when the log has been flushed.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Start to count; never two that touch.
    free: BTreeMap<u32, u32>,
    waiting: Vec<Extent>,
    end: u32,
}

impl Space {
    /// Blocks in use or free before the end of the file.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.end)
    }

    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// How many blocks wait for the log.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.iter().map(|extent| u64::from(extent.count)).sum()
    }

    /// Between one and `count` blocks, the first free ones: so the end of the file empties.
    pub(super) fn allocate(&mut self, count: u32) -> Extent {
        let count = count.max(1);
        match self.free.pop_first() {
            Some((start, free)) => {
                if free > count {
                    self.free.insert(start + count, free - count);
                }
                Extent {
                    start,
                    count: free.min(count),
                }
            }
            None => {
                let start = self.end;
                self.end += count;
                Extent { start, count }
            }
        }
    }

    /// Takes blocks that are in use already; false, and nothing taken, when another has one of them.
    pub(super) fn take(&mut self, extents: &[Extent]) -> bool {
        let mut taken = Vec::new();
        for extent in extents {
            if extent.count == 0 || !self.take_one(*extent) {
                taken.into_iter().for_each(|extent| self.give(extent));
                return false;
            }
            taken.push(*extent);
        }
        true
    }

    fn take_one(&mut self, extent: Extent) -> bool {
        let Some(end) = extent.start.checked_add(extent.count) else {
            return false;
        };
        if end > self.end {
            let grown = Extent {
                start: self.end,
                count: end - self.end,
            };
            self.end = end;
            self.give(grown);
        }
        let Some((start, count)) = self.free.range(..=extent.start).next_back() else {
            return false;
        };
        let (start, free_end) = (*start, start + count);
        if free_end < end {
            return false;
        }
        self.free.remove(&start);
        if start < extent.start {
            self.free.insert(start, extent.start - start);
        }
        if end < free_end {
            self.free.insert(end, free_end - end);
        }
        true
    }

    /// Gives blocks back once the log has been flushed.
    pub(super) fn release(&mut self, extents: Vec<Extent>) {
        self.waiting.extend(extents);
    }

    /// The log has been flushed.
    pub(super) fn reclaim(&mut self) {
        for extent in std::mem::take(&mut self.waiting) {
            self.give(extent);
        }
        if let Some((start, count)) = self.free.last_key_value()
            && start + count == self.end
        {
            self.end = *start;
            self.free.pop_last();
        }
    }

    fn give(&mut self, extent: Extent) {
        let Extent { mut start, mut count } = extent;
        if let Some((before, length)) = self.free.range(..start).next_back()
            && before + length == start
        {
            (start, count) = (*before, length + count);
        }
        if let Some(after) = self.free.remove(&(extent.start + extent.count)) {
            count += after;
        }
        self.free.insert(start, count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_join_and_the_end_is_cut() {
        let mut space = Space::default();
        let all: Vec<_> = (0..4).map(|_| space.allocate(8)).collect();
        space.release(vec![all[1], all[3]]);
        assert_eq!(space.waiting(), 16);
        space.reclaim();
        assert_eq!((space.end(), space.free.len()), (24, 1));
        space.release(vec![all[2], all[0]]);
        space.reclaim();
        assert_eq!((space.end(), space.free.len()), (0, 0));
    }

    proptest! {
        #[test]
        fn no_block_has_two_owners(steps in proptest::collection::vec((any::<bool>(), 0usize..20, 1u32..9), 1..80)) {
            let mut space = Space::default();
            let mut held: Vec<Extent> = Vec::new();
            for (give, which, count) in steps {
                if give && !held.is_empty() {
                    let extent = held.swap_remove(which % held.len());
                    space.release(vec![extent]);
                    space.reclaim();
                } else {
                    let extent = space.allocate(count);
                    prop_assert!(extent.count >= 1 && extent.count <= count);
                    held.push(extent);
                }
                let blocks: Vec<u32> = held.iter().flat_map(|e| e.start..e.start + e.count).collect();
                let distinct: BTreeSet<u32> = blocks.iter().copied().collect();
                prop_assert_eq!(blocks.len(), distinct.len());
                prop_assert!(held.iter().all(|extent| extent.start + extent.count <= space.end));
                // Taking the same blocks in an empty space leaves the same ones free.
                let mut again = Space::default();
                prop_assert!(again.take(&held));
                prop_assert!(held.is_empty() || !again.take(&held[..1]));
                for (start, count) in &space.free {
                    let extent = Extent { start: *start, count: *count };
                    prop_assert!(again.take(&[extent]));
                }
            }
        }
    }
}
