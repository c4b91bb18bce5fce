//! Counts of the columns that are remembered, so that the next count of the same question reads only what has changed.
//!
//! A count is found by a digest of all that it depends on besides the rows: for example which persons, contents and kinds
//! are selected. The digest covers the codes that the columns had at its moment ([`Sizes`]). Later codes belong to later
//! rows, which the changes since then contain.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::former::Moment;
use super::selection::{Selected, Sizes};
use crate::base::fingerprint::Fingerprint;

/// The most counts that are remembered. The one that was used the longest time ago is forgotten first.
const MOST_COUNTS: usize = 32;
/// The most bytes of all counts together. One with more than a quarter of it is not remembered.
const MOST_BYTES: usize = 24 * 1024 * 1024;

/// The most different sizes of the columns among the counts. A digest is made for each of them before a count.
const MOST_SIZES: usize = 4;

/// A count that can be remembered.
pub(crate) trait Count: Clone {
    /// The memory in bytes.
    fn bytes(&self) -> usize;
}

/// Remembered counts of one kind, the last used ones at the end.
#[derive(Debug)]
pub(crate) struct RememberedCounts<C>(Mutex<Vec<Remembered<C>>>);

impl<C> Default for RememberedCounts<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What a count depends on besides the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    sizes: Sizes,
    digest: Fingerprint,
}

/// A count at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Remembered<C> {
    pub(crate) key: Key,
    pub(crate) moment: Moment,
    pub(crate) count: C,
}

impl<C: Count> Remembered<C> {
    /// A count of the present rows. `known` is the key of the count that was found for the question.
    pub(crate) fn new(
        selected: &Selected<'_>,
        known: Option<Key>,
        digest: impl Fn(Sizes) -> Fingerprint,
        count: C,
    ) -> Self {
        let columns = selected.columns();
        let sizes = Sizes::from_columns(columns);
        // A digest of hundreds of thousands of persons takes milliseconds.
        let known = known.filter(|known| known.sizes == sizes);
        Self {
            key: known.unwrap_or_else(|| Key {
                sizes,
                digest: digest(sizes),
            }),
            moment: columns.moment(),
            count,
        }
    }
}

impl<C: Count> RememberedCounts<C> {
    fn counts(&self) -> MutexGuard<'_, Vec<Remembered<C>>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remembered count of a question. `digest` makes that of the question with the codes below these sizes.
    pub(crate) fn find(&self, digest: impl Fn(Sizes) -> Fingerprint) -> Option<Remembered<C>> {
        let mut all_sizes: Vec<Sizes> = Vec::new();
        for known in self.counts().iter() {
            if !all_sizes.contains(&known.key.sizes) {
                all_sizes.push(known.key.sizes);
            }
        }
        // Digests are made without the lock; most counts have the same sizes.
        let keys = all_sizes.into_iter().map(|sizes| Key {
            sizes,
            digest: digest(sizes),
        });
        let keys: Vec<Key> = keys.collect();
        let mut counts = self.counts();
        let place = counts.iter().rposition(|known| keys.contains(&known.key))?;
        let known = counts.remove(place);
        counts.push(known.clone());
        Some(known)
    }

    /// Remembers a count, unless nobody waited for its end or it is too large.
    pub(crate) fn insert(&self, selected: &Selected<'_>, counted: Remembered<C>) {
        if selected.is_cancelled() || counted.count.bytes() > MOST_BYTES / 4 {
            return;
        }
        let mut counts = self.counts();
        counts.retain(|known| known.key != counted.key);
        counts.push(counted);
        let mut newest: Vec<Sizes> = Vec::new();
        for known in counts.iter().rev() {
            if newest.len() < MOST_SIZES && !newest.contains(&known.key.sizes) {
                newest.push(known.key.sizes);
            }
        }
        counts.retain(|known| newest.contains(&known.key.sizes));
        let bytes = |counts: &[Remembered<C>]| counts.iter().map(|known| known.count.bytes()).sum::<usize>();
        while counts.len() > MOST_COUNTS || bytes(&counts) > MOST_BYTES {
            counts.remove(0);
        }
    }

    /// Forgets all counts.
    pub(crate) fn clear(&self) {
        self.counts().clear();
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.counts().iter().map(|known| known.count.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::columns::LogColumns;
    use crate::log::columns::tests::{everything, row};

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Bytes(usize);

    impl Count for Bytes {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn digest(number: usize) -> impl Fn(Sizes) -> Fingerprint {
        move |sizes| Fingerprint::from_bytes(format!("{number} {sizes:?}").as_bytes())
    }

    #[test]
    fn unused_counts_make_space() {
        let mut columns = LogColumns::new();
        columns.put(row(1)).unwrap();
        let selection = everything();
        let selected = selection.compile(&columns);
        let counts = RememberedCounts::default();
        let insert = |number, bytes| {
            let counted = Remembered::new(&selected, None, digest(number), Bytes(bytes));
            counts.insert(&selected, counted);
        };
        let is_known = |number| counts.find(digest(number)).is_some();
        for number in 0..MOST_COUNTS {
            insert(number, 10);
        }
        assert!(is_known(0));
        insert(MOST_COUNTS, 10);
        assert!(is_known(0) && !is_known(1) && is_known(2));
        insert(100, MOST_BYTES / 4 + 1);
        assert!(!is_known(100));
        for number in 101..106 {
            insert(number, MOST_BYTES / 4);
        }
        assert!(!is_known(101) && is_known(102) && is_known(105));
        assert!(counts.bytes() <= MOST_BYTES);
        counts.clear();
        assert_eq!(counts.bytes(), 0);
    }
}
