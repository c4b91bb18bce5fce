//! Counts that are remembered, so that the next count of the same question reads only what has changed.
//!
//! All measures of a group are sums over the people: a person, an attempt and a session belong to one user. So a count is
//! brought up to date by the rows of the users with changed rows: what they contributed at its moment is subtracted, and
//! what they contribute now is added. The result is that of counting everything.
//!
//! What a count depends on besides the rows, such as the users of the persons, their teams, and the types of the contents,
//! is part of its digest ([`RememberedCounts`]).

use std::collections::HashMap;

use chrono_tz::Tz;

use super::columns::{LaneCounter, SummaryLookups};
use super::each_row::count_each_row;
use super::{CountedGroups, LimitExceeded, Tally};
use crate::base::fingerprint::Fingerprint;
use crate::log::columns::former::Changes;
use crate::log::columns::remembered::{Count, Remembered, RememberedCounts};
use crate::log::columns::selection::{Selected, Sizes};
use crate::log::summary::{Dimension, MOST_DIMENSIONS};

/// The sums of groups, by the values of their dimensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupTallies {
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
}

impl Count for GroupTallies {
    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<([i64; MOST_DIMENSIONS], Tally)>()
    }
}

/// The question of a summary.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) by: &'a [Dimension],
    pub(crate) zone: Tz,
    pub(crate) selected: &'a Selected<'a>,
    pub(crate) lookups: &'a SummaryLookups<'a>,
}

/// The summaries of an organisation.
pub(crate) type RememberedSummaries = RememberedCounts<GroupTallies>;

impl RememberedSummaries {
    /// Counts the selected rows in groups, from a remembered count if there is one.
    pub(crate) fn count(
        &self,
        question: Question<'_>,
        most_groups: usize,
    ) -> Result<CountedGroups, LimitExceeded> {
        let Question { by, selected, .. } = question;
        // By user there is a group for each, and no group is a sum.
        let can_be_remembered = !selected.depends_on_time() && !by.contains(&Dimension::User);
        let known = can_be_remembered.then(|| self.find(|sizes| question.digest(sizes)));
        let known = known.flatten();
        let key = known.as_ref().map(|known| known.key);
        let counted = match known.and_then(|known| question.update(known)) {
            Some(updated) => updated,
            None => match LaneCounter::new(question) {
                Some(counter) if can_be_remembered => counter.count_tallies(),
                Some(counter) => return Ok(counter.count(most_groups)),
                None => return count_each_row(question, most_groups),
            },
        };
        let result = counted.result(by, most_groups);
        let counted = Remembered::new(selected, key, |sizes| question.digest(sizes), counted);
        self.insert(selected, counted);
        Ok(result)
    }
}

impl Question<'_> {
    /// The count of the present rows by a remembered one. `None` if counting everything is better.
    fn update(&self, known: Remembered<GroupTallies>) -> Option<GroupTallies> {
        let selected = self.selected;
        let columns = selected.columns();
        let changes = columns.changes_since(known.moment)?;
        let mut groups = known.count;
        if changes.is_empty(columns) {
            return Some(groups);
        }
        let persons = self.persons_of_users(&changes);
        let rows = changes.rows_of(columns, &persons)?;
        let count = |blocks| {
            let selected = selected.of_rows(blocks, &persons);
            let question = Question {
                selected: &selected,
                ..*self
            };
            LaneCounter::new(question).map(|counter| counter.count_tallies())
        };
        groups.subtract(&count(&rows.then)?)?;
        groups.add(&count(&rows.now)?);
        Some(groups)
    }

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

    /// The digest of the question with the codes below these sizes.
    fn digest(&self, sizes: Sizes) -> Fingerprint {
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
        Fingerprint::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

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
            let remembered = RememberedSummaries::default();
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
                let known = remembered.find(|sizes| question.digest(sizes));
                prop_assert_eq!(known.is_some(), number > 0);
                if let Some(known) = known {
                    prop_assert!(question.update(known).is_some());
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
        let remembered = RememberedSummaries::default();
        let is_known = |by: &[Dimension], zone, selection: &RowSelection, lookups: &SummaryLookups<'_>| {
            let selected = selection.compile(&columns);
            let question = Question {
                by,
                zone,
                selected: &selected,
                lookups,
            };
            let is_known = remembered.find(|sizes| question.digest(sizes)).is_some();
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

    /// Maps are used for the few rows, and arrays for all of them.
    #[test]
    fn few_rows_among_many_attempts_bring_a_count_up_to_date() {
        let attempt = |seq: i64| ColumnRow {
            person: if seq < 6 { 106 } else { 100 + seq % 6 },
            content: Some(200 + seq % 3),
            completed: seq % 2 == 0,
            percent: Some(seq % 100),
            seconds: Some(seq),
            registration: Some(Uuid::from_u128(seq as u128 / 6)),
            ..row(seq)
        };
        let mut columns = LogColumns::new();
        for seq in 0..2_000 {
            columns.put(attempt(seq)).unwrap();
        }
        let remembered = RememberedSummaries::default();
        let mut updates = 0;
        let changed = ColumnRow {
            percent: Some(99),
            ..attempt(1)
        };
        let late = ColumnRow {
            seq: 5_000,
            completed: true,
            ..attempt(3)
        };
        for change in [None, Some(changed), Some(late)] {
            if let Some(row) = change {
                columns.put(row).unwrap();
            }
            let people = people_of(&columns, &users());
            let lookups = SummaryLookups {
                people: &people,
                teams: teams(),
                kinds: kinds(),
            };
            let selection = everything();
            let selected = selection.compile(&columns);
            let question = Question {
                by: &[Dimension::Content, Dimension::Team],
                zone: Tz::UTC,
                selected: &selected,
                lookups: &lookups,
            };
            if let Some(known) = remembered.find(|sizes| question.digest(sizes)) {
                assert!(question.update(known).is_some());
                updates += 1;
            }
            let expected = sorted(count_each_row(question, 100).unwrap());
            assert_eq!(sorted(remembered.count(question, 100).unwrap()), expected);
        }
        assert_eq!(updates, 2, "the same question each time");
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
        let remembered = RememberedSummaries::default();
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
        assert!(remembered.find(|sizes| question.digest(sizes)).is_none());
    }
}
