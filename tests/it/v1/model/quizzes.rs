//! Compares the answers to questions and the attempts at exercises with the model.
//!
//! The model takes the rows of the log that a request shows. An answer is a row with the action `answered`, an attempt is a
//! row with the action `submitted`, or one with the action `graded` that belongs to none.

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answers::{self, Expected};
use super::derivation::Row;
use super::question::{self, DAY, Filter, Question, Requester, Role};
use super::tenant::Tenant;
use super::{check, describe};
use crate::support::http::{Caller, encode_segment, query};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const SEEDS: &[u64] = &[21, 22];
const CASES: usize = 50;

/// An attempt: the ids of its `submitted` and of its `graded`.
type Attempt = (Option<Uuid>, Option<Uuid>);

#[apply(both_databases)]
async fn answers_and_attempts_equal_the_naive_model(server: &TestServer) {
    for seed in SEEDS {
        let mut random = Random::new(*seed);
        let mut tenant = Tenant::create(server, &format!("quizzes-{seed}"), Vec::new(), &mut random).await;
        let mut found = 0;
        for stage in ["created", "changed"] {
            if stage == "changed" {
                server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 3 * DAY));
                tenant.change(server, &mut random).await;
            }
            tenant.add_answers_and_attempts(server, &mut random, 120).await;
            for case in 0..CASES {
                let requester = question::random_requester(&mut random, &tenant.facts);
                let now = server.clock.now().micros();
                let mut request = question::random_question(&mut random, &tenant.facts, requester, now);
                request.person = None;
                request.filters.retain(is_filter_of_one_content);
                let content = random.pick(&tenant.facts.contents).id.clone();
                let result = *random.pick(&[None, None, Some(true), Some(false)]);
                let comparison =
                    Comparison { server, tenant: &tenant, request: &request, content: &content, result, now };
                found += comparison.compare().await.unwrap_or_else(|difference| {
                    panic!(
                        "seed {seed}, {stage}, question {case}: {}\nas {:?}\n{difference}",
                        comparison.path("quizzes", "responses"),
                        request.requester
                    )
                });
            }
        }
        // Empty answers test little.
        assert!(found > CASES, "seed {seed}: only {found} answers and attempts");
    }
}

fn is_filter_of_one_content(filter: &Filter) -> bool {
    match filter {
        Filter::Values(filter, _) => {
            filter.selects_persons || ["source", "device_type", "origin", "import"].contains(&filter.name)
        }
        Filter::Flag(filter, _) => filter.name == "bulk_import",
        Filter::Title(_) | Filter::Latest(_) | Filter::CertificateExpiresWithin(_) => false,
        _ => true,
    }
}

struct Comparison<'a> {
    server: &'a TestServer,
    tenant: &'a Tenant,
    request: &'a Question,
    content: &'a str,
    /// The value of `result`.
    result: Option<bool>,
    now: i64,
}

impl Comparison<'_> {
    fn caller(&self) -> Caller {
        match (&self.request.requester, self.request.requester.claims()) {
            (_, Some(claims)) => self.server.person_of(&self.tenant.facts.id, claims),
            (Requester::Credential { reads_activities: true }, None) => self.tenant.integration.clone(),
            (_, None) => self.tenant.without_read_scope.clone(),
        }
    }

    fn path(&self, resource: &str, list: &str) -> String {
        let mut pairs = self.request.pairs();
        let mut set = |name: &str, value: String| pairs.push((name.to_owned(), value));
        if let Some(passed) = self.result {
            set("result", if passed { "passed" } else { "failed" }.to_owned());
        }
        set("limit", self.request.limit.to_string());
        set("count", "exact".to_owned());
        format!("/v1/{resource}/{}/{list}{}", encode_segment(self.content), query(&pairs))
    }

    fn is_about_content(&self, row: &Row<'_>) -> bool {
        row.content.is_some_and(|content| content.id == self.content)
    }

    /// Returns the number of answers and attempts.
    async fn compare(&self) -> Result<usize, String> {
        let caller = self.caller();
        let rows = match answers::expected_answer(&self.tenant.facts, self.request, self.now) {
            Expected::Refused(status) => {
                for path in [self.path("quizzes", "responses"), self.path("exercises", "attempts")] {
                    let answer = caller.get(&path).await;
                    check(answer.status == status, || {
                        format!("{path}: {}, not {status}", describe(&answer))
                    })?;
                }
                return Ok(0);
            }
            Expected::Rows(rows) => rows,
        };
        let rows: Vec<Row<'_>> = rows.into_iter().filter(|row| self.is_about_content(row)).collect();
        let is_wanted = |success: Option<bool>| self.result.is_none() || success == self.result;
        let answered = rows.iter().filter(|row| row.action == "answered" && is_wanted(row.success));
        let answered: Vec<Value> = answered.map(|row| json!(row.id())).collect();
        let responses =
            self.read(&caller, self.path("quizzes", "responses"), "responses", answered.len()).await?;
        let found: Vec<Value> = responses.iter().map(|one| one["activity"].clone()).collect();
        check(found == answered, || format!("answers\n{found:#?}\nnot\n{answered:#?}"))?;
        let expected = self.expected_attempts(&rows);
        let attempts =
            self.read(&caller, self.path("exercises", "attempts"), "attempts", expected.len()).await?;
        let id = |record: &Value| record["activity"].as_str().and_then(|id| id.parse().ok());
        let found: Vec<Attempt> =
            attempts.iter().map(|one| (id(&one["submitted"]), id(&one["graded"]))).collect();
        check(found == expected, || format!("attempts\n{found:#?}\nnot\n{expected:#?}"))?;
        Ok(answered.len() + expected.len())
    }

    /// The attempts of which one of these rows stands for one.
    fn expected_attempts(&self, rows: &[Row<'_>]) -> Vec<Attempt> {
        let owner =
            Requester::Person { user: "x".into(), role: Role::Owner, permissions: Vec::new(), reports: None };
        let everything = Question {
            requester: owner,
            scope: None,
            filters: vec![Filter::IncludeDeactivated(true)],
            ..self.request.clone()
        };
        let Expected::Rows(all) = answers::expected_answer(&self.tenant.facts, &everything, self.now) else {
            panic!("an owner reads everything");
        };
        let is_same = |one: &Row<'_>, other: &Row<'_>| {
            let person = |row: &Row<'_>| {
                (row.user.map(|user| user.id.clone()), row.user.is_none().then(|| row.record.actor.clone()))
            };
            self.is_about_content(other)
                && person(one) == person(other)
                && one.record.registration == other.record.registration
        };
        let place = |row: &Row<'_>| (row.record.happened_at, row.position);
        let mut attempts = Vec::new();
        for row in rows {
            let group = |action: &str| {
                let mut group: Vec<&Row<'_>> =
                    all.iter().filter(|other| other.action == action && is_same(row, other)).collect();
                group.sort_by_key(|row| place(row));
                group
            };
            let (submitted, graded) = (group("submitted"), group("graded"));
            let submission_of = |grade: &Row<'_>| {
                let before = submitted.iter().rev().find(|submitted| place(submitted) < place(grade));
                before.or(submitted.first()).map(|submitted| submitted.id())
            };
            let attempt = match row.action {
                "submitted" => {
                    let grade = graded.iter().rev().find(|grade| submission_of(grade) == Some(row.id()));
                    Some((Some(row.id()), grade.copied()))
                }
                "graded" if submitted.is_empty() => {
                    let is_last = graded.last().is_some_and(|last| last.id() == row.id());
                    let is_attempt = is_last || row.record.registration.is_none();
                    is_attempt.then_some((None, graded.iter().find(|grade| grade.id() == row.id()).copied()))
                }
                _ => None,
            };
            let Some((submitted, grade)) = attempt else {
                continue;
            };
            if self.result.is_none() || grade.and_then(|grade| grade.success) == self.result {
                attempts.push((submitted, grade.map(Row::id)));
            }
        }
        attempts
    }

    /// Reads all pages, and compares their sizes and totals.
    async fn read(
        &self,
        caller: &Caller,
        first: String,
        name: &str,
        total: usize,
    ) -> Result<Vec<Value>, String> {
        let mut next = Some(first);
        let mut found: Vec<Value> = Vec::new();
        while let Some(path) = next {
            let answer = caller.get(&path).await;
            check(answer.status == 200, || format!("{path}: {}, not 200", describe(&answer)))?;
            let page = answer.json();
            check(page["total"] == json!(total), || {
                format!("{path}: the total is {}, not {total}", page["total"])
            })?;
            let elements = page[name].as_array().cloned().unwrap_or_default();
            let expected = self.request.limit.min(total.saturating_sub(found.len()));
            check(elements.len() == expected, || {
                format!("{path}: a page of {}, not {expected}", elements.len())
            })?;
            found.extend(elements);
            next = page["next"].as_str().map(str::to_owned);
            check(next.is_some() == (found.len() < total), || format!("{path}: next is {}", page["next"]))?;
        }
        Ok(found)
    }
}
