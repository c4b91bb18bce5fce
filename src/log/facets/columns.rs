//! Counts the columns of the log for facets.

use std::collections::HashMap;

use super::{ContentCount, FacetCounter};
use crate::base::clock::Timestamp;
use crate::base::fingerprint::Fingerprint;
use crate::log::columns::people::People;
use crate::log::columns::remembered::{Count, Remembered, RememberedCounts};
use crate::log::columns::selection::{Selected, in_parallel};
use crate::log::columns::{Kind, LogColumns};
use crate::log::row::{ContentKey, PersonKey, VerbKey};

/// The rows of each code.
#[derive(Debug, Clone, Default)]
pub(crate) struct FacetCounts {
    kinds: Vec<u64>,
    persons: Vec<u64>,
    contents: Vec<ContentCount>,
}

/// The facets of an organisation.
pub(crate) type RememberedFacets = RememberedCounts<FacetCounts>;

impl Count for FacetCounts {
    fn bytes(&self) -> usize {
        (self.kinds.capacity() + self.persons.capacity()) * size_of::<u64>()
            + self.contents.capacity() * size_of::<ContentCount>()
    }
}

impl FacetCounts {
    /// Makes space for all codes of the columns.
    fn resize(&mut self, columns: &LogColumns) {
        self.kinds.resize(columns.kinds().len(), 0);
        self.persons.resize(columns.persons().len(), 0);
        self.contents
            .resize(columns.contents().len(), ContentCount::default());
    }

    /// The counts of all selected rows.
    fn of_all(selected: &Selected<'_>) -> Self {
        let counts = in_parallel(selected.blocks().len(), |blocks| {
            let mut counts = Self::default();
            counts.resize(selected.columns());
            counts.add(selected, blocks, 1);
            counts
        });
        counts.into_iter().reduce(Self::merge).unwrap_or_default()
    }

    /// Adds the selected rows of some blocks, or takes them away if `sign` is -1.
    fn add(&mut self, selected: &Selected<'_>, blocks: impl Iterator<Item = usize>, sign: i64) {
        let without_source = selected.columns().kinds().iter();
        let without_source: Vec<bool> = without_source
            .map(|kind| kind.is_some_and(|kind| kind.source.is_none()))
            .collect();
        let mut places = Vec::new();
        for number in blocks {
            selected.find_places(number, selected.persons(), &mut places);
            let block = &selected.blocks()[number];
            let add = |count: &mut u64| *count = count.wrapping_add_signed(sign);
            for place in &places {
                let place = *place as usize;
                let kind = block.kind[place] as usize;
                add(&mut self.kinds[kind]);
                add(&mut self.persons[block.person[place] as usize]);
                let content = &mut self.contents[block.content[place] as usize];
                add(&mut content.rows);
                if without_source[kind] {
                    add(&mut content.without_source);
                }
            }
        }
    }

    fn merge(mut self, other: Self) -> Self {
        let sums = |mine: &mut Vec<u64>, others: Vec<u64>| {
            mine.iter_mut()
                .zip(others)
                .for_each(|(count, other)| *count += other);
        };
        sums(&mut self.kinds, other.kinds);
        sums(&mut self.persons, other.persons);
        for (count, other) in self.contents.iter_mut().zip(other.contents) {
            count.rows += other.rows;
            count.without_source += other.without_source;
        }
        self
    }

    /// The counts of the present rows by remembered ones. `None` if counting everything is better.
    fn update(known: Remembered<Self>, selected: &Selected<'_>) -> Option<Self> {
        let columns = selected.columns();
        let rows = columns.changes_since(known.moment)?.changed_rows(columns);
        let mut counts = known.count;
        counts.resize(columns);
        for (blocks, sign) in [(&rows.then, -1), (&rows.now, 1)] {
            counts.add(
                &selected.of_rows(blocks, selected.persons()),
                0..blocks.len(),
                sign,
            );
        }
        Some(counts)
    }
}

impl RememberedFacets {
    /// Counts the selected rows, from a remembered count if there is one.
    fn count_rows(&self, selected: &Selected<'_>) -> FacetCounts {
        if selected.depends_on_time() {
            return FacetCounts::of_all(selected);
        }
        let digest = |sizes| {
            let mut bytes = Vec::new();
            selected.write_key(sizes, &mut bytes);
            Fingerprint::from_bytes(&bytes)
        };
        let known = self.find(digest);
        let key = known.as_ref().map(|known| known.key);
        let updated = known.and_then(|known| FacetCounts::update(known, selected));
        let counts = updated.unwrap_or_else(|| FacetCounts::of_all(selected));
        self.insert(selected, Remembered::new(selected, key, digest, counts.clone()));
        counts
    }
}

impl FacetCounter {
    /// Counts the selected rows. `now` decides whether a row has expired.
    pub(crate) fn from_columns(
        remembered: &RememberedFacets,
        selected: &Selected<'_>,
        people: &People,
        now: Timestamp,
    ) -> Self {
        let mut counter = Self::default();
        counter.add_counts(selected.columns(), people, remembered.count_rows(selected));
        let expired = in_parallel(selected.blocks().len(), |blocks| {
            blocks
                .map(|number| selected.count_expired(number, now.micros()))
                .sum::<u64>()
        });
        counter.expired = expired.into_iter().sum();
        counter
    }

    fn add_counts(&mut self, columns: &LogColumns, people: &People, counts: FacetCounts) {
        for (kind, rows) in columns.kinds().iter().zip(&counts.kinds) {
            if let (Some(kind), 1..) = (kind, *rows) {
                self.add_kind(columns, kind, *rows);
            }
        }
        let mut rows_by_user = HashMap::new();
        let persons = columns.persons().iter().zip(people.users()).zip(counts.persons);
        for ((person, user), rows) in persons.filter(|(_, rows)| *rows > 0) {
            self.persons.insert(PersonKey(*person), rows);
            let user = people.key(*user);
            // A person without a user stands for itself.
            if user != *person {
                *rows_by_user.entry(user).or_default() += rows;
            }
        }
        self.users = Some(rows_by_user);
        for (content, count) in columns.contents().iter().zip(counts.contents) {
            if let (Some(content), 1..) = (content, count.rows) {
                self.contents.insert(ContentKey(*content), count);
            }
        }
    }

    fn add_kind(&mut self, columns: &LogColumns, kind: &Kind, rows: u64) {
        self.rows += rows;
        *self.verbs.entry(VerbKey(kind.verb)).or_default() += rows;
        *self.actions.entry(kind.action).or_default() += rows;
        *self.origins.entry(kind.origin).or_default() += rows;
        if let Some(device) = kind.device_type.and_then(|code| columns.text(code)) {
            self.device_types.add_rows(device, rows);
        }
        if let Some(source) = kind.source.and_then(|code| columns.text(code)) {
            self.sources.add_rows(source, rows);
        }
        if let Some(import) = kind.import.and_then(|code| columns.import(code)) {
            *self.imports.entry(import).or_default() += rows;
            self.imported += rows;
        }
        match kind.success {
            Some(true) => self.passed += rows,
            Some(false) => self.failed += rows,
            None => {}
        }
        self.completed += if kind.completed { rows } else { 0 };
        self.certified += if kind.certified { rows } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::columns::ColumnRow;
    use crate::log::columns::selection::{RowSelection, SelectedPersons};
    use crate::log::columns::tests::{any_row, apply, everything};
    use crate::log::facets::CountedActivity;

    fn counted(row: ColumnRow) -> CountedActivity {
        CountedActivity {
            person: PersonKey(row.person),
            content: row.content.map(ContentKey),
            verb: VerbKey(row.verb),
            action: row.action,
            origin: row.origin,
            device_type: row.device_type,
            source: row.source,
            import: row.import,
            completed: row.completed,
            success: row.success,
            certified: row.certified,
            expired_at: row.expired_at,
        }
    }

    proptest! {
        #[test]
        fn columns_count_as_their_rows_after_any_changes(
            pieces in prop::collection::vec(
                prop::collection::vec((any_row(), prop::bool::weighted(0.1)), 0..30),
                1..5,
            ),
            now in -6..6_i64,
            hidden in prop::option::of(100..106_i64),
        ) {
            let now = Timestamp::from_micros(now);
            let selection = RowSelection {
                persons: SelectedPersons::AllExcept(hidden.into_iter().collect()),
                ..everything()
            };
            let remembered = RememberedFacets::default();
            let mut changes = Vec::new();
            let mut columns = LogColumns::new();
            for piece in pieces {
                for (row, removed) in piece {
                    match removed {
                        true => columns.remove(row.seq),
                        false => columns.put(row.clone()).unwrap(),
                    }
                    changes.push((row, removed));
                }
                let (_, rows) = apply(changes.clone());
                let mut expected = FacetCounter::default();
                for row in rows.into_iter().filter(|row| Some(row.person) != hidden) {
                    expected.add(&counted(row), now);
                }
                let users = HashMap::from([(100, 1_000), (101, 1_000), (102, 1_001)]);
                let mut people = People::default();
                people.extend(&columns, &users);
                let selected = selection.compile(&columns);
                let counted = FacetCounter::from_columns(&remembered, &selected, &people, now);
                let rows_of = |key: i64| expected.persons.get(&PersonKey(key)).copied().unwrap_or(0);
                let by_user = [(1_000, rows_of(100) + rows_of(101)), (1_001, rows_of(102))];
                let by_user = by_user.into_iter().filter(|(_, rows)| *rows > 0).collect();
                prop_assert_eq!(counted, FacetCounter { users: Some(by_user), ..expected });
            }
        }
    }
}
