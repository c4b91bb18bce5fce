//! Counts the columns of the log for facets.

use std::collections::HashMap;

use super::{ContentCount, FacetCounter};
use crate::base::clock::Timestamp;
use crate::log::columns::block::Block;
use crate::log::columns::people::People;
use crate::log::columns::selection::{Selected, in_parallel};
use crate::log::columns::{Kind, LogColumns};
use crate::log::row::{ContentKey, PersonKey, VerbKey};

/// The rows of each code.
struct Counts {
    kinds: Vec<u64>,
    persons: Vec<u64>,
    contents: Vec<ContentCount>,
    expired: u64,
}

impl Counts {
    fn new(columns: &LogColumns) -> Self {
        Self {
            kinds: vec![0; columns.kinds().len()],
            persons: vec![0; columns.persons().len()],
            contents: vec![ContentCount::default(); columns.contents().len()],
            expired: 0,
        }
    }

    fn add(&mut self, block: &Block, places: &[u32], without_source: &[bool], now: i64) {
        for place in places {
            let place = *place as usize;
            let kind = block.kind[place] as usize;
            self.kinds[kind] += 1;
            self.persons[block.person[place] as usize] += 1;
            let content = &mut self.contents[block.content[place] as usize];
            content.rows += 1;
            content.without_source += u64::from(without_source[kind]);
        }
        let mut places = places.iter().peekable();
        for (place, at) in &block.expiries {
            while places.peek().is_some_and(|other| *other < place) {
                places.next();
            }
            self.expired += u64::from(places.peek() == Some(&place) && *at < now);
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
        self.expired += other.expired;
        self
    }
}

impl FacetCounter {
    /// Counts the selected rows. `now` decides whether a row has expired.
    pub(crate) fn from_columns(selected: &Selected<'_>, people: &People, now: Timestamp) -> Self {
        let columns = selected.columns();
        let without_source = columns.kinds().iter();
        let without_source: Vec<bool> = without_source
            .map(|kind| kind.is_some_and(|kind| kind.source.is_none()))
            .collect();
        let counts = in_parallel(columns.blocks().len(), |blocks| {
            let mut counts = Counts::new(columns);
            let mut places = Vec::new();
            for number in blocks {
                selected.find_places(number, selected.persons(), &mut places);
                counts.add(&columns.blocks()[number], &places, &without_source, now.micros());
            }
            counts
        });
        let counts = counts.into_iter().reduce(Counts::merge);
        let mut counter = Self::default();
        if let Some(counts) = counts {
            counter.add_counts(columns, people, counts);
        }
        counter
    }

    fn add_counts(&mut self, columns: &LogColumns, people: &People, counts: Counts) {
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
        self.expired = counts.expired;
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
    use crate::log::columns::tests::{any_row, apply, everything};
    use crate::log::facets::CountedActivity;

    proptest! {
        #[test]
        fn columns_count_as_their_rows(
            changes in prop::collection::vec((any_row(), prop::bool::weighted(0.1)), 0..80),
            now in -6..6_i64,
        ) {
            let now = Timestamp::from_micros(now);
            let (columns, rows) = apply(changes);
            let mut expected = FacetCounter::default();
            for row in rows {
                let counted = CountedActivity {
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
                };
                expected.add(&counted, now);
            }
            let users = HashMap::from([(100, 1_000), (101, 1_000), (102, 1_001)]);
            let mut people = People::default();
            people.extend(&columns, &users);
            let counted = FacetCounter::from_columns(&everything().compile(&columns), &people, now);
            let rows_of = |key: i64| expected.persons.get(&PersonKey(key)).copied().unwrap_or(0);
            let by_user = [(1_000, rows_of(100) + rows_of(101)), (1_001, rows_of(102))];
            let by_user = by_user.into_iter().filter(|(_, rows)| *rows > 0).collect();
            prop_assert_eq!(counted, FacetCounter { users: Some(by_user), ..expected });
        }
    }
}
