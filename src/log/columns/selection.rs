//! Selects rows of the columns by a filter.

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::clock::Timestamp;
use crate::base::fold;

use super::block::Block;
use super::{Kind, LogColumns};
use crate::log::action::Action;
use crate::log::filter::Filter;
use crate::log::period::Window;

/// The most threads that count for one request.
const MAX_THREADS: usize = 2;
/// The least blocks for a second thread.
const BLOCKS_PER_THREAD: usize = 4;

/// The persons of the selected rows, by their keys.
#[derive(Debug, Clone)]
pub(crate) enum SelectedPersons {
    Only(Vec<i64>),
    AllExcept(Vec<i64>),
}

/// The libraries of one filter by source.
#[derive(Debug, Clone)]
pub(crate) struct SelectedSources {
    /// The folded sources.
    pub(crate) folded: HashSet<String>,
    /// The contents of these sources. They count for rows without a source.
    pub(crate) contents: HashSet<i64>,
}

/// Which rows are selected. Keys are those of the store, so a selection is valid for any state of the columns.
#[derive(Debug, Clone)]
pub(crate) struct RowSelection {
    pub(crate) persons: SelectedPersons,
    /// The contents; `None` means that every row is selected, also those without content.
    pub(crate) contents: Option<Vec<i64>>,
    /// The filter, for the conditions on the row itself.
    pub(crate) filter: Filter,
    /// The verbs of each of the filters that select verbs.
    pub(crate) verbs: Vec<HashSet<i64>>,
    /// The sources of each of the filters that select sources.
    pub(crate) sources: Vec<SelectedSources>,
    /// The places in the order of recording: after the first one, up to the second one.
    pub(crate) seqs: (i64, i64),
    /// The time that relative dates and expiries refer to.
    pub(crate) now: Timestamp,
}

/// Whether the columns have what the filter compares.
pub(crate) fn can_select(filter: &Filter) -> bool {
    !filter.shows_latest_only()
        && filter
            .each()
            .all(|filter| filter.certificate_expires_within.is_none())
}

/// The numbers of different codes in the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) persons: usize,
    pub(crate) contents: usize,
    pub(crate) kinds: usize,
}

impl Sizes {
    /// The sizes of the present state.
    pub(crate) fn from_columns(columns: &LogColumns) -> Self {
        Self {
            persons: columns.persons().len(),
            contents: columns.contents().len(),
            kinds: columns.kinds().len(),
        }
    }
}

/// The condition of one filter by source.
#[derive(Clone)]
struct SourceTable {
    /// For each kind, whether its source is selected.
    kinds: Vec<bool>,
    /// For each content, whether its source is selected.
    contents: Vec<bool>,
}

/// A selection for one state of the columns.
pub(crate) struct Selected<'a> {
    columns: &'a LogColumns,
    /// The rows, if they are not those of the columns.
    rows: Option<&'a [Block]>,
    /// For each kind, person and content, whether rows with it can be selected.
    kinds: Vec<bool>,
    persons: Vec<bool>,
    contents: Option<Vec<bool>>,
    sources: Vec<SourceTable>,
    kinds_without_source: Vec<bool>,
    window: Window,
    seqs: (i64, i64),
    expired: Vec<bool>,
    now: i64,
    /// Whether nobody waits for the count any more. Then it finds no further rows.
    is_cancelled: Arc<AtomicBool>,
}

impl RowSelection {
    /// The selection for the present state of the columns.
    pub(crate) fn compile<'a>(&self, columns: &'a LogColumns) -> Selected<'a> {
        let filter = &self.filter;
        let devices = filter.each().filter(|filter| !filter.device_types.is_empty());
        let devices = devices.map(|filter| filter.device_types.iter().map(|device| fold(device)).collect());
        let devices: Vec<HashSet<String>> = devices.collect();
        let kinds = columns.kinds().iter();
        let kinds = kinds.map(|kind| kind.is_some_and(|kind| self.selects_kind(columns, &kind, &devices)));
        let persons = match &self.persons {
            SelectedPersons::Only(keys) => flags(columns.persons(), keys.iter(), true),
            SelectedPersons::AllExcept(keys) => flags(columns.persons(), keys.iter(), false),
        };
        let content_flags = |keys: &HashSet<i64>| -> Vec<bool> {
            let contents = columns.contents().iter();
            contents
                .map(|content| content.is_some_and(|content| keys.contains(&content)))
                .collect()
        };
        let contents = self.contents.as_ref();
        let contents = contents.map(|keys| content_flags(&keys.iter().copied().collect()));
        let source_of = |kind: &Option<Kind>| kind.and_then(|kind| columns.text(kind.source?));
        let sources = self.sources.iter().map(|selected| SourceTable {
            kinds: columns
                .kinds()
                .iter()
                .map(|kind| source_of(kind).is_some_and(|source| selected.folded.contains(&fold(source))))
                .collect(),
            contents: content_flags(&selected.contents),
        });
        let without_source = |kind: &Option<Kind>| kind.is_some_and(|kind| kind.source.is_none());
        Selected {
            columns,
            rows: None,
            kinds: kinds.collect(),
            persons,
            contents,
            sources: sources.collect(),
            kinds_without_source: columns.kinds().iter().map(without_source).collect(),
            window: filter.window(self.now),
            seqs: self.seqs,
            expired: filter.each().filter_map(|filter| filter.expired).collect(),
            now: self.now.micros(),
            is_cancelled: Arc::default(),
        }
    }

    /// Whether the filters on the row itself select this kind. `devices` has the folded device types of each filter that
    /// selects some.
    fn selects_kind(&self, columns: &LogColumns, kind: &Kind, devices: &[HashSet<String>]) -> bool {
        if self.filter.hides_visited() && kind.action == Action::Visited {
            return false;
        }
        let has_verb = |verbs: &HashSet<i64>| verbs.contains(&kind.verb);
        let has_devices = || {
            let text = kind.device_type.and_then(|code| columns.text(code));
            let folded = text.map(fold);
            let is_in =
                |devices: &HashSet<String>| folded.as_ref().is_some_and(|text| devices.contains(text));
            devices.iter().all(is_in)
        };
        self.verbs.iter().all(has_verb)
            && (devices.is_empty() || has_devices())
            && self
                .filter
                .each()
                .all(|filter| selects_kind(filter, columns, kind))
    }
}

/// Whether one filter selects this kind, apart from verbs, sources and device types.
fn selects_kind(filter: &Filter, columns: &LogColumns, kind: &Kind) -> bool {
    let has_import = || {
        let import = kind.import.and_then(|code| columns.import(code));
        import.is_some_and(|import| filter.imports.contains(&import))
    };
    let has_result = || {
        let is = |success: bool| filter.results.iter().any(|result| result.success() == success);
        kind.success.is_some_and(is)
    };
    (filter.actions.is_empty() || filter.actions.contains(&kind.action))
        && (filter.origins.is_empty() || filter.origins.contains(&kind.origin))
        && (filter.imports.is_empty() || has_import())
        && (filter.results.is_empty() || has_result())
        && filter
            .bulk_import
            .is_none_or(|bulk| bulk == kind.import.is_some())
        && filter
            .completed
            .is_none_or(|completed| completed == kind.completed)
        && filter
            .has_certificate
            .is_none_or(|certified| certified == kind.certified)
}

/// For each of `all`, `listed` if it is among the keys, else the opposite.
fn flags<'a>(all: &[i64], keys: impl Iterator<Item = &'a i64>, listed: bool) -> Vec<bool> {
    let keys: HashSet<i64> = keys.copied().collect();
    all.iter().map(|key| keys.contains(key) == listed).collect()
}

impl Selected<'_> {
    /// The same selection for a count that ends early if the flag is set. Its result is worthless then.
    pub(crate) fn until(self, is_cancelled: Arc<AtomicBool>) -> Self {
        Self { is_cancelled, ..self }
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &LogColumns {
        self.columns
    }

    /// The blocks of rows from which is selected.
    pub(crate) fn blocks(&self) -> &[Block] {
        self.rows.unwrap_or(self.columns.blocks())
    }

    /// The place of a row in the order of recording.
    pub(crate) fn seq(&self, block: usize, place: usize) -> i64 {
        match self.rows {
            Some(rows) => rows[block].seq[place],
            None => self.columns.seq(block, place),
        }
    }

    /// The same selection of other rows with the codes of these columns, for some of the persons.
    pub(crate) fn of_rows<'r>(&'r self, rows: &'r [Block], persons: &[bool]) -> Selected<'r> {
        let persons = self.persons.iter().zip(persons);
        Selected {
            columns: self.columns,
            rows: Some(rows),
            kinds: self.kinds.clone(),
            persons: persons.map(|(one, other)| *one && *other).collect(),
            contents: self.contents.clone(),
            sources: self.sources.clone(),
            kinds_without_source: self.kinds_without_source.clone(),
            window: self.window,
            seqs: self.seqs,
            expired: self.expired.clone(),
            now: self.now,
            is_cancelled: Arc::clone(&self.is_cancelled),
        }
    }

    /// Whether the count was ended early, so that its result is worthless.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Whether the same rows may be selected or not at different times.
    pub(crate) fn depends_on_time(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Adds to `bytes` all that decides which rows are selected, among those with codes below these sizes. With other bytes
    /// another selection is meant.
    pub(crate) fn write_key(&self, sizes: Sizes, bytes: &mut Vec<u8>) {
        let flags = |flags: &[bool], size: usize, bytes: &mut Vec<u8>| {
            bytes.extend((size as u64).to_le_bytes());
            bytes.extend(flags.iter().take(size).map(|flag| u8::from(*flag)));
        };
        for bound in [self.window.from, self.window.to] {
            bytes.push(u8::from(bound.is_some()));
            bytes.extend(bound.map_or(0, Timestamp::micros).to_le_bytes());
        }
        bytes.extend(self.seqs.0.to_le_bytes());
        bytes.extend(self.seqs.1.to_le_bytes());
        flags(&self.kinds, sizes.kinds, bytes);
        flags(&self.persons, sizes.persons, bytes);
        bytes.push(u8::from(self.contents.is_some()));
        if let Some(contents) = &self.contents {
            flags(contents, sizes.contents, bytes);
        }
        for table in &self.sources {
            flags(&table.kinds, sizes.kinds, bytes);
            flags(&table.contents, sizes.contents, bytes);
        }
    }

    /// For each person, whether its rows can be selected.
    pub(crate) fn persons(&self) -> &[bool] {
        &self.persons
    }

    /// A first and a last time between which all selected rows happened. `None` if there are none.
    pub(crate) fn find_span(&self) -> Option<(i64, i64)> {
        let blocks = self.blocks();
        let first = blocks.iter().map(|block| block.earliest).min()?;
        let last = blocks.iter().map(|block| block.latest).max()?;
        let first = self.window.from.map_or(first, |from| first.max(from.micros()));
        let last = self.window.to.map_or(last, |to| last.min(to.micros() - 1));
        (first <= last).then_some((first, last))
    }

    /// The number of selected rows.
    pub(crate) fn count(&self) -> u64 {
        let counts = in_parallel(self.blocks().len(), |blocks| {
            let mut places = Vec::new();
            let mut count = 0;
            for block in blocks {
                self.find_places(block, &self.persons, &mut places);
                count += places.len() as u64;
            }
            count
        });
        counts.into_iter().sum()
    }

    /// Replaces `places` by those of the selected rows of a block. `persons` narrows them to some persons.
    pub(crate) fn find_places(&self, number: usize, persons: &[bool], places: &mut Vec<u32>) {
        places.clear();
        if self.is_cancelled.load(Ordering::Relaxed) {
            return;
        }
        let block = &self.blocks()[number];
        if self.is_outside(block) {
            return;
        }
        self.find_kinds_and_persons(block, persons, places);
        self.retain_selected(number, places);
    }

    /// Keeps the places of the rows that are selected, of those of which kind and person are.
    fn retain_selected(&self, number: usize, places: &mut Vec<u32>) {
        let block = &self.blocks()[number];
        let Window { from, to } = self.window;
        if let Some(contents) = &self.contents {
            places.retain(|place| contents[block.content[*place as usize] as usize]);
        }
        for table in &self.sources {
            places.retain(|place| {
                let kind = block.kind[*place as usize] as usize;
                table.kinds[kind]
                    || (self.kinds_without_source[kind]
                        && table.contents[block.content[*place as usize] as usize])
            });
        }
        let is_inside = from.is_none_or(|from| block.earliest >= from.micros())
            && to.is_none_or(|to| block.latest < to.micros());
        if !is_inside {
            let contains = |at: i64| self.window.contains(Timestamp::from_micros(at));
            places.retain(|place| contains(block.happened_at[*place as usize]));
        }
        self.retain_by_seq(number, block, places);
        for expired in &self.expired {
            retain_by_expiry(block, *expired, self.now, places);
        }
    }

    /// Whether no row of the block is in the window.
    fn is_outside(&self, block: &Block) -> bool {
        let Window { from, to } = self.window;
        from.is_some_and(|from| block.latest < from.micros())
            || to.is_some_and(|to| block.earliest >= to.micros())
    }

    /// The number of selected rows of a block that expire before a time in microseconds.
    pub(crate) fn count_expired(&self, number: usize, before: i64) -> u64 {
        let block = &self.blocks()[number];
        let is_selected = |place: &u32| {
            let place = *place as usize;
            self.kinds[block.kind[place] as usize] && self.persons[block.person[place] as usize]
        };
        let expired = block.expiries.iter().filter(|(_, at)| *at < before);
        let mut places: Vec<u32> = expired.map(|(place, _)| *place).filter(is_selected).collect();
        self.retain_selected(number, &mut places);
        places.len() as u64
    }

    /// Adds the places of the rows of which kind and person are selected.
    fn find_kinds_and_persons(&self, block: &Block, persons: &[bool], places: &mut Vec<u32>) {
        places.resize(block.len(), 0);
        let mut found = 0;
        let rows = block.kind.iter().zip(&block.person);
        for (place, (kind, person)) in rows.enumerate() {
            // Without a branch, since the outcome cannot be predicted.
            places[found] = place as u32;
            found += usize::from(self.kinds[*kind as usize] & persons[*person as usize]);
        }
        places.truncate(found);
    }

    fn retain_by_seq(&self, number: usize, block: &Block, places: &mut Vec<u32>) {
        let (after, up_to) = self.seqs;
        let first = block.seq.first().copied().unwrap_or(i64::MAX);
        let last = block.seq.last().copied().unwrap_or(i64::MIN);
        let is_in_order = self.rows.is_none() && !self.columns.has_displaced();
        if is_in_order && first > after && last <= up_to {
            return;
        }
        if (after, up_to) != (i64::MIN, i64::MAX) {
            places.retain(|place| {
                let seq = self.seq(number, *place as usize);
                seq > after && seq <= up_to
            });
        }
    }
}

/// Keeps the places of the rows that have expired, or of the others.
fn retain_by_expiry(block: &Block, expired: bool, now: i64, places: &mut Vec<u32>) {
    let mut expiries = block.expiries.iter().peekable();
    places.retain(|place| {
        while expiries.peek().is_some_and(|(other, _)| other < place) {
            expiries.next();
        }
        let expiry = expiries.peek().filter(|(other, _)| other == place);
        expiry.is_some_and(|(_, at)| *at < now) == expired
    });
}

/// Runs a function for parts of the blocks, on some threads if there are many. A part is every second block, for
/// example.
pub(crate) fn in_parallel<T: Send>(
    blocks: usize,
    count: impl Fn(std::iter::StepBy<std::ops::Range<usize>>) -> T + Sync,
) -> Vec<T> {
    let threads = threads_for(blocks);
    run_threads(threads, |thread| count((thread..blocks).step_by(threads)))
}

/// The number of threads for this many blocks.
pub(crate) fn threads_for(blocks: usize) -> usize {
    let available = std::thread::available_parallelism().map_or(1, NonZero::get);
    available.min(MAX_THREADS).min(blocks / BLOCKS_PER_THREAD).max(1)
}

/// Runs a function on some threads, for the numbers from 0 on.
pub(crate) fn run_threads<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if threads == 1 {
        return vec![run(0)];
    }
    std::thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = (1..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let mut results = vec![run(0)];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
