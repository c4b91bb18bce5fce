//! Saved reports against the model: a random question is saved by one person and opened by another, with another random
//! question added (product text, section 9).
//!
//! The judge knows no report: a row is expected where it passes both questions, within the opener's reach and what they
//! can have of the saved scope.

use serde_json::{Map, Value, json};

use super::judge;
use super::question::{self, Filter, Question, Role, Scope, Who};
use super::reading::{self, Row};
use super::{Judgement, Trial, must, same_rows, told};
use crate::support::TestServer;
use crate::support::http::{Caller, query};
use crate::support::random::Random;

/// Puts a number of random reports to the server and to the model; how many of them have rows.
pub async fn ask(
    server: &TestServer,
    seed: u64,
    stage: &str,
    tenants: [&super::Tenant; 2],
    cases: usize,
) -> usize {
    let mut random = Random::new(seed ^ 0x5eed);
    let mut with_rows = 0;
    for case in 0..cases {
        let [asked, other] = match random.percent(50) {
            true => tenants,
            false => [tenants[1], tenants[0]],
        };
        let now = server.clock.now().micros();
        let trial = Trial { server, asked, other, now };
        let opening = ResolvedReport::random(&mut random, &trial);
        match trial.opened(&opening, &mut random.clone()).await {
            Ok(rows) => with_rows += usize::from(rows > 0),
            Err(difference) => {
                let (opening, difference) = trial.smallest_opening(opening, difference, &random).await;
                panic!(
                    "seed {seed}, {stage}, report {case}, organisation {}:\n{}\nopened with {}\nby {:?}\n{difference}",
                    asked.facts.id,
                    opening.filter(),
                    query(&opening.added.pairs()),
                    opening.added.who,
                );
            }
        }
    }
    with_rows
}

/// A report and how it is opened.
#[derive(Debug, Clone)]
struct ResolvedReport {
    /// The question that is saved; who asks it is of no matter.
    saved: Question,
    /// Who opens it, and what they add.
    added: Question,
    /// Writes values that stand alone as arrays, and truths as booleans.
    arrays: bool,
}

impl ResolvedReport {
    fn random(random: &mut Random, trial: &Trial<'_>) -> Self {
        let facts = &trial.asked.facts;
        let maker = question::who(random, facts);
        let mut saved = question::question(random, facts, maker, trial.now);
        saved.person = None;
        // A scope of teams or groups that names none is refused when it is saved.
        if judge::refusal(facts, &saved) == Some(400) {
            saved.scope = None;
        }
        let opener = question::who(random, facts);
        let mut added = question::question(random, facts, opener, trial.now);
        added.person = None;
        if random.percent(40) {
            added.filters.clear();
            added.scope = None;
        }
        if random.percent(70) {
            // Most of what widens is refused and says nothing more.
            added.filters.retain(|filter| !widens(filter));
        }
        Self { saved, added, arrays: random.percent(50) }
    }

    /// The saved question as a report has it.
    fn filter(&self) -> Value {
        let mut filter: Map<String, Value> = Map::new();
        for (name, value) in self.saved.pairs() {
            match filter.get_mut(&name) {
                Some(Value::Array(values)) => values.push(json!(value)),
                Some(one) => *one = json!([one.clone(), value]),
                None => {
                    let truth = value == "true" || value == "false";
                    let several = name.starts_with("custom[")
                        || ["tag", "team", "user", "title"].contains(&name.as_str());
                    let value = match self.arrays {
                        true if several => json!([value]),
                        true if truth => json!(value == "true"),
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

/// Whether what is added could show more than the report does.
fn widens(filter: &Filter) -> bool {
    match filter {
        Filter::IncludeDeactivated(_) => true,
        Filter::Team { include_sub_teams, .. } => *include_sub_teams,
        filter => filter.names_visited(),
    }
}

/// Whether the caller may open reports at all.
fn has_reporting_access(who: &Who) -> bool {
    match who {
        Who::Credential { reads_activities } => *reads_activities,
        Who::Person { role, .. } => *role == Role::Manager || judge::sees_everything(who),
    }
}

impl Trial<'_> {
    /// What the opener can have of the saved scope: `None` where that is nobody.
    fn clamped(&self, opener: &Who, scope: Option<Scope>) -> Option<Option<Scope>> {
        let facts = &self.asked.facts;
        match (opener, scope) {
            (_, None | Some(Scope::Team | Scope::Group)) => Some(scope),
            (_, Some(Scope::Company)) => Some(None),
            (Who::Credential { .. }, Some(Scope::Managed { .. } | Scope::Me)) => None,
            (Who::Person { .. }, Some(Scope::Me)) => Some(scope),
            (Who::Person { .. }, Some(Scope::Managed { include_sub_managers })) => {
                let include_sub_managers =
                    include_sub_managers && judge::sees_indirect_reports(facts, opener);
                Some(Some(Scope::Managed { include_sub_managers }))
            }
        }
    }

    /// The status of a refusal, or the rows in their order.
    fn expected(&self, opening: &ResolvedReport) -> Result<Vec<Row<'_>>, u16> {
        let (facts, opener) = (&self.asked.facts, &opening.added.who);
        if !judge::admitted(facts, opener) || !has_reporting_access(opener) {
            return Err(403);
        }
        let deep = matches!(opening.added.scope, Some(Scope::Managed { include_sub_managers: true }));
        if deep || opening.added.filters.iter().any(widens) {
            return Err(400);
        }
        if let Some(status) = judge::refusal(facts, &opening.added) {
            return Err(status);
        }
        let Some(scope) = self.clamped(opener, opening.saved.scope) else {
            return Ok(Vec::new());
        };
        let saved = Question { who: opener.clone(), scope, ..opening.saved.clone() };
        // The added question is read in the saved one's zone, unless it names another.
        let mut added = opening.added.clone();
        let zone =
            |question: &Question| question.filters.iter().any(|filter| matches!(filter, Filter::TimeZone(_)));
        if !zone(&added) {
            added.filters.push(Filter::TimeZone(saved.tz(facts)));
        }
        let visits = judge::asks_for_visits(&saved);
        let mut rows: Vec<Row<'_>> = reading::rows(facts)
            .into_iter()
            .filter(|row| {
                judge::within_reach(facts, opener, row.user)
                    && (row.action != "visited" || visits)
                    && (saved.shows_deactivated() || row.user.is_none_or(|user| user.active))
                    && [&saved, &added].into_iter().all(|question| {
                        let mut filters = question.filters.iter();
                        judge::within_scope(facts, question, row)
                            && filters.all(|filter| judge::passes(facts, question, filter, row, self.now))
                    })
            })
            .collect();
        rows.sort_by_key(|row| (row.record.happened_at, row.position));
        if !opening.ascending() {
            rows.reverse();
        }
        Ok(rows)
    }

    /// Saves the report, opens it in every way, deletes it; how many rows it has.
    async fn opened(&self, opening: &ResolvedReport, random: &mut Random) -> Result<usize, String> {
        let body =
            json!({"name": "Random", "visibility": "shared", "columns": "full", "filter": opening.filter()});
        let created = self.asked.admin.post("/v1/reports", &body).await;
        must(created.status == 201, || format!("the report is answered {}", told(&created)))?;
        let path = created.header("location").unwrap_or_default().to_owned();
        must(created.json()["filter"] == body["filter"], || {
            format!("the filter came back as {}", told(&created))
        })?;
        let outcome = self.opened_at(&path, opening, random).await;
        self.asked.admin.delete(&path).await.expect(204);
        outcome
    }

    async fn opened_at(
        &self,
        path: &str,
        opening: &ResolvedReport,
        random: &mut Random,
    ) -> Result<usize, String> {
        let caller = self.caller(&opening.added.who);
        let pairs = opening.added.pairs();
        let asked = |name: &str, more: &[(&str, String)]| {
            let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            format!("{path}/{name}{}", query(&pairs.iter().cloned().chain(more).collect::<Vec<_>>()))
        };
        let rows = match self.expected(opening) {
            Err(status) => {
                for name in ["activities", "export.csv", "export.ndjson"] {
                    let answer = caller.get(&asked(name, &[])).await;
                    must(answer.status == status, || {
                        format!("{status} was expected of {name}, not {}", told(&answer))
                    })?;
                }
                return Ok(0);
            }
            Ok(rows) => rows,
        };
        let limit = opening.added.limit;
        let first = asked("activities", &[("limit", limit.to_string()), ("count", "exact".to_owned())]);
        self.pages(&caller, first, limit, &rows).await?;
        self.report_files(&caller, &asked("export.ndjson", &[]), &asked("export.csv", &[]), &rows).await?;
        // Nobody of the other organisation finds it there, whatever their role.
        if random.percent(20) {
            let answer = self.other.admin.get(&asked("activities", &[])).await;
            must(answer.status == 404, || format!("404 was expected elsewhere, not {}", told(&answer)))?;
        }
        Ok(rows.len())
    }

    async fn report_files(&self, caller: &Caller, ndjson: &str, csv: &str, rows: &[Row<'_>]) -> Judgement {
        let answer = caller.get(ndjson).await;
        must(answer.status == 200, || format!("NDJSON was expected, not {}", told(&answer)))?;
        same_rows(rows, &answer.ndjson(), "the report as NDJSON")?;
        let answer = caller.get(csv).await;
        must(answer.status == 200, || format!("CSV was expected, not {}", told(&answer)))?;
        let (headings, lines) = answer.csv();
        let column = headings.iter().position(|heading| heading == "Activity ID");
        let column = column.ok_or("the CSV has no activity ids")?;
        let ids: Vec<Value> = lines.iter().map(|line| json!({"id": line[column]})).collect();
        same_rows(rows, &ids, "the report as CSV")
    }

    /// Takes one thing after another out of both questions while it still goes wrong.
    async fn smallest_opening(
        &self,
        mut opening: ResolvedReport,
        mut difference: String,
        random: &Random,
    ) -> (ResolvedReport, String) {
        loop {
            let mut smaller = Vec::new();
            for part in [ResolvedReport::saved_of, ResolvedReport::added_of] {
                for left_out in 0..part(&mut opening.clone()).filters.len() {
                    let mut candidate = opening.clone();
                    part(&mut candidate).filters.remove(left_out);
                    smaller.push(candidate);
                }
                let mut candidate = opening.clone();
                if part(&mut candidate).scope.take().is_some() {
                    smaller.push(candidate);
                }
            }
            // A scope that lost its teams would be refused, which is another story.
            smaller.retain(|candidate| judge::refusal(&self.asked.facts, &candidate.saved) != Some(400));
            let mut found = None;
            for candidate in smaller {
                if let Err(still) = self.opened(&candidate, &mut random.clone()).await {
                    found = Some((candidate, still));
                    break;
                }
            }
            match found {
                Some((candidate, still)) => (opening, difference) = (candidate, still),
                None => return (opening, difference),
            }
        }
    }
}

impl ResolvedReport {
    fn saved_of(&mut self) -> &mut Question {
        &mut self.saved
    }

    fn added_of(&mut self) -> &mut Question {
        &mut self.added
    }
}
