//! The journey with the client of `progenitor`.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io::Write as _;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

progenitor::generate_api!(spec = "openapi-3.0.json", interface = Builder, tags = Merged);

use types::{Action, NewActivity, NewActivityContent, NewActivityResult, NewActivityUser};

type Outcome<T> = Result<T, Box<dyn StdError>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let client = connect()?;
    write_user_and_content(&client).await?;
    post_activities(&client).await?;
    page_through_the_log(&client).await?;
    remove_custom_field(&client).await?;
    make_report(&client).await?;
    stream_csv(&client).await?;
    exchange_statements(&client).await?;
    handle_problem(&client).await?;
    println!("rust: passed");
    Ok(())
}

fn connect() -> Outcome<Client> {
    let token = std::env::var("ROLLBOOK_CLIENT_TOKEN")?;
    let authorization = HeaderValue::from_str(&format!("Bearer {token}"))?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    Ok(Client::new_with_client(
        &std::env::var("ROLLBOOK_CLIENT_URL")?,
        http,
    ))
}

/// A body from JSON. Progenitor makes a type of each text with a limit, so this is shorter than its builders.
fn body<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    Ok(serde_json::from_value(value)?)
}

async fn write_user_and_content(client: &Client) -> Outcome<()> {
    let user: types::UserInput = body(json!({
        "first_name": "Bo", "last_name": "Ek", "email": "bo@rust.example", "role": "admin",
        "custom": {"Cohort": "rust"},
    }))?;
    let stored = client.put_user().id("rust").body(user).send().await?.into_inner();
    assert_eq!(stored.custom["Cohort"], "rust");
    let content: types::ContentInput =
        body(json!({"iri": "https://rust.example/quiz", "title": "Fire Safety", "type": "quiz"}))?;
    assert_eq!(
        client
            .put_content()
            .id("rust-quiz")
            .body(content)
            .send()
            .await?
            .id,
        "rust-quiz"
    );
    Ok(())
}

fn activity(action: Action, content: &str, happened_at: &str) -> Outcome<types::builder::NewActivity> {
    let happened_at: DateTime<Utc> = happened_at.parse()?;
    Ok(NewActivity::builder()
        .user(NewActivityUser::String("rust".to_owned()))
        .action(action)
        .content(NewActivityContent::String(content.to_owned()))
        .happened_at(happened_at))
}

async fn post_activities(client: &Client) -> Outcome<()> {
    let result = NewActivityResult::builder()
        .score(types::NewActivityResultScore::Double(92.0))
        .success(true)
        .total_time(types::NewActivityResultTotalTime::String("PT5M".to_owned()));
    let result: NewActivityResult = result.try_into()?;
    let completed = activity(Action::Completed, "rust-quiz", "2026-03-01T09:30:00Z")?.result(result);
    let created = client
        .create_activity()
        .body(completed)
        .send()
        .await?
        .into_inner();
    let created = created.subtype_0.ok_or("the activity in full")?;
    assert_eq!(created.action.key.to_string(), "completed");
    let mut batch = Vec::new();
    for day in 1..=4 {
        let viewed = activity(Action::Viewed, "rust-quiz", &format!("2026-03-0{day}T10:00:00Z"))?;
        batch.push(viewed.try_into()?);
    }
    assert_eq!(
        client
            .create_activities()
            .body(batch)
            .send()
            .await?
            .into_inner()
            .ids
            .len(),
        4
    );
    Ok(())
}

/// The log in pages, with filters. Progenitor knows no deep objects, so the first page by a custom field is requested with
/// the client's own HTTP client.
async fn page_through_the_log(client: &Client) -> Outcome<()> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut request = client
            .list_activities()
            .action(vec![Action::Viewed, Action::Completed])
            .user(vec!["rust".to_owned()])
            .from("2026-03-01")
            .limit(std::num::NonZeroU32::MIN.saturating_add(1));
        if let Some(cursor) = cursor {
            request = request.cursor(cursor);
        }
        let page = request.send().await?.into_inner();
        rows.extend(page.activities);
        let Some(next) = page.next else { break };
        cursor = Some(cursor_of(&next)?);
    }
    assert_eq!(rows.len(), 5);
    let scores = rows
        .iter()
        .filter_map(|row| row.result.as_ref()?.score.as_ref()?.percent);
    assert_eq!(scores.collect::<Vec<_>>(), [92.0]);
    for (cohort, expected) in [("rust", 5), ("other", 0)] {
        let request = client.client().get(format!("{}/v1/activities", client.baseurl()));
        let answer = request
            .query(&[("custom[Cohort]", cohort)])
            .send()
            .await?
            .error_for_status()?;
        assert_eq!(
            answer.json::<types::ActivityList>().await?.activities.len(),
            expected
        );
    }
    Ok(())
}

fn cursor_of(next: &str) -> Outcome<String> {
    let address = reqwest::Url::parse("http://rollbook")?.join(next)?;
    let cursor = address.query_pairs().find(|(name, _)| name == "cursor");
    Ok(cursor.ok_or("a cursor")?.1.into_owned())
}

async fn remove_custom_field(client: &Client) -> Outcome<()> {
    let removed = HashMap::from([("Cohort".to_owned(), None)]);
    let patched = client
        .patch_user()
        .id("rust")
        .body_map(|patch| patch.custom(removed))
        .send()
        .await?;
    assert!(patched.custom.is_empty() && patched.email.as_deref() == Some("bo@rust.example"));
    Ok(())
}

async fn make_report(client: &Client) -> Outcome<()> {
    let report: types::NewReport =
        body(json!({"name": "Of rust", "filter": {"user": ["rust"], "action": ["completed"]}}))?;
    let report = client.create_report().body(report).send().await?.into_inner();
    assert_eq!(
        (report.filter.user.len(), report.filter.action.as_slice()),
        (1, &[Action::Completed][..])
    );
    let key: types::NewReportKey = body(json!({"name": "BI"}))?;
    assert!(
        !client
            .create_report_key()
            .id(report.id)
            .body(key)
            .send()
            .await?
            .secret
            .is_empty()
    );
    let schedule: types::NewScheduleBody = body(json!({
        "frequency": "weekly", "at": "08:00", "weekday": "monday", "recipients": ["bo@rust.example"],
    }))?;
    let schedule = client
        .create_schedule()
        .id(report.id)
        .body(schedule)
        .send()
        .await?;
    assert_eq!(schedule.frequency, types::Frequency::Weekly);
    Ok(())
}

/// A CSV goes to a file as it comes.
async fn stream_csv(client: &Client) -> Outcome<()> {
    let answer = client
        .export_activities_csv()
        .user(vec!["rust".to_owned()])
        .send()
        .await?;
    let mut parts = answer.into_inner_stream();
    let mut file = std::fs::File::create("client.csv")?;
    while let Some(part) = parts.next().await {
        file.write_all(&part?)?;
    }
    assert_eq!(std::fs::read_to_string("client.csv")?.lines().count(), 6);
    Ok(())
}

async fn exchange_statements(client: &Client) -> Outcome<()> {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = Uuid::new_v4();
        let statement: types::Statement = body(json!({
            "actor": {"mbox": "mailto:bo@rust.example"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
            "object": {"id": "https://rust.example/quiz"},
        }))?;
        let request = client
            .store_statement()
            .statement_id(id)
            .x_experience_api_version("1.0.3");
        request.body(statement).send().await?;
        ids.push(id);
    }
    let one = client
        .read_statements()
        .x_experience_api_version("1.0.3")
        .statement_id(ids[0])
        .send()
        .await?;
    let types::FoundStatements::Variant1(found) = one.into_inner() else {
        return Err("one statement".into());
    };
    assert_eq!(found.id, Some(ids[0]));
    let page = client
        .read_statements()
        .x_experience_api_version("1.0.3")
        .limit(2)
        .send()
        .await?;
    // Progenitor numbers the shapes: a page, and a statement.
    let types::FoundStatements::Variant0(page) = page.into_inner() else {
        return Err("a page".into());
    };
    let found: Vec<Uuid> = page
        .statements
        .iter()
        .filter_map(|statement| statement.id)
        .collect();
    assert_eq!(found, [ids[1], ids[0]]);
    Ok(())
}

/// Progenitor gives the body of a problem document as bytes.
async fn handle_problem(client: &Client) -> Outcome<()> {
    let unknown = activity(Action::Completed, "none", "2026-03-01T09:30:00Z")?;
    let Err(Error::ErrorResponse(answer)) = client.create_activity().body(unknown).send().await else {
        return Err("the activity is not refused".into());
    };
    assert_eq!(answer.status(), 400);
    let mut body = Vec::new();
    let mut parts = answer.into_inner_stream();
    while let Some(part) = parts.next().await {
        body.extend_from_slice(&part?);
    }
    let problem: types::Problem = serde_json::from_slice(&body)?;
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid-body"));
    assert_eq!(problem.pointer.as_deref(), Some("/content"));
    Ok(())
}
