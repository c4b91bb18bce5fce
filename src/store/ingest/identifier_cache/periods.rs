//! The persons of an identifier in the cache: one for each period of ownership.

use crate::base::clock::Timestamp;
use crate::store::ingest::latest_names::CachedPerson;

/// The persons of an identifier. Their periods follow each other without a gap.
#[derive(Debug, Clone)]
pub(super) struct CachedPeriods {
    first: CachedPerson,
    /// The persons of the later periods, the earliest first.
    later: Vec<CachedPerson>,
}

impl CachedPeriods {
    /// An identifier with one period.
    pub(super) fn new(first: CachedPerson) -> Self {
        let later = Vec::new();
        Self { first, later }
    }

    /// Adds the person of the period that follows.
    pub(super) fn push(&mut self, person: CachedPerson) {
        self.later.push(person);
    }

    /// The person of the first period. It stands for the identifier where no time matters.
    pub(super) fn first(&self) -> &CachedPerson {
        &self.first
    }

    /// Whether the identifier has several periods.
    pub(super) fn is_divided(&self) -> bool {
        !self.later.is_empty()
    }

    /// The person of the period that contains this moment.
    pub(super) fn find(&self, moment: Timestamp) -> &CachedPerson {
        let mut periods = std::iter::once(&self.first).chain(&self.later);
        // The last period has no end.
        periods
            .find(|person| contains(person, moment))
            .unwrap_or(&self.first)
    }

    /// [`CachedPeriods::find`], to be changed.
    pub(super) fn find_mut(&mut self, moment: Timestamp) -> &mut CachedPerson {
        let mut periods = std::iter::once(&self.first).chain(&self.later);
        let position = periods.position(|person| contains(person, moment)).unwrap_or(0);
        match position.checked_sub(1) {
            Some(position) => self.later.get_mut(position).unwrap_or(&mut self.first),
            None => &mut self.first,
        }
    }
}

/// Whether the period of this person, or an earlier one, contains the moment.
fn contains(person: &CachedPerson, moment: Timestamp) -> bool {
    person.valid_until.is_none_or(|end| moment < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ingest::latest_names::LatestName;

    #[test]
    fn moment_belongs_to_the_period_that_begins_at_or_before_it() {
        let person = |key, end: Option<i64>| CachedPerson {
            key,
            valid_until: end.map(Timestamp::from_micros),
            owned: true,
            name: LatestName::NOTHING,
        };
        let mut periods = CachedPeriods::new(person(1, Some(10)));
        periods.push(person(2, Some(20)));
        periods.push(person(3, None));
        for (moment, key) in [(i64::MIN, 1), (9, 1), (10, 2), (19, 2), (20, 3), (i64::MAX, 3)] {
            let moment = Timestamp::from_micros(moment);
            assert_eq!(periods.find(moment).key, key);
            assert_eq!(periods.find_mut(moment).key, key);
        }
        assert!(periods.is_divided() && periods.first().key == 1);
    }
}
