//! Tests the log against a naive model, with random organisations, callers and requests.
//!
//! [`world`] contains the facts as plain lists. [`derivation`] derives activities from records, and
//! [`answers`] answers requests. Both use loops only. [`tenant`] creates the facts in the model and on the
//! server, and [`question`] creates random requests. The tests compare pages, totals, NDJSON, CSV,
//! summaries, facets, and single activities. [`progress`], [`quizzes`], [`reports`], [`report_queries`] and
//! [`timeline`] do the same for these resources.
//!
//! Two organisations have the same user ids, addresses, contents and many equal statement ids in one
//! database, so that a leak between organisations causes a difference.
//!
//! Every run uses the same seeds. `ROLLBOOK_TEST_SEED=7` selects another world, and
//! `ROLLBOOK_TEST_CASES=5000` sets the number of requests. A failure shows its seed and the smallest
//! request that still fails.

mod answers;
mod calendar;
mod derivation;
mod facets;
mod filters;
mod progress;
mod question;
mod quizzes;
mod report_queries;
mod reports;
mod summary;
mod tenant;
mod text;
mod timeline;
mod widening;
mod world;

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use self::answers::Expected;
use self::derivation::Row;
use self::question::{DAY, Question, Requester, rfc3339};
use self::tenant::Tenant;
use self::tenant::bodies::agent;
use self::world::Micros;
use crate::support::http::{Answer, Caller};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const TAGS: &[&str] = &["safety", "Sicherheit", "café", "a,b", "2026", "SAFETY", "Cafe\u{301}"];
const CPD_LABELS: &[&str] = &["Ethics", "Law & order", "ethics"];
const SOURCES: &[&str] = &["Library One", "biblio-2", "LIBRARY ONE"];
const DEVICES: &[&str] = &["web", "ios", "api"];
/// Words with letters that have an upper case beyond ASCII.
const TITLE_WORDS: &[&str] = &[
    "Fire",
    "Safety",
    "École",
    "Ecole\u{301}",
    "Übung",
    "Жара",
    "Ñandú",
    "100%",
    "a_b",
    "sa",
    "Çok",
    "=1+1",
];
const LOCATIONS: &[&str] = &["Leeds", "Łódź", "leeds"];
const FIELDS: &[&str] = &["Region", "Cost centre", "Größe"];
const FIELD_VALUES: &[&str] = &["North", "South", "M & S", "a=b;c", "north"];

/// The seeds of a usual run, and the number of requests for each.
const SEEDS: &[u64] = &[1, 2, 3];
const CASES: usize = 120;

#[apply(both_databases)]
async fn log_equals_the_naive_model(server: &TestServer) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let cases = number("ROLLBOOK_TEST_CASES").map_or(CASES, |cases| cases as usize);
    let seeds = number("ROLLBOOK_TEST_SEED").map_or(SEEDS.to_vec(), |seed| vec![seed]);
    // Every third request is counted by a scan, the others by columns in memory.
    let scanning = server.start_scanning().await;
    for seed in seeds {
        check_world(server, &scanning, seed, cases).await;
    }
    scanning.stop().await;
}

/// Checks two organisations after their creation, and again after changes.
async fn check_world(server: &TestServer, scanning: &TestServer, seed: u64, cases: usize) {
    let mut random = Random::new(seed);
    let mut first = Tenant::create(server, &format!("first-{seed}"), Vec::new(), &mut random).await;
    let ids = first.facts.records.iter().map(|record| record.id).collect();
    let (mut with_rows, mut reports_with_rows, mut narrowings) = (0, 0, 0);
    let mut second = Tenant::create(server, &format!("second-{seed}"), ids, &mut random).await;
    for stage in ["created", "changed"] {
        if stage == "changed" {
            // Whole milliseconds, because timestamps have this precision.
            let elapsed = random.between(0, 40) * DAY + random.between(0, DAY / 1_000) * 1_000;
            let now = server.clock.now().micros() + elapsed;
            server.clock.set(Timestamp::from_micros(now));
            first.change(server, &mut random).await;
            second.change(server, &mut random).await;
        }
        progress::check_random_requests(server, seed, stage, [&first, &second], cases.div_ceil(4)).await;
        reports_with_rows +=
            reports::check_random_requests(server, seed, stage, [&first, &second], cases.div_ceil(4)).await;
        report_queries::check_random_requests(server, seed, stage, [&first, &second], cases.div_ceil(2))
            .await;
        let now = server.clock.now().micros();
        narrowings += widening::check_random_changes(seed, &first.facts, now, cases.div_ceil(2));
        for case in 0..cases.div_ceil(2) {
            let (tenant, other) = if random.percent(50) { (&first, &second) } else { (&second, &first) };
            let requester = question::random_requester(&mut random, &tenant.facts);
            let now = server.clock.now().micros();
            let question = question::random_question(&mut random, &tenant.facts, requester, now);
            let expected = answers::expected_answer(&tenant.facts, &question, now);
            with_rows += usize::from(matches!(expected, Expected::Rows(rows) if !rows.is_empty()));
            let server = if case % 3 == 0 { scanning } else { server };
            let comparison = Comparison { server, tenant, other, now };
            if let Err(difference) = comparison.compare_all(&question, &mut random.clone()).await {
                let (question, difference) = comparison.minimise(question, difference, &random).await;
                panic!(
                    "seed {seed}, {stage}, question {case}, organisation {}:\n{}\nas {:?}\n{difference}\n\
                     Repeat with ROLLBOOK_TEST_SEED={seed} ROLLBOOK_TEST_CASES={cases}",
                    tenant.facts.id,
                    question.path(),
                    question.requester,
                );
            }
        }
    }
    // Empty answers test little, so a quarter must have rows. The others are empty or refused.
    assert!(with_rows * 4 > cases, "seed {seed}: only {with_rows} of {cases} answers have rows");
    // Changes that remove no row test nothing.
    assert!(narrowings * 20 > cases, "seed {seed}: only {narrowings} of {cases} changes remove rows");
    // Fewer reports have rows, because they combine two requests.
    assert!(
        reports_with_rows * 60 > cases,
        "seed {seed}: only {reports_with_rows} of {} reports have rows",
        2 * cases.div_ceil(4)
    );
}

/// The context of one request that is compared between the server and the model.
struct Comparison<'a> {
    server: &'a TestServer,
    tenant: &'a Tenant,
    other: &'a Tenant,
    now: Micros,
}

type CheckResult = Result<(), String>;

impl Comparison<'_> {
    fn caller(&self, requester: &Requester) -> Caller {
        match requester.claims() {
            Some(claims) => self.server.person_of(&self.tenant.facts.id, claims),
            None if matches!(requester, Requester::Credential { reads_activities: true }) => {
                self.tenant.integration.clone()
            }
            None => self.tenant.without_read_scope.clone(),
        }
    }

    async fn compare_all(&self, question: &Question, random: &mut Random) -> CheckResult {
        let caller = self.caller(&question.requester);
        match answers::expected_answer(&self.tenant.facts, question, self.now) {
            Expected::Refused(status) => {
                let answer = caller.get(&question.path()).await;
                check(answer.status == status, || {
                    format!("the status must be {status}, not {}", describe(&answer))
                })?;
                if let Some(path) = question.export("export.csv", &[]) {
                    let answer = caller.get(&path).await;
                    check(answer.status == status, || {
                        format!("the status of the CSV must be {status}, not {}", describe(&answer))
                    })?;
                }
            }
            Expected::Rows(rows) => {
                self.compare_pages(&caller, question.path(), question.limit, &rows).await?;
                self.compare_exports(&caller, question, &rows, random).await?;
            }
        }
        self.compare_summary(&caller, question, random).await?;
        self.compare_facets(&caller, question).await?;
        self.compare_single_activities(&caller, question, random).await
    }

    /// Compares pages: rows, order, members, size and total.
    async fn compare_pages(
        &self,
        caller: &Caller,
        first: String,
        limit: usize,
        rows: &[Row<'_>],
    ) -> CheckResult {
        let mut next = Some(first);
        let mut received = 0;
        // Very many small pages test nothing new.
        let maximum = 60 * limit;
        while let Some(path) = next.filter(|_| received < maximum) {
            let answer = caller.get(&path).await;
            check(answer.status == 200, || {
                format!("{path}: the status must be 200, not {}", describe(&answer))
            })?;
            let page = answer.json();
            let activities = page["activities"].as_array().cloned().unwrap_or_default();
            check(page["total"] == json!(rows.len()), || {
                format!("the total is {}, not {}", page["total"], rows.len())
            })?;
            let expected = &rows[received..rows.len().min(received + limit)];
            compare_rows(expected, &activities, &format!("the page after {received} rows"))?;
            for (row, activity) in expected.iter().zip(&activities) {
                self.compare_members(row, activity)?;
            }
            received += activities.len();
            next = page["next"].as_str().map(str::to_owned);
            if let Some(path) = next.as_ref().filter(|_| received == limit) {
                // A cursor is valid only for its caller.
                let answer = self.tenant.admin.get(path).await;
                check(answer.status == 400, || {
                    format!("the status for a foreign cursor must be 400, not {}", describe(&answer))
                })?;
            }
            check(next.is_some() == (received < rows.len()), || {
                format!("after {received} of {} rows, next is {}", rows.len(), page["next"])
            })?;
        }
        Ok(())
    }

    /// Compares the members of an activity that the model knows.
    fn compare_members(&self, row: &Row<'_>, activity: &Value) -> CheckResult {
        let percent = activity["result"]["score"]["percent"].as_f64();
        let expected_value = row.shown_percent();
        let cells = [
            ("action", json!(row.action), activity["action"]["key"].clone()),
            ("verb", json!(row.record.verb), verb_of(activity)),
            ("user", json!(row.user.map(|user| &user.id)), activity["user"]["id"].clone()),
            ("name", json!(row.person_name()), activity["user"]["name"].clone()),
            (
                "identifier",
                json!(row.user.is_none().then(|| agent(&row.record.actor))),
                activity["user"]["identifier"].clone(),
            ),
            ("content", json!(row.content.map(|content| &content.id)), activity["content"]["id"].clone()),
            ("happened_at", json!(rfc3339(row.record.happened_at)), activity["happened_at"].clone()),
            ("completed", json!(row.completed), activity["completed"].clone()),
            ("success", json!(row.success), activity["result"]["success"].clone()),
            ("expired_at", json!(row.expired_at.map(rfc3339)), activity["expired_at"].clone()),
            ("expired", json!(row.expired_at.is_some_and(|at| at < self.now)), activity["expired"].clone()),
            ("seconds", json!(row.record.seconds), activity["result"]["total_time"]["seconds"].clone()),
            (
                "certificate",
                json!(row.certificate.as_ref().and_then(|(name, _)| name.clone())),
                activity["certificate"]["name"].clone(),
            ),
            (
                "certificate's expiry",
                json!(row.certificate.as_ref().and_then(|(_, at)| at.map(rfc3339))),
                activity["certificate"]["expires_at"].clone(),
            ),
            ("device_type", json!(row.device_type()), activity["device_type"].clone()),
            ("origin", json!(row.origin()), activity["origin"].clone()),
            ("percent", json!(expected_value.is_none()), json!(percent.is_none())),
        ];
        for (cell, expected_value, found_value) in cells {
            check(expected_value == found_value, || {
                format!("{cell} is {found_value}, not {expected_value}, in\n{activity}\nof\n{row:#?}")
            })?;
        }
        let names_part =
            activity["description"].as_str().is_some_and(|text| text.contains(" a question in "));
        check(names_part == row.record.is_about_part(), || {
            format!("the sentence is wrong in\n{activity}\nof\n{row:#?}")
        })?;
        let close = expected_value
            .zip(percent)
            .is_none_or(|(expected_value, found_value)| (expected_value - found_value).abs() < 0.000_001);
        check(close, || {
            format!("percent is {percent:?}, not {expected_value:?}, in\n{activity}\nof\n{row:#?}")
        })
    }

    /// Compares the exports as NDJSON and as CSV with a random set of columns.
    async fn compare_exports(
        &self,
        caller: &Caller,
        question: &Question,
        rows: &[Row<'_>],
        random: &mut Random,
    ) -> CheckResult {
        let Some(path) = question.export("export.ndjson", &[]) else {
            return Ok(());
        };
        let answer = caller.get(&path).await;
        check(answer.status == 200, || {
            format!("the status of the NDJSON must be 200, not {}", describe(&answer))
        })?;
        compare_rows(rows, &answer.ndjson(), "the NDJSON export")?;

        let columns = *random.pick(&["standard", "elearning", "full", "full"]);
        let path = question.export("export.csv", &[("columns", columns)]).unwrap_or_default();
        let answer = caller.get(&path).await;
        check(answer.status == 200, || {
            format!("the status of the CSV must be 200, not {}", describe(&answer))
        })?;
        let (headings, lines) = answer.csv();
        check(lines.len() == rows.len(), || format!("the CSV has {} rows, not {}", lines.len(), rows.len()))?;
        if let Some(column) = headings.iter().position(|heading| heading == "Activity ID") {
            let ids: Vec<Value> = lines.iter().map(|line| json!({"id": line[column]})).collect();
            compare_rows(rows, &ids, "the CSV export")?;
        }
        self.compare_cells(rows, &headings, &lines)
    }

    /// Compares the cells of the CSV that the model knows.
    fn compare_cells(&self, rows: &[Row<'_>], headings: &[String], lines: &[Vec<String>]) -> CheckResult {
        for (row, line) in rows.iter().zip(lines) {
            let user = row.user;
            let title = row.content.map(|content| {
                let archived = if content.archived { " (Archived)" } else { "" };
                content.title.as_ref().map(|title| format!("{title}{archived}"))
            });
            let team_ids = user.map(|user| {
                let others = user.teams.iter().filter(|team| user.primary_team.as_ref() != Some(*team));
                let mut others: Vec<&String> = others.collect();
                others.sort();
                let all: Vec<&String> = user.primary_team.iter().chain(others).collect();
                all.iter().map(|team| team.as_str()).collect::<Vec<_>>().join("; ")
            });
            let archived = row.content.map(|content| if content.archived { "Yes" } else { "No" });
            let cells = [
                ("First name", user.map_or_else(|| row.person_name(), |user| user.first_name.clone())),
                ("Title", title.flatten().unwrap_or_default()),
                ("Identifier", user.map_or_else(|| agent(&row.record.actor).to_string(), |_| String::new())),
                ("Manager ID", user.and_then(|user| user.manager.clone()).unwrap_or_default()),
                ("Team IDs", team_ids.unwrap_or_default()),
                ("Archived", archived.unwrap_or_default().to_owned()),
                ("Score", row.shown_percent().map(|percent| percent.to_string()).unwrap_or_default()),
            ];
            for (heading, expected) in cells {
                let Some(column) = headings.iter().position(|other| other == heading) else {
                    continue;
                };
                let found = &line[column];
                // The model does not know which texts are escaped.
                check(found.trim_start_matches('\'') == expected, || {
                    format!("{heading} is {found:?}, not {expected:?}, of\n{row:#?}")
                })?;
            }
        }
        Ok(())
    }

    /// Compares single activities and statements: visible within the reach, and 404 otherwise.
    async fn compare_single_activities(
        &self,
        caller: &Caller,
        question: &Question,
        random: &mut Random,
    ) -> CheckResult {
        let facts = &self.tenant.facts;
        let may_query = answers::may_query(facts, &question.requester);
        let rows = derivation::derive_rows(facts);
        for _ in 0..4 {
            let from = if random.percent(75) { facts } else { &self.other.facts };
            let id = random.pick(&from.records).id;
            let row = rows.iter().find(|row| row.id() == id);
            let visible =
                row.is_some_and(|row| answers::is_within_reach(facts, &question.requester, row.user));
            let expected = match (may_query, visible) {
                (false, _) => 403,
                (true, true) => 200,
                (true, false) => 404,
            };
            let answer = caller.get(&format!("/v1/activities/{id}")).await;
            check(answer.status == expected, || {
                format!("the status of activity {id} must be {expected}, not {}; {row:#?}", describe(&answer))
            })?;
            if let Some(row) = row.filter(|_| expected == 200) {
                let activity = answer.json();
                check(activity["id"] == json!(id), || format!("activity {id} must not be\n{activity}"))?;
                self.compare_members(row, &activity)?;
            }
            self.compare_statement(caller, question, id, row).await?;
        }
        Ok(())
    }

    /// A person with full reach reads all statements, another person only their own.
    async fn compare_statement(
        &self,
        caller: &Caller,
        question: &Question,
        id: uuid::Uuid,
        row: Option<&Row<'_>>,
    ) -> CheckResult {
        let Requester::Person { user: me, .. } = &question.requester else {
            return Ok(());
        };
        let facts = &self.tenant.facts;
        let mine = |row: &Row<'_>| row.user.is_some_and(|user| user.id == *me);
        let visible = row.is_some_and(|row| answers::reads_everything(&question.requester) || mine(row));
        let expected = match (answers::may_query(facts, &question.requester), visible) {
            (false, _) => 403,
            (true, true) => 200,
            (true, false) => 404,
        };
        let answer = caller.get(&format!("/xapi/statements?statementId={id}")).await;
        check(answer.status == expected, || {
            format!("the status of statement {id} must be {expected}, not {}; {row:#?}", describe(&answer))
        })
    }

    /// Removes parts of the request while it still fails.
    async fn minimise(
        &self,
        mut question: Question,
        mut difference: String,
        random: &Random,
    ) -> (Question, String) {
        loop {
            let mut smaller: Vec<Question> = (0..question.filters.len())
                .map(|left_out| {
                    let mut smaller = question.clone();
                    smaller.filters.remove(left_out);
                    smaller
                })
                .collect();
            if question.scope.is_some() {
                smaller.push(Question { scope: None, ..question.clone() });
            }
            if question.limit < 1000 {
                smaller.push(Question { limit: 1000, ..question.clone() });
            }
            let mut found = None;
            for candidate in smaller {
                if let Err(still) = self.compare_all(&candidate, &mut random.clone()).await {
                    found = Some((candidate, still));
                    break;
                }
            }
            match found {
                Some((candidate, still)) => (question, difference) = (candidate, still),
                None => return (question, difference),
            }
        }
    }
}

/// The IRI of the verb.
fn verb_of(activity: &Value) -> Value {
    match &activity["verb"] {
        Value::Object(verb) => verb.get("id").or(verb.get("iri")).cloned().unwrap_or_default(),
        verb => verb.clone(),
    }
}

/// Compares ids in order and reports the first differences.
fn compare_rows(expected: &[Row<'_>], found: &[Value], what: &str) -> CheckResult {
    let expected_value: Vec<String> = expected.iter().map(|row| row.id().to_string()).collect();
    let found_value: Vec<String> =
        found.iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
    if expected_value == found_value {
        return Ok(());
    }
    let missing = expected.iter().find(|row| !found_value.contains(&row.id().to_string()));
    let surplus =
        found.iter().zip(&found_value).find(|(_, id)| !expected_value.contains(id)).map(|(row, _)| row);
    let index = expected_value
        .iter()
        .zip(&found_value)
        .position(|(expected_value, found_value)| expected_value != found_value);
    let difference = index.map(|index| (&expected[index], &found[index]));
    Err(format!(
        "{what} has {} rows, not {}\nfirst missing: {missing:#?}\nfirst unexpected: {surplus:#?}\nfirst difference at {index:?}: {difference:#?}",
        found_value.len(),
        expected_value.len(),
    ))
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> CheckResult {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn describe(answer: &Answer) -> String {
    format!(
        "{}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body).chars().take(1_000).collect::<String>()
    )
}
