//! Compares saved reports with the model: one person saves a random request, another opens it with
//! additional parameters.
//!
//! The model does not know reports. A row is expected if it passes both requests, is within the reach of
//! the caller, and within the part of the saved scope that the caller may have.

use serde_json::{Map, Value, json};

use super::answers;
use super::derivation::{self, Row};
use super::question::{self, Filter, Question, Requester, Role, Scope};
use super::{CheckResult, Comparison, check, compare_rows, describe};
use crate::support::TestServer;
use crate::support::http::{Caller, query};
use crate::support::openapi::wrap_filter_values;
use crate::support::random::Random;

/// Compares random reports, and returns how many have rows.
pub async fn check_random_requests(
    server: &TestServer,
    seed: u64,
    stage: &str,
    tenants: [&super::Tenant; 2],
    cases: usize,
) -> usize {
    let mut random = Random::new(seed ^ 0x5eed);
    let mut with_rows = 0;
    for case in 0..cases {
        let [tenant, other] = match random.percent(50) {
            true => tenants,
            false => [tenants[1], tenants[0]],
        };
        let now = server.clock.now().micros();
        let comparison = Comparison { server, tenant, other, now };
        let report = OpenedReport::random(&mut random, &comparison);
        match comparison.compare_report(&report, &mut random.clone()).await {
            Ok(rows) => with_rows += usize::from(rows > 0),
            Err(difference) => {
                let (report, difference) = comparison.minimise_report(report, difference, &random).await;
                panic!(
                    "seed {seed}, {stage}, report {case}, organisation {}:\n{}\nopened with {}\nby {:?}\n{difference}",
                    tenant.facts.id,
                    report.filter(),
                    query(&report.added.pairs()),
                    report.added.requester,
                );
            }
        }
    }
    with_rows
}

/// A saved request, and how it is opened.
#[derive(Debug, Clone)]
struct OpenedReport {
    /// The saved request. Its requester does not matter.
    saved: Question,
    /// The requester that opens the report, and the additional parameters.
    added: Question,
    /// Writes single values as arrays, and flags as booleans.
    arrays: bool,
}

impl OpenedReport {
    fn random(random: &mut Random, comparison: &Comparison<'_>) -> Self {
        let facts = &comparison.tenant.facts;
        let maker = question::random_requester(random, facts);
        let mut saved = question::random_question(random, facts, maker, comparison.now);
        saved.person = None;
        // A scope of teams or groups without any is refused when it is saved.
        if answers::refusal(facts, &saved) == Some(400) {
            saved.scope = None;
        }
        let requester = question::random_requester(random, facts);
        let mut added = question::random_question(random, facts, requester, comparison.now);
        added.person = None;
        if random.percent(40) {
            added.filters.clear();
            added.scope = None;
        }
        if random.percent(70) {
            // Requests that widen a report are refused, and test little more.
            added.filters.retain(|filter| !widens(filter));
        }
        Self { saved, added, arrays: random.percent(50) }
    }

    /// The saved request as the filter of a report.
    fn filter(&self) -> Value {
        let mut filter: Map<String, Value> = Map::new();
        for (name, value) in self.saved.pairs() {
            match filter.get_mut(&name) {
                Some(Value::Array(values)) => values.push(json!(value)),
                Some(one) => *one = json!([one.clone(), value]),
                None => {
                    let is_flag = value == "true" || value == "false";
                    let is_list = name.starts_with("custom[")
                        || ["tag", "team", "user", "title"].contains(&name.as_str());
                    let value = match self.arrays {
                        true if is_list => json!([value]),
                        true if is_flag => json!(value == "true"),
                        _ => json!(value),
                    };
                    filter.insert(name, value);
                }
            }
        }
        Value::Object(filter)
    }

    fn ascending(&self) -> bool {
        self.added.ascending || self.saved.ascending
    }
}

/// Returns true if the additional filter could add rows to the report.
fn widens(filter: &Filter) -> bool {
    match filter {
        Filter::IncludeDeactivated(_) => true,
        Filter::Team { include_sub_teams, .. } => *include_sub_teams,
        filter => filter.names_visited(),
    }
}

/// Returns true if the requester may open reports.
fn has_reporting_access(requester: &Requester) -> bool {
    match requester {
        Requester::Credential { reads_activities } => *reads_activities,
        Requester::Person { role, .. } => *role == Role::Manager || answers::reads_everything(requester),
    }
}

impl Comparison<'_> {
    /// The part of the saved scope that the requester may have, or `None` if there is none.
    fn permitted_scope(&self, requester: &Requester, scope: Option<Scope>) -> Option<Option<Scope>> {
        let facts = &self.tenant.facts;
        match (requester, scope) {
            (_, None | Some(Scope::Team | Scope::Group)) => Some(scope),
            (_, Some(Scope::Company)) => Some(None),
            (Requester::Credential { .. }, Some(Scope::Managed { .. } | Scope::Me)) => None,
            (Requester::Person { .. }, Some(Scope::Me)) => Some(scope),
            (Requester::Person { .. }, Some(Scope::Managed { include_sub_managers })) => {
                let include_sub_managers =
                    include_sub_managers && answers::reads_indirect_reports(facts, requester);
                Some(Some(Scope::Managed { include_sub_managers }))
            }
        }
    }

    /// The status of a refused request, or the rows in order.
    fn expected_rows(&self, report: &OpenedReport) -> Result<Vec<Row<'_>>, u16> {
        let (facts, requester) = (&self.tenant.facts, &report.added.requester);
        if !answers::may_query(facts, requester) || !has_reporting_access(requester) {
            return Err(403);
        }
        let deep = matches!(report.added.scope, Some(Scope::Managed { include_sub_managers: true }));
        if deep || report.added.filters.iter().any(widens) {
            return Err(400);
        }
        if let Some(status) = answers::refusal(facts, &report.added) {
            return Err(status);
        }
        let Some(scope) = self.permitted_scope(requester, report.saved.scope) else {
            return Ok(Vec::new());
        };
        let saved = Question { requester: requester.clone(), scope, ..report.saved.clone() };
        // Additional dates use the zone of the report, unless they have another.
        let mut added = report.added.clone();
        let zone =
            |question: &Question| question.filters.iter().any(|filter| matches!(filter, Filter::TimeZone(_)));
        if !zone(&added) {
            added.filters.push(Filter::TimeZone(saved.tz(facts)));
        }
        let visits = answers::requests_visits(&saved);
        let mut rows: Vec<Row<'_>> = derivation::derive_rows(facts)
            .into_iter()
            .filter(|row| {
                answers::is_within_reach(facts, requester, row.user)
                    && (row.action != "visited" || visits)
                    && (saved.shows_deactivated() || row.user.is_none_or(|user| user.active))
                    && [&saved, &added].into_iter().all(|question| {
                        let mut filters = question.filters.iter();
                        answers::is_within_scope(facts, question, row)
                            && filters
                                .all(|filter| answers::passes_filter(facts, question, filter, row, self.now))
                    })
            })
            .collect();
        rows.sort_by_key(|row| (row.record.happened_at, row.position));
        if !report.ascending() {
            rows.reverse();
        }
        Ok(rows)
    }

    /// Saves the report, compares it, and deletes it. Returns the number of rows.
    async fn compare_report(&self, report: &OpenedReport, random: &mut Random) -> Result<usize, String> {
        let body =
            json!({"name": "Random", "visibility": "shared", "columns": "full", "filter": report.filter()});
        let created = self.tenant.admin.post("/v1/reports", &body).await;
        check(created.status == 201, || {
            format!("the status of the new report must be 201, not {}", describe(&created))
        })?;
        let path = created.header("location").unwrap_or_default().to_owned();
        let mut expected = body["filter"].clone();
        wrap_filter_values(&mut expected);
        check(created.json()["filter"] == expected, || {
            format!("the filter of the answer differs: {}", describe(&created))
        })?;
        let outcome = self.compare_opened_report(&path, report, random).await;
        self.tenant.admin.delete(&path).await.expect(204);
        outcome
    }

    async fn compare_opened_report(
        &self,
        path: &str,
        report: &OpenedReport,
        random: &mut Random,
    ) -> Result<usize, String> {
        let caller = self.caller(&report.added.requester);
        let pairs = report.added.pairs();
        let url = |name: &str, more: &[(&str, String)]| {
            let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            format!("{path}/{name}{}", query(&pairs.iter().cloned().chain(more).collect::<Vec<_>>()))
        };
        let rows = match self.expected_rows(report) {
            Err(status) => {
                for name in ["activities", "export.csv", "export.ndjson"] {
                    let answer = caller.get(&url(name, &[])).await;
                    check(answer.status == status, || {
                        format!("the status of {name} must be {status}, not {}", describe(&answer))
                    })?;
                }
                return Ok(0);
            }
            Ok(rows) => rows,
        };
        let limit = report.added.limit;
        let first = url("activities", &[("limit", limit.to_string()), ("count", "exact".to_owned())]);
        self.compare_pages(&caller, first, limit, &rows).await?;
        self.compare_report_files(&caller, &url("export.ndjson", &[]), &url("export.csv", &[]), &rows)
            .await?;
        // Another organisation does not find the report.
        if random.percent(20) {
            let answer = self.other.admin.get(&url("activities", &[])).await;
            check(answer.status == 404, || {
                format!("the status in another organisation must be 404, not {}", describe(&answer))
            })?;
        }
        Ok(rows.len())
    }

    async fn compare_report_files(
        &self,
        caller: &Caller,
        ndjson: &str,
        csv: &str,
        rows: &[Row<'_>],
    ) -> CheckResult {
        let answer = caller.get(ndjson).await;
        check(answer.status == 200, || {
            format!("the status of the NDJSON must be 200, not {}", describe(&answer))
        })?;
        compare_rows(rows, &answer.ndjson(), "the report as NDJSON")?;
        let answer = caller.get(csv).await;
        check(answer.status == 200, || {
            format!("the status of the CSV must be 200, not {}", describe(&answer))
        })?;
        let (headings, lines) = answer.csv();
        let column = headings.iter().position(|heading| heading == "Activity ID");
        let column = column.ok_or("the CSV has no activity ids")?;
        let ids: Vec<Value> = lines.iter().map(|line| json!({"id": line[column]})).collect();
        compare_rows(rows, &ids, "the report as CSV")
    }

    /// Removes parts of both requests while they still fail.
    async fn minimise_report(
        &self,
        mut report: OpenedReport,
        mut difference: String,
        random: &Random,
    ) -> (OpenedReport, String) {
        loop {
            let mut smaller = Vec::new();
            for part in [OpenedReport::saved_mut, OpenedReport::added_mut] {
                for left_out in 0..part(&mut report.clone()).filters.len() {
                    let mut candidate = report.clone();
                    part(&mut candidate).filters.remove(left_out);
                    smaller.push(candidate);
                }
                let mut candidate = report.clone();
                if part(&mut candidate).scope.take().is_some() {
                    smaller.push(candidate);
                }
            }
            // A scope without its teams fails for another reason.
            smaller.retain(|candidate| answers::refusal(&self.tenant.facts, &candidate.saved) != Some(400));
            let mut found = None;
            for candidate in smaller {
                if let Err(still) = self.compare_report(&candidate, &mut random.clone()).await {
                    found = Some((candidate, still));
                    break;
                }
            }
            match found {
                Some((candidate, still)) => (report, difference) = (candidate, still),
                None => return (report, difference),
            }
        }
    }
}

impl OpenedReport {
    fn saved_mut(&mut self) -> &mut Question {
        &mut self.saved
    }

    fn added_mut(&mut self) -> &mut Question {
        &mut self.added
    }
}
