//! The dimensions of a summary as codes of rows, for counting columns.
//!
//! A dimension by user or team depends on the person of a row only, the others depend on the row. Both kinds are combined
//! to one code each, the *part by person* and the *part by row*, so that a group is a pair of codes.

use chrono_tz::Tz;

use super::super::calendar::Calendar;
use super::{FAILED, NO_VALUE, PASSED};
use crate::base::clock::Timestamp;
use crate::log::columns::block::Block;
use crate::log::columns::dictionary::Dictionary;
use crate::log::columns::selection::Selected;
use crate::log::period::start_of_day;
use crate::log::summary::{Dimension, MOST_DIMENSIONS};

use super::columns::SummaryLookups;

/// The most days of a summary by day, week or month.
const MAX_DAYS: usize = 40_000;

/// The codes of one dimension that depends on the row.
enum Codes {
    /// By the kind of the row.
    Kinds(Vec<u32>),
    /// By the content of the row.
    Contents(Vec<u32>),
    /// The first moments of days in ascending order, with the code of each day.
    Days(Vec<(i64, u32)>),
}

/// One dimension that depends on the row.
struct Axis {
    /// Its position in the request.
    position: usize,
    codes: Codes,
    /// The values by their codes.
    values: Vec<i64>,
}

/// The part of a group by row.
pub(super) struct RowAxes(Vec<Axis>);

impl RowAxes {
    /// The axes of the dimensions. `None` if a dimension has too many values.
    pub(super) fn new(
        by: &[Dimension],
        zone: Tz,
        selected: &Selected<'_>,
        lookups: &SummaryLookups<'_>,
    ) -> Option<Self> {
        let mut axes = Vec::new();
        for (position, dimension) in by.iter().enumerate() {
            let axis = match dimension {
                Dimension::User | Dimension::Team => continue,
                Dimension::Action | Dimension::Result => kind_axis(position, *dimension, selected),
                Dimension::Content | Dimension::Type | Dimension::ContentType => {
                    content_axis(position, *dimension, selected, lookups)
                }
                Dimension::Day | Dimension::Week | Dimension::Month => {
                    day_axis(position, *dimension, zone, selected)?
                }
            };
            axes.push(axis);
        }
        Some(Self(axes))
    }

    /// The number of codes; `None` if there are too many for a number of 32 bits.
    pub(super) fn size(&self) -> Option<usize> {
        let mut sizes = self.0.iter().map(|axis| axis.values.len().max(1));
        sizes.try_fold(1_usize, |size, axis| {
            size.checked_mul(axis).filter(|size| *size < u32::MAX as usize)
        })
    }

    /// The values of a code, at their positions.
    pub(super) fn values(&self, code: usize) -> [i64; MOST_DIMENSIONS] {
        let mut values = [0; MOST_DIMENSIONS];
        let mut rest = code;
        for axis in self.0.iter().rev() {
            let size = axis.values.len().max(1);
            if let Some(value) = axis.values.get(rest % size) {
                values[axis.position] = *value;
            }
            rest /= size;
        }
        values
    }

    /// Replaces `codes` by those of the rows at these places.
    pub(super) fn find_codes(&self, block: &Block, places: &[u32], codes: &mut Vec<u32>) {
        codes.clear();
        codes.resize(places.len(), 0);
        for axis in &self.0 {
            let size = axis.values.len().max(1) as u32;
            let rows = codes.iter_mut().zip(places);
            match &axis.codes {
                Codes::Kinds(table) => {
                    for (code, place) in rows {
                        *code = *code * size + table[block.kind[*place as usize] as usize];
                    }
                }
                Codes::Contents(table) => {
                    for (code, place) in rows {
                        *code = *code * size + table[block.content[*place as usize] as usize];
                    }
                }
                Codes::Days(days) => {
                    let mut day = Day::default();
                    for (code, place) in rows {
                        let at = block.happened_at[*place as usize];
                        if !day.contains(at) {
                            day = find_day(days, at);
                        }
                        *code = *code * size + day.code;
                    }
                }
            }
        }
    }
}

/// A day, which the next row often has too.
#[derive(Default)]
struct Day {
    begin: i64,
    end: i64,
    code: u32,
}

impl Day {
    fn contains(&self, at: i64) -> bool {
        self.begin <= at && at < self.end
    }
}

fn find_day(days: &[(i64, u32)], at: i64) -> Day {
    let next = days.partition_point(|(begin, _)| *begin <= at);
    let (begin, code) = days.get(next.saturating_sub(1)).copied().unwrap_or_default();
    Day {
        begin,
        end: days.get(next).map_or(i64::MAX, |(begin, _)| *begin),
        code,
    }
}

fn kind_axis(position: usize, dimension: Dimension, selected: &Selected<'_>) -> Axis {
    let mut values = Dictionary::default();
    let codes = selected.columns().kinds().iter().map(|kind| {
        let value = kind.map_or(NO_VALUE, |kind| match dimension {
            Dimension::Action => i64::from(kind.action.code()),
            _ => match kind.success {
                Some(true) => PASSED,
                Some(false) => FAILED,
                None => NO_VALUE,
            },
        });
        values.encode(value)
    });
    Axis {
        position,
        codes: Codes::Kinds(codes.collect()),
        values: values.values().to_vec(),
    }
}

fn content_axis(
    position: usize,
    dimension: Dimension,
    selected: &Selected<'_>,
    lookups: &SummaryLookups<'_>,
) -> Axis {
    let mut values = Dictionary::default();
    let codes = selected.columns().contents().iter().map(|content| {
        let kind = content
            .map(|content| lookups.kind_of(content))
            .unwrap_or_default();
        let value = match dimension {
            Dimension::Content => content.unwrap_or(NO_VALUE),
            Dimension::Type => kind.0.map_or(NO_VALUE, |kind| i64::from(kind.code())),
            _ => kind.1.map_or(NO_VALUE, |kind| i64::from(kind.code())),
        };
        values.encode(value)
    });
    Axis {
        position,
        codes: Codes::Contents(codes.collect()),
        values: values.values().to_vec(),
    }
}

/// The days from the first to the last row. `None` if there are too many.
fn day_axis(position: usize, dimension: Dimension, zone: Tz, selected: &Selected<'_>) -> Option<Axis> {
    let mut values = Dictionary::default();
    let mut days = Vec::new();
    if let Some((first, last)) = selected.find_span() {
        let mut calendar = Calendar::new(zone);
        let mut date = calendar.date_of(Timestamp::from_micros(first));
        loop {
            let begin = start_of_day(date, zone);
            if begin.micros() > last && !days.is_empty() {
                break;
            }
            if days.len() == MAX_DAYS {
                return None;
            }
            let code = values.encode(calendar.number_of(dimension, begin));
            days.push((begin.micros(), code));
            let Some(next) = date.succ_opt() else { break };
            date = next;
        }
    }
    Some(Axis {
        position,
        codes: Codes::Days(days),
        values: values.values().to_vec(),
    })
}

/// The part of a group by person.
pub(super) struct PersonAxes {
    /// For each person of the columns, its code.
    pub(super) codes: Vec<u32>,
    /// The values of each code: for each position by user or team those in which its rows count, else none.
    pub(super) values: Vec<[Vec<i64>; MOST_DIMENSIONS]>,
}

impl PersonAxes {
    pub(super) fn new(by: &[Dimension], selected: &Selected<'_>, lookups: &SummaryLookups<'_>) -> Self {
        let mut values: Dictionary<[Vec<i64>; MOST_DIMENSIONS]> = Dictionary::default();
        let depends = by
            .iter()
            .any(|dimension| matches!(dimension, Dimension::User | Dimension::Team));
        if !depends {
            values.encode(<[Vec<i64>; MOST_DIMENSIONS]>::default());
            return Self {
                codes: vec![0; selected.persons().len()],
                values: values.values().to_vec(),
            };
        }
        let users = lookups.people.users();
        let codes = selected.persons().iter().zip(users).map(|(is_selected, user)| {
            if !is_selected {
                return 0;
            }
            let key = lookups.people.key(*user);
            let mut lists = <[Vec<i64>; MOST_DIMENSIONS]>::default();
            for (list, dimension) in lists.iter_mut().zip(by) {
                match dimension {
                    Dimension::User => list.push(key),
                    Dimension::Team => list.extend(lookups.teams_of(key)),
                    _ => {}
                }
                if *dimension == Dimension::Team && list.is_empty() {
                    list.push(NO_VALUE);
                }
            }
            values.encode(lists)
        });
        Self {
            codes: codes.collect(),
            values: values.values().to_vec(),
        }
    }
}
