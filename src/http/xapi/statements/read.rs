//! Answers queries for statements (xAPI 1.0.3, Communication 2.1.3).

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::access::StatementReach;
use crate::access::permit::ReadStatements;
use crate::base::Page;
use crate::base::ids::StatementId;
use crate::base::timestamp;
use crate::base::{CursorCipher, CursorError};
use crate::http::auth::Caller;
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::record::{Identifier, Iri, Preference, format};
use crate::store::{StatementQuery, StoredAttachment, StoredRecord, Voidedness, report_unreadable};

use super::page::{self, Attachments};
use crate::http::xapi::to_http_date;

/// The address of the resource.
const PATH: &str = "/xapi/statements";
/// The most bytes of the preferred languages in a `more` address.
const MAX_LANGUAGES_BYTES: usize = 500;

/// Answers a GET, without the header Consistent-Through.
pub(super) async fn read(
    caller: &Caller<ReadStatements>,
    request: &HttpRequest,
    query: &QueryPairs,
) -> Answer {
    let reach = caller
        .principal()
        .statement_reach()
        .ok_or_else(|| Problem::forbidden("your credential has no scope to read statements"))?;
    let reader = query.reader();
    let id = parse_id(&reader);
    let attachments = match reader.flag("attachments") {
        Some(true) => Attachments::Included,
        _ => Attachments::Omitted,
    };
    match id {
        Some((id, voidedness)) => {
            let format = Format::parse(&reader, accept_language(request));
            for (name, _) in query.as_slice() {
                if !["statementId", "voidedStatementId", "attachments", "format"].contains(&name.as_str()) {
                    reader.add_fault(name, "cannot be combined with an id");
                }
            }
            reader.finish()?;
            read_one(caller, &reach, (id, voidedness), &format, attachments).await
        }
        None => {
            let cipher = pages::cursor_cipher(caller, PATH, query).await?;
            let decrypted = reader.text("cursor").map(|text| cipher.decrypt_text(text));
            let cursor = decrypted
                .as_ref()
                .and_then(|decrypted| Cursor::parse(decrypted.as_ref().ok()?));
            let languages = cursor
                .as_ref()
                .map_or(accept_language(request), |cursor| cursor.languages);
            let format = Format::parse(&reader, languages);
            let statements = parse_query(caller, &reader, cursor.as_ref().map(|cursor| cursor.after));
            reader.finish()?;
            if decrypted.is_some() && cursor.is_none() {
                return Err(CursorError.into());
            }
            let page = PageRequest {
                statements,
                format: &format,
                attachments,
                cipher: &cipher,
            };
            read_page(caller, &reach, page, query).await
        }
    }
}

/// Returns the header `Accept-Language`.
fn accept_language(request: &HttpRequest) -> &str {
    let value = request.headers().get(header::ACCEPT_LANGUAGE);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Parses the id of a request for one statement.
fn parse_id(reader: &QueryReader<'_>) -> Option<(StatementId, Voidedness)> {
    let not_voided = reader
        .value::<Uuid>("statementId")
        .map(|id| (StatementId(id), Voidedness::NotVoided));
    let voided = reader
        .value::<Uuid>("voidedStatementId")
        .map(|id| (StatementId(id), Voidedness::Voided));
    if not_voided.is_some() && voided.is_some() {
        reader.add_fault("voidedStatementId", "cannot be combined with statementId");
    }
    not_voided.or(voided)
}

/// The format of statements in an answer (Communication 2.1.3, `format`).
enum Format<'a> {
    Exact,
    Ids,
    Canonical {
        /// The preferred languages, as the client sent them.
        languages: &'a str,
        preference: Preference,
    },
}

impl<'a> Format<'a> {
    fn parse(reader: &QueryReader<'_>, languages: &'a str) -> Self {
        match reader.text("format") {
            None | Some("exact") => Self::Exact,
            Some("ids") => Self::Ids,
            Some("canonical") => Self::Canonical {
                languages,
                preference: Preference::parse(languages),
            },
            Some(_) => {
                reader.add_fault("format", "must be `exact`, `ids` or `canonical`");
                Self::Exact
            }
        }
    }

    /// Returns the JSON of a statement of a page. A statement that cannot be read is left out and named in the log.
    fn apply_or_skip(&self, record: StoredRecord) -> Option<Box<RawValue>> {
        let id = record.id;
        let text = match self {
            Self::Exact => Ok(record.text),
            Self::Ids => format::to_ids(&record.text).map_err(|error| error.to_string()),
            Self::Canonical { preference, .. } => {
                format::to_canonical(&record.text, preference).map_err(|error| error.to_string())
            }
        };
        text.and_then(|text| RawValue::from_string(text).map_err(|error| error.to_string()))
            .map_err(|error| report_unreadable("statement", id, &error))
            .ok()
    }

    /// Returns the JSON of a statement in this format.
    fn apply(&self, record: StoredRecord) -> Result<String, Problem> {
        match self {
            Self::Exact => Ok(record.text),
            Self::Ids => format::to_ids(&record.text).map_err(Problem::internal),
            Self::Canonical { preference, .. } => {
                format::to_canonical(&record.text, preference).map_err(Problem::internal)
            }
        }
    }
}

/// The position that a cursor contains. A `more` address must work without the headers of the first request (Data 2.5), so the cursor
/// contains the preferred languages too.
#[derive(Debug, PartialEq, Eq)]
struct Cursor<'a> {
    /// The position of the last statement in the order of recording.
    after: i64,
    languages: &'a str,
}

impl<'a> Cursor<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (after, languages) = text.split_once('~').unwrap_or((text, ""));
        let after = after.parse().ok()?;
        Some(Self { after, languages })
    }

    fn new(after: i64, format: &Format<'a>) -> Self {
        let languages = match *format {
            Format::Canonical { languages, .. } => languages,
            Format::Exact | Format::Ids => "",
        };
        // If the list is too long, the first languages of it.
        let fits = |languages: &&str| languages.len() <= MAX_LANGUAGES_BYTES;
        let mut ends = languages.rmatch_indices(',').map(|(end, _)| &languages[..end]);
        let languages = Some(languages).filter(fits).or_else(|| ends.find(fits));
        Self {
            after,
            languages: languages.unwrap_or_default(),
        }
    }

    fn encode(&self) -> String {
        match self.languages {
            "" => self.after.to_string(),
            languages => format!("{}~{languages}", self.after),
        }
    }
}

async fn read_one(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    (id, voidedness): (StatementId, Voidedness),
    format: &Format<'_>,
    attachments: Attachments,
) -> Result<HttpResponse, Problem> {
    let (store, organisation) = (caller.store(), caller.org());
    let record = store
        .find_statement(organisation, reach, id, voidedness)
        .await?
        .ok_or_else(Problem::not_found)?;
    let contents = attachments
        .find(store, organisation, std::slice::from_ref(&record))
        .await?;
    let stored = HeaderValue::from_str(&to_http_date(record.stored)).map_err(Problem::internal)?;
    let mut response = page::statement_response(store, format.apply(record)?, contents);
    response.headers_mut().insert(header::LAST_MODIFIED, stored);
    Ok(response)
}

/// Parses the filters of a query.
fn parse_query(
    caller: &Caller<ReadStatements>,
    reader: &QueryReader<'_>,
    after: Option<i64>,
) -> StatementQuery {
    let time = |name| {
        let text = reader.text(name)?;
        timestamp::parse(text)
            .map_err(|error| reader.add_fault(name, error.to_string()))
            .ok()
    };
    let iri = |name| {
        let text = reader.text(name)?;
        if let Err(error) = Iri::parse(text) {
            reader.add_fault(name, error.to_string());
        }
        Some(text.to_owned())
    };
    let agent = reader.text("agent").and_then(|text| {
        Identifier::parse_agent(text)
            .map_err(|fault| reader.add_fault("agent", fault.to_string()))
            .ok()
    });
    let page_max = caller.app_state().limits().page_max;
    let limit = reader.number("limit", 0..=usize::MAX >> 1).unwrap_or(0);
    let limit = if limit == 0 { page_max } else { limit.min(page_max) };
    StatementQuery {
        agent,
        verb: iri("verb"),
        activity: iri("activity"),
        related_agents: reader.flag("related_agents").unwrap_or(false),
        related_activities: reader.flag("related_activities").unwrap_or(false),
        registration: reader.value("registration"),
        since: time("since"),
        until: time("until"),
        ascending: reader.flag("ascending").unwrap_or(false),
        after,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    }
}

/// A request for a page.
struct PageRequest<'r> {
    statements: StatementQuery,
    format: &'r Format<'r>,
    attachments: Attachments,
    cipher: &'r CursorCipher,
}

async fn read_page(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    page: PageRequest<'_>,
    query: &QueryPairs,
) -> Result<HttpResponse, Problem> {
    let PageRequest {
        statements,
        format,
        attachments,
        cipher,
    } = page;
    let (store, organisation) = (caller.store(), caller.org());
    let most_bytes = caller.app_state().limits().page_bytes;
    let Page {
        items: mut records,
        more: mut has_more,
    } = store
        .find_statements(organisation, reach, &statements, most_bytes)
        .await?;
    let mut contents = attachments.find(store, organisation, &records).await?;
    if let Some(contents) = &mut contents {
        let fitting = count_fitting(&records, contents, most_bytes);
        has_more |= fitting < records.len();
        records.truncate(fitting);
        contents.truncate(fitting);
    }
    let more = match records.last() {
        Some(last) if has_more => {
            let cursor = cipher.encrypt_text(&Cursor::new(last.seq, format).encode())?;
            pages::next_page_address(caller.app_state().base_path(), PATH, query, &cursor)
        }
        _ => String::new(),
    };
    let statements: Vec<_> = records
        .into_iter()
        .filter_map(|record| format.apply_or_skip(record))
        .collect();
    // A buffer that grows would need three times the bytes of the page for a moment.
    let bytes: usize = statements.iter().map(|statement| statement.get().len() + 1).sum();
    let mut json = Vec::with_capacity(bytes + more.len() + 64);
    serde_json::to_writer(&mut json, &StatementResult { statements, more }).map_err(Problem::internal)?;
    let json = String::from_utf8(json).map_err(Problem::internal)?;
    Ok(page::statement_response(store, json, contents))
}

/// The number of records that fit into a page together with the contents of their attachments: at least one.
fn count_fitting(records: &[StoredRecord], contents: &[Vec<StoredAttachment>], most_bytes: usize) -> usize {
    let mut bytes = 0;
    let sizes = records.iter().zip(contents).map(|(record, contents)| {
        let contents: u64 = contents.iter().map(|content| content.length).sum();
        record.text.len() as u64 + contents
    });
    let fitting = sizes.take_while(|size| {
        bytes += size;
        bytes <= most_bytes as u64
    });
    fitting.count().max(1).min(records.len())
}

/// A page of statements (Data 2.5).
#[derive(Serialize)]
struct StatementResult {
    statements: Vec<Box<RawValue>>,
    /// The relative address of the next page; empty on the last page.
    more: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(languages: &str) -> Format<'_> {
        Format::Canonical {
            languages,
            preference: Preference::parse(languages),
        }
    }

    #[test]
    fn cursor_parses_as_it_was_encoded() {
        for languages in ["", "de", "de-CH, fr;q=0.8, *;q=0.1", "~"] {
            let cursor = Cursor::new(42, &canonical(languages));
            assert_eq!(
                Cursor::parse(&cursor.encode()),
                Some(Cursor { after: 42, languages })
            );
        }
        assert_eq!(Cursor::new(7, &Format::Ids).encode(), "7");
        for bad in ["", "x", "~de", "1.5", "7 ~de"] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn long_list_of_languages_is_cut_at_a_comma() {
        let many = vec!["de-CH;q=0.5"; 500].join(",");
        let cursor = Cursor::new(1, &canonical(&many));
        assert!(
            cursor.languages.len() > MAX_LANGUAGES_BYTES / 2 && cursor.languages.len() <= MAX_LANGUAGES_BYTES
        );
        assert!(cursor.languages.ends_with("q=0.5") && many.starts_with(cursor.languages));
        assert_eq!(Cursor::new(1, &canonical(&"x".repeat(501))).languages, "");
    }
}
