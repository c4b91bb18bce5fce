//! Counting: rows in, in any order; groups with their measures out (product text, section 13).
//!
//! [`Fold`] makes groups and total in one pass. What is distinct (people, completions) is kept in sets of small
//! numbers, so that memory is bounded by two limits, whatever the rows: some 300 MB at the very worst, and some
//! ten for a million rows of a usual log. A question that would go beyond is refused ([`TooMuch`]).

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

/// The value of a dimension that a row has nothing of; no key and no code is this number.
pub const ABSENT: i64 = i64::MIN;
/// The value of [`Dimension::Result`] with success.
pub const PASSED: i64 = 1;
/// The value of [`Dimension::Result`] without.
pub const FAILED: i64 = 0;

/// Groups while counting, at most.
const GROUPS: usize = 1_000_000;
/// Entries in the sets of people and completions, at most; a completion's own entry, which is larger, counts twice.
const ENTRIES: usize = 8_000_000;

/// More to keep in mind than one question may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are too many to count at once; narrow it by a period, or take one dimension")]
pub struct TooMuch;

/// One row, as far as it is counted. Keys are the storage's.
#[derive(Debug, Clone)]
pub struct Counted<'a> {
    /// When it happened.
    pub happened_at: Timestamp,
    /// The person that the record names.
    pub person: i64,
    /// The user who owns that person. Keys of users and persons come from one sequence, so no two are equal.
    pub user: Option<i64>,
    /// The teams that the row counts in, each once; of use by [`Dimension::Team`] alone.
    pub teams: &'a [i64],
    /// The content.
    pub content: Option<i64>,
    /// The content's type; of use by [`Dimension::Type`] alone.
    pub learning_type: Option<LearningType>,
    /// The content's content type; of use by [`Dimension::ContentType`] alone.
    pub content_type: Option<ContentFormat>,
    /// The action.
    pub action: Action,
    /// Whether it is a completion.
    pub completed: bool,
    /// Whether it succeeded, where that is known.
    pub success: Option<bool>,
    /// The score.
    pub percent: Option<Percent>,
    /// How long it took, in seconds.
    pub seconds: Option<i64>,
    /// What ties the records of one attempt together.
    pub registration: Option<Uuid>,
}

impl Counted<'_> {
    fn value(&self, dimension: Dimension, calendar: &mut Calendar) -> i64 {
        match dimension {
            Dimension::Action => i64::from(self.action.code()),
            Dimension::Day | Dimension::Week | Dimension::Month => {
                calendar.number(dimension, self.happened_at)
            }
            Dimension::User => self.user.unwrap_or(ABSENT),
            Dimension::Team => ABSENT, // of each of its teams, which `Fold::add` puts here
            Dimension::Content => self.content.unwrap_or(ABSENT),
            Dimension::Type => self.learning_type.map_or(ABSENT, |kind| i64::from(kind.code())),
            Dimension::ContentType => self.content_type.map_or(ABSENT, |kind| i64::from(kind.code())),
            Dimension::Result => match self.success {
                Some(true) => PASSED,
                Some(false) => FAILED,
                None => ABSENT,
            },
        }
    }
}

/// A completion: somebody's attempt at a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Attempt {
    who: u32,
    content: i64,
    registration: Option<Uuid>,
}

/// What is added up of a group. Sums of all that a log can hold fit.
#[derive(Debug, Clone, Default)]
struct Tally {
    rows: u64,
    persons: u64,
    completions: u64,
    passed: u64,
    failed: u64,
    percents: i128,
    scored: u64,
    seconds: i128,
}

impl Tally {
    fn add(&mut self, row: &Counted<'_>) {
        self.rows += 1;
        self.passed += u64::from(row.success == Some(true));
        self.failed += u64::from(row.success == Some(false));
        if let Some(Percent(hundredths)) = row.percent {
            self.percents += i128::from(hundredths);
            self.scored += 1;
        }
        self.seconds += i128::from(row.seconds.unwrap_or(0));
    }

    fn measures(&self) -> Measures {
        Measures {
            rows: self.rows,
            persons: self.persons,
            completions: self.completions,
            passed: self.passed,
            failed: self.failed,
            average_score: mean(self.percents, self.scored),
            // More than 292 billion years are shown as these.
            total_seconds: i64::try_from(self.seconds).unwrap_or(i64::MAX),
        }
    }
}

/// The mean in whole hundredths, halves away from zero.
fn mean(sum: i128, count: u64) -> Option<Percent> {
    let count = u128::from(count);
    let size = sum.unsigned_abs();
    let cut = size.checked_div(count)?;
    let rounded = cut + u128::from(size % count >= count.div_ceil(2));
    // A mean lies between the least and the greatest, which were such numbers.
    let rounded = i64::try_from(rounded).unwrap_or(i64::MAX);
    Some(Percent(if sum < 0 { -rounded } else { rounded }))
}

/// A count under way.
#[derive(Debug)]
pub struct Fold {
    by: [Option<Dimension>; MOST_DIMENSIONS],
    calendar: Calendar,
    total: Tally,
    groups: HashMap<[i64; MOST_DIMENSIONS], u32>,
    tallies: Vec<Tally>,
    /// Everybody and every completion so far, numbered as they came.
    people: HashMap<i64, u32>,
    attempts: HashMap<Attempt, u32>,
    /// Who, and which completions, were counted in which group.
    persons: HashSet<u64>,
    completions: HashSet<u64>,
    most_groups: usize,
    most_entries: usize,
}

impl Fold {
    /// Nothing counted yet: by one or two dimensions, in days of that zone.
    pub fn new(by: &[Dimension], zone: Tz) -> Self {
        Self::within(by, zone, GROUPS, ENTRIES)
    }

    fn within(by: &[Dimension], zone: Tz, most_groups: usize, most_entries: usize) -> Self {
        Self {
            by: std::array::from_fn(|place| by.get(place).copied()),
            calendar: Calendar::new(zone),
            total: Tally::default(),
            groups: HashMap::new(),
            tallies: Vec::new(),
            people: HashMap::new(),
            attempts: HashMap::new(),
            persons: HashSet::new(),
            completions: HashSet::new(),
            most_groups,
            most_entries,
        }
    }

    /// Counts a row: once in the total, once in its group; by team, in the group of each of its teams.
    ///
    /// # Errors
    /// [`TooMuch`] where this goes beyond what may be kept in mind.
    pub fn add(&mut self, row: &Counted<'_>) -> Result<(), TooMuch> {
        let who = number(&mut self.people, row.user.unwrap_or(row.person))?;
        let attempt = match row.completed {
            true => Some(number(&mut self.attempts, attempt(row, who))?),
            false => None,
        };
        self.total.add(row);
        let mut values = [0; MOST_DIMENSIONS];
        for (value, dimension) in values.iter_mut().zip(self.by) {
            *value = dimension.map_or(0, |dimension| row.value(dimension, &mut self.calendar));
        }
        let team = self.by.iter().position(|one| *one == Some(Dimension::Team));
        match team {
            Some(place) if !row.teams.is_empty() => {
                for team in row.teams {
                    values[place] = *team;
                    self.count(values, row, who, attempt)?;
                }
            }
            _ => self.count(values, row, who, attempt)?,
        }
        let entries =
            self.people.len() + 2 * self.attempts.len() + self.persons.len() + self.completions.len();
        if self.tallies.len() > self.most_groups || entries > self.most_entries {
            return Err(TooMuch);
        }
        Ok(())
    }

    fn count(
        &mut self,
        values: [i64; MOST_DIMENSIONS],
        row: &Counted<'_>,
        who: u32,
        attempt: Option<u32>,
    ) -> Result<(), TooMuch> {
        let group = number(&mut self.groups, values)?;
        if group as usize == self.tallies.len() {
            self.tallies.push(Tally::default());
        }
        let Some(tally) = self.tallies.get_mut(group as usize) else {
            return Ok(()); // there is one for each number that was given
        };
        tally.add(row);
        tally.persons += u64::from(self.persons.insert(both(group, who)));
        if let Some(attempt) = attempt {
            tally.completions += u64::from(self.completions.insert(both(group, attempt)));
        }
        Ok(())
    }

    /// The groups with the most rows, at most so many; of those with as many, the ones with the smaller keys.
    pub fn finish(self, most: usize) -> Folded {
        let total = Tally {
            persons: self.people.len() as u64,
            completions: self.attempts.len() as u64,
            ..self.total
        };
        let tallies = self.tallies;
        let measures = |group: u32| tallies.get(group as usize).map(Tally::measures);
        let mut groups: Vec<_> = self
            .groups
            .into_iter()
            .filter_map(|(values, group)| Some((values, measures(group)?)))
            .collect();
        let truncated = groups.len() > most;
        if truncated {
            groups.select_nth_unstable_by(most, |one, other| {
                other.1.rows.cmp(&one.1.rows).then(one.0.cmp(&other.0))
            });
            groups.truncate(most);
        }
        Folded {
            by: self.by,
            groups,
            total: total.measures(),
            truncated,
        }
    }
}

/// The number of `key`: the one it was given when it came first.
fn number<K: Eq + std::hash::Hash>(numbers: &mut HashMap<K, u32>, key: K) -> Result<u32, TooMuch> {
    let next = numbers.len();
    match numbers.entry(key) {
        Entry::Occupied(there) => Ok(*there.get()),
        Entry::Vacant(new) => Ok(*new.insert(u32::try_from(next).map_err(|_| TooMuch)?)),
    }
}

fn attempt(row: &Counted<'_>, who: u32) -> Attempt {
    Attempt {
        who,
        content: row.content.unwrap_or(ABSENT),
        registration: row.registration,
    }
}

/// Two numbers as one.
fn both(group: u32, one: u32) -> u64 {
    u64::from(group) << 32 | u64::from(one)
}

/// What was counted, under the storage's keys, in no order.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    by: [Option<Dimension>; MOST_DIMENSIONS],
    /// The values of the dimensions, and what their rows come to.
    pub groups: Vec<([i64; MOST_DIMENSIONS], Measures)>,
    /// Everything, each row once.
    pub total: Measures,
    /// Whether there were more groups.
    pub truncated: bool,
}

impl Folded {
    /// What was counted by, in the order asked for.
    pub fn dimensions(&self) -> Vec<Dimension> {
        self.by.into_iter().flatten().collect()
    }

    /// The values of that dimension, each once, in order; without [`ABSENT`]. What has to be named.
    pub fn keys(&self, dimension: Dimension) -> Vec<i64> {
        let place = self.by.iter().position(|one| *one == Some(dimension));
        let values = |place: usize| {
            self.groups
                .iter()
                .filter_map(move |(values, _)| values.get(place))
        };
        let mut keys: Vec<i64> = place.map_or_else(Vec::new, |place| values(place).copied().collect());
        keys.retain(|key| *key != ABSENT);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests;
