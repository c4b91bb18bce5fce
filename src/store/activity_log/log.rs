//! Reads rows of the Activity Log.
//!
//! Every read path of the log uses [`Store::rows_query`], which takes a [`Scoped`] filter. No other function selects
//! rows for a caller.
//!
//! A query is built in three steps: find the keys of the persons (`directory/reach`), find the keys of the contents,
//! then select the rows by these keys. The large query therefore reads one narrow table, and its plan depends only on
//! the number of persons and contents.

use std::collections::HashMap;

use futures_util::{Stream, StreamExt};

use crate::access::Scoped;
use crate::base;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::log::{Action, Filter, Position, Row, Sort};

use crate::store::activity_log::conditions::{push_any, push_content_filters, push_row_filters};
use crate::store::activity_log::rows::{BriefRow, Detail, FileRow, read_row};
use crate::store::db::columns::{FromColumn as _, FromRow};
use crate::store::db::database::{self, Engine, Sql};
use crate::store::db::page_rows::PageLimits;
use crate::store::db::row_stream::{RowReader, SkippedRows};
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::Persons;
use crate::store::ingest::activity_rows::ActivityRow;

/// With up to this many persons, SQLite looks up the rows of each person and sorts them. With more persons, it walks
/// the log in order of time and skips the rows of other persons. A user usually has three to six persons.
pub(super) const FEW_PERSONS: usize = 16;
/// The same limit for contents. It is smaller because one content can have very many rows.
const FEW_CONTENTS: usize = 4;

/// The organisation, and the keys that a filter selects.
pub(super) struct FilterKeys {
    pub(super) org: i64,
    pub(super) persons: Persons,
    /// The contents; `None` if no filter restricts them.
    pub(super) contents: Option<Vec<i64>>,
}

/// The path that SQLite uses to find the rows.
struct AccessPath {
    /// The text that selects an index, or an empty text.
    index: &'static str,
    /// The text of the person column. A leading `+` prevents the use of its index.
    person: &'static str,
    /// The text of the content column, with the same meaning of `+`.
    content: &'static str,
}

impl AccessPath {
    /// The rows with a list of `seq`, by the primary key.
    const BY_SEQ: Self = Self {
        index: " INDEXED BY sqlite_autoindex_activities_1",
        person: "+a.person",
        content: "+a.content",
    };
}

/// A request for one page of rows.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The order of the rows.
    pub sort: Sort,
    /// The last row of the page before; `None` for the first page.
    pub after: Option<Position>,
    /// The maximum number of rows.
    pub limit: u32,
    /// The time that relative dates and expiries refer to.
    pub now: Timestamp,
}

/// A row of a page. A large response is read when the page is known to have it, so that a page of large responses needs
/// no more memory than its budget. A page of small ones is one query.
pub(super) struct PageRow {
    pub(super) row: ActivityRow,
    response_bytes: Option<i64>,
}

impl PageRow {
    /// The columns, as they are written in `SELECT`.
    pub(super) fn columns() -> String {
        let small = " CASE WHEN octet_length(a.response) <= 8192 THEN a.response END,";
        let columns = ActivityRow::COLUMNS.replace(" response,", small);
        columns + ", CAST(octet_length(a.response) AS BIGINT)"
    }

    /// The bytes of the texts that clients choose.
    pub(super) fn bytes(&self) -> usize {
        let ActivityRow {
            comment,
            source,
            device_type,
            ..
        } = &self.row;
        let texts = [comment, source, device_type].into_iter().flatten();
        let response = usize::try_from(self.response_bytes.unwrap_or(0)).unwrap_or(0);
        texts.map(String::len).sum::<usize>() + response
    }
}

impl FromRow for PageRow {
    fn from_row(row: &database::Row) -> Result<Self, StoreError> {
        Ok(Self {
            row: ActivityRow::read(row)?,
            response_bytes: Option::from_column(row, ActivityRow::COUNT)?,
        })
    }
}

impl Store {
    /// The first rows of a query for [`PageRow::columns`] without a `LIMIT`.
    pub(super) async fn fetch_page_rows(
        &self,
        organisation: &OrgId,
        sql: Sql,
        limits: PageLimits,
    ) -> Result<base::Page<Row>, StoreError> {
        let found: base::Page<PageRow> = self.db().fetch_page(sql, limits).await?;
        let found = found.within(limits.bytes, PageRow::bytes);
        let more = found.more;
        let items = self.complete_rows(organisation, found.items).await?;
        Ok(base::Page { items, more })
    }

    /// The rows with their large responses.
    pub(super) async fn complete_rows(
        &self,
        organisation: &OrgId,
        rows: Vec<PageRow>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut large = self.find_large_responses(organisation, &rows).await?;
        let complete = |page_row: PageRow| {
            let PageRow {
                mut row,
                response_bytes,
            } = page_row;
            if response_bytes.is_some() && row.response.is_none() {
                row.response = large.remove(&row.seq);
            }
            Row::from(row)
        };
        Ok(rows.into_iter().map(complete).collect())
    }

    /// The responses of the rows that have one and were read without it.
    async fn find_large_responses(
        &self,
        organisation: &OrgId,
        rows: &[PageRow],
    ) -> Result<HashMap<i64, String>, StoreError> {
        let large = rows
            .iter()
            .filter(|row| row.response_bytes.is_some() && row.row.response.is_none());
        let large: Vec<i64> = large.map(|row| row.row.seq).collect();
        let org = match self.organisation_key(organisation).await? {
            Some(org) if !large.is_empty() => org,
            _ => return Ok(HashMap::new()),
        };
        let mut sql = select_rows(org, "a.seq, a.response");
        sql.push(" WHERE a.org = $1 AND a.response IS NOT NULL AND a.seq")
            .any_of(large);
        let found: Vec<(i64, String)> = self.db().fetch_readable("activity", 0, sql).await?;
        Ok(found.into_iter().collect())
    }

    /// Counts the rows of all pages by a query.
    pub(super) async fn count_stored_rows(
        &self,
        filter: &Scoped<&Filter>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let Some(sql) = self.rows_query(filter, "count(*)", now).await? else {
            return Ok(0);
        };
        let count = self.long_db().count(sql).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Streams all rows in order, in chunks. The memory does not grow with the number of rows. Rows that cannot be read
    /// are left out and counted in `skipped`.
    pub async fn stream_rows(
        &self,
        filter: &Scoped<&Filter>,
        sort: Sort,
        now: Timestamp,
        skipped: &SkippedRows,
    ) -> Result<impl Stream<Item = Result<Vec<Row>, StoreError>> + Send + 'static, StoreError> {
        let reader = RowReader {
            read: read_row,
            bytes: Row::text_bytes,
            copied: None,
        };
        self.stream_in_order(filter, sort, now, ActivityRow::COLUMNS, reader, skipped)
            .await
    }

    /// [`Store::stream_rows`] with this detail.
    pub async fn stream_file_rows(
        &self,
        filter: &Scoped<&Filter>,
        sort: Sort,
        now: Timestamp,
        detail: Detail,
        skipped: &SkippedRows,
    ) -> Result<impl Stream<Item = Result<Vec<FileRow>, StoreError>> + Send + 'static, StoreError> {
        let (columns, read): (_, fn(&database::Row) -> _) = match detail {
            Detail::Whole => (ActivityRow::COLUMNS, FileRow::read_whole),
            Detail::Brief => (BriefRow::COLUMNS, FileRow::read_brief),
        };
        let reader = RowReader {
            read,
            bytes: FileRow::heap_bytes,
            copied: (detail == Detail::Brief).then_some(BriefRow::COLUMNS),
        };
        self.stream_in_order(filter, sort, now, columns, reader, skipped)
            .await
    }

    async fn stream_in_order<T: Send + 'static>(
        &self,
        filter: &Scoped<&Filter>,
        sort: Sort,
        now: Timestamp,
        columns: &str,
        reader: RowReader<T>,
        skipped: &SkippedRows,
    ) -> Result<impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static, StoreError> {
        let sql = self.rows_query(filter, columns, now).await?;
        let chunks = sql.map(|mut sql| {
            push_order(&mut sql, sort);
            self.db().stream(self.runtime(), sql, reader, skipped.clone())
        });
        Ok(futures_util::stream::iter(chunks).flatten())
    }

    /// Streams all rows in an unspecified order, in chunks, for code that counts them. `read` reads a row of `columns`,
    /// which belong to the table `activities a`.
    pub(crate) async fn scan_rows<T: Send + 'static>(
        &self,
        filter: &Scoped<&Filter>,
        columns: &str,
        now: Timestamp,
        read: fn(&database::Row) -> Result<T, StoreError>,
    ) -> Result<impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static, StoreError> {
        let sql = self.rows_query(filter, columns, now).await?;
        let reader = RowReader {
            read,
            bytes: |_| 0, // the columns that code counts are short
            copied: None,
        };
        let chunks = sql.map(|sql| {
            self.db()
                .stream(self.runtime(), sql, reader, SkippedRows::default())
        });
        Ok(futures_util::stream::iter(chunks).flatten())
    }

    /// Finds those of these records that are rows of the filter, in any order.
    pub async fn find_matching_rows(
        &self,
        filter: &Scoped<&Filter>,
        seqs: Vec<i64>,
        now: Timestamp,
    ) -> Result<Vec<Row>, StoreError> {
        let path = AccessPath::BY_SEQ;
        let sql = self
            .rows_query_by(filter, ActivityRow::COLUMNS, now, Some(path))
            .await?;
        let Some(mut sql) = sql.filter(|_| !seqs.is_empty()) else {
            return Ok(Vec::new());
        };
        sql.push(" AND a.seq").any_of(seqs);
        let rows: Vec<ActivityRow> = self.db().fetch_readable("activity", 1, sql).await?;
        Ok(rows.into_iter().map(Row::from).collect())
    }

    /// Finds one row by its id within the reach. It also finds visits and rows of deactivated users.
    pub async fn find_row(&self, id: &Scoped<StatementId>) -> Result<Option<Row>, StoreError> {
        let Some(sql) = self.row_query(id, ActivityRow::COLUMNS).await? else {
            return Ok(None);
        };
        let row: Option<ActivityRow> = self.db().fetch_row(sql).await?;
        Ok(row.map(Row::from))
    }

    /// Whether [`Store::find_row`] finds a row, even if it cannot be read.
    pub async fn has_row(&self, id: &Scoped<StatementId>) -> Result<bool, StoreError> {
        Ok(match self.row_query(id, "a.seq").await? {
            Some(sql) => self.db().fetch_optional(sql).await?.is_some(),
            None => false,
        })
    }

    /// The query for `columns` of one row within the reach.
    async fn row_query(&self, id: &Scoped<StatementId>, columns: &str) -> Result<Option<Sql>, StoreError> {
        let everything = Filter {
            include_deactivated: true,
            actions: Action::ALL.to_vec(),
            ..Filter::default()
        };
        let Some(org) = self.organisation_key(id.org()).await? else {
            return Ok(None);
        };
        let persons = self.persons(org, id, &everything).await?;
        let mut sql = select_rows(org, columns);
        sql.push(
            " WHERE a.org = $1 AND a.seq = (SELECT s.seq FROM statements s WHERE s.org = $1 AND s.id = ",
        );
        sql.bind(id.inner().0).push(")");
        if let Persons::Only(persons) = persons {
            sql.push(" AND a.person").any_of(persons);
        }
        Ok(Some(sql))
    }

    /// The query for `columns` of the rows that match, without an order, or `None` if no row can match.
    async fn rows_query(
        &self,
        filter: &Scoped<&Filter>,
        columns: &str,
        now: Timestamp,
    ) -> Result<Option<Sql>, StoreError> {
        self.rows_query_by(filter, columns, now, None).await
    }

    /// [`Store::rows_query`] for the rows with these `seq`. Its cost depends on their number only.
    pub(super) async fn rows_query_by_seq(
        &self,
        filter: &Scoped<&Filter>,
        columns: &str,
        now: Timestamp,
        seqs: Vec<i64>,
    ) -> Result<Option<Sql>, StoreError> {
        let path = Some(AccessPath::BY_SEQ);
        let sql = self.rows_query_by(filter, columns, now, path).await?;
        Ok(sql.map(|mut sql| {
            sql.push(" AND a.seq").any_of(seqs).push(" ORDER BY a.seq");
            sql
        }))
    }

    /// [`Store::rows_query`] on the given path to the rows or the best one.
    async fn rows_query_by(
        &self,
        filter: &Scoped<&Filter>,
        columns: &str,
        now: Timestamp,
        path: Option<AccessPath>,
    ) -> Result<Option<Sql>, StoreError> {
        let Some(keys) = self.find_filter_keys(filter).await? else {
            return Ok(None);
        };
        let FilterKeys {
            org,
            persons,
            contents,
        } = keys;
        let filter = *filter.inner();
        let arrival = match path {
            Some(_) => None,
            None => self.find_arrival(org, filter).await?,
        };
        let narrow = arrival.filter(|arrival| arrival.is_narrow);
        let path = path
            .or(narrow.map(|_| AccessPath::BY_SEQ))
            .unwrap_or_else(|| self.access_path(filter, &persons, contents.as_deref()));
        let mut sql = match narrow {
            Some(arrival) if self.db().engine() == Engine::Postgres => arrival.select_within(org, columns),
            _ => select_rows(org, columns),
        };
        sql.push(path.index).push(" WHERE a.org = $1");
        if let Some(arrival) = arrival {
            arrival.push(&mut sql, "a.seq");
        }
        push_persons(&mut sql, path.person, persons);
        if let Some(contents) = contents {
            push_any(&mut sql, path.content, contents);
        }
        push_row_filters(&mut sql, filter, now);
        Ok(Some(sql))
    }

    /// Chooses how the database finds the rows.
    ///
    /// PostgreSQL has statistics and decides by itself. SQLite has none and treats all indexes as equally good: it
    /// would scan the whole log for a person with ten rows, or sort all rows of a thousand persons for one page.
    /// Therefore SQLite is told to use the index of a few persons, a few contents, an import, an expiring certificate or
    /// the newest completions, and the `+` before a column keeps it from using an index for many values.
    fn access_path(&self, filter: &Filter, persons: &Persons, contents: Option<&[i64]>) -> AccessPath {
        let mut path = AccessPath {
            index: "",
            person: "a.person",
            content: "a.content",
        };
        if self.db().engine() == Engine::Postgres {
            return path;
        }
        let few_persons = matches!(persons, Persons::Only(persons) if persons.len() <= FEW_PERSONS);
        let few_contents = contents.is_some_and(|contents| contents.len() <= FEW_CONTENTS);
        let latest = filter.shows_latest_only();
        path.index = if few_persons && latest {
            " INDEXED BY activities_latest_person"
        } else if few_persons {
            " INDEXED BY activities_person"
        } else if few_contents && latest {
            " INDEXED BY activities_latest_content"
        } else if few_contents {
            " INDEXED BY activities_content"
        } else if filter.each().any(|filter| !filter.imports.is_empty()) {
            " INDEXED BY activities_import"
        } else if filter
            .each()
            .any(|filter| filter.certificate_expires_within.is_some())
        {
            " INDEXED BY activities_certificate"
        } else if latest {
            " INDEXED BY activities_latest"
        } else {
            ""
        };
        if !few_persons {
            path.person = "+a.person";
        }
        if few_persons || !few_contents {
            path.content = "+a.content";
        }
        path
    }

    /// Finds the persons and contents that a filter selects. `None` if no row can match.
    pub(super) async fn find_filter_keys(
        &self,
        filter: &Scoped<&Filter>,
    ) -> Result<Option<FilterKeys>, StoreError> {
        let Some(org) = self.organisation_key(filter.org()).await? else {
            return Ok(None);
        };
        let persons = self.persons(org, filter, filter.inner()).await?;
        if matches!(&persons, Persons::Only(persons) if persons.is_empty()) {
            return Ok(None);
        }
        let contents = self.find_content_keys(org, filter.inner()).await?;
        let is_possible = contents.as_ref().is_none_or(|contents| !contents.is_empty());
        Ok(is_possible.then_some(FilterKeys {
            org,
            persons,
            contents,
        }))
    }

    /// Finds the verbs of one filter. They have a key for each display.
    pub(super) async fn find_verb_keys(&self, org: i64, filter: &Filter) -> Result<Vec<i64>, StoreError> {
        if filter.verbs.is_empty() {
            return Ok(Vec::new());
        }
        let iris: Vec<String> = filter.verbs.iter().map(|verb| verb.0.clone()).collect();
        let mut sql = Sql::new("SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri").with(org);
        sql.any_of(iris);
        let keys: Vec<(i64,)> = self.db().fetch_rows(sql).await?;
        Ok(keys.into_iter().map(|(key,)| key).collect())
    }

    /// Finds the contents that match the filter and the filters around it, or returns `None` if no filter restricts the
    /// contents.
    pub(super) async fn find_content_keys(
        &self,
        org: i64,
        filter: &Filter,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        if !filter.selects_contents() {
            return Ok(None);
        }
        let mut sql = Sql::new("SELECT c.key FROM contents c WHERE c.org = $1").with(org);
        for filter in filter.each() {
            push_content_filters(&mut sql, filter);
        }
        let keys: Vec<(i64,)> = self.db().fetch_rows(sql).await?;
        Ok(Some(keys.into_iter().map(|(key,)| key).collect()))
    }
}

/// Adds the condition that `column`, the person of a row, is one of the persons.
pub(super) fn push_persons(sql: &mut Sql, column: &'static str, persons: Persons) {
    match persons {
        Persons::Only(persons) => push_any(sql, column, persons),
        Persons::Everyone {
            deactivated_too: true,
        } => {}
        Persons::Everyone {
            deactivated_too: false,
        } => {
            sql.push(" AND a.person NOT IN (SELECT p.key FROM persons p WHERE p.org = $1 AND p.deactivated)");
        }
    }
}

/// `SELECT columns FROM activities a`, with the organisation as `$1`.
pub(super) fn select_rows(org: i64, columns: &str) -> Sql {
    let mut sql = Sql::new("SELECT ").with(org);
    sql.push(columns).push(" FROM activities a");
    sql
}

/// Adds the order of the rows.
pub(super) fn push_order(sql: &mut Sql, sort: Sort) {
    sql.push(match sort {
        Sort::NewestFirst => " ORDER BY a.happened_at DESC, a.seq DESC",
        Sort::OldestFirst => " ORDER BY a.happened_at, a.seq",
    });
}
