//! `/v1/quizzes/{content}/responses`, `.csv` and `/questions`: the answers to the questions of a content.
//!
//! Every content can have questions: a quiz, a survey, a package. [`crate::log::answers`] has the rules. The cost of a page
//! depends neither on the records of other contents nor on the number of answers. The statistics read all answers of the
//! content, and a concurrency limit applies to them.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::export;
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery};
use crate::http::pages::PageWriter;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::ActivityContent;
use crate::log::answers::page::{QuizAttempt, QuizResponse};
use crate::log::answers::statistics::{MAX_QUESTIONS, QuestionStatistics};
use crate::log::period::local_date;
use crate::log::{Paging, PersonDetails, PersonKey, Position, Sort};
use crate::store::{AnswerRecord, ContentRecords, RecordKind};

use super::content_query::{ContentPage, ContentQuery, CsvFormat, PagePlace};
use super::exports::{self, CSV, ExportOrder};
use super::log_parameters::{ContentFilter, LogPage, LogScope};

routes! {
    "/v1/quizzes/{content}/responses" => { get: list_responses },
    "/v1/quizzes/{content}/responses.csv" => { get: export_responses },
    "/v1/quizzes/{content}/questions" => { get: list_questions },
}

const SHAPE: &str = "shape";
/// The attempts that are loaded at once.
const PIECE: usize = 50;

/// A page of answers, or of attempts with `shape=wide`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    reason = "the page is written piece by piece; this enum documents it"
)]
pub enum ResponsePage {
    /// One element for each answer.
    Responses(ResponseList),
    /// One element for each attempt.
    Attempts(AttemptList),
}

/// A page of answers.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "responses": [{
        "activity": "0190a000-0000-7000-8000-000000000001",
        "user": {"id": "bo", "first_name": "Bo", "last_name": "Ek", "name": "Bo Ek", "email": "bo@example.org", "active": true, "identifier": null},
        "registration": "0190a000-0000-7000-8000-00000000000a", "happened_at": "2026-03-01T09:00:00.000Z",
        "question": "https://example.org/quizzes/fire/q1", "prompt": "What is a hazard?", "interaction_type": "choice",
        "response": "A blocked exit; A wet floor", "recorded_response": "exit[,]floor",
        "correct_responses": ["A blocked exit; A wet floor"], "correct": true, "score": 1, "seconds": 12.5
    }],
    "next": null,
    "content": {"id": "fire-safety", "iri": "https://example.org/fire-safety", "title": "Fire Safety",
        "type": "quiz", "content_type": null, "archived": false, "tags": ["safety"], "url": null}
}))]
pub struct ResponseList {
    /// The answers in the requested order. Those of one activity are in the order of the record.
    pub responses: Vec<QuizResponse>,
    /// The relative address of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
    /// The content.
    pub content: ActivityContent,
    /// The number of answers on all pages; only with `count=exact`.
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// A page of attempts.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptList {
    /// The attempts, person by person.
    pub attempts: Vec<QuizAttempt>,
    /// The relative address of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
    /// The content.
    pub content: ActivityContent,
    /// The number of attempts on all pages; only with `count=exact`.
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// The statistics of the questions of a content.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "content": {"id": "fire-safety", "iri": "https://example.org/fire-safety", "title": "Fire Safety",
        "type": "quiz", "content_type": null, "archived": false, "tags": ["safety"], "url": null},
    "questions": [{
        "question": "https://example.org/quizzes/fire/q1", "prompt": "What is a hazard?", "interaction_type": "choice",
        "answered": 120, "right": 80, "wrong": 40, "share": 66.67, "average_seconds": 12.5,
        "most_chosen_wrong": {"response": "A wet floor", "count": 31}
    }],
    "uncounted_answers": 0
}))]
pub struct QuestionList {
    /// The content.
    pub content: ActivityContent,
    /// The questions in the order of their first answers.
    pub questions: Vec<QuestionStatistics>,
    /// The number of answers to further questions. Only the first 1,000 questions are counted.
    pub uncounted_answers: u64,
}

/// The shape of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[schema(rename_all = "snake_case")]
enum Shape {
    /// A row for each answer.
    Long,
    /// A row for each attempt of a person, with a column for each question.
    Wide,
}

/// The parameter of the shape.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`parse_shape` reads it; this struct documents it")]
struct ShapeParameter {
    /// `long` (default): a row for each answer. `wide`: a row for each attempt, which is a person and a registration.
    #[param(inline, example = "long")]
    shape: Option<Shape>,
}

fn parse_shape(query: &ContentQuery) -> Result<Shape, Problem> {
    let shape = match query.query.extra(SHAPE) {
        None => Ok(Shape::Long),
        Some(text) => text
            .parse()
            .map_err(|_| Problem::bad_parameter(SHAPE, "must be `long` or `wide`")),
    }?;
    if shape == Shape::Wide && query.query.sort != Sort::default() {
        let detail =
            "has no meaning with `shape=wide`, which lists the attempts person by person; leave it out";
        return Err(Problem::bad_parameter("sort", detail));
    }
    Ok(shape)
}

/// Read the answers to the questions of a content, one by one.
///
/// An answer comes from an xAPI statement with the verb `answered`, from a SCORM interaction, or from the `responses` of the
/// short form. `result` selects correct (`passed`) or wrong (`failed`) answers.
#[utoipa::path(
    get,
    path = "/v1/quizzes/{content}/responses",
    tag = "quizzes",
    operation_id = "list_quiz_responses",
    params(
        ("content" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "fire-safety"),
        LogScope, ContentFilter, LogPage, ShapeParameter
    ),
    responses((status = 200, description = "A page of answers, or of attempts.", body = ResponsePage))
)]
async fn list_responses(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    content: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let caller = caller.on_replica().await;
    let key = caller.cursor_key().await?;
    let mut query = ContentQuery::parse(&caller, &pairs, Some(Paging { key, binding: "" }), &[SHAPE])?;
    let shape = parse_shape(&query)?;
    let path = format!("/v1/quizzes/{content}/responses");
    let mut place = PagePlace::parse(&caller, &path, &pairs, &mut query).await?;
    let records = query.find_records(&caller, &content, RecordKind::Answers).await?;
    let total = match query.query.count_exact {
        true => Some(count(&caller, &records, &query, shape).await?),
        false => None,
    };
    let limits = caller.app_state().limits();
    let (writer, has_more) = match shape {
        Shape::Long => {
            let mut writer = PageWriter::new("responses", limits);
            let has_more = write_responses(&records, &query, &mut place, &mut writer).await?;
            (writer, has_more)
        }
        Shape::Wide => {
            let mut writer = PageWriter::new("attempts", limits);
            let has_more = write_attempts(&records, &query, &mut place, &mut writer).await?;
            (writer, has_more)
        }
    };
    let page = ContentPage {
        records: &records,
        writer,
        has_more,
        total,
        now: query.now,
    };
    place.respond(&request, &pairs, page)
}

/// Counts the elements of all pages.
async fn count(
    caller: &Caller<ReadActivities>,
    records: &ContentRecords,
    query: &ContentQuery,
    shape: Shape,
) -> Result<u64, Problem> {
    let limit = &caller.app_state().concurrency().counts;
    let _permit = limit.acquire(&caller.sharer()).await?;
    if shape == Shape::Wide {
        let mut reader = records.read_attempts(i64::MIN, query.results.clone());
        let mut count = 0;
        while reader.next_attempt().await?.is_some() {
            count += 1;
        }
        return Ok(count);
    }
    if query.results.is_empty() {
        return Ok(records.count_answers().await?);
    }
    Ok(records.count_answers_with(&query.results).await?)
}

/// Adds answers to the page, and moves its place on. Returns whether there are more.
async fn write_responses(
    records: &ContentRecords,
    query: &ContentQuery,
    place: &mut PagePlace,
    writer: &mut PageWriter,
) -> Result<bool, Problem> {
    let limit = query.query.limit as usize;
    let begin = place.end.map(|(position, _)| position);
    let mut from = begin;
    loop {
        // The first record can be the last one of the page before.
        let rows = limit.saturating_sub(writer.len()).saturating_add(2);
        let mut reader = records.read_answers_from(query.query.sort, from, rows).await?;
        while let Some(piece) = reader.next_piece().await? {
            let persons = load_persons(records, piece.iter().map(|record| record.person)).await?;
            for record in piece {
                let person = persons.get(&record.person);
                let person = person.ok_or_else(|| Problem::internal("a record without its person"))?;
                if write_record(&record, person, query, place, writer)? {
                    return Ok(true);
                }
            }
            let last = reader.last_position().filter(|last| Some(*last) != begin);
            if let Some(last) = last.filter(|_| Instant::now() >= query.deadline) {
                place.end = Some((last, usize::MAX));
                return Ok(true);
            }
        }
        // Records without a matching answer, and unreadable ones, are passed over.
        if reader.last_position().is_none() || reader.last_position() == from {
            return Ok(false);
        }
        from = reader.last_position();
    }
}

/// Adds the answers of one record. Returns whether an answer did not fit.
fn write_record(
    record: &AnswerRecord,
    person: &PersonDetails,
    query: &ContentQuery,
    place: &mut PagePlace,
    writer: &mut PageWriter,
) -> Result<bool, Problem> {
    let consumed = place.consumed(record.position);
    let facts = (record.id, record.position.happened_at, record.registration);
    for (index, answer) in record.answers.iter().enumerate().skip(consumed) {
        if !answer.has_result(&query.results) {
            continue;
        }
        let is_full = writer.len() >= query.query.limit as usize;
        if is_full || !writer.push(&QuizResponse::new(facts, person, answer))? {
            return Ok(true);
        }
        place.end = Some((record.position, index + 1));
    }
    Ok(false)
}

/// Adds attempts to the page, and moves its place on. Returns whether there are more.
async fn write_attempts(
    records: &ContentRecords,
    query: &ContentQuery,
    place: &mut PagePlace,
    writer: &mut PageWriter,
) -> Result<bool, Problem> {
    let to_position = |person| Position {
        happened_at: Timestamp::default(),
        seq: person,
    };
    let after = place
        .end
        .map_or(i64::MIN, |(position, _)| position.seq.saturating_sub(1));
    let mut skip = place.end.map_or(0, |(position, _)| place.consumed(position));
    let reader = records.read_attempts(after, query.results.clone());
    let mut reader = reader.until(query.deadline);
    let first = place.end.map(|(position, _)| position.seq);
    loop {
        let attempts = reader.next_attempts(PIECE).await?;
        if attempts.is_empty() {
            let stopped_at = reader.stopped_at().map(to_position);
            place.end = stopped_at.map(|position| (position, usize::MAX)).or(place.end);
            return Ok(stopped_at.is_some());
        }
        let persons = load_persons(records, attempts.iter().map(|(_, attempt)| attempt.person)).await?;
        for (person, attempt) in attempts {
            if first == Some(person) && skip > 0 {
                skip -= 1;
                continue;
            }
            let details = persons.get(&attempt.person);
            let details = details.ok_or_else(|| Problem::internal("an attempt without its person"))?;
            let is_full = writer.len() >= query.query.limit as usize;
            if is_full || !writer.push(&QuizAttempt::new(&attempt, details))? {
                return Ok(true);
            }
            let position = to_position(person);
            place.end = Some((position, place.consumed(position) + 1));
        }
    }
}

async fn load_persons(
    records: &ContentRecords,
    persons: impl Iterator<Item = PersonKey>,
) -> Result<HashMap<PersonKey, PersonDetails>, Problem> {
    let mut persons: Vec<PersonKey> = persons.collect();
    persons.sort_unstable();
    persons.dedup();
    Ok(records.find_persons(&persons).await?)
}

/// Export the answers to the questions of a content as CSV.
///
/// `shape=wide` has a line for each attempt and a column for each question, at most 1,000. If the transfer is interrupted,
/// the file is incomplete and must not be used.
#[utoipa::path(
    get,
    path = "/v1/quizzes/{content}/responses.csv",
    tag = "quizzes",
    operation_id = "export_quiz_responses_csv",
    params(
        ("content" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "fire-safety"),
        LogScope, ContentFilter, ExportOrder, ShapeParameter, CsvFormat, FileLanguage
    ),
    responses((status = 200, description = "All answers, or all attempts.", body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the time zone of the request.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Title,Type,Content Type,Unique ID,\
            Happened at,Registration,Question,Question ID,Question type,Response,Correct response,Correct,Score,Seconds,\
            Recorded response,Activity ID,User ID,Cost centre\r\n\
            Bo,Ek,bo@example.org,Learner,,en,Leeds,2021-04-01,Ada Obi,Sales North,,Active,,Fire Safety,Quiz,,fire-safety,\
            2026-03-01T09:00:00.000Z,0190a000-0000-7000-8000-00000000000a,What is a hazard?,https://example.org/quizzes/fire/q1,\
            choice,A blocked exit; A wet floor,A blocked exit; A wet floor,Yes,1,12.5,\"exit[,]floor\",\
            0190a000-0000-7000-8000-000000000001,bo,4711\r\n"))
)]
pub(super) async fn export_responses(
    caller: Caller<ReadActivities>,
    content: web::Path<String>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let mut query = ContentQuery::parse(&caller, &pairs, None, &[SHAPE, "bom", "raw"])?;
    let (shape, options) = (parse_shape(&query)?, query.file_options(language)?);
    let date = local_date(query.now, query.query.filter.zone());
    let records = query.find_records(&caller, &content, RecordKind::Answers).await?;
    let transfer = exports::begin_transfer(&caller).await?;
    let (store, results) = (caller.store(), query.results);
    let blocks = match shape {
        Shape::Long => {
            export::answers_csv(store, records, query.query.sort, results, options, transfer).await?
        }
        Shape::Wide => {
            let questions = records.count_questions(&results).await?;
            if questions.uncounted > 0 {
                let detail = format!("`wide` has at most {MAX_QUESTIONS} questions; use `long`");
                return Err(Problem::bad_parameter(SHAPE, detail));
            }
            export::wide_answers_csv(store, records, &questions, results, options, transfer).await?
        }
    };
    Ok(exports::file_response(blocks, "responses", CSV, "csv", date))
}

/// Read the statistics of the questions of a content: answers, correct ones, time, and the most chosen wrong answer.
///
/// The filters of persons and times are those of the log.
#[utoipa::path(
    get,
    path = "/v1/quizzes/{content}/questions",
    tag = "quizzes",
    operation_id = "list_quiz_questions",
    params(
        ("content" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "fire-safety"),
        LogScope, ContentFilter
    ),
    responses((status = 200, description = "The statistics of each question.", body = QuestionList))
)]
async fn list_questions(
    caller: Caller<ReadActivities>,
    content: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let caller = caller.on_replica().await;
    let mut query = ContentQuery::parse_filters(&caller, &pairs)?;
    let records = query.find_records(&caller, &content, RecordKind::Answers).await?;
    let limit = &caller.app_state().concurrency().counts;
    let _permit = limit.acquire(&caller.sharer()).await?;
    let counter = records.count_questions(&query.results).await?;
    Ok(HttpResponse::Ok().json(QuestionList {
        content: ActivityContent::new(records.content()),
        uncounted_answers: counter.uncounted,
        questions: counter.into_statistics(),
    }))
}
