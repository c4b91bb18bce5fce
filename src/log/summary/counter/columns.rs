//! Counts the columns of the log in groups.
//!
//! Each measure of each group is a number at a place of an array, so a row needs no lookup in a map. The persons are
//! divided into *lanes*, which are counted one after the other or by different threads: a person, an attempt and a
//! session belong to one lane, so the counts of lanes are added. A lane has few enough persons for its bits, one for each
//! person and each part of a group by row. By user, a group belongs to one lane too, so only the groups of one lane are
//! in memory.
//!
//! With too many groups for arrays, [`each_row`](super::each_row) counts the rows one by one.

use std::collections::HashMap;

use super::axes::{PersonAxes, RowAxes};
use super::best::{Distinct, Extent, Greatest};
use super::remembered::{GroupTallies, Question};
use super::{CountedGroups, PlacedScore, Tally, keep_largest};
use crate::base::clock::Timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::columns::NO_SESSION;
use crate::log::columns::block::Block;
use crate::log::columns::people::People;
use crate::log::columns::selection::{Selected, run_threads, threads_for};
use crate::log::summary::{Dimension, MOST_DIMENSIONS, Measures};

/// The most groups that are counted in arrays at once: 45 MB.
const MAX_GROUPS: usize = 400_000;
/// The most bits of a lane: 16 MiB.
const MAX_LANE_BITS: usize = 128 * 1024 * 1024;
/// The rows for one lane, on average. It bounds the entries of attempts and sessions.
const ROWS_PER_LANE: usize = 4_000_000;
/// The most lanes. Each of them walks all rows.
const MAX_LANES: usize = 1_000;
/// The slot of a person of which no row is selected.
const NO_SLOT: u32 = u32::MAX;

/// The type and the content type of a content.
pub(crate) type ContentKind = (Option<LearningType>, Option<ContentFormat>);

/// What the groups depend on besides the columns.
pub(crate) struct SummaryLookups<'a> {
    pub(crate) people: &'a People,
    /// The teams in which the rows of a user count, by the key of the user.
    pub(crate) teams: HashMap<i64, Vec<i64>>,
    /// The kinds of contents, if rows are counted by type or content type.
    pub(crate) kinds: HashMap<i64, ContentKind>,
}

impl SummaryLookups<'_> {
    pub(super) fn kind_of(&self, content: i64) -> ContentKind {
        self.kinds.get(&content).copied().unwrap_or_default()
    }

    pub(super) fn teams_of(&self, user: i64) -> &[i64] {
        self.teams.get(&user).map_or(&[], Vec::as_slice)
    }
}

/// Counts lanes of persons.
pub(super) struct LaneCounter<'a> {
    by: &'a [Dimension],
    selected: &'a Selected<'a>,
    people: &'a People,
    by_row: RowAxes,
    by_person: PersonAxes,
    /// The number of codes of [`Self::by_row`].
    row_codes: usize,
    /// For each person, the slot of its user among those with selected persons.
    slots: Vec<u32>,
    /// For each slot, its code of [`Self::by_person`].
    parts: Vec<u32>,
    /// Whether no two slots have a group in common.
    is_by_user: bool,
    /// The number of slots of a lane.
    lane: usize,
    threads: usize,
    /// The attempts and rows that a lane may have.
    extent: Extent,
}

/// The counts of some lanes.
struct Counts {
    /// By user, the groups of one lane.
    tallies: Vec<Tally>,
    /// By user, the largest groups of the lanes so far.
    finished: Vec<([i64; MOST_DIMENSIONS], Measures)>,
    is_truncated: bool,
    total: Tally,
    completions: Distinct,
    scores: Greatest<PlacedScore>,
    durations: Greatest<i64>,
    /// One bit for each slot of the lane and each code by row.
    bits: Vec<u64>,
}

impl Counts {
    fn group_and_total(&mut self, group: usize) -> [&mut Tally; 2] {
        [&mut self.tallies[group], &mut self.total]
    }
}

impl<'a> LaneCounter<'a> {
    /// `None` if there are too many groups for arrays.
    pub(super) fn new(question: Question<'a>) -> Option<Self> {
        let Question {
            by,
            zone,
            selected,
            lookups,
        } = question;
        let people = lookups.people;
        let by_row = RowAxes::new(by, zone, selected, lookups)?;
        let by_person = PersonAxes::new(by, selected, lookups);
        let row_codes = by_row.size()?;
        let is_by_user = by.contains(&Dimension::User);
        let groups = row_codes.checked_mul(if is_by_user { 1 } else { by_person.values.len() })?;
        if groups > MAX_GROUPS {
            return None;
        }
        let mut slot_of_user = HashMap::new();
        let mut parts = Vec::new();
        let persons = selected.persons().iter().zip(people.users()).enumerate();
        let slots = persons.map(|(person, (is_selected, user))| {
            if !is_selected {
                return NO_SLOT;
            }
            let next = parts.len() as u32;
            let slot = *slot_of_user.entry(*user).or_insert(next);
            if slot == next {
                parts.push(by_person.codes[person]);
            }
            slot
        });
        let slots: Vec<u32> = slots.collect();
        let blocks = selected.blocks();
        let extent = Extent {
            attempts: selected.columns().sessions().len(),
            rows: blocks.iter().map(Block::len).sum(),
        };
        let threads = threads_for(blocks.len());
        let most = if is_by_user { MAX_GROUPS } else { MAX_LANE_BITS };
        let lanes = parts.len().checked_mul(row_codes)?.div_ceil(most);
        let lanes = lanes.max(extent.rows.div_ceil(ROWS_PER_LANE)).max(threads);
        if lanes > MAX_LANES {
            return None;
        }
        Some(Self {
            by,
            selected,
            people,
            by_row,
            by_person,
            row_codes,
            slots,
            is_by_user,
            lane: parts.len().div_ceil(lanes).max(1),
            parts,
            threads,
            extent,
        })
    }

    /// Counts the rows. By user, only the largest groups are in memory.
    pub(super) fn count(&self, most_groups: usize) -> CountedGroups {
        if !self.is_by_user {
            return self.count_tallies().result(self.by, most_groups);
        }
        let counts = self.count_lanes(most_groups);
        let total = total_of(&counts);
        let is_truncated = counts.iter().any(|counts| counts.is_truncated);
        let groups = counts.into_iter().flat_map(|counts| counts.finished).collect();
        let mut counted = CountedGroups::new(self.by, groups, total.measures(), most_groups);
        counted.truncated |= is_truncated;
        counted
    }

    /// Counts the rows in groups that are not by user.
    pub(super) fn count_tallies(&self) -> GroupTallies {
        let counts = self.count_lanes(usize::MAX);
        GroupTallies {
            total: total_of(&counts),
            groups: self.merge_groups(counts),
        }
    }

    /// The counts of each thread.
    fn count_lanes(&self, most_groups: usize) -> Vec<Counts> {
        let lanes = self.parts.len().div_ceil(self.lane);
        run_threads(self.threads, |thread| {
            let mut counts = self.empty_counts();
            for lane in (thread..lanes).step_by(self.threads) {
                self.count_lane(lane * self.lane, &mut counts);
                if self.is_by_user {
                    self.finish_groups(lane * self.lane, &mut counts, most_groups);
                }
            }
            counts
        })
    }

    /// The groups of all threads.
    fn merge_groups(&self, counts: Vec<Counts>) -> HashMap<[i64; MOST_DIMENSIONS], Tally> {
        let mut counts = counts.into_iter().map(|counts| counts.tallies);
        let mut tallies = counts.next().unwrap_or_default();
        for others in counts {
            for (tally, other) in tallies.iter_mut().zip(&others) {
                tally.merge(other);
            }
        }
        let mut groups: HashMap<[i64; MOST_DIMENSIONS], Tally> = HashMap::new();
        for (group, tally) in tallies.iter().enumerate().filter(|(_, tally)| tally.rows > 0) {
            for values in self.values(group / self.row_codes, group % self.row_codes) {
                groups.entry(values).or_default().merge(tally);
            }
        }
        groups
    }

    /// Moves the groups of a lane, which no other lane has, to the finished ones.
    fn finish_groups(&self, begin: usize, counts: &mut Counts, most_groups: usize) {
        for (group, tally) in counts.tallies.iter_mut().enumerate() {
            if tally.rows == 0 {
                continue;
            }
            let measures = std::mem::take(tally).measures();
            let part = self.parts[begin + group / self.row_codes] as usize;
            let values = self.values(part, group % self.row_codes).into_iter();
            counts.finished.extend(values.map(|values| (values, measures)));
        }
        if counts.finished.len() > 4 * most_groups {
            counts.is_truncated = true;
            keep_largest(&mut counts.finished, most_groups);
        }
    }

    fn empty_counts(&self) -> Counts {
        let parts = if self.is_by_user {
            self.lane
        } else {
            self.by_person.values.len()
        };
        Counts {
            tallies: vec![Tally::default(); self.row_codes * parts],
            finished: Vec::new(),
            is_truncated: false,
            total: Tally::default(),
            completions: Distinct::new(self.extent),
            scores: Greatest::new(self.extent),
            durations: Greatest::new(self.extent),
            bits: vec![0; (self.lane * self.row_codes).div_ceil(64)],
        }
    }

    /// Counts the rows of the slots from `begin` on.
    fn count_lane(&self, begin: usize, counts: &mut Counts) {
        let lane = begin as u32..(begin + self.lane) as u32;
        let persons: Vec<bool> = self.slots.iter().map(|slot| lane.contains(slot)).collect();
        let (mut places, mut codes) = (Vec::new(), Vec::new());
        for (number, block) in self.selected.blocks().iter().enumerate() {
            self.selected.find_places(number, &persons, &mut places);
            self.by_row.find_codes(block, &places, &mut codes);
            for (place, code) in places.iter().zip(&codes) {
                let person = block.person[*place as usize] as usize;
                let slot = self.slots[person] as usize - begin;
                let bit = slot * self.row_codes + *code as usize;
                counts.bits[bit / 64] |= 1 << (bit % 64);
                let part = match self.is_by_user {
                    true => slot,
                    false => self.by_person.codes[person] as usize,
                };
                let group = part * self.row_codes + *code as usize;
                self.count_row(number, *place as usize, group, counts);
            }
        }
        self.end_lane(begin, counts);
    }

    #[inline]
    fn count_row(&self, number: usize, place: usize, group: usize, counts: &mut Counts) {
        let columns = self.selected.columns();
        let block = &self.selected.blocks()[number];
        let Some(kind) = columns.kinds()[block.kind[place] as usize] else {
            return;
        };
        for tally in counts.group_and_total(group) {
            tally.add_outcome(kind.success);
        }
        let session = block.session[place];
        let attempt = self.people.attempt(session);
        if kind.completed {
            let (in_group, in_total) = counts.completions.add(attempt.code, group as u32);
            counts.tallies[group].completions += u64::from(in_group);
            counts.total.completions += u64::from(in_total);
        }
        let is_registered = session != NO_SESSION && attempt.is_registered;
        if let Some(seconds) = block.seconds.get(place) {
            match is_registered {
                true => counts
                    .durations
                    .add(self.people.session(session), group as u32, seconds),
                false => {
                    for tally in counts.group_and_total(group) {
                        tally.seconds += i128::from(seconds);
                    }
                }
            }
        }
        if let Some(percent) = block.percent.get(place) {
            if kind.is_part {
                for tally in counts.group_and_total(group) {
                    tally.part_percents += i128::from(percent);
                    tally.scored_parts += 1;
                }
            } else if is_registered {
                let score = PlacedScore {
                    happened_at: Timestamp::from_micros(block.happened_at[place]),
                    seq: self.selected.seq(number, place),
                    percent,
                };
                counts.scores.add(attempt.code, group as u32, score);
            } else {
                for tally in counts.group_and_total(group) {
                    tally.add_percent(percent);
                }
            }
        }
    }

    /// Adds the persons, attempts and sessions of a lane.
    fn end_lane(&self, begin: usize, counts: &mut Counts) {
        let Counts {
            tallies,
            total,
            completions,
            scores,
            durations,
            bits,
            ..
        } = counts;
        let mut last_slot = usize::MAX;
        for (index, word) in bits.iter_mut().enumerate() {
            while *word != 0 {
                let bit = index * 64 + word.trailing_zeros() as usize;
                *word &= *word - 1;
                let slot = bit / self.row_codes;
                let part = match self.is_by_user {
                    true => slot,
                    false => self.parts[begin + slot] as usize,
                };
                tallies[part * self.row_codes + bit % self.row_codes].persons += 1;
                total.persons += u64::from(slot != last_slot);
                last_slot = slot;
            }
        }
        completions.clear();
        scores.drain(
            |group, score| tallies[group as usize].add_percent(score.percent),
            |score| total.add_percent(score.percent),
        );
        durations.drain(
            |group, seconds| tallies[group as usize].seconds += i128::from(seconds),
            |seconds| total.seconds += i128::from(seconds),
        );
    }

    /// The values of the dimensions in a group. By team, a group stands for several.
    fn values(&self, part: usize, code: usize) -> Vec<[i64; MOST_DIMENSIONS]> {
        let mut all = vec![self.by_row.values(code)];
        let lists = &self.by_person.values[part];
        for (position, list) in lists.iter().enumerate().filter(|(_, list)| !list.is_empty()) {
            let with = |values: [i64; MOST_DIMENSIONS]| {
                list.iter().map(move |value| {
                    let mut values = values;
                    values[position] = *value;
                    values
                })
            };
            all = all.into_iter().flat_map(with).collect();
        }
        all
    }
}

/// The sums of all lanes.
fn total_of(counts: &[Counts]) -> Tally {
    let mut total = Tally::default();
    counts.iter().for_each(|counts| total.merge(&counts.total));
    total
}

#[cfg(test)]
pub(super) mod tests {
    use chrono_tz::Tz;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::log::columns::ColumnRow;
    use crate::log::columns::tests::{any_row, apply, everything};
    use crate::log::projection::Percent;
    use crate::log::summary::counter::each_row::count_each_row;
    use crate::log::summary::counter::{CountedActivity, SummaryCounter};

    const USERS: [(i64, i64); 4] = [(100, 1_000), (101, 1_000), (102, 1_001), (105, 1_001)];

    pub(in super::super) fn users() -> HashMap<i64, i64> {
        USERS.into()
    }

    pub(in super::super) fn teams() -> HashMap<i64, Vec<i64>> {
        HashMap::from([(1_000, vec![1, 2]), (1_001, vec![2])])
    }

    pub(in super::super) fn kinds() -> HashMap<i64, ContentKind> {
        let kind = |code| (LearningType::from_code(code), ContentFormat::from_code(code));
        HashMap::from([(200, kind(1)), (201, kind(2)), (202, kind(1))])
    }

    pub(in super::super) fn counted<'a>(
        row: &ColumnRow,
        teams: &'a HashMap<i64, Vec<i64>>,
    ) -> CountedActivity<'a> {
        let user = users().get(&row.person).copied();
        let kind = row.content.and_then(|content| kinds().get(&content).copied());
        let (learning_type, content_type) = kind.unwrap_or_default();
        CountedActivity {
            happened_at: row.happened_at,
            seq: row.seq,
            person: row.person,
            user,
            teams: user.and_then(|user| teams.get(&user)).map_or(&[], Vec::as_slice),
            content: row.content,
            learning_type,
            content_type,
            action: row.action,
            completed: row.completed,
            success: row.success,
            percent: row.percent.map(Percent),
            is_part: row.is_part,
            seconds: row.seconds,
            registration: row.registration,
            session: row.session,
        }
    }

    pub(in super::super) fn sorted(mut counted: CountedGroups) -> CountedGroups {
        counted.groups.sort_unstable_by_key(|(values, _)| *values);
        counted
    }

    proptest! {
        #[test]
        fn columns_count_as_their_rows(
            changes in prop::collection::vec((any_row(), prop::bool::weighted(0.1)), 0..120),
            by in prop::sample::subsequence(Dimension::ALL.to_vec(), 1..=2).prop_shuffle(),
            most_groups in 1..20_usize,
        ) {
            // Days apart, so that there are several.
            let spread = |row: ColumnRow| ColumnRow {
                happened_at: Timestamp::from_micros(row.happened_at.micros() * 7 * 3_600_000_000),
                ..row
            };
            let changes = changes.into_iter().map(|(row, removed)| (spread(row), removed)).collect();
            let (columns, rows) = apply(changes);
            let teams = teams();
            let mut counter = SummaryCounter::new(&by, Tz::UTC);
            for row in &rows {
                counter.add(&counted(row, &teams)).unwrap();
            }
            let expected = sorted(counter.finish(most_groups));

            let mut people = People::default();
            people.extend(&columns, &users());
            let selection = everything();
            let selected = selection.compile(&columns);
            let lookups = SummaryLookups { people: &people, teams: teams.clone(), kinds: kinds() };
            let question = Question { by: &by, zone: Tz::UTC, selected: &selected, lookups: &lookups };
            let in_lanes = LaneCounter::new(question).unwrap().count(most_groups);
            prop_assert_eq!(sorted(in_lanes), expected.clone());
            let one_by_one = count_each_row(question, most_groups).unwrap();
            prop_assert_eq!(sorted(one_by_one), expected);
        }

        #[test]
        fn people_may_be_added_in_any_pieces(
            pieces in prop::collection::vec(prop::collection::vec(any_row(), 0..20), 1..6),
        ) {
            let mut columns = crate::log::columns::LogColumns::new();
            let mut people = People::default();
            people.extend(&columns, &users());
            for row in pieces.into_iter().flatten() {
                columns.put(row).unwrap();
                people.extend(&columns, &users());
            }
            let mut whole = People::default();
            whole.extend(&columns, &users());
            // Sessions are equal in one if they are equal in the other.
            let mut same = HashMap::new();
            for session in 0..columns.sessions().len() as u32 {
                let pair = (people.session(session), people.attempt(session).code);
                let other = (whole.session(session), whole.attempt(session).code);
                prop_assert_eq!(*same.entry(pair).or_insert(other), other);
                prop_assert!(people.bytes() > 0);
            }
        }
    }

    #[test]
    fn few_persons_of_a_lane_count_as_all_at_once() {
        let rows = (0..300).map(|seq| ColumnRow {
            person: 100 + seq % 6,
            content: Some(200 + seq % 3),
            completed: seq % 2 == 0,
            percent: Some(seq),
            seconds: Some(seq % 50),
            registration: Some(Uuid::from_u128(seq as u128 % 5)),
            ..crate::log::columns::tests::row(seq)
        });
        let (columns, _) = apply(rows.map(|row| (row, false)).collect());
        let mut people = People::default();
        people.extend(&columns, &users());
        let lookups = SummaryLookups {
            people: &people,
            teams: teams(),
            kinds: kinds(),
        };
        let selection = everything();
        let selected = selection.compile(&columns);
        for by in [
            [Dimension::Content, Dimension::Team],
            [Dimension::User, Dimension::Team],
        ] {
            let question = Question {
                by: &by,
                zone: Tz::UTC,
                selected: &selected,
                lookups: &lookups,
            };
            let whole = LaneCounter::new(question).unwrap();
            let expected = sorted(whole.count(100));
            assert!(expected.groups.len() > 3, "{:?}", expected.groups);
            for (lane, threads) in [(1, 1), (1, 2), (2, 1), (3, 2)] {
                let mut counter = LaneCounter::new(question).unwrap();
                (counter.lane, counter.threads) = (lane, threads);
                assert_eq!(sorted(counter.count(100)), expected, "{lane} {threads}");
            }
        }
    }
}
