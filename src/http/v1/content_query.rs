//! What the resources for the records of one content have in common: [`quizzes`](super::quizzes) and
//! [`exercises`](super::exercises).

use std::mem;

use actix_web::HttpRequest;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::IntoParams;

use crate::access::permit::ReadActivities;
use crate::base::CursorCipher;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::export::FileOptions;
use crate::http::auth::Caller;
use crate::http::pages::{self, PageWriter};
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::log::activity::ActivityContent;
use crate::log::cursor::PartCursor;
use crate::log::filter::FilterSet;
use crate::log::{Paging, ParseContext, Position, Query, ResultFilter};
use crate::store::{ContentRecords, RecordKind};
use crate::texts::Language;

use super::activities::parse_context;
use super::exports::file_options;

const CURSOR: &str = "cursor";

/// The format of a CSV without sets of columns.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`FileQuery` reads them; this struct documents them")]
pub(super) struct CsvFormat {
    /// Begin the file with a byte order mark, for Excel.
    bom: Option<bool>,
    /// Do not escape texts that a spreadsheet would run as a formula. Otherwise they get a `'` before the sign of the formula.
    raw: Option<bool>,
}

/// The members of a page besides its elements.
#[derive(Serialize)]
struct OtherMembers {
    content: ActivityContent,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

/// A page that is complete.
pub(super) struct ContentPage<'a> {
    pub(super) records: &'a ContentRecords,
    pub(super) writer: PageWriter,
    pub(super) has_more: bool,
    /// The number of elements of all pages, if it was asked for.
    pub(super) total: Option<u64>,
    /// The moment of the first page.
    pub(super) now: Timestamp,
}

/// A parsed request for the records of one content.
pub(super) struct ContentQuery {
    pub(super) query: Query,
    /// The values of `result`. They are compared with each answer or grade, and not with the row of the log.
    pub(super) results: Vec<ResultFilter>,
    /// The moment of the first page.
    pub(super) now: Timestamp,
    /// When the page ends, even if it has too few elements.
    pub(super) deadline: Instant,
}

impl ContentQuery {
    /// Parses the parameters. `extra` names further ones, each with one value.
    pub(super) fn parse(
        caller: &Caller<ReadActivities>,
        pairs: &QueryPairs,
        paging: Option<Paging<'_>>,
        extra: &[&str],
    ) -> Result<Self, Problem> {
        let context = ParseContext {
            filters: FilterSet::OneContent,
            paging,
            extra,
            ..parse_context(caller, None)
        };
        // The cursor of these lists has another format than the cursor of the log.
        let is_own_cursor = |name: &str| paging.is_some() && name == CURSOR;
        let pairs = pairs.as_slice().iter().filter(|(name, _)| !is_own_cursor(name));
        let query = Query::parse(&pairs.cloned().collect::<Vec<_>>(), &context)?;
        Ok(Self::from_query(caller, query))
    }

    /// Parses the parameters of a resource without an order and without pages.
    pub(super) fn parse_filters(
        caller: &Caller<ReadActivities>,
        pairs: &QueryPairs,
    ) -> Result<Self, Problem> {
        let context = ParseContext {
            filters: FilterSet::OneContent,
            sort: false,
            paging: None,
            ..parse_context(caller, None)
        };
        Ok(Self::from_query(
            caller,
            Query::parse(pairs.as_slice(), &context)?,
        ))
    }

    fn from_query(caller: &Caller<ReadActivities>, mut query: Query) -> Self {
        Self {
            deadline: Instant::now() + caller.app_state().limits().page_search,
            results: mem::take(&mut query.filter.results),
            now: query.now,
            query,
        }
    }

    /// The records. The content must exist.
    pub(super) async fn find_records(
        &mut self,
        caller: &Caller<ReadActivities>,
        content: &str,
        kind: RecordKind,
    ) -> Result<ContentRecords, Problem> {
        let filter = mem::take(&mut self.query.filter);
        let filter = caller.scoped(self.query.asked_scope, filter)?;
        let records = caller
            .store()
            .content_records(filter, content, kind, self.now)
            .await?;
        records.ok_or_else(Problem::not_found)
    }

    /// Parses the parameters `bom` and `raw`.
    pub(super) fn file_options(&self, language: Language) -> Result<FileOptions, Problem> {
        let mut faults = Faults::new();
        let options = file_options(&self.query, language, &mut faults);
        match faults.is_empty() {
            true => Ok(options),
            false => Err(Problem::with_errors(Code::BadParameter, faults)),
        }
    }
}

/// A page of elements, several of which can belong to one row of the log.
pub(super) struct PagePlace {
    cipher: CursorCipher,
    /// The end of the pages so far: a place, and the number of its elements.
    pub(super) end: Option<(Position, usize)>,
}

impl PagePlace {
    /// Parses the cursor of a request and sets the moment of the first page. `path` is the address of the list.
    pub(super) async fn parse(
        caller: &Caller<ReadActivities>,
        path: &str,
        pairs: &QueryPairs,
        query: &mut ContentQuery,
    ) -> Result<Self, Problem> {
        let cipher = pages::cursor_cipher(caller, path, pairs).await?;
        let mut cursors = pairs.as_slice().iter().filter(|(name, _)| name == CURSOR);
        let cursor = match (cursors.next(), cursors.next()) {
            (None, _) => None,
            (Some((_, text)), None) => Some(PartCursor::decrypt(text, &cipher)?),
            (Some(_), Some(_)) => return Err(Problem::bad_parameter(CURSOR, "must be sent once")),
        };
        query.now = cursor.map_or(query.now, |cursor| cursor.now);
        let end = cursor.map(|cursor| (cursor.place, usize::try_from(cursor.consumed).unwrap_or(0)));
        Ok(Self { cipher, end })
    }

    /// The number of elements of this place on the pages so far.
    pub(super) fn consumed(&self, place: Position) -> usize {
        match self.end {
            Some((end, consumed)) if end == place => consumed,
            _ => 0,
        }
    }

    /// The answer with a page of elements of these records.
    pub(super) fn respond(&self, request: &HttpRequest, pairs: &QueryPairs, page: ContentPage<'_>) -> Answer {
        let next = match page.has_more {
            true => self.next_address(request, pairs, page.now)?,
            false => None,
        };
        let others = OtherMembers {
            content: ActivityContent::new(page.records.content()),
            total: page.total,
        };
        page.writer.respond(next.as_deref(), &others)
    }

    /// The address of the page after the end.
    fn next_address(
        &self,
        request: &HttpRequest,
        pairs: &QueryPairs,
        now: Timestamp,
    ) -> Result<Option<String>, Problem> {
        let Some((place, consumed)) = self.end else {
            return Ok(None);
        };
        let cursor = PartCursor {
            now,
            place,
            consumed: i64::try_from(consumed).unwrap_or(i64::MAX),
        };
        let cursor = cursor.encrypt(&self.cipher)?;
        Ok(Some(pages::next_address(request, pairs, &cursor)))
    }
}
