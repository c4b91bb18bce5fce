//! Answers questions for statements (xAPI 1.0.3, Communication 2.1.3).

use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderValue, HttpDate};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::access::StatementReach;
use crate::access::permit::ReadStatements;
use crate::base::clock::Timestamp;
use crate::http::auth::Caller;
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::base::ids::StatementId;
use crate::base::{timestamp};
use crate::record::{Identifier, Preference, format};
use crate::store::{StoredRecord, StatementQuery, Voidedness};

use super::page::{self, Attachments};

/// The most bytes of a wish for languages that a `more` address carries on.
const LANGUAGES_BYTES: usize = 500;

/// The answer to a GET, but for the header that every answer has.
pub(super) async fn answer(caller: &Caller<ReadStatements>, request: &HttpRequest, query: &QueryPairs) -> Answer {
    let reach = caller
        .principal()
        .statement_reach()
        .ok_or_else(|| Problem::forbidden("no scope to read"))?;
    let reader = query.reader();
    let by_id = by_id(&reader);
    let attachments = match reader.flag("attachments") {
        Some(true) => Attachments::Sent,
        _ => Attachments::Left,
    };
    match by_id {
        Some((id, voidedness)) => {
            let shape = Shape::read(&reader, languages(request));
            for (name, _) in query.as_slice() {
                if !["statementId", "voidedStatementId", "attachments", "format"].contains(&name.as_str()) {
                    reader.fault(name, "can't stand beside an id");
                }
            }
            reader.finish()?;
            one(caller, &reach, (id, voidedness), &shape, attachments).await
        }
        None => {
            let cursor = reader.text("cursor").and_then(|text| {
                let cursor = Cursor::parse(text);
                if cursor.is_none() {
                    reader.fault("cursor", "must be as the last page's `more` has it");
                }
                cursor
            });
            let asked = cursor
                .as_ref()
                .map_or(languages(request), |cursor| cursor.languages);
            let shape = Shape::read(&reader, asked);
            let wanted = wanted(caller, &reader, cursor.map(|cursor| cursor.after));
            reader.finish()?;
            list(caller, &reach, wanted, &shape, attachments, query).await
        }
    }
}

fn languages(request: &HttpRequest) -> &str {
    let asked = request.headers().get(header::ACCEPT_LANGUAGE);
    asked.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn by_id(reader: &QueryReader<'_>) -> Option<(StatementId, Voidedness)> {
    let standing = reader
        .value::<Uuid>("statementId")
        .map(|id| (StatementId(id), Voidedness::NotVoided));
    let voided = reader
        .value::<Uuid>("voidedStatementId")
        .map(|id| (StatementId(id), Voidedness::Voided));
    if standing.is_some() && voided.is_some() {
        reader.fault("voidedStatementId", "can't stand beside statementId");
    }
    standing.or(voided)
}

/// How statements are given back (Communication 2.1.3, `format`).
enum Shape<'a> {
    Exact,
    Ids,
    Canonical {
        /// As the client said it.
        languages: &'a str,
        preference: Preference,
    },
}

impl<'a> Shape<'a> {
    fn read(reader: &QueryReader<'_>, languages: &'a str) -> Self {
        match reader.text("format") {
            None | Some("exact") => Self::Exact,
            Some("ids") => Self::Ids,
            Some("canonical") => Self::Canonical {
                languages,
                preference: Preference::parse(languages),
            },
            Some(_) => {
                reader.fault("format", "must be `exact`, `ids` or `canonical`");
                Self::Exact
            }
        }
    }

    fn text(&self, kept: StoredRecord) -> Result<String, Problem> {
        match self {
            Self::Exact => Ok(kept.text),
            Self::Ids => format::to_ids(&kept.text).map_err(Problem::internal),
            Self::Canonical { preference, .. } => {
                format::to_canonical(&kept.text, preference).map_err(Problem::internal)
            }
        }
    }
}

/// Where the next page begins. A `more` address must work without the headers of the first request (Data 2.5), so the
/// languages of that one stand in it too.
#[derive(Debug, PartialEq, Eq)]
struct Cursor<'a> {
    /// The place of the last statement in the order of recording.
    after: i64,
    languages: &'a str,
}

impl<'a> Cursor<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (after, languages) = text.split_once('~').unwrap_or((text, ""));
        let after = after.parse().ok()?;
        Some(Self { after, languages })
    }

    fn new(after: i64, shape: &Shape<'a>) -> Self {
        let languages = match *shape {
            Shape::Canonical { languages, .. } => languages,
            Shape::Exact | Shape::Ids => "",
        };
        // Whole wishes: the first ones, if there are that many.
        let fits = |languages: &&str| languages.len() <= LANGUAGES_BYTES;
        let mut ends = languages.rmatch_indices(',').map(|(end, _)| &languages[..end]);
        let languages = Some(languages).filter(fits).or_else(|| ends.find(fits));
        Self {
            after,
            languages: languages.unwrap_or_default(),
        }
    }

    fn text(&self) -> String {
        match self.languages {
            "" => self.after.to_string(),
            languages => format!("{}~{languages}", self.after),
        }
    }
}

async fn one(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    (id, voidedness): (StatementId, Voidedness),
    shape: &Shape<'_>,
    attachments: Attachments,
) -> Result<HttpResponse, Problem> {
    let (store, organisation) = (caller.store(), caller.org());
    let kept = store.statement(organisation, reach, id, voidedness).await?;
    let kept = kept.ok_or_else(Problem::not_found)?;
    let contents = attachments
        .of(store, organisation, std::slice::from_ref(&kept))
        .await?;
    let stored = last_modified(kept.stored)?;
    let mut response = page::answer(store, shape.text(kept)?, contents);
    response.headers_mut().insert(header::LAST_MODIFIED, stored);
    Ok(response)
}

/// When a statement was stored, to the second; it never changes after that.
fn last_modified(stored: Timestamp) -> Result<HeaderValue, Problem> {
    // Nothing was stored before 1970.
    let since = Duration::from_micros(u64::try_from(stored.micros()).unwrap_or(0));
    let date = HttpDate::from(SystemTime::UNIX_EPOCH + since);
    HeaderValue::from_str(&date.to_string()).map_err(Problem::internal)
}

fn wanted(caller: &Caller<ReadStatements>, reader: &QueryReader<'_>, after: Option<i64>) -> StatementQuery {
    let time = |name| {
        let text = reader.text(name)?;
        timestamp::parse(text)
            .map_err(|error| reader.fault(name, error.to_string()))
            .ok()
    };
    let iri = |name| {
        let text = reader.text(name)?;
        if oxiri::Iri::parse(text).is_err() {
            reader.fault(name, "must be an IRI with its scheme");
        }
        Some(text.to_owned())
    };
    let agent = reader.text("agent").and_then(|text| {
        Identifier::parse_agent(text)
            .map_err(|fault| reader.fault("agent", fault.to_string()))
            .ok()
    });
    let most = caller.app_state().limits().page_max;
    let limit = reader.number("limit", 0..=usize::MAX >> 1).unwrap_or(0);
    let limit = if limit == 0 { most } else { limit.min(most) };
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

async fn list(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    mut wanted: StatementQuery,
    shape: &Shape<'_>,
    attachments: Attachments,
    query: &QueryPairs,
) -> Result<HttpResponse, Problem> {
    let (store, organisation) = (caller.store(), caller.org());
    let limit = wanted.limit;
    wanted.limit = limit.saturating_add(1);
    let mut kept = store.statements(organisation, reach, &wanted).await?;
    let more = kept.len() > limit as usize;
    kept.truncate(limit as usize);
    let more = match kept.last() {
        Some(last) if more => pages::next_page_address("/xapi/statements", query, &Cursor::new(last.seq, shape).text()),
        _ => String::new(),
    };
    let contents = attachments.of(store, organisation, &kept).await?;
    let statements = kept
        .into_iter()
        .map(|kept| RawValue::from_string(shape.text(kept)?).map_err(Problem::internal))
        .collect::<Result<Vec<_>, _>>()?;
    let json = serde_json::to_string(&StatementResult { statements, more }).map_err(Problem::internal)?;
    Ok(page::answer(store, json, contents))
}

/// A page of statements (Data 2.5).
#[derive(Serialize)]
struct StatementResult {
    statements: Vec<Box<RawValue>>,
    /// The relative address of the next page; the empty text on the last one.
    more: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(languages: &str) -> Shape<'_> {
        Shape::Canonical {
            languages,
            preference: Preference::parse(languages),
        }
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        for languages in ["", "de", "de-CH, fr;q=0.8, *;q=0.1", "~"] {
            let cursor = Cursor::new(42, &canonical(languages));
            assert_eq!(
                Cursor::parse(&cursor.text()),
                Some(Cursor { after: 42, languages })
            );
        }
        assert_eq!(Cursor::new(7, &Shape::Ids).text(), "7");
        for bad in ["", "x", "~de", "1.5", "7 ~de"] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cursor_carries_the_first_wishes_of_many() {
        let many = vec!["de-CH;q=0.5"; 500].join(",");
        let cursor = Cursor::new(1, &canonical(&many));
        assert!(cursor.languages.len() > LANGUAGES_BYTES / 2 && cursor.languages.len() <= LANGUAGES_BYTES);
        assert!(cursor.languages.ends_with("q=0.5") && many.starts_with(cursor.languages));
        assert_eq!(Cursor::new(1, &canonical(&"x".repeat(501))).languages, "");
    }

    #[test]
    fn the_moment_of_storing_is_told_to_the_second() {
        let stored = last_modified(Timestamp::from_micros(1_773_829_043_999_000)).expect("a date");
        assert_eq!(stored, "Wed, 18 Mar 2026 10:17:23 GMT");
    }
}
