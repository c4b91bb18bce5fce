//! The indexes that lead to the rows of a page, and the order in which they are tried.
//!
//! The cost of a page must not depend on statistics: SQLite has none, and those of PostgreSQL are missing after a bulk
//! load. So [`Paths::choose`] decides from known numbers. It knows how many persons and contents a filter has, but not how
//! many rows. An index is therefore walked for a limited number of entries, then for more of them. If another index has a
//! known cost, such as that of a list of persons, it is used when the walks have cost as much.

use crate::base::clock::Timestamp;
use crate::log::Filter;

use crate::store::activity_log::arrival::Arrival;
use crate::store::activity_log::conditions::folded;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::directory::reach::Persons;

/// The primary key of the log, as SQLite names it.
pub(super) const BY_SEQ: &str = "sqlite_autoindex_activities_1";
/// The most keys of which each is looked up. With more keys, the ones with the newest rows are found first.
pub(super) const FEW_KEYS: usize = 64;
/// The entries that the first walk of an index reads.
const FIRST_WALK: usize = 500;
/// How many times as many entries the next walk reads.
const GROWTH: usize = 4;
/// The cost of looking up a key, as a number of entries of a walk.
const COST_OF_KEY: usize = 4;
/// The same if the rows of the key are filtered by their values: some are read in vain.
const COST_OF_FILTERED_KEY: usize = 16;

/// How many persons are looked up rather than one content.
const PERSONS_OF_CONTENT: usize = 16;

/// An index, and the part of it that has all rows of the page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// The name of the index.
    pub(super) index: &'static str,
    /// The conditions of the index, or those that it answers.
    conditions: Vec<(&'static str, Option<i64>)>,
    /// The keys, of which the index has the rows in the order of time. `None` if it has all rows in this order.
    pub(super) keys: Option<Keys>,
    /// Whether the rows, of each key, are in the order of time.
    pub(super) is_sorted: bool,
}

/// The values of a column that are looked up in an index.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) column: &'static str,
    /// A list.
    pub(super) values: Value,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.len() == other.len()
    }
}

impl Keys {
    fn new<T>(column: &'static str, values: Vec<T>) -> Self
    where
        Vec<T>: Into<Value>,
    {
        Self {
            column,
            values: values.into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Value::Ints(values) => values.len(),
            Value::Smalls(values) => values.len(),
            Value::Texts(values) => values.len(),
            Value::Uuids(values) => values.len(),
            _ => 1,
        }
    }

    /// The value, if there is only one.
    pub(super) fn single(&self) -> Option<Value> {
        match &self.values {
            Value::Ints(values) => <[i64; 1]>::try_from(values.as_slice())
                .ok()
                .map(|[one]| one.into()),
            Value::Smalls(values) => <[i16; 1]>::try_from(values.as_slice())
                .ok()
                .map(|[one]| one.into()),
            Value::Texts(values) => values
                .first()
                .filter(|_| values.len() == 1)
                .map(|one| one.clone().into()),
            Value::Uuids(values) => values
                .first()
                .filter(|_| values.len() == 1)
                .map(|one| (*one).into()),
            _ => None,
        }
    }
}

impl Source {
    fn sorted(index: &'static str) -> Self {
        Self {
            index,
            conditions: Vec::new(),
            keys: None,
            is_sorted: true,
        }
    }

    fn by<T>(index: &'static str, column: &'static str, values: Vec<T>) -> Self
    where
        Vec<T>: Into<Value>,
    {
        Self {
            keys: Some(Keys::new(column, values)),
            ..Self::sorted(index)
        }
    }

    fn unsorted(self) -> Self {
        Self {
            is_sorted: false,
            ..self
        }
    }

    fn with(mut self, condition: &'static str, value: Option<i64>) -> Self {
        self.conditions.push((condition, value));
        self
    }

    /// The same source with other keys.
    pub(super) fn with_keys(&self, keys: Vec<i64>) -> Self {
        let column = self.keys.as_ref().map(|keys| keys.column);
        Self {
            keys: column.map(|column| Keys::new(column, keys)),
            ..self.clone()
        }
    }

    /// The number of keys that are looked up.
    pub(super) fn lookups(&self) -> usize {
        self.keys.as_ref().map_or(1, Keys::len)
    }

    /// Adds the conditions of the index.
    pub(super) fn push_conditions(&self, sql: &mut Sql) {
        for (condition, value) in &self.conditions {
            sql.push(condition);
            if let Some(value) = value {
                sql.bind(*value);
            }
        }
    }
}

/// What is done next to find the rows of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step<'p> {
    /// Reads about this number of entries of the index that meet its conditions. Others are passed over within the index.
    Walk(&'p Source, usize),
    /// Finds all rows that are still missing.
    Finish(&'p Source),
}

/// What a filter restricts, as far as the choice of an index depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restrictions<'f> {
    pub(super) filter: &'f Filter,
    pub(super) now: Timestamp,
    pub(super) persons: &'f Persons,
    pub(super) contents: Option<&'f [i64]>,
    /// The keys of the verbs of each of [`Filter::each`]; empty if it has no verbs.
    pub(super) verbs: &'f [Vec<i64>],
    /// Whether a content has one of the filter's sources.
    pub(super) has_contents_of_source: bool,
    pub(super) arrival: Option<Arrival>,
}

/// The indexes by which the rows of a page are found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paths {
    /// The indexes that are walked in turns, each from where the last walk has ended.
    walks: Vec<Source>,
    /// The index that finds all other rows when the walks have read `walk_limit` entries.
    finish: Option<Source>,
    walk_limit: usize,
}

impl Paths {
    /// Chooses the indexes.
    pub(super) fn choose(restrictions: Restrictions<'_>) -> Self {
        if let Some(arrival) = restrictions.arrival.filter(|arrival| arrival.is_narrow) {
            let source = Source::sorted(BY_SEQ).unsorted();
            return Self::only(
                arrival
                    .conditions()
                    .fold(source, |source, (condition, position)| {
                        source.with(condition, Some(position))
                    }),
            );
        }
        let keys = by_keys(restrictions);
        let is_few = keys.as_ref().is_some_and(|keys| keys.lookups() <= FEW_KEYS);
        if let Some(expiring) = by_certificate(restrictions).filter(|_| !is_few) {
            return Self::only(expiring);
        }
        let shows_latest = restrictions.filter.shows_latest_only();
        // The few newest completions of few persons or contents are read at once.
        let mut walks = by_values(restrictions, is_few && shows_latest);
        let walk_limit = match &keys {
            None => usize::MAX,
            Some(keys) if walks.is_empty() && !is_few => keys.lookups().saturating_mul(COST_OF_KEY),
            Some(_) if walks.is_empty() => 0,
            // A value that is rare costs less than a person with many rows.
            Some(keys) => {
                let lookups = keys.lookups().saturating_mul(COST_OF_FILTERED_KEY);
                lookups.max(FIRST_WALK * walks.len())
            }
        };
        if shows_latest && !is_few {
            walks.push(latest_completions(restrictions));
        }
        if walks.is_empty() {
            walks.push(Source::sorted("activities_time"));
        }
        match walks.as_slice() {
            [only] if keys.is_none() && only.lookups() == 1 => Self::only(only.clone()),
            _ => Self {
                walks,
                finish: keys,
                walk_limit,
            },
        }
    }

    fn only(source: Source) -> Self {
        Self {
            walks: Vec::new(),
            finish: Some(source),
            walk_limit: 0,
        }
    }

    /// The steps. The last one finds all rows that the others have not found; without a last one they never end.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let sizes = std::iter::successors(Some(FIRST_WALK), |size| Some(size.saturating_mul(GROWTH)));
        let each = move |size| self.walks.iter().map(move |walk| (walk, size));
        let mut read: usize = 0;
        let walks = sizes.flat_map(each).take_while(move |(_, size)| {
            read = read.saturating_add(*size);
            read <= self.walk_limit
        });
        let walks = walks.take(if self.walks.is_empty() { 0 } else { usize::MAX });
        walks
            .map(|(walk, size)| Step::Walk(walk, size))
            .chain(self.finish.iter().map(Step::Finish))
    }

    /// All steps that may be needed, one for each index.
    pub(super) fn steps_of_each(&self) -> impl Iterator<Item = Step<'_>> {
        let walks = self.walks.iter().filter(|_| self.walk_limit > 0);
        walks
            .map(|walk| Step::Walk(walk, FIRST_WALK))
            .chain(self.finish.iter().map(Step::Finish))
    }
}

/// The newest completions. The index alone finds the expired ones.
fn latest_completions(restrictions: Restrictions<'_>) -> Source {
    let source = Source::sorted("activities_latest").with(" AND a.latest", None);
    match restrictions
        .filter
        .each()
        .any(|filter| filter.expired == Some(true))
    {
        true => source.with(" AND a.expired_at < ", Some(restrictions.now.micros())),
        false => source,
    }
}

/// The rows of a list of persons or contents: of the list that has fewer rows, as far as their numbers tell.
fn by_keys(restrictions: Restrictions<'_>) -> Option<Source> {
    let latest = restrictions.filter.shows_latest_only();
    let persons = match restrictions.persons {
        Persons::Only(persons) => Some(persons.as_slice()),
        Persons::Everyone { .. } => None,
    };
    let contents = restrictions.contents;
    let by_person = match (persons, contents) {
        // A person has far fewer rows than a content.
        (Some(persons), Some(contents)) => persons.len() / PERSONS_OF_CONTENT <= contents.len(),
        (persons, _) => persons.is_some(),
    };
    let source = match (by_person, latest) {
        (true, false) => Source::by("activities_person", "a.person", persons?.to_vec()),
        (true, true) => Source::by("activities_latest_person", "a.person", persons?.to_vec())
            .with(" AND a.latest", None)
            .unsorted(),
        (false, false) => Source::by("activities_content", "a.content", contents?.to_vec()),
        (false, true) => Source::by("activities_latest_content", "a.content", contents?.to_vec())
            .with(" AND a.latest", None),
    };
    Some(source)
}

/// The rows with a certificate that expires in the window of the filter.
fn by_certificate(restrictions: Restrictions<'_>) -> Option<Source> {
    let window = restrictions.filter.certificate_window(restrictions.now)?;
    let source = Source::sorted("activities_certificate").unsorted();
    let bounds = [
        (" AND a.certificate_expires_at >= ", window.from),
        (" AND a.certificate_expires_at < ", window.to),
    ];
    Some(
        bounds
            .into_iter()
            .fold(source, |source, (condition, bound)| match bound {
                Some(bound) => source.with(condition, Some(bound.micros())),
                None => source,
            }),
    )
}

/// The indexes by values of the row that may be rare, one for each filter that has such a value. `has_few_latest` tells that
/// the newest completions are few.
fn by_values(restrictions: Restrictions<'_>, has_few_latest: bool) -> Vec<Source> {
    let mut sources = Vec::new();
    for (filter, verbs) in restrictions.filter.each().zip(restrictions.verbs) {
        if !filter.actions.is_empty() {
            let codes: Vec<i16> = filter.actions.iter().map(|action| action.code()).collect();
            sources.push(Source::by("activities_action", "a.action", codes));
        }
        if !filter.verbs.is_empty() {
            sources.push(Source::by("activities_verb", "a.verb", verbs.clone()));
        }
        if !filter.sources.is_empty() && !restrictions.has_contents_of_source {
            let column = "COALESCE(a.source_folded, a.source)";
            let by_source = Source::by("activities_source", column, folded(&filter.sources));
            sources.push(by_source.with(" AND a.source IS NOT NULL", None));
        }
        if !filter.device_types.is_empty() {
            let column = "COALESCE(a.device_type_folded, a.device_type)";
            let by_device = Source::by("activities_device_type", column, folded(&filter.device_types));
            sources.push(by_device.with(" AND a.device_type IS NOT NULL", None));
        }
        if !filter.origins.is_empty() {
            let codes: Vec<i16> = filter.origins.iter().map(|origin| origin.code()).collect();
            sources.push(Source::by("activities_origin", "a.origin", codes));
        }
        if !filter.imports.is_empty() {
            sources.push(
                Source::by("activities_import", "a.import", filter.imports.clone())
                    .with(" AND a.import IS NOT NULL", None),
            );
        }
        sources.extend(by_marks(filter, restrictions.now, has_few_latest));
    }
    sources.retain(|source| source.lookups() <= FEW_KEYS);
    sources
}

/// The indexes of rows with a mark that may be rare. `has_few_latest` tells that the newest completions are few.
fn by_marks(filter: &Filter, now: Timestamp, has_few_latest: bool) -> impl Iterator<Item = Source> {
    let imported = (filter.bulk_import == Some(true))
        .then(|| Source::sorted("activities_imported").with(" AND a.import IS NOT NULL", None));
    let certified = (filter.has_certificate == Some(true))
        .then(|| Source::sorted("activities_certified").with(" AND a.certified", None));
    let expired = (filter.expired == Some(true) && !has_few_latest).then(|| {
        Source::sorted("activities_expiring").with(
            " AND a.expired_at IS NOT NULL AND a.expired_at < ",
            Some(now.micros()),
        )
    });
    let successes: Vec<bool> = filter.results.iter().map(|result| result.success()).collect();
    let by_success = match (successes.contains(&true), successes.contains(&false)) {
        (true, false) => Some(" AND a.success IS NOT NULL AND a.success = TRUE"),
        (false, true) => Some(" AND a.success IS NOT NULL AND a.success = FALSE"),
        _ => None,
    };
    let by_success = by_success.map(|condition| Source::sorted("activities_success").with(condition, None));
    [imported, certified, expired, by_success].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Action, ResultFilter};

    const EVERYONE: Persons = Persons::Everyone {
        deactivated_too: false,
    };

    fn choose(filter: &Filter, persons: &Persons, contents: Option<&[i64]>) -> Paths {
        Paths::choose(Restrictions {
            filter,
            now: Timestamp::from_micros(0),
            persons,
            contents,
            verbs: &[Vec::new()],
            has_contents_of_source: false,
            arrival: None,
        })
    }

    /// The indexes of the first steps, with the entries that a walk reads.
    fn first_steps(paths: &Paths) -> Vec<(&'static str, Option<usize>)> {
        let steps = paths.steps().take(8).map(|step| match step {
            Step::Walk(source, entries) => (source.index, Some(entries)),
            Step::Finish(source) => (source.index, None),
        });
        steps.collect()
    }

    #[test]
    fn log_without_filters_is_read_in_order() {
        let paths = choose(&Filter::default(), &EVERYONE, None);
        assert_eq!(first_steps(&paths), [("activities_time", None)]);
    }

    #[test]
    fn few_persons_are_looked_up_at_once() {
        let paths = choose(&Filter::default(), &Persons::Only(vec![1; 24]), None);
        assert_eq!(first_steps(&paths), [("activities_person", None)]);
    }

    #[test]
    fn many_persons_are_looked_up_when_the_walks_have_cost_as_much() {
        let paths = choose(&Filter::default(), &Persons::Only(vec![1; 1_000]), None);
        let time = |entries| ("activities_time", Some(entries));
        let expected = [time(500), time(2_000), ("activities_person", None)];
        assert_eq!(first_steps(&paths), expected);
    }

    #[test]
    fn rare_value_is_tried_before_a_person_with_many_rows() {
        let filter = Filter {
            actions: vec![Action::Failed],
            ..Filter::default()
        };
        let paths = choose(&filter, &Persons::Only(vec![1]), None);
        let expected = [("activities_action", Some(500)), ("activities_person", None)];
        assert_eq!(first_steps(&paths), expected);
    }

    #[test]
    fn values_are_walked_in_turns_without_an_end() {
        let filter = Filter {
            actions: vec![Action::Failed],
            results: vec![ResultFilter::Passed],
            ..Filter::default()
        };
        let paths = choose(&filter, &EVERYONE, None);
        let steps = first_steps(&paths);
        assert_eq!(steps.len(), 8);
        assert_eq!(steps[0], ("activities_action", Some(500)));
        assert_eq!(steps[1], ("activities_success", Some(500)));
        assert_eq!(steps[2], ("activities_action", Some(2_000)));
    }

    #[test]
    fn single_value_is_read_in_order() {
        let filter = Filter {
            actions: vec![Action::Failed],
            ..Filter::default()
        };
        assert_eq!(
            first_steps(&choose(&filter, &EVERYONE, None)),
            [("activities_action", None)]
        );
    }

    /// Most of the newest completions may never expire, and most of those that expire may be renewed. Neither index is
    /// the better one for any log.
    #[test]
    fn newest_expired_completions_are_searched_in_both_indexes() {
        let filter = Filter {
            expired: Some(true),
            latest: true,
            ..Filter::default()
        };
        let steps = first_steps(&choose(&filter, &EVERYONE, None));
        assert_eq!(steps[0], ("activities_expiring", Some(500)));
        assert_eq!(steps[1], ("activities_latest", Some(500)));
        assert_eq!(steps[2], ("activities_expiring", Some(2_000)));
    }

    #[test]
    fn one_person_is_preferred_to_one_content() {
        let one = Persons::Only(vec![1, 2, 3]);
        let paths = choose(&Filter::default(), &one, Some(&[7]));
        assert_eq!(first_steps(&paths), [("activities_person", None)]);
        let many = Persons::Only(vec![1; 1_000]);
        let paths = choose(&Filter::default(), &many, Some(&[7]));
        assert_eq!(first_steps(&paths), [("activities_content", None)]);
    }
}
