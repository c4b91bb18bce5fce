//! Counting of rows in groups.
//!
//! [`SummaryCounter`] counts rows one by one. Sets and maps of small numbers hold the different persons, completions,
//! sessions and attempts. Their memory is bounded, to about 400 MB in the worst case. If the rows need more, they are
//! counted in several passes (`count_in_partitions`): each pass counts the rows of a part of the persons, and so of
//! their completions, sessions and attempts. A summary with too many groups is refused ([`LimitExceeded`]).
//!
//! `columns` counts rows that are in memory as columns, and `remembered` keeps the counts.
//!
//! A row without a registration is a session and an attempt of its own, and needs no entry for them.

mod axes;
mod best;
pub(crate) mod columns;
mod each_row;
pub(crate) mod remembered;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use chrono_tz::Tz;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::action::Action;
use crate::log::projection::Percent;

use super::calendar::Calendar;
use super::{Dimension, MOST_DIMENSIONS, Measures};

/// The value of a dimension for rows without one. No key and no code has this number.
pub const NO_VALUE: i64 = i64::MIN;
/// The value of [`Dimension::Result`] for success.
pub const PASSED: i64 = 1;
/// The value of [`Dimension::Result`] for failure.
pub const FAILED: i64 = 0;

/// The most groups during counting.
const MAX_GROUPS: usize = 1_000_000;
/// The most entries in the sets and maps, where larger ones count several times; see [`SummaryCounter::entries`].
const MAX_ENTRIES: usize = 12_000_000;

/// The most passes over the rows. Only with billions of completions are they not enough.
const MAX_PARTITIONS: u64 = 1_024;

/// The summary needs more groups than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the summary has too many groups; narrow it by a period, or use one dimension")]
pub struct LimitExceeded;

/// Why a pass over the rows cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountFault {
    /// There are too many groups.
    Groups,
    /// There are too many persons, completions, sessions and attempts for one pass.
    Entries,
}

impl From<LimitExceeded> for CountFault {
    fn from(_: LimitExceeded) -> Self {
        Self::Groups
    }
}

/// A part of the persons that one pass counts.
#[derive(Debug, Clone, Copy)]
pub struct Partition {
    /// Its number.
    pub index: u64,
    /// The number of parts.
    pub of: u64,
}

impl Partition {
    /// All persons.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Whether the person or user with this key is in the part.
    fn contains(self, key: i64) -> bool {
        key.unsigned_abs() % self.of == self.index
    }

    /// The number of parts for another try, if there may be more.
    pub fn smaller(self) -> Option<u64> {
        Some(self.of * 4).filter(|parts| *parts <= MAX_PARTITIONS)
    }
}

/// Counts rows in one pass over them, or in several if that needs too much memory. `pass` adds all rows to the counter.
pub(crate) fn count_in_partitions(
    by: &[Dimension],
    zone: Tz,
    most_groups: usize,
    mut pass: impl FnMut(&mut SummaryCounter) -> Result<(), CountFault>,
) -> Result<CountedGroups, LimitExceeded> {
    let mut counter = SummaryCounter::new(by, zone);
    loop {
        match pass(&mut counter) {
            Ok(()) if counter.next_partition() => {}
            Ok(()) => return Ok(counter.finish(most_groups)),
            Err(CountFault::Groups) => return Err(LimitExceeded),
            Err(CountFault::Entries) => counter = counter.with_smaller_partitions().ok_or(LimitExceeded)?,
        }
    }
}

/// The counted values of a row. The keys are those of the store.
#[derive(Debug, Clone)]
pub struct CountedActivity<'a> {
    /// When the activity happened.
    pub happened_at: Timestamp,
    /// The place in the order of recording.
    pub seq: i64,
    /// The person of the record.
    pub person: i64,
    /// The user that claims the person. Keys of users and persons come from one sequence, so they are all different.
    pub user: Option<i64>,
    /// The teams in which the row counts, each once. Only [`Dimension::Team`] needs them.
    pub teams: &'a [i64],
    /// The content.
    pub content: Option<i64>,
    /// The type of the content. Only [`Dimension::Type`] needs it.
    pub learning_type: Option<LearningType>,
    /// The content type of the content. Only [`Dimension::ContentType`] needs it.
    pub content_type: Option<ContentFormat>,
    /// The action.
    pub action: Action,
    /// Whether the activity is a completion.
    pub completed: bool,
    /// Whether the attempt succeeded, if known.
    pub success: Option<bool>,
    /// The score.
    pub percent: Option<Percent>,
    /// Whether the activity is about a part of the content, such as a question.
    pub is_part: bool,
    /// The duration in seconds.
    pub seconds: Option<i64>,
    /// The registration, which all records of one attempt share.
    pub registration: Option<Uuid>,
    /// The digest of the cmi5 session id, which all records of one session share.
    pub session: Option<i64>,
}

impl CountedActivity<'_> {
    fn value_of(&self, dimension: Dimension, calendar: &mut Calendar) -> i64 {
        match dimension {
            Dimension::Action => i64::from(self.action.code()),
            Dimension::Day | Dimension::Week | Dimension::Month => {
                calendar.number_of(dimension, self.happened_at)
            }
            // Each person without a user is a group.
            Dimension::User => self.user.unwrap_or(self.person),
            // `SummaryCounter::add` replaces it by each team of the row.
            Dimension::Team => NO_VALUE,
            Dimension::Content => self.content.unwrap_or(NO_VALUE),
            Dimension::Type => self.learning_type.map_or(NO_VALUE, |kind| i64::from(kind.code())),
            Dimension::ContentType => self.content_type.map_or(NO_VALUE, |kind| i64::from(kind.code())),
            Dimension::Result => match self.success {
                Some(true) => PASSED,
                Some(false) => FAILED,
                None => NO_VALUE,
            },
        }
    }
}

/// The identity of a completion, an attempt or a session: the records of a person about a content with a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Attempt {
    person: u32,
    content: i64,
    registration: Option<Uuid>,
    /// The cmi5 session; `None` for completions, scores, and sessions without an id.
    session: Option<i64>,
}

/// The numbers of a row. A number is `None` where the row needs no entry.
#[derive(Debug, Clone, Copy)]
struct RowNumbers {
    person: u32,
    /// The completion or the attempt with the score.
    attempt: Option<u32>,
    /// The session with the duration.
    session: Option<u32>,
}

/// A score and its place in the order of happening. The last score of an attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PlacedScore {
    happened_at: Timestamp,
    seq: i64,
    percent: i64,
}

/// The sums of a group. Their types are large enough for every log.
#[derive(Debug, Clone, Default)]
struct Tally {
    rows: u64,
    persons: u64,
    completions: u64,
    passed: u64,
    failed: u64,
    percents: i128,
    scored: u64,
    /// The scores of parts. They count where no attempt at a content has a score.
    part_percents: i128,
    scored_parts: u64,
    seconds: i128,
}

impl Tally {
    /// Adds the counts of other persons.
    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.persons += other.persons;
        self.completions += other.completions;
        self.passed += other.passed;
        self.failed += other.failed;
        self.percents += other.percents;
        self.scored += other.scored;
        self.part_percents += other.part_percents;
        self.scored_parts += other.scored_parts;
        self.seconds += other.seconds;
    }

    /// Takes away the counts of some of the persons. `None` if they are not part of these.
    fn subtract(&mut self, other: &Self) -> Option<()> {
        self.rows = self.rows.checked_sub(other.rows)?;
        self.persons = self.persons.checked_sub(other.persons)?;
        self.completions = self.completions.checked_sub(other.completions)?;
        self.passed = self.passed.checked_sub(other.passed)?;
        self.failed = self.failed.checked_sub(other.failed)?;
        self.percents -= other.percents;
        self.scored = self.scored.checked_sub(other.scored)?;
        self.part_percents -= other.part_percents;
        self.scored_parts = self.scored_parts.checked_sub(other.scored_parts)?;
        self.seconds -= other.seconds;
        Some(())
    }

    /// Adds the score of an attempt.
    fn add_percent(&mut self, percent: i64) {
        self.percents += i128::from(percent);
        self.scored += 1;
    }

    fn add_row(&mut self, row: &CountedActivity<'_>) {
        self.add_outcome(row.success);
    }

    fn add_outcome(&mut self, success: Option<bool>) {
        self.rows += 1;
        self.passed += u64::from(success == Some(true));
        self.failed += u64::from(success == Some(false));
    }

    /// Adds a duration. `longest` is the entry of its session, which counts with its longest duration.
    fn add_seconds(&mut self, seconds: i64, longest: Option<Entry<'_, u64, i64>>) {
        let before = match longest {
            None => 0,
            Some(Entry::Vacant(new)) => *new.insert(seconds) - seconds,
            Some(Entry::Occupied(mut known)) if seconds > *known.get() => known.insert(seconds),
            Some(Entry::Occupied(_)) => seconds,
        };
        self.seconds += i128::from(seconds) - i128::from(before);
    }

    /// Adds a score. `last` is the entry of its attempt, which counts with its last score.
    fn add_score(&mut self, score: PlacedScore, last: Option<Entry<'_, u64, PlacedScore>>) {
        match last {
            None => {}
            Some(Entry::Vacant(new)) => {
                new.insert(score);
            }
            Some(Entry::Occupied(known)) if score < *known.get() => return,
            Some(Entry::Occupied(mut known)) => {
                self.percents -= i128::from(known.insert(score).percent);
                self.scored -= 1;
            }
        }
        self.percents += i128::from(score.percent);
        self.scored += 1;
    }

    fn measures(&self) -> Measures {
        Measures {
            rows: self.rows,
            persons: self.persons,
            completions: self.completions,
            passed: self.passed,
            failed: self.failed,
            average_score: mean(self.percents, self.scored)
                .or_else(|| mean(self.part_percents, self.scored_parts)),
            // A larger sum, of more than 292 billion years, is cut.
            total_seconds: i64::try_from(self.seconds).unwrap_or(i64::MAX),
        }
    }
}

/// The mean in whole hundredths, halves away from zero.
fn mean(sum: i128, count: u64) -> Option<Percent> {
    let count = u128::from(count);
    let size = sum.unsigned_abs();
    let truncated = size.checked_div(count)?;
    let rounded = truncated + u128::from(size % count >= count.div_ceil(2));
    // A mean is not larger than the largest value, which was an `i64`.
    let rounded = i64::try_from(rounded).unwrap_or(i64::MAX);
    Some(Percent(if sum < 0 { -rounded } else { rounded }))
}

/// What was counted in which group. A key is a pair of a group and a person, attempt or session.
#[derive(Debug, Default)]
struct Counted {
    persons: HashSet<u64>,
    completions: HashSet<u64>,
    /// The longest duration of each session.
    durations: HashMap<u64, i64>,
    /// The last score of each attempt.
    scores: HashMap<u64, PlacedScore>,
}

impl Counted {
    /// Counts a row in a group.
    fn add(&mut self, group: u32, tally: &mut Tally, row: &CountedActivity<'_>, numbers: RowNumbers) {
        tally.add_row(row);
        tally.persons += u64::from(self.persons.insert(pair(group, numbers.person)));
        let attempt = numbers.attempt.map(|attempt| pair(group, attempt));
        if let (true, Some(attempt)) = (row.completed, attempt) {
            tally.completions += u64::from(self.completions.insert(attempt));
        }
        if let Some(seconds) = row.seconds {
            let session = numbers.session.map(|session| pair(group, session));
            tally.add_seconds(seconds, session.map(|session| self.durations.entry(session)));
        }
        if let (Some(Percent(percent)), true) = (row.percent, row.is_part) {
            tally.part_percents += i128::from(percent);
            tally.scored_parts += 1;
        } else if let Some(Percent(percent)) = row.percent {
            let score = PlacedScore {
                happened_at: row.happened_at,
                seq: row.seq,
                percent,
            };
            let attempt = attempt.filter(|_| row.registration.is_some());
            tally.add_score(score, attempt.map(|attempt| self.scores.entry(attempt)));
        }
    }

    fn entries(&self) -> usize {
        self.persons.len() + self.completions.len() + self.durations.len() + 2 * self.scores.len()
    }
}

/// The number of the total among the groups. No group has it, since there are fewer.
const TOTAL: u32 = u32::MAX;

/// A running count.
#[derive(Debug)]
pub struct SummaryCounter {
    by: [Option<Dimension>; MOST_DIMENSIONS],
    calendar: Calendar,
    total: Tally,
    groups: HashMap<[i64; MOST_DIMENSIONS], u32>,
    tallies: Vec<Tally>,
    /// The numbers of persons, attempts and sessions, in the order of their first row.
    people: HashMap<i64, u32>,
    attempts: HashMap<Attempt, u32>,
    counted: Counted,
    most_groups: usize,
    most_entries: usize,
    partition: Partition,
}

impl SummaryCounter {
    /// An empty count by one or two dimensions, with the days of `zone`.
    pub fn new(by: &[Dimension], zone: Tz) -> Self {
        Self::with_limits(by, zone, MAX_GROUPS, MAX_ENTRIES)
    }

    fn with_limits(by: &[Dimension], zone: Tz, most_groups: usize, most_entries: usize) -> Self {
        Self {
            by: std::array::from_fn(|place| by.get(place).copied()),
            calendar: Calendar::new(zone),
            total: Tally::default(),
            groups: HashMap::new(),
            tallies: Vec::new(),
            people: HashMap::new(),
            attempts: HashMap::new(),
            counted: Counted::default(),
            most_groups,
            most_entries,
            partition: Partition::WHOLE,
        }
    }

    /// Continues with the next part of the persons, for another pass over the rows. Returns false if all are counted.
    pub fn next_partition(&mut self) -> bool {
        self.people.clear();
        self.attempts.clear();
        self.counted = Counted::default();
        self.partition.index += 1;
        self.partition.index < self.partition.of
    }

    /// An empty count that begins again with smaller parts. `None` if they are as small as they get.
    pub fn with_smaller_partitions(self) -> Option<Self> {
        let of = self.partition.smaller()?;
        let by: Vec<Dimension> = self.by.into_iter().flatten().collect();
        let zone = self.calendar.zone();
        let mut counter = Self::with_limits(&by, zone, self.most_groups, self.most_entries);
        counter.partition = Partition { index: 0, of };
        Some(counter)
    }

    /// Counts a row once in the total and once in its group; by team, in the group of each of its teams. Rows of other
    /// parts of the persons are left out.
    ///
    /// # Errors
    ///
    /// The count exceeds a limit.
    pub fn add(&mut self, row: &CountedActivity<'_>) -> Result<(), CountFault> {
        if !self.partition.contains(row.user.unwrap_or(row.person)) {
            return Ok(());
        }
        let numbers = self.number_row(row)?;
        self.counted.add(TOTAL, &mut self.total, row, numbers);
        let mut values = [0; MOST_DIMENSIONS];
        for (value, dimension) in values.iter_mut().zip(self.by) {
            *value = dimension.map_or(0, |dimension| row.value_of(dimension, &mut self.calendar));
        }
        let team = self.by.iter().position(|one| *one == Some(Dimension::Team));
        match team {
            Some(index) if !row.teams.is_empty() => {
                for team in row.teams {
                    values[index] = *team;
                    self.count(values, row, numbers)?;
                }
            }
            _ => self.count(values, row, numbers)?,
        }
        if self.tallies.len() > self.most_groups {
            return Err(CountFault::Groups);
        }
        match self.entries() > self.most_entries {
            true => Err(CountFault::Entries),
            false => Ok(()),
        }
    }

    /// Numbers the person, the attempt and the session of a row.
    fn number_row(&mut self, row: &CountedActivity<'_>) -> Result<RowNumbers, LimitExceeded> {
        let person = number_of(&mut self.people, row.user.unwrap_or(row.person))?;
        let attempt = Attempt {
            person,
            content: row.content.unwrap_or(NO_VALUE),
            registration: row.registration,
            session: None,
        };
        let is_registered = row.registration.is_some();
        let has_attempt = row.completed || (is_registered && row.percent.is_some() && !row.is_part);
        let has_session = is_registered && row.seconds.is_some();
        let session = Attempt {
            session: row.session,
            ..attempt
        };
        let mut number = |needed: bool, attempt: Attempt| {
            needed.then(|| number_of(&mut self.attempts, attempt)).transpose()
        };
        Ok(RowNumbers {
            person,
            attempt: number(has_attempt, attempt)?,
            session: number(has_session, session)?,
        })
    }

    fn count(
        &mut self,
        values: [i64; MOST_DIMENSIONS],
        row: &CountedActivity<'_>,
        numbers: RowNumbers,
    ) -> Result<(), LimitExceeded> {
        let group = number_of(&mut self.groups, values)?;
        if group as usize == self.tallies.len() {
            self.tallies.push(Tally::default());
        }
        // Every numbered group has a tally.
        if let Some(tally) = self.tallies.get_mut(group as usize) {
            self.counted.add(group, tally, row, numbers);
        }
        Ok(())
    }

    /// The number of entries. The entry of an attempt or a session is larger and counts twice.
    fn entries(&self) -> usize {
        self.people.len() + 2 * self.attempts.len() + self.counted.entries()
    }

    /// The groups with the most rows, at most `max_groups`. Among groups with equally many rows, smaller keys come first.
    pub fn finish(self, max_groups: usize) -> CountedGroups {
        let tallies = self.tallies;
        let measures = |group: u32| tallies.get(group as usize).map(Tally::measures);
        let groups = self.groups.into_iter();
        let groups = groups.filter_map(|(values, group)| Some((values, measures(group)?)));
        let by: Vec<Dimension> = self.by.into_iter().flatten().collect();
        CountedGroups::new(&by, groups.collect(), self.total.measures(), max_groups)
    }
}

/// Keeps the groups with the most rows. Among groups with equally many rows, smaller keys come first.
fn keep_largest(groups: &mut Vec<([i64; MOST_DIMENSIONS], Measures)>, max_groups: usize) {
    groups.select_nth_unstable_by(max_groups, |one, other| {
        other.1.rows.cmp(&one.1.rows).then(one.0.cmp(&other.0))
    });
    groups.truncate(max_groups);
}

/// The number of `key`. A new key gets the next number.
fn number_of<K: Eq + std::hash::Hash>(numbers: &mut HashMap<K, u32>, key: K) -> Result<u32, LimitExceeded> {
    let next = numbers.len();
    match numbers.entry(key) {
        Entry::Occupied(known) => Ok(*known.get()),
        Entry::Vacant(new) => Ok(*new.insert(u32::try_from(next).map_err(|_| LimitExceeded)?)),
    }
}

/// A group and a member of it as one number.
fn pair(group: u32, member: u32) -> u64 {
    u64::from(group) << 32 | u64::from(member)
}

/// The counted groups by the keys of the store, unordered.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedGroups {
    by: [Option<Dimension>; MOST_DIMENSIONS],
    /// The values of the dimensions, and the measures of their rows.
    pub groups: Vec<([i64; MOST_DIMENSIONS], Measures)>,
    /// The measures of all rows.
    pub total: Measures,
    /// Whether groups are missing.
    pub truncated: bool,
}

impl CountedGroups {
    /// The groups with the most rows, at most `max_groups`. Among groups with equally many rows, smaller keys come first.
    fn new(
        by: &[Dimension],
        mut groups: Vec<([i64; MOST_DIMENSIONS], Measures)>,
        total: Measures,
        max_groups: usize,
    ) -> Self {
        let truncated = groups.len() > max_groups;
        if truncated {
            keep_largest(&mut groups, max_groups);
        }
        Self {
            by: std::array::from_fn(|place| by.get(place).copied()),
            groups,
            total,
            truncated,
        }
    }

    /// The dimensions, in the order of the request.
    pub fn dimensions(&self) -> Vec<Dimension> {
        self.by.into_iter().flatten().collect()
    }

    /// The values of a dimension that need a key and a label: each once, in order, without [`NO_VALUE`].
    pub fn keys(&self, dimension: Dimension) -> Vec<i64> {
        let index = self.by.iter().position(|one| *one == Some(dimension));
        let values = |index: usize| {
            self.groups
                .iter()
                .filter_map(move |(values, _)| values.get(index))
        };
        let mut keys: Vec<i64> = index.map_or_else(Vec::new, |index| values(index).copied().collect());
        keys.retain(|key| *key != NO_VALUE);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests;
