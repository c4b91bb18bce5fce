//! Reads the log. Every way out of it passes here, and takes a [`Scoped`] question: there is no other.
//!
//! A question is resolved in three steps: whose rows (`reach`), of which contents, then the rows
//! themselves, by key. So the hot query touches one narrow table, and its plan depends on nothing but how
//! many persons and contents were found.

use futures_util::{Stream, StreamExt};
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::{StatementId, UserId};
use crate::log::{
    Action, Certificate, ContentKey, Filter, Percent, PersonKey, Position, Projected, Row, Score, Sort,
    VerbKey, Window,
};
use crate::record::Origin;

use crate::store::db::database::{self, Engine, Sql};
use crate::store::db::dialect::Value;
use crate::store::db::{Store, StoreError, digest};
use crate::store::directory::contents::{CPD_LABEL, TAG};
use crate::store::directory::reach::Persons;

/// The columns of a row, in the order in which [`read`] takes them; the organisation is not asked for.
pub(crate) const SELECT: &str = "SELECT a.seq, a.id, a.happened_at, a.stored_at, a.person, a.verb, a.content, a.action, \
     a.origin, a.completed, a.success, a.completion, a.certified, a.scaled, a.raw, a.min, a.max, a.percent, \
     a.seconds, a.time_limit, a.expired_at, a.certificate_expires_at, a.registration, a.import, \
     a.certificate_name, a.response, a.device_type, a.recorded_by, a.comment, a.source FROM activities a";

/// A row of [`SELECT`].
pub(crate) fn read(row: &database::Row) -> Result<Row, StoreError> {
    let time = |column| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros));
    let action: i16 = row.get(7)?;
    let origin: i16 = row.get(8)?;
    let certified: bool = row.get(12)?;
    let certificate = if certified {
        Some(Certificate {
            name: row.get(24)?,
            expires_at: time(21)?,
        })
    } else {
        None
    };
    let recorded_by: Option<String> = row.get(27)?;
    Ok(Row {
        id: StatementId(row.get(1)?),
        seq: row.get(0)?,
        stored_at: Timestamp::from_micros(row.get(3)?),
        person: PersonKey(row.get(4)?),
        verb: VerbKey(row.get(5)?),
        content: row.get::<Option<i64>>(6)?.map(ContentKey),
        projected: Projected {
            happened_at: Timestamp::from_micros(row.get(2)?),
            action: Action::from_code(action).ok_or_else(|| StoreError::corrupt("action", action))?,
            success: row.get(10)?,
            completion: row.get(11)?,
            completed: row.get(9)?,
            score: Score {
                scaled: row.get(13)?,
                raw: row.get(14)?,
                min: row.get(15)?,
                max: row.get(16)?,
                percent: row.get::<Option<i64>>(17)?.map(Percent),
            },
            response: row.get(25)?,
            seconds: row.get(18)?,
            time_limit: row.get(19)?,
            expired_at: time(20)?,
            certificate,
            registration: row.get::<Option<Uuid>>(22)?,
            device_type: row.get(26)?,
            origin: Origin::from_code(origin).ok_or_else(|| StoreError::corrupt("origin", origin))?,
            recorded_by: recorded_by
                .map(|id| UserId::new(id).map_err(|error| StoreError::corrupt("user id", error)))
                .transpose()?,
            comment: row.get(28)?,
            source: row.get(29)?,
            import: row.get::<Option<Uuid>>(23)?,
        },
    })
}

/// How a row is read.
pub(crate) type ReadRow = fn(&database::Row) -> Result<Row, StoreError>;

/// How much of each row a reader needs. The database's own work for a row grows with its columns, and an
/// export asks for all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Whole,
    /// What the standard and the e-learning CSV show: person, verb, content, action, when, completed, success,
    /// percent, seconds and expiries. The rest of such a row is empty and means nothing.
    Brief,
}

/// The columns of a brief row, in the order in which [`read_brief`] takes them.
const SELECT_BRIEF: &str = "SELECT a.happened_at, a.person, a.verb, a.content, a.action, a.completed, a.success, \
     a.percent, a.seconds, a.expired_at, a.certificate_expires_at FROM activities a";

fn read_brief(row: &database::Row) -> Result<Row, StoreError> {
    let time = |column| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros));
    let action: i16 = row.get(4)?;
    let expires_at = time(10)?;
    Ok(Row {
        person: PersonKey(row.get(1)?),
        verb: VerbKey(row.get(2)?),
        content: row.get::<Option<i64>>(3)?.map(ContentKey),
        projected: Projected {
            happened_at: Timestamp::from_micros(row.get(0)?),
            action: Action::from_code(action).ok_or_else(|| StoreError::corrupt("action", action))?,
            completed: row.get(5)?,
            success: row.get(6)?,
            score: Score {
                percent: row.get::<Option<i64>>(7)?.map(Percent),
                ..Score::default()
            },
            seconds: row.get(8)?,
            expired_at: time(9)?,
            certificate: expires_at.map(|at| Certificate {
                name: None,
                expires_at: Some(at),
            }),
            response: None,
            completion: None,
            time_limit: None,
            registration: None,
            device_type: None,
            origin: Origin::default(),
            recorded_by: None,
            comment: None,
            source: None,
            import: None,
        },
        id: StatementId(Uuid::nil()),
        seq: 0,
        stored_at: Timestamp::default(),
    })
}

/// Up to so many persons SQLite looks up each one's rows and sorts them; for more it walks the log in
/// order of time and passes over other people's rows. A user has some three to six.
const FEW_PERSONS: usize = 16;
/// The same for contents, each of which may have very many rows.
const FEW_CONTENTS: usize = 4;

/// How SQLite is told to come to the rows: its index, and how the columns are written.
struct Access {
    index: &'static str,
    person: &'static str,
    content: &'static str,
}

/// Which rows of an answer are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// In which order.
    pub sort: Sort,
    /// After which row; `None`: from the first.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: u32,
    /// The moment at which what is relative to now is resolved.
    pub now: Timestamp,
}

impl Store {
    /// One page of the log.
    pub async fn page(&self, question: &Scoped<&Filter>, page: Page) -> Result<Vec<Row>, StoreError> {
        let Some(mut sql) = self
            .question(question, SELECT, page.now, page.after.map(|at| (page.sort, at)))
            .await?
        else {
            return Ok(Vec::new());
        };
        push_order(&mut sql, page.sort);
        sql.push(" LIMIT ").bind(i64::from(page.limit));
        self.db().fetch_all(sql).await?.iter().map(read).collect()
    }

    /// What the database says it will do for a page of the log, a line each: for operators who look into a
    /// slow question, and for the tests that hold every filter to its index. The wording is the
    /// database's own. No line where nothing can be found without asking for rows at all.
    pub async fn explain(&self, question: &Scoped<&Filter>, page: Page) -> Result<Vec<String>, StoreError> {
        let after = page.after.map(|at| (page.sort, at));
        let Some(mut sql) = self.question(question, SELECT, page.now, after).await? else {
            return Ok(Vec::new());
        };
        push_order(&mut sql, page.sort);
        sql.push(" LIMIT ").bind(i64::from(page.limit));
        self.db().explain(sql).await
    }

    /// How many rows there are, over all pages.
    pub async fn count(&self, question: &Scoped<&Filter>, now: Timestamp) -> Result<u64, StoreError> {
        let Some(sql) = self
            .question(question, "SELECT count(*) FROM activities a", now, None)
            .await?
        else {
            return Ok(0);
        };
        let count = self.db().count(sql).await?;
        Ok(u64::try_from(count).unwrap_or(0)) // a count is never less than nothing
    }

    /// All rows, in order, as they come, in chunks: memory does not grow with their number.
    pub async fn rows(
        &self,
        question: &Scoped<&Filter>,
        sort: Sort,
        now: Timestamp,
        detail: Detail,
    ) -> Result<impl Stream<Item = Result<Vec<Row>, StoreError>> + Send + 'static, StoreError> {
        let (select, read) = match detail {
            Detail::Whole => (SELECT, read as ReadRow),
            Detail::Brief => (SELECT_BRIEF, read_brief as ReadRow),
        };
        let sql = self.question(question, select, now, None).await?;
        let chunks = sql.map(|mut sql| {
            push_order(&mut sql, sort);
            self.db().stream(self.runtime(), sql, read)
        });
        Ok(futures_util::stream::iter(chunks).flatten())
    }

    /// All rows of the question in whatever order the database likes best, in chunks: for what counts them. `read`
    /// takes the columns of `select`, which ends with `FROM activities a`.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        question: &Scoped<&Filter>,
        select: &'static str,
        now: Timestamp,
        read: fn(&database::Row) -> Result<T, StoreError>,
    ) -> Result<impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static, StoreError> {
        let sql = self.question(question, select, now, None).await?;
        let chunks = sql.map(|sql| self.db().stream(self.runtime(), sql, read));
        Ok(futures_util::stream::iter(chunks).flatten())
    }

    /// One row by its id, wherever it is within the reach: of a deactivated user, too, and a visit.
    pub async fn activity(&self, question: &Scoped<StatementId>) -> Result<Option<Row>, StoreError> {
        let everything = Filter {
            include_deactivated: true,
            actions: Action::ALL.to_vec(),
            ..Filter::default()
        };
        let Some(org) = self.organisation_key(question.org()).await? else {
            return Ok(None);
        };
        let persons = self.persons(org, question, &everything).await?;
        let mut sql = Sql::new(SELECT).with(org);
        sql.push(
            " WHERE a.org = $1 AND a.seq = (SELECT s.seq FROM statements s WHERE s.org = $1 AND s.id = ",
        );
        sql.bind(question.inner().0).push(")");
        if let Persons::Only(persons) = persons {
            sql.push(" AND a.person").any_of(persons);
        }
        self.db()
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The query for the question up to its order; `None` where nothing can be found.
    pub(crate) async fn question(
        &self,
        question: &Scoped<&Filter>,
        select: &str,
        now: Timestamp,
        after: Option<(Sort, Position)>,
    ) -> Result<Option<Sql>, StoreError> {
        let filter = *question.inner();
        let Some(org) = self.organisation_key(question.org()).await? else {
            return Ok(None);
        };
        let persons = self.persons(org, question, filter).await?;
        if matches!(&persons, Persons::Only(persons) if persons.is_empty()) {
            return Ok(None);
        }
        let contents = self.contents_of(org, filter).await?;
        if contents.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let access = self.access(filter, &persons, contents.as_deref());
        let mut sql = Sql::new(select).with(org);
        sql.push(access.index).push(" WHERE a.org = $1");
        match persons {
            Persons::Only(persons) => push_any(&mut sql, access.person, persons),
            Persons::Everyone {
                deactivated_too: true,
            } => {}
            Persons::Everyone {
                deactivated_too: false,
            } => {
                sql.push(
                    " AND a.person NOT IN (SELECT p.key FROM persons p WHERE p.org = $1 AND p.deactivated)",
                );
            }
        }
        if let Some(contents) = contents {
            push_any(&mut sql, access.content, contents);
        }
        push_row_filters(&mut sql, filter, now);
        if let Some((sort, at)) = after {
            sql.push(" AND (a.happened_at, a.seq) ").push(match sort {
                Sort::NewestFirst => "<",
                Sort::OldestFirst => ">",
            });
            sql.push(" (")
                .bind(at.happened_at.micros())
                .push(", ")
                .bind(at.seq)
                .push(")");
        }
        Ok(Some(sql))
    }

    /// How the database is to come to the rows. PostgreSQL has statistics and decides by itself. SQLite has
    /// none and takes any index for as good as another: it would pass over the whole log for a person with
    /// ten rows, or fetch and sort every row of a thousand persons for one page. So few persons or contents,
    /// an import and expiring certificates are looked up by their index, and the plus keeps it from that for many.
    fn access(&self, filter: &Filter, persons: &Persons, contents: Option<&[i64]>) -> Access {
        let mut access = Access {
            index: "",
            person: "a.person",
            content: "a.content",
        };
        if self.db().engine() == Engine::Postgres {
            return access;
        }
        let few_persons = matches!(persons, Persons::Only(persons) if persons.len() <= FEW_PERSONS);
        let few_contents = contents.is_some_and(|contents| contents.len() <= FEW_CONTENTS);
        access.index = if few_persons {
            " INDEXED BY activities_person"
        } else if few_contents {
            " INDEXED BY activities_content"
        } else if filter.each().any(|filter| !filter.imports.is_empty()) {
            " INDEXED BY activities_import"
        } else if filter
            .each()
            .any(|filter| filter.certificate_expires_within.is_some())
        {
            " INDEXED BY activities_certificate"
        } else {
            ""
        };
        if !few_persons {
            access.person = "+a.person";
        }
        if few_persons || !few_contents {
            access.content = "+a.content";
        }
        access
    }

    /// The contents that the filter names, and each that it is within; `None` where none of them names any.
    async fn contents_of(&self, org: i64, filter: &Filter) -> Result<Option<Vec<i64>>, StoreError> {
        if !filter.selects_contents() {
            return Ok(None);
        }
        let mut sql = Sql::new("SELECT c.key FROM contents c WHERE c.org = $1").with(org);
        for filter in filter.each() {
            push_contents(&mut sql, filter);
        }
        let rows = self.db().fetch_all(sql).await?;
        Ok(Some(rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?))
    }
}

/// What one filter asks of the content.
fn push_contents(sql: &mut Sql, filter: &Filter) {
    if !filter.types.is_empty() {
        let codes: Vec<i16> = filter.types.iter().map(|kind| kind.code()).collect();
        sql.push(" AND c.type").any_of(codes);
    }
    if !filter.content_types.is_empty() {
        let codes: Vec<i16> = filter.content_types.iter().map(|kind| kind.code()).collect();
        sql.push(" AND c.content_type").any_of(codes);
    }
    if !filter.contents.is_empty() {
        let ids: Vec<Vec<u8>> = filter.contents.iter().map(|id| digest(id.as_str())).collect();
        sql.push(" AND c.id_digest").any_of(ids);
    }
    for (kind, values) in [(TAG, &filter.tags), (CPD_LABEL, &filter.cpd_labels)] {
        if !values.is_empty() {
            sql.push(" AND c.key IN (SELECT t.content FROM content_terms t WHERE t.org = $1 AND t.kind = ");
            sql.bind(kind)
                .push(" AND t.value")
                .any_of(values.clone())
                .push(")");
        }
    }
    push_titles(sql, filter);
}

fn push_titles(sql: &mut Sql, filter: &Filter) {
    if filter.titles.is_empty() {
        return;
    }
    sql.push(" AND (");
    for (place, title) in filter.titles.iter().enumerate() {
        sql.push(if place == 0 { "(1 = 1" } else { " OR (1 = 1" });
        for word in &title.words {
            sql.push(" AND STRPOS(c.title_folded, ")
                .bind(fold(word))
                .push(") > 0");
        }
        sql.push(")");
    }
    sql.push(")");
}

/// One of the values; a single one by `=`, so that an index gives its rows in order and nothing is sorted.
fn push_any<T>(sql: &mut Sql, column: &'static str, values: Vec<T>)
where
    T: Into<Value> + Copy,
    Vec<T>: Into<Value>,
{
    sql.push(" AND ").push(column);
    match values.as_slice() {
        [one] => sql.push(" = ").bind(*one),
        _ => sql.any_of(values),
    };
}

/// What is asked of the row itself, by the filter and by each that it is within.
fn push_row_filters(sql: &mut Sql, filter: &Filter, now: Timestamp) {
    for filter in filter.each() {
        if !filter.actions.is_empty() {
            let codes: Vec<i16> = filter.actions.iter().map(|action| action.code()).collect();
            push_any(sql, "a.action", codes);
        }
    }
    if filter.hides_visited() {
        sql.push(" AND a.action <> ").bind(Action::Visited.code());
    }
    for filter in filter.each() {
        push_origin(sql, filter);
        push_outcome(sql, filter, now);
    }
    push_window(sql, "a.happened_at", filter.window(now));
    if let Some(window) = filter.certificate_window(now) {
        push_window(sql, "a.certificate_expires_at", window);
    }
}

/// What one filter asks of how a row came in.
fn push_origin(sql: &mut Sql, filter: &Filter) {
    if !filter.verbs.is_empty() {
        sql.push(" AND a.verb IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri");
        let iris: Vec<String> = filter.verbs.iter().map(|verb| verb.0.clone()).collect();
        sql.any_of(iris).push(")");
    }
    if !filter.sources.is_empty() {
        // The record's own source, or else its content's.
        sql.push(" AND (a.source").any_of(filter.sources.clone());
        sql.push(
            " OR (a.source IS NULL AND a.content IN (SELECT c.key FROM contents c WHERE c.org = $1 AND c.source",
        );
        sql.any_of(filter.sources.clone()).push(")))");
    }
    if !filter.device_types.is_empty() {
        sql.push(" AND a.device_type").any_of(filter.device_types.clone());
    }
    if !filter.origins.is_empty() {
        let codes: Vec<i16> = filter.origins.iter().map(|origin| origin.code()).collect();
        sql.push(" AND a.origin").any_of(codes);
    }
    if !filter.imports.is_empty() {
        push_any(sql, "a.import", filter.imports.clone());
    }
    if let Some(bulk) = filter.bulk_import {
        sql.push(if bulk {
            " AND a.import IS NOT NULL"
        } else {
            " AND a.import IS NULL"
        });
    }
}

/// What one filter asks of what came of it.
fn push_outcome(sql: &mut Sql, filter: &Filter, now: Timestamp) {
    if let Some(completed) = filter.completed {
        sql.push(if completed {
            " AND a.completed"
        } else {
            " AND NOT a.completed"
        });
    }
    if let Some(certified) = filter.has_certificate {
        sql.push(if certified {
            " AND a.certified"
        } else {
            " AND NOT a.certified"
        });
    }
    if !filter.results.is_empty() {
        let passed = filter.results.iter().any(|result| result.success());
        let failed = filter.results.iter().any(|result| !result.success());
        sql.push(match (passed, failed) {
            (true, false) => " AND a.success",
            (false, true) => " AND NOT a.success",
            _ => " AND a.success IS NOT NULL",
        });
    }
    match filter.expired {
        Some(true) => {
            sql.push(" AND a.expired_at < ").bind(now.micros());
        }
        Some(false) => {
            sql.push(" AND (a.expired_at IS NULL OR a.expired_at >= ")
                .bind(now.micros())
                .push(")");
        }
        None => {}
    }
}

/// Narrows `column`, a moment, to the window.
pub(crate) fn push_window(sql: &mut Sql, column: &str, window: Window) {
    if let Some(from) = window.from {
        sql.push(" AND ").push(column).push(" >= ").bind(from.micros());
    }
    if let Some(to) = window.to {
        sql.push(" AND ").push(column).push(" < ").bind(to.micros());
    }
}

pub(crate) fn push_order(sql: &mut Sql, sort: Sort) {
    sql.push(match sort {
        Sort::NewestFirst => " ORDER BY a.happened_at DESC, a.seq DESC",
        Sort::OldestFirst => " ORDER BY a.happened_at, a.seq",
    });
}
