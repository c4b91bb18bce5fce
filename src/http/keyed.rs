//! Requests to collections of elements with ids that the client chooses: users, teams, groups and contents.
//!
//! A resource is a `KeyedResource` and five handlers with their OpenAPI descriptions. The handlers call `list`,
//! `find`, `put`, `patch` and `put_all`. [`Listing`] also serves other lists that are ordered by a key.

use std::borrow::Cow;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::header;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::auth::Caller;
use super::json::{Batch, JsonBody, MergePatch};
use super::pages::{self, NoOthers, PIECE, PageWriter};
use super::problem::{Answer, Code, Problem, ProblemError};
use super::query::{QueryPairs, QueryReader};
use crate::access::Action;
use crate::base::fault::Faults;
use crate::base::keyed::{DraftBatch, KeyedEntity as _, Refusal, parse_batch, parse_one};
use crate::base::sort::{ListOrder, SortField, SortValue};
use crate::base::{CursorCipher, CursorError, folded_words};
use crate::store::{Collection, ListPart, PageLimits, WriteError};

/// The maximum number of words of `q`. Each is a search in itself.
const MAX_WORDS: usize = 32;

/// A collection as a resource of `/v1`.
pub(super) trait KeyedResource: Collection {
    /// The address of the collection.
    const PATH: &'static str;
    /// The member of a page that has the elements.
    const NAME: &'static str;

    /// Reads the parameters that narrow the list.
    fn read_filter(query: &QueryReader<'_>) -> Self::Filter;

    /// The elements that the caller may read.
    ///
    /// # Errors
    ///
    /// 404 if the caller may read none.
    fn visible<A: Action>(caller: &Caller<A>) -> Result<Self::Visible, Problem>;
}

/// Answers GET of the collection with a page.
pub(super) async fn list<C: KeyedResource, A: Action>(caller: Caller<A>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, C::PATH, &pairs, &query).await?;
    let filter = C::read_filter(&query);
    let order = read_order::<C::SortField>(&query);
    query.finish()?;
    let mut after = listing.after_values(C::sort_columns(order.field).len())?;
    let visible = C::visible(&caller)?;
    let mut writer = PageWriter::new(C::NAME, caller.app_state().limits());
    let mut more = true;
    while more && !writer.is_full() && writer.len() < listing.limit {
        let limits = listing.piece_after(writer.len());
        let page = caller
            .store()
            .list::<C>(
                caller.org(),
                &visible,
                &filter,
                ListPart {
                    order,
                    after: after.as_deref(),
                },
                limits,
            )
            .await?;
        more = page.more;
        let shown = writer.push_all(&page.items)?;
        if let Some(last) = page.items[..shown].last() {
            after = Some(C::sort_values(order.field, last));
        }
    }
    let last = after.map(|values| serde_json::to_string(&values)).transpose();
    let last = last.map_err(Problem::internal)?;
    let next = listing.next(more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Reads `sort`. A list with one order does not have this parameter.
fn read_order<F: SortField>(query: &QueryReader<'_>) -> ListOrder<F> {
    let order = (F::ALL.len() > 1).then(|| query.value("sort"));
    order.flatten().unwrap_or_default()
}

/// Answers GET of one element.
pub(super) async fn find<C: KeyedResource, A: Action>(
    caller: Caller<A>,
    id: &str,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let visible = C::visible(&caller)?;
    let found = caller.store().find::<C>(caller.org(), &visible, id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(Problem::not_found)?))
}

/// Answers PUT of one element: 201 with `Location` for a new one.
pub(super) async fn put<C: KeyedResource, A: Action>(
    caller: Caller<A>,
    id: &str,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let draft: C::Draft = body.read(|text, depth| parse_one(text, depth, id))?;
    let (element, is_new) = caller.store().put::<C>(caller.org(), draft).await?;
    if !is_new {
        return Ok(HttpResponse::Ok().json(element));
    }
    let location = format!("{}/{}", C::PATH, path_segment(element.id_text()));
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(element))
}

/// Answers PATCH of one element.
pub(super) async fn patch<C: KeyedResource, A: Action>(
    caller: Caller<A>,
    id: &str,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let change = |element: &C::Entity| patch.apply::<C::Draft>(element);
    let changed = caller.store().patch::<C>(caller.org(), id, change).await?;
    Ok(HttpResponse::Ok().json(changed.ok_or_else(Problem::not_found)?))
}

/// Answers POST of a batch.
pub(super) async fn put_all<C: KeyedResource, A: Action>(
    caller: Caller<A>,
    pairs: QueryPairs,
    batch: Batch,
) -> Answer {
    pairs.refuse_any()?;
    let drafts: DraftBatch<C::Draft> = batch.read(parse_batch)?;
    let outcome = caller.store().put_all::<C>(caller.org(), drafts).await?;
    Ok(HttpResponse::Ok().json(outcome))
}

/// The request for a page of a list, in the order of ids.
pub struct Listing<'q> {
    base_path: String,
    path: &'q str,
    pairs: &'q QueryPairs,
    cipher: CursorCipher,
    cursor: Option<&'q str>,
    /// The maximum number of elements of the page.
    pub limit: usize,
    bytes: usize,
}

impl<'q> Listing<'q> {
    /// Reads `limit` and `cursor` of the list at `path`.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn new<A: Action>(
        caller: &Caller<A>,
        path: &'q str,
        pairs: &'q QueryPairs,
        query: &QueryReader<'q>,
    ) -> Result<Self, Problem> {
        let default = caller.app_state().limits().page_default;
        Self::with_default(caller, path, pairs, query, default).await
    }

    /// The same, with another default of `limit`.
    ///
    /// # Errors
    ///
    /// As [`Listing::new`].
    pub async fn with_default<A: Action>(
        caller: &Caller<A>,
        path: &'q str,
        pairs: &'q QueryPairs,
        query: &QueryReader<'q>,
        default: usize,
    ) -> Result<Self, Problem> {
        let limits = caller.app_state().limits();
        let limit = query.number("limit", 1..=limits.page_max).unwrap_or(default);
        let cursor = query.text("cursor");
        Ok(Self {
            base_path: caller.app_state().base_path().to_owned(),
            path,
            pairs,
            cipher: pages::cursor_cipher(caller, path, pairs).await?,
            cursor,
            limit,
            bytes: limits.page_bytes,
        })
    }

    /// The limits of the page.
    pub fn limits(&self) -> PageLimits {
        PageLimits {
            rows: self.limit,
            bytes: self.bytes,
        }
    }

    /// The limits of the next piece of a page that has `found` elements already, see [`PIECE`].
    pub fn piece_after(&self, found: usize) -> PageLimits {
        PageLimits {
            rows: self.limit.saturating_sub(found).min(PIECE),
            bytes: self.bytes,
        }
    }

    /// The id after which the page begins.
    ///
    /// # Errors
    ///
    /// 400 for a cursor of another request or another caller.
    pub fn after(&self) -> Result<Option<String>, Problem> {
        let after = self.cursor.map(|text| self.cipher.decrypt_text(text)).transpose();
        Ok(after?)
    }

    /// The values after which the page begins, for a list whose order compares this number of values.
    ///
    /// # Errors
    ///
    /// 400, as [`Listing::after`], and for a cursor without such values.
    fn after_values(&self, count: usize) -> Result<Option<Vec<SortValue>>, Problem> {
        let Some(text) = self.after()? else {
            return Ok(None);
        };
        let values: Vec<SortValue> = serde_json::from_str(&text).map_err(|_| CursorError)?;
        let is_complete = values.len() == count;
        is_complete
            .then_some(values)
            .map(Some)
            .ok_or_else(|| CursorError.into())
    }

    /// The key after which the page begins, for a list with keys that are not texts.
    ///
    /// # Errors
    ///
    /// 400, as [`Listing::after`], and for a cursor without such a key.
    pub fn after_key<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let key = self.after()?.map(|key| key.parse()).transpose();
        key.map_err(|_| CursorError.into())
    }

    /// The address of the page after the id `last`, if the list has more elements.
    ///
    /// # Errors
    ///
    /// The cursor could not be encrypted.
    pub fn next(&self, more: bool, last: Option<&str>) -> Result<Option<String>, Problem> {
        let Some(last) = last.filter(|_| more) else {
            return Ok(None);
        };
        let cursor = self.cipher.encrypt_text(last)?;
        Ok(Some(pages::next_page_address(
            &self.base_path,
            self.path,
            self.pairs,
            &cursor,
        )))
    }
}

/// The words of the parameter `q`, folded.
pub fn search_words(query: &QueryReader<'_>) -> Vec<String> {
    let words = query.text("q").map(folded_words).unwrap_or_default();
    if words.len() > MAX_WORDS {
        query.add_fault("q", format!("use at most {MAX_WORDS} words"));
        return Vec::new();
    }
    words
}

/// The values of an enum, repeated or separated by commas. `known` contains all values.
pub fn choices<T: Copy>(
    query: &QueryReader<'_>,
    name: &str,
    known: &[T],
    key: impl Fn(T) -> &'static str,
) -> Vec<T> {
    let mut chosen = Vec::new();
    for text in query.all(name).into_iter().flat_map(|text| text.split(',')) {
        match known.iter().find(|value| key(**value) == text) {
            Some(value) => chosen.push(*value),
            None => {
                let keys: Vec<_> = known.iter().map(|value| key(*value)).collect();
                query.add_fault(name, format!("`{text}` is not one of {}", keys.join(", ")));
            }
        }
    }
    chosen
}

/// The characters that are escaped in a segment of a path: all but the unreserved ones of RFC 3986.
const ESCAPED_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An id as one segment of a path.
pub fn path_segment(id: &str) -> Cow<'_, str> {
    match id {
        // A path segment of one or two dots moves to another folder.
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        id => utf8_percent_encode(id, ESCAPED_IN_SEGMENT).into(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let errors = |faults: Faults| faults.map(ProblemError::from);
        match refusal {
            Refusal::Faults(faults) => Problem::with_errors(Code::InvalidBody, errors(faults)),
            Refusal::Conflicts(faults) => Problem::with_errors(Code::Conflict, errors(faults)),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_one_segment_of_a_path() {
        assert_eq!(path_segment("u-17_a"), "u-17_a");
        assert_eq!(path_segment("a/b c?d#e%+ü"), "a%2Fb%20c%3Fd%23e%25%2B%C3%BC");
        assert_eq!(path_segment(".."), "%2E%2E");
    }

    #[test]
    fn choices_are_repeated_or_separated_by_commas() {
        use crate::access::Role;
        let pairs = QueryPairs::parse("role=owner,admin&role=hr").expect("pairs");
        let query = pairs.reader();
        assert_eq!(
            choices(&query, "role", &Role::ALL, Role::key),
            [Role::Owner, Role::Admin, Role::Hr]
        );
        assert!(query.finish().is_ok());
        let pairs = QueryPairs::parse("role=boss,").expect("pairs");
        let query = pairs.reader();
        assert!(choices(&query, "role", &Role::ALL, Role::key).is_empty());
        assert_eq!(query.finish().expect_err("faults").errors().len(), 2);
    }
}
