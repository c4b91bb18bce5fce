//! Finds the rows of a page of the log.
//!
//! A page is found in steps ([`Paths::steps`]). A step reads the rows of a part of one index and adds those that match.
//! The parts follow each other in the order of the page, so the next step, by the same or by another index, begins where
//! the last one has ended. Rows that are recorded or changed meanwhile are found at most once: a part is a range of
//! positions, and not a number of rows.
//!
//! The text of each query has one usable index. All conditions that it does not answer are within a `CASE`, which no
//! database looks into when it chooses an index. SQLite is also told the index's name.

use crate::access::Scoped;
use crate::base;
use crate::log::{Filter, Position, Row, Sort, Window};

use crate::store::activity_log::arrival::Arrival;
use crate::store::activity_log::conditions::{folded, push_row_filters, select_contents_of_sources};
use crate::store::activity_log::log::{FilterKeys, Page, PageRow, push_order};
use crate::store::activity_log::sources::{BY_SEQ, FEW_KEYS, Keys, Paths, Restrictions, Source, Step};
use crate::store::db::database::{Engine, Sql};
use crate::store::db::dialect::Value;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::one_more;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::Persons;

/// A position in the order of the log: the time and the number of a row.
type Place = (i64, i64);

/// The part of the log in which rows are searched, in the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    sort: Sort,
    /// The place before the part.
    after: Option<Place>,
    /// The last place of the part.
    through: Option<Place>,
}

impl Span {
    /// The rows of a window after the last row of the page before.
    fn new(sort: Sort, after: Option<Position>, window: Window) -> Self {
        let after = after.map(|position| (position.happened_at.micros(), position.seq));
        let from = window.from.map(|from| from.micros());
        let to = window.to.map(|to| to.micros());
        match sort {
            Sort::NewestFirst => Self {
                sort,
                after: after.into_iter().chain(to.map(|to| (to, i64::MIN))).min(),
                through: from.map(|from| (from, i64::MIN)),
            },
            Sort::OldestFirst => Self {
                sort,
                after: after
                    .into_iter()
                    .chain(from.map(|from| (from.saturating_sub(1), i64::MAX)))
                    .max(),
                through: to.map(|to| (to.saturating_sub(1), i64::MAX)),
            },
        }
    }

    /// The first part of it, up to this place; all of it without a place.
    fn up_to(self, end: Option<Place>) -> Self {
        Self {
            through: end.or(self.through),
            ..self
        }
    }

    /// What follows its first part; `None` if that is all of it.
    fn after_part(self, part: Self) -> Option<Self> {
        (part.through != self.through).then_some(Self {
            after: part.through,
            ..self
        })
    }

    /// Adds the condition that a row is in the part.
    fn push(self, sql: &mut Sql) {
        let (after, through) = match self.sort {
            Sort::NewestFirst => (" < (", " >= ("),
            Sort::OldestFirst => (" > (", " <= ("),
        };
        for (operator, place) in [(after, self.after), (through, self.through)] {
            if let Some((happened_at, seq)) = place {
                sql.push(" AND (a.happened_at, a.seq)").push(operator);
                sql.bind(happened_at).push(", ").bind(seq).push(")");
            }
        }
    }
}

/// A search for the rows of a page.
struct Search<'f> {
    org: i64,
    engine: Engine,
    filter: &'f Filter,
    page: Page,
    persons: Persons,
    contents: Option<Vec<i64>>,
    arrival: Option<Arrival>,
    paths: Paths,
}

/// Which entries of a source a query reads.
#[derive(Clone, Copy)]
struct Entries {
    span: Span,
    /// Whether only those count that match the filter.
    filtered: bool,
    /// How many are left out, for each key.
    offset: usize,
    /// The most for each of several keys.
    limit: i64,
}

impl Search<'_> {
    fn span(&self) -> Span {
        Span::new(self.page.sort, self.page.after, self.filter.window(self.page.now))
    }

    /// The query for the rows of a part, in order, at most `limit` of each key.
    fn rows(&self, source: &Source, span: Span, limit: i64) -> Sql {
        let entries = Entries {
            span,
            filtered: true,
            offset: 0,
            limit,
        };
        self.select(source, &PageRow::columns(), entries)
    }

    /// The query for the last place of a part that has `entries` entries of the key with the most.
    fn end(&self, source: &Source, span: Span, entries: usize) -> Sql {
        let entries = Entries {
            span,
            filtered: false,
            offset: entries.saturating_sub(1),
            limit: 1,
        };
        let mut sql = self.select(source, "a.happened_at, a.seq", entries);
        sql.push(" LIMIT 1");
        if source.keys.as_ref().is_none_or(|keys| keys.single().is_some()) {
            sql.push(" OFFSET ").bind(bigint(entries.offset));
        }
        sql
    }

    /// The query for the keys of the next rows, each with the place of its first row: as many keys as the page may have
    /// rows.
    fn next_keys(&self, source: &Source, span: Span, limit: i64) -> Sql {
        let entries = Entries {
            span,
            filtered: true,
            offset: 0,
            limit: 1,
        };
        let mut sql = self.select(source, "k.value, a.happened_at, a.seq", entries);
        sql.push(" LIMIT ").bind(limit);
        sql
    }

    /// The query for `columns` of the entries, in the order of the page.
    fn select(&self, source: &Source, columns: &str, entries: Entries) -> Sql {
        match &source.keys {
            Some(keys) if keys.single().is_none() => self.select_by_keys(source, keys, columns, entries),
            _ if self.engine == Engine::Sqlite && entries.filtered && source.index != BY_SEQ => {
                self.select_through_index(source, columns, entries)
            }
            _ => self.select_by_key(source, columns, entries),
        }
    }

    /// The entries of a source with one key or without keys. An index in order is read as far as rows are needed.
    fn select_by_key(&self, source: &Source, columns: &str, entries: Entries) -> Sql {
        // Otherwise PostgreSQL could walk the whole log in the order of time, to avoid a sort.
        let is_apart = self.engine == Engine::Postgres && !source.is_sorted;
        let mut sql = Sql::new("SELECT ").with(self.org);
        sql.push(columns).push(match is_apart {
            true => " FROM (SELECT *",
            false => "",
        });
        push_path(&mut sql, source);
        if is_apart {
            sql.push(" OFFSET 0) a WHERE a.org = $1");
        }
        self.push_part(&mut sql, source, entries);
        push_order(&mut sql, self.page.sort);
        sql
    }

    /// [`Search::select_by_key`] for SQLite. It would read the row of each entry before it looks at the other columns of the
    /// index, for example at the time of expiry.
    fn select_through_index(&self, source: &Source, columns: &str, entries: Entries) -> Sql {
        let mut sql = Sql::new("SELECT ").with(self.org);
        sql.push(columns)
            .push(" FROM (SELECT a.happened_at AS t, a.seq AS s");
        push_path(&mut sql, source);
        entries.span.push(&mut sql);
        if !source.is_sorted {
            push_order(&mut sql, self.page.sort);
            sql.push(" LIMIT -1");
        }
        sql.push(") i CROSS JOIN activities a INDEXED BY ")
            .push(BY_SEQ)
            .push(" WHERE a.org = $1 AND a.seq = i.s");
        self.push_filters(&mut sql, source);
        sql.push(match self.page.sort {
            Sort::NewestFirst => " ORDER BY i.t DESC, i.s DESC",
            Sort::OldestFirst => " ORDER BY i.t, i.s",
        });
        sql
    }

    /// The entries of a source with several keys.
    fn select_by_keys(&self, source: &Source, keys: &Keys, columns: &str, entries: Entries) -> Sql {
        let mut sql = Sql::new("SELECT ").with(self.org);
        sql.push(columns);
        let (value, end) = match self.engine {
            Engine::Sqlite => {
                sql.push(" FROM (SELECT value FROM json_each(")
                    .bind(keys.values.clone())
                    .push(")) k CROSS JOIN activities a INDEXED BY ")
                    .push(BY_SEQ)
                    .push(" WHERE a.org = $1 AND a.seq IN (SELECT a.seq");
                match keys.values {
                    Value::Uuids(_) => ("unhex(k.value)", ")"),
                    _ => ("k.value", ")"),
                }
            }
            Engine::Postgres => {
                sql.push(" FROM unnest(")
                    .bind(keys.values.clone())
                    .push(") k(value) CROSS JOIN LATERAL (SELECT *");
                ("k.value", ") a")
            }
        };
        push_path(&mut sql, source);
        sql.push(" AND ").push(keys.column).push(" = ").push(value);
        self.push_part(&mut sql, source, entries);
        push_order(&mut sql, self.page.sort);
        sql.push(" LIMIT ").bind(entries.limit);
        sql.push(" OFFSET ").bind(bigint(entries.offset)).push(end);
        push_order(&mut sql, self.page.sort);
        sql
    }

    fn push_part(&self, sql: &mut Sql, source: &Source, entries: Entries) {
        entries.span.push(sql);
        if entries.filtered {
            self.push_filters(sql, source);
        }
    }

    /// Adds the conditions of the filter, so that no index is chosen for them. The keys of the source are selected already.
    fn push_filters(&self, sql: &mut Sql, source: &Source) {
        let answered = source.keys.as_ref().map(|keys| keys.column);
        sql.push(" AND CASE WHEN 1 = 1");
        push_row_filters(sql, self.filter, self.page.now);
        if let Some(arrival) = self.arrival {
            arrival.push(sql, "a.seq");
        }
        if let Some(contents) = self.contents.as_ref().filter(|_| answered != Some("a.content")) {
            sql.push(" AND a.content").any_of(contents.clone());
        }
        match &self.persons {
            Persons::Only(_) if answered == Some("a.person") => {}
            Persons::Only(persons) => {
                sql.push(" AND a.person").any_of(persons.clone());
            }
            Persons::Everyone {
                deactivated_too: true,
            } => {}
            // A list would be read for each part of a page. A page has few rows.
            Persons::Everyone {
                deactivated_too: false,
            } => {
                sql.push(
                    " AND (SELECT p.key FROM persons p INDEXED BY persons_deactivated \
                     WHERE p.org = $1 AND p.key = a.person AND p.deactivated) IS NULL",
                );
            }
        }
        sql.push(" THEN TRUE END");
    }
}

/// Adds the table, the index, and the conditions that the index answers.
fn push_path(sql: &mut Sql, source: &Source) {
    sql.push(" FROM activities a INDEXED BY ").push(source.index);
    sql.push(" WHERE a.org = $1");
    source.push_conditions(sql);
    if let Some((keys, value)) = source.keys.as_ref().and_then(|keys| Some((keys, keys.single()?))) {
        sql.push(" AND ").push(keys.column).push(" = ").bind(value);
    }
}

fn bigint(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store {
    /// Finds one page of rows, with at most `bytes` bytes of text.
    pub async fn find_rows(
        &self,
        filter: &Scoped<&Filter>,
        page: Page,
        bytes: usize,
    ) -> Result<base::Page<Row>, StoreError> {
        let Some(search) = self.page_search(filter, page).await? else {
            return Ok(base::Page::empty());
        };
        let found = self.search_page(&search, bytes).await?;
        let found = found.first(page.limit as usize).within(bytes, PageRow::bytes);
        let more = found.more;
        let items = self.complete_rows(filter.org(), found.items).await?;
        Ok(base::Page { items, more })
    }

    /// The rows of a page, and perhaps one more.
    async fn search_page(
        &self,
        search: &Search<'_>,
        bytes: usize,
    ) -> Result<base::Page<PageRow>, StoreError> {
        let mut rest = search.span();
        let mut page: base::Page<PageRow> = base::Page::empty();
        for step in search.paths.steps() {
            let (source, part) = match step {
                Step::Walk(source, entries) => {
                    let entries = entries.div_ceil(source.lookups());
                    let end: Option<Place> = self.db().fetch_row(search.end(source, rest, entries)).await?;
                    (source, rest.up_to(end))
                }
                Step::Finish(source) => (source, rest),
            };
            let limits = PageLimits {
                rows: (search.page.limit as usize + 1).saturating_sub(page.items.len()),
                bytes: bytes.saturating_sub(page.items.iter().map(PageRow::bytes).sum()),
            };
            let found = self.search_part(search, source, part, limits).await?;
            page.items.extend(found.items);
            page.more = found.more;
            if page.more || page.items.len() > search.page.limit as usize {
                break;
            }
            match rest.after_part(part) {
                Some(following) => rest = following,
                None => break,
            }
        }
        Ok(page)
    }

    /// The first rows of a part that match.
    async fn search_part(
        &self,
        search: &Search<'_>,
        source: &Source,
        span: Span,
        limits: PageLimits,
    ) -> Result<base::Page<PageRow>, StoreError> {
        if source.lookups() > FEW_KEYS {
            // A row of the page has a key of which the first row is among the first ones of all keys, and is not after the
            // last one of those.
            let wanted = one_more(limits.rows);
            let keys = search.next_keys(source, span, wanted);
            let keys: Vec<(i64, i64, i64)> = self.db().fetch_rows(keys).await?;
            let Some(&(_, happened_at, seq)) = keys.last() else {
                return Ok(base::Page::empty());
            };
            let are_all = bigint(keys.len()) < wanted;
            let mut near = span;
            if !are_all {
                near.through = Some((happened_at, seq));
            }
            let narrow = source.with_keys(keys.into_iter().map(|(key, ..)| key).collect());
            let mut rows = search.rows(&narrow, near, wanted);
            rows.push(" LIMIT ").bind(wanted);
            let page: base::Page<PageRow> = self.db().fetch_first(rows, limits).await?;
            if !page.items.is_empty() && (page.more || are_all) {
                return Ok(page);
            }
            // Rows of these keys cannot be read, or have left the log meanwhile.
        }
        self.db()
            .fetch_page_by(limits, |rows| search.rows(source, span, rows))
            .await
    }

    /// Returns the database's plans for one page of rows, one text for each line: of all queries that may be needed.
    ///
    /// Operators use it to examine a slow request, and tests use it to check that each filter uses its index. The
    /// format depends on the database. It is empty if no row can match.
    pub async fn explain_rows(
        &self,
        filter: &Scoped<&Filter>,
        page: Page,
    ) -> Result<Vec<String>, StoreError> {
        let Some(search) = self.page_search(filter, page).await? else {
            return Ok(Vec::new());
        };
        let span = search.span();
        let limit = i64::from(page.limit);
        let mut lines = Vec::new();
        for step in search.paths.steps_of_each() {
            let (Step::Walk(source, _) | Step::Finish(source)) = step;
            let mut rows = search.rows(source, span, limit);
            rows.push(" LIMIT ").bind(limit);
            lines.extend(self.db().explain(rows).await?);
            if source.lookups() > FEW_KEYS {
                let keys = search.next_keys(source, span, limit);
                lines.extend(self.db().explain(keys).await?);
            }
            if let Step::Walk(_, entries) = step {
                lines.extend(self.db().explain(search.end(source, span, entries)).await?);
            }
        }
        Ok(lines)
    }

    /// Looks up what a filter names, and chooses the indexes. `None` if no row can match.
    async fn page_search<'f>(
        &self,
        filter: &Scoped<&'f Filter>,
        page: Page,
    ) -> Result<Option<Search<'f>>, StoreError> {
        let Some(keys) = self.find_filter_keys(filter).await? else {
            return Ok(None);
        };
        let FilterKeys {
            org,
            persons,
            contents,
        } = keys;
        let filter = *filter.inner();
        let mut verbs = Vec::new();
        for filter in filter.each() {
            let keys = self.find_verb_keys(org, filter).await?;
            if !filter.verbs.is_empty() && keys.is_empty() {
                return Ok(None);
            }
            verbs.push(keys);
        }
        let arrival = self.find_arrival(org, filter).await?;
        let paths = Paths::choose(Restrictions {
            filter,
            now: page.now,
            persons: &persons,
            contents: contents.as_deref(),
            verbs: &verbs,
            has_contents_of_source: self.has_contents_of_source(org, filter).await?,
            arrival,
        });
        Ok(Some(Search {
            org,
            engine: self.db().engine(),
            filter,
            page,
            persons,
            contents,
            arrival,
            paths,
        }))
    }

    /// Whether a content has one of the sources of the filter: its rows need no source of their own.
    async fn has_contents_of_source(&self, org: i64, filter: &Filter) -> Result<bool, StoreError> {
        let sources: Vec<String> = filter.each().flat_map(|filter| folded(&filter.sources)).collect();
        if sources.is_empty() {
            return Ok(false);
        }
        let mut sql = select_contents_of_sources(org, sources);
        sql.push(" LIMIT 1");
        Ok(self.db().fetch_optional(sql).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;

    fn window(from: i64, to: i64) -> Window {
        Window {
            from: Some(Timestamp::from_micros(from)),
            to: Some(Timestamp::from_micros(to)),
        }
    }

    fn position(happened_at: i64) -> Option<Position> {
        Some(Position {
            happened_at: Timestamp::from_micros(happened_at),
            seq: 5,
        })
    }

    #[test]
    fn part_begins_at_the_later_one_of_window_and_cursor() {
        let span = |sort, after| Span::new(sort, after, window(10, 20));
        let newest = span(Sort::NewestFirst, position(15));
        assert_eq!(
            (newest.after, newest.through),
            (Some((15, 5)), Some((10, i64::MIN)))
        );
        let newest = span(Sort::NewestFirst, position(30));
        assert_eq!(newest.after, Some((20, i64::MIN)));
        let oldest = span(Sort::OldestFirst, position(15));
        assert_eq!(
            (oldest.after, oldest.through),
            (Some((15, 5)), Some((19, i64::MAX)))
        );
        let oldest = span(Sort::OldestFirst, None);
        assert_eq!(oldest.after, Some((9, i64::MAX)));
    }

    /// Each walk goes on where the one before has ended, and has an end of its own.
    #[test]
    fn parts_follow_each_other_up_to_the_end() {
        let whole = Span::new(Sort::NewestFirst, None, window(10, 20));
        let first = whole.up_to(Some((17, 3)));
        assert_eq!((first.after, first.through), (whole.after, Some((17, 3))));
        let rest = whole.after_part(first).expect("the rest");
        assert_eq!((rest.after, rest.through), (Some((17, 3)), whole.through));
        let second = rest.up_to(Some((12, 9)));
        assert_eq!((second.after, second.through), (rest.after, Some((12, 9))));
        let rest = rest.after_part(second).expect("the rest");
        assert_eq!(rest.through, whole.through);
        assert_eq!(rest.after_part(rest.up_to(None)), None);
        let endless = Span::new(Sort::OldestFirst, None, Window::default());
        assert_eq!(endless.after_part(endless.up_to(None)), None);
        assert!(endless.after_part(endless.up_to(Some((1, 1)))).is_some());
    }
}
