//! Counts that are remembered, so that the next count of the same question reads only what has changed.
//!
//! All measures of a group are sums over the people: a person, an attempt and a session belong to one user. So a count is
//! brought up to date by the rows of the users with changed rows: what they contributed at its moment is subtracted, and
//! what they contribute now is added. The result is that of counting everything.
//!
//! A count is remembered by a digest of all that it depends on besides the rows: which persons, contents and kinds are
//! selected, the users of the persons, their teams, and the types of the contents. The digest covers the codes that the
//! columns had at its moment. Later codes belong to later rows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;

use super::columns::{LaneCounter, SummaryLookups, count_each_row};
use super::{CountedGroups, LimitExceeded, Tally};
use crate::base::fingerprint::Fingerprint;
use crate::log::columns::former::{Changes, Moment};
use crate::log::columns::selection::{Selected, Sizes};
use crate::log::summary::{Dimension, MOST_DIMENSIONS};

/// The most counts of an organisation that are remembered. The one that was used the longest time ago is forgotten first.
const MOST_COUNTS: usize = 32;
/// A count with more groups is not remembered.
const MOST_GROUPS: usize = 10_000;
/// The most groups of all counts of an organisation together: about 20 MB.
const MOST_GROUPS_IN_ALL: usize = 100_000;

/// The counts of an organisation, the last used ones at the end.
#[derive(Debug, Default)]
pub(crate) struct RememberedCounts(Mutex<Vec<Remembered>>);

/// A count at a moment.
#[derive(Debug, Clone)]
struct Remembered {
    key: Key,
    moment: Moment,
    groups: GroupTallies,
}

/// The sums of groups, by the values of their dimensions.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupTallies {
    pub(super) groups: HashMap<[i64; MOST_DIMENSIONS], Tally>,
    pub(super) total: Tally,
}

impl GroupTallies {
    /// Adds the sums of other people.
    fn add(&mut self, other: &Self) {
        for (values, tally) in &other.groups {
            self.groups.entry(*values).or_default().merge(tally);
        }
        self.total.merge(&other.total);
    }

    /// Takes away the sums of some of the people. `None` if they are not part of these sums.
    fn subtract(&mut self, other: &Self) -> Option<()> {
        for (values, tally) in &other.groups {
            let group = self.groups.get_mut(values)?;
            group.subtract(tally)?;
            if group.rows == 0 {
                self.groups.remove(values);
            }
        }
        self.total.subtract(&other.total)
    }

    /// The measures of the groups with the most rows.
    pub(super) fn result(&self, by: &[Dimension], most_groups: usize) -> CountedGroups {
        let groups = self.groups.iter();
        let groups = groups.map(|(values, tally)| (*values, tally.measures()));
        CountedGroups::new(by, groups.collect(), self.total.measures(), most_groups)
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<([i64; MOST_DIMENSIONS], Tally)>()
    }
}

/// What a count depends on besides the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// The codes that are part of the digest.
    sizes: Sizes,
    digest: Fingerprint,
}

/// The question of a summary.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) by: &'a [Dimension],
    pub(crate) zone: Tz,
    pub(crate) selected: &'a Selected<'a>,
    pub(crate) lookups: &'a SummaryLookups<'a>,
}

impl RememberedCounts {
    /// Counts the selected rows in groups, from a remembered count if there is one.
    pub(crate) fn count(
        &self,
        question: Question<'_>,
        most_groups: usize,
    ) -> Result<CountedGroups, LimitExceeded> {
        let Question { by, selected, .. } = question;
        // By user there is a group for each, and no group is a sum.
        let can_be_remembered = !selected.depends_on_time() && !by.contains(&Dimension::User);
        if can_be_remembered && let Some(known) = self.find(question) {
            match known.update(question) {
                Some(updated) => return Ok(self.insert(updated, question, most_groups)),
                None => tracing::trace!("a remembered count is too old"),
            }
        }
        let Some(counter) = LaneCounter::new(question) else {
            return count_each_row(question, most_groups);
        };
        if !can_be_remembered {
            return Ok(counter.count(most_groups));
        }
        let counted = Remembered {
            key: question.key(Sizes::of(selected.columns())),
            moment: selected.columns().moment(),
            groups: counter.count_tallies(),
        };
        Ok(self.insert(counted, question, most_groups))
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Remembered>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remembered count of a question.
    fn find(&self, question: Question<'_>) -> Option<Remembered> {
        let sizes: Vec<Sizes> = self.counts().iter().map(|known| known.key.sizes).collect();
        // Digests are made without the lock; most counts have the same sizes.
        let mut keys: Vec<Key> = Vec::new();
        for sizes in sizes {
            if keys.iter().all(|key| key.sizes != sizes) {
                keys.push(question.key(sizes));
            }
        }
        let mut counts = self.counts();
        let place = counts.iter().rposition(|known| keys.contains(&known.key))?;
        let known = counts.remove(place);
        counts.push(known.clone());
        Some(known)
    }

    /// Remembers a count, and returns its result.
    fn insert(&self, counted: Remembered, question: Question<'_>, most_groups: usize) -> CountedGroups {
        let result = counted.groups.result(question.by, most_groups);
        if question.selected.is_cancelled() || counted.groups.groups.len() > MOST_GROUPS {
            return result;
        }
        let mut counts = self.counts();
        counts.retain(|known| known.key != counted.key);
        counts.push(counted);
        let size = |counts: &[Remembered]| {
            counts
                .iter()
                .map(|known| known.groups.groups.len())
                .sum::<usize>()
        };
        while counts.len() > MOST_COUNTS || size(&counts) > MOST_GROUPS_IN_ALL {
            counts.remove(0);
        }
        result
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.counts().iter().map(|known| known.groups.bytes()).sum()
    }
}

impl Remembered {
    /// The count of the present rows. `None` if counting everything is better.
    fn update(mut self, question: Question<'_>) -> Option<Self> {
        let selected = question.selected;
        let columns = selected.columns();
        let changes = columns.changes_since(self.moment)?;
        if changes.is_empty(columns) {
            return Some(self);
        }
        let persons = question.persons_of_users(&changes);
        let rows = changes.rows_of(columns, &persons)?;
        let count = |blocks| {
            let selected = selected.of_rows(blocks, &persons);
            let question = Question {
                selected: &selected,
                ..question
            };
            LaneCounter::new(question).map(|counter| counter.count_tallies())
        };
        self.groups.subtract(&count(&rows.then)?)?;
        self.groups.add(&count(&rows.now)?);
        Some(Self {
            key: question.key(Sizes::of(columns)),
            moment: columns.moment(),
            groups: self.groups,
        })
    }
}

impl Question<'_> {
    /// For each person, whether a row of its user has changed.
    fn persons_of_users(&self, changes: &Changes) -> Vec<bool> {
        let users = self.lookups.people.users();
        let mut changed = vec![false; users.len()];
        for (_, user) in changes
            .persons()
            .iter()
            .zip(users)
            .filter(|(has_changed, _)| **has_changed)
        {
            changed[*user as usize] = true;
        }
        users.iter().map(|user| changed[*user as usize]).collect()
    }

    fn key(&self, sizes: Sizes) -> Key {
        let Self {
            by,
            zone,
            selected,
            lookups,
        } = *self;
        let mut bytes = Vec::new();
        let write = |number: i64, bytes: &mut Vec<u8>| bytes.extend(number.to_le_bytes());
        bytes.extend(zone.name().as_bytes());
        for dimension in by {
            bytes.extend([0, *dimension as u8]);
        }
        bytes.push(u8::MAX);
        selected.write_key(sizes, &mut bytes);
        let persons = lookups.people.users().iter().take(sizes.persons);
        for (user, is_selected) in persons.zip(selected.persons()) {
            let key = lookups.people.key(*user);
            write(key, &mut bytes);
            if *is_selected && by.contains(&Dimension::Team) {
                let teams = lookups.teams_of(key);
                write(teams.len() as i64, &mut bytes);
                teams.iter().for_each(|team| write(*team, &mut bytes));
            }
        }
        if by.contains(&Dimension::Type) || by.contains(&Dimension::ContentType) {
            let contents = selected.columns().contents().iter().take(sizes.contents);
            for content in contents {
                let (learning_type, format) = content.map(|key| lookups.kind_of(key)).unwrap_or_default();
                write(
                    learning_type.map_or(-1, |kind| i64::from(kind.code())),
                    &mut bytes,
                );
                write(format.map_or(-1, |format| i64::from(format.code())), &mut bytes);
            }
        }
        Key {
            sizes,
            digest: Fingerprint::from_bytes(&bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::log::columns::people::People;
    use crate::log::columns::selection::{RowSelection, SelectedPersons};
    use crate::log::columns::tests::{any_row, everything, row};
    use crate::log::columns::{ColumnRow, LogColumns};
    use crate::log::summary::counter::SummaryCounter;
    use crate::log::summary::counter::columns::tests::{counted, kinds, sorted, teams, users};

    /// What happens to the log between two counts.
    type Piece = Vec<(ColumnRow, bool)>;

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let piece = prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..12);
        prop::collection::vec(piece, 1..8)
    }

    proptest! {
        #[test]
        fn remembered_count_equals_a_new_one_after_any_changes(
            pieces in pieces(),
            by in prop::sample::subsequence(
                Dimension::ALL.iter().copied().filter(|one| *one != Dimension::User).collect::<Vec<_>>(),
                1..=2,
            ).prop_shuffle(),
            hidden in prop::option::of(100..106_i64),
            seqs in prop::option::of((0..20_i64, 20..40_i64)),
        ) {
            let selection = RowSelection {
                persons: SelectedPersons::AllExcept(hidden.into_iter().collect()),
                seqs: seqs.unwrap_or((i64::MIN, i64::MAX)),
                ..everything()
            };
            let teams = teams();
            let remembered = RememberedCounts::default();
            let (mut columns, mut rows) = (LogColumns::new(), BTreeMap::new());
            let mut people = People::default();
            for (number, piece) in pieces.into_iter().enumerate() {
                for (row, removed) in piece {
                    // Days apart, so that there are several.
                    let at = row.happened_at.micros() * 7 * 3_600_000_000;
                    let row = ColumnRow { happened_at: Timestamp::from_micros(at), ..row };
                    match removed {
                        true => {
                            columns.remove(row.seq);
                            rows.remove(&row.seq);
                        }
                        false => {
                            columns.put(row.clone()).unwrap();
                            rows.insert(row.seq, row);
                        }
                    }
                }
                people.extend(&columns, &users());
                let selected = selection.compile(&columns);
                let lookups = SummaryLookups { people: &people, teams: teams.clone(), kinds: kinds() };
                let question = Question { by: &by, zone: Tz::UTC, selected: &selected, lookups: &lookups };
                let known = remembered.find(question);
                prop_assert_eq!(known.is_some(), number > 0);
                if let Some(known) = known {
                    prop_assert!(known.update(question).is_some());
                }
                let mut counter = SummaryCounter::new(&by, Tz::UTC);
                let is_selected = |row: &&ColumnRow| {
                    Some(row.person) != hidden && seqs.is_none_or(|(after, to)| row.seq > after && row.seq <= to)
                };
                for row in rows.values().filter(is_selected) {
                    counter.add(&counted(row, &teams)).unwrap();
                }
                let expected = sorted(counter.finish(1_000));
                prop_assert_eq!(sorted(remembered.count(question, 1_000).unwrap()), expected);
            }
        }
    }

    /// Columns with the rows of six people about three contents.
    fn some_columns() -> LogColumns {
        let mut columns = LogColumns::new();
        for seq in 0..60 {
            let row = ColumnRow {
                person: 100 + seq % 6,
                content: Some(200 + seq % 3),
                completed: seq % 2 == 0,
                ..row(seq)
            };
            columns.put(row).unwrap();
        }
        columns
    }

    fn people_of(columns: &LogColumns, users: &HashMap<i64, i64>) -> People {
        let mut people = People::default();
        people.extend(columns, users);
        people
    }

    #[test]
    fn other_people_teams_types_and_selections_are_other_questions() {
        let columns = some_columns();
        let people = people_of(&columns, &users());
        let moved = people_of(
            &columns,
            &HashMap::from([(100, 1_000), (101, 1_001), (102, 1_001)]),
        );
        let remembered = RememberedCounts::default();
        let is_known = |by: &[Dimension], zone, selection: &RowSelection, lookups: &SummaryLookups<'_>| {
            let selected = selection.compile(&columns);
            let question = Question {
                by,
                zone,
                selected: &selected,
                lookups,
            };
            let is_known = remembered.find(question).is_some();
            remembered.count(question, 100).unwrap();
            is_known
        };
        let lookups = |people, teams, kinds| SummaryLookups { people, teams, kinds };
        let all = everything();
        let usual = lookups(&people, teams(), kinds());
        let by = [Dimension::Team, Dimension::Type];
        assert!(!is_known(&by, Tz::UTC, &all, &usual));
        assert!(is_known(&by, Tz::UTC, &all, &usual));
        assert!(!is_known(&[Dimension::Team], Tz::UTC, &all, &usual));
        assert!(!is_known(&by, Tz::Europe__Berlin, &all, &usual));
        let other_teams = HashMap::from([(1_000, vec![1]), (1_001, vec![2])]);
        assert!(!is_known(
            &by,
            Tz::UTC,
            &all,
            &lookups(&people, other_teams, kinds())
        ));
        let mut other_kinds = kinds();
        other_kinds.remove(&200);
        assert!(!is_known(
            &by,
            Tz::UTC,
            &all,
            &lookups(&people, teams(), other_kinds)
        ));
        assert!(!is_known(&by, Tz::UTC, &all, &lookups(&moved, teams(), kinds())));
        let someone = |keys| RowSelection {
            persons: SelectedPersons::Only(keys),
            ..everything()
        };
        assert!(!is_known(&by, Tz::UTC, &someone(vec![100]), &usual));
        assert!(!is_known(&by, Tz::UTC, &someone(vec![101]), &usual));
        let content = RowSelection {
            contents: Some(vec![200]),
            ..everything()
        };
        assert!(!is_known(&by, Tz::UTC, &content, &usual));
        assert!(is_known(&by, Tz::UTC, &all, &usual), "it is still remembered");
    }

    #[test]
    fn memory_of_remembered_counts_is_bounded() {
        let columns = some_columns();
        let people = people_of(&columns, &users());
        let lookups = SummaryLookups {
            people: &people,
            teams: teams(),
            kinds: kinds(),
        };
        let remembered = RememberedCounts::default();
        for seq in 0..2 * MOST_COUNTS as i64 {
            let selection = RowSelection {
                seqs: (i64::MIN, seq),
                ..everything()
            };
            let selected = selection.compile(&columns);
            let question = Question {
                by: &[Dimension::Content],
                zone: Tz::UTC,
                selected: &selected,
                lookups: &lookups,
            };
            remembered.count(question, 100).unwrap();
        }
        assert_eq!(remembered.counts().len(), MOST_COUNTS);
        assert!(remembered.bytes() > 0);
    }

    #[test]
    fn count_that_nobody_waits_for_is_not_remembered() {
        let columns = some_columns();
        let people = people_of(&columns, &users());
        let lookups = SummaryLookups {
            people: &people,
            teams: teams(),
            kinds: kinds(),
        };
        let remembered = RememberedCounts::default();
        let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let selection = everything();
        let selected = selection.compile(&columns).until(flag);
        let question = Question {
            by: &[Dimension::Action],
            zone: Tz::UTC,
            selected: &selected,
            lookups: &lookups,
        };
        remembered.count(question, 100).unwrap();
        assert!(remembered.find(question).is_none());
    }
}
