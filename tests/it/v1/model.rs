//! The log against a naive model: random organisations, random callers, random questions.
//!
//! [`world`] holds the facts as plain lists; [`reading`] reads them as rows by the product text's section 6 and
//! [`judge`] answers questions by sections 4 and 7, both with loops, through the filters of [`filters`]; [`growth`] tells the same facts to the
//! server, [`question`] makes up questions. Each answer is compared in every way out of the server: pages, totals,
//! NDJSON, CSV, and single activities by their id, seen or not. [`opened`] asks two questions at once, as saved
//! reports are opened.
//! Two organisations with the same user ids, addresses, contents and many equal statement ids live in one
//! database, so that whatever leaks from one shows in the other.
//!
//! It is the same on every run. `ROLLBOOK_TEST_SEED=7` asks of another world, `ROLLBOOK_TEST_CASES=5000` asks
//! more. A failure names its seed and shows the smallest question that still goes wrong.

mod calendar;
mod facets;
mod filters;
mod growth;
mod judge;
mod opened;
mod progress;
mod question;
mod reading;
mod reports;
mod summary;
mod timeline;
mod world;

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use self::growth::Tenant;
use self::judge::Expected;
use self::question::{DAY, Question, Who, rfc3339};
use self::reading::Row;
use self::world::Micros;
use crate::support::http::{Answer, Caller};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const TAGS: &[&str] = &["safety", "Sicherheit", "café", "a,b", "2026"];
const CPD_LABELS: &[&str] = &["Ethics", "Law & order"];
const SOURCES: &[&str] = &["Library One", "biblio-2"];
const DEVICES: &[&str] = &["web", "ios", "api"];
/// Words with letters whose cases differ beyond ASCII.
const TITLE_WORDS: &[&str] =
    &["Fire", "Safety", "École", "Übung", "Жара", "Ñandú", "100%", "a_b", "sa", "Çok", "=1+1"];
const FIELDS: &[&str] = &["Region", "Cost centre", "Größe"];
const FIELD_VALUES: &[&str] = &["North", "South", "M & S", "a=b;c"];

/// The worlds of a usual run, and how many questions each is asked.
const SEEDS: &[u64] = &[1, 2, 3];
const CASES: usize = 120;

#[apply(both_databases)]
async fn the_log_is_what_a_naive_reading_gives(server: &TestServer) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let cases = number("ROLLBOOK_TEST_CASES").map_or(CASES, |cases| cases as usize);
    let seeds = number("ROLLBOOK_TEST_SEED").map_or(SEEDS.to_vec(), |seed| vec![seed]);
    for seed in seeds {
        one_world(server, seed, cases).await;
    }
}

/// Two organisations, asked when they are young and asked again after they changed.
async fn one_world(server: &TestServer, seed: u64, cases: usize) {
    let mut random = Random::new(seed);
    let mut first = Tenant::found(server, &format!("first-{seed}"), Vec::new(), &mut random).await;
    let ids = first.facts.records.iter().map(|record| record.id).collect();
    let (mut with_rows, mut reports_with_rows) = (0, 0);
    let mut second = Tenant::found(server, &format!("second-{seed}"), ids, &mut random).await;
    for stage in ["founded", "lived on"] {
        if stage == "lived on" {
            // Whole milliseconds: what a timestamp is written with.
            let later = random.between(0, 40) * DAY + random.between(0, DAY / 1_000) * 1_000;
            let now = server.clock.now().micros() + later;
            server.clock.set(Timestamp::from_micros(now));
            first.live_on(server, &mut random).await;
            second.live_on(server, &mut random).await;
        }
        progress::ask(server, seed, stage, [&first, &second], cases.div_ceil(4)).await;
        reports_with_rows += reports::ask(server, seed, stage, [&first, &second], cases.div_ceil(4)).await;
        opened::ask(server, seed, stage, [&first, &second], cases.div_ceil(2)).await;
        for case in 0..cases.div_ceil(2) {
            let (asked, other) = if random.percent(50) { (&first, &second) } else { (&second, &first) };
            let who = question::who(&mut random, &asked.facts);
            let now = server.clock.now().micros();
            let question = question::question(&mut random, &asked.facts, who, now);
            let expected = judge::answer(&asked.facts, &question, now);
            with_rows += usize::from(matches!(expected, Expected::Rows(rows) if !rows.is_empty()));
            let trial = Trial { server, asked, other, now };
            if let Err(difference) = trial.run(&question, &mut random.clone()).await {
                let (question, difference) = trial.smallest(question, difference, &random).await;
                panic!(
                    "seed {seed}, {stage}, question {case}, organisation {}:\n{}\nas {:?}\n{difference}\n\
                     Again: ROLLBOOK_TEST_SEED={seed} ROLLBOOK_TEST_CASES={cases}",
                    asked.facts.id,
                    question.path(),
                    question.who,
                );
            }
        }
    }
    // Questions that nothing answers prove little; this many must say something.
    assert!(with_rows * 3 > cases, "seed {seed}: only {with_rows} of {cases} answers have rows");
    // Of reports few do, whose questions are two at once.
    assert!(
        reports_with_rows * 60 > cases,
        "seed {seed}: only {reports_with_rows} of {} reports have rows",
        2 * cases.div_ceil(4)
    );
}

/// One question put to the server and to the model.
struct Trial<'a> {
    server: &'a TestServer,
    asked: &'a Tenant,
    other: &'a Tenant,
    now: Micros,
}

type Judgement = Result<(), String>;

impl Trial<'_> {
    fn caller(&self, who: &Who) -> Caller {
        match who.claims() {
            Some(claims) => self.server.person_of(&self.asked.facts.id, claims),
            None if matches!(who, Who::Credential { reads_activities: true }) => {
                self.asked.integration.clone()
            }
            None => self.asked.blind.clone(),
        }
    }

    async fn run(&self, question: &Question, random: &mut Random) -> Judgement {
        let caller = self.caller(&question.who);
        match judge::answer(&self.asked.facts, question, self.now) {
            Expected::Refused(status) => {
                let answer = caller.get(&question.path()).await;
                must(answer.status == status, || format!("{status} was expected, not {}", told(&answer)))?;
                if let Some(path) = question.export("export.csv", &[]) {
                    let answer = caller.get(&path).await;
                    must(answer.status == status, || {
                        format!("{status} was expected of the CSV, not {}", told(&answer))
                    })?;
                }
            }
            Expected::Rows(rows) => {
                self.pages(&caller, question.path(), question.limit, &rows).await?;
                self.exports(&caller, question, &rows, random).await?;
            }
        }
        self.summary(&caller, question, random).await?;
        self.facets(&caller, question).await?;
        self.singles(&caller, question, random).await
    }

    /// Page after page: the rows, their order and what they say; each page full but the last; the total.
    async fn pages(&self, caller: &Caller, first: String, limit: usize, rows: &[Row<'_>]) -> Judgement {
        let mut next = Some(first);
        let mut seen = 0;
        // Pages of one row over hundreds of rows say nothing new after some dozens.
        let enough = 60 * limit;
        while let Some(path) = next.filter(|_| seen < enough) {
            let answer = caller.get(&path).await;
            must(answer.status == 200, || format!("a page was expected at {path}, not {}", told(&answer)))?;
            let page = answer.json();
            let activities = page["activities"].as_array().cloned().unwrap_or_default();
            must(page["total"] == json!(rows.len()), || {
                format!("the total is {}, not {}", page["total"], rows.len())
            })?;
            let expected = &rows[seen..rows.len().min(seen + limit)];
            same_rows(expected, &activities, &format!("the page after {seen} rows"))?;
            for (row, activity) in expected.iter().zip(&activities) {
                self.same_cells(row, activity)?;
            }
            seen += activities.len();
            next = page["next"].as_str().map(str::to_owned);
            if let Some(path) = next.as_ref().filter(|_| seen == limit) {
                // A cursor is good for who got it, and for nobody else.
                let answer = self.asked.admin.get(path).await;
                must(answer.status == 400, || {
                    format!("400 was expected of a borrowed cursor, not {}", told(&answer))
                })?;
            }
            must(next.is_some() == (seen < rows.len()), || {
                format!("after {seen} of {} rows, next is {}", rows.len(), page["next"])
            })?;
        }
        Ok(())
    }

    /// What a row says, as far as the model knows it.
    fn same_cells(&self, row: &Row<'_>, activity: &Value) -> Judgement {
        let percent = activity["result"]["score"]["percent"].as_f64();
        let ours = row.shown_percent();
        let cells = [
            ("action", json!(row.action), activity["action"]["key"].clone()),
            ("verb", json!(row.record.verb), verb_of(activity)),
            ("user", json!(row.user.map(|user| &user.id)), activity["user"]["id"].clone()),
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
            ("percent", json!(ours.is_none()), json!(percent.is_none())),
        ];
        for (cell, ours, theirs) in cells {
            must(ours == theirs, || format!("{cell} is {theirs}, not {ours}, in\n{activity}\nof\n{row:#?}"))?;
        }
        let close = ours.zip(percent).is_none_or(|(ours, theirs)| (ours - theirs).abs() < 0.000_001);
        must(close, || format!("percent is {percent:?}, not {ours:?}, in\n{activity}\nof\n{row:#?}"))
    }

    /// The same rows as NDJSON and as CSV, every `columns` in its turn.
    async fn exports(
        &self,
        caller: &Caller,
        question: &Question,
        rows: &[Row<'_>],
        random: &mut Random,
    ) -> Judgement {
        let Some(path) = question.export("export.ndjson", &[]) else {
            return Ok(());
        };
        let answer = caller.get(&path).await;
        must(answer.status == 200, || format!("NDJSON was expected, not {}", told(&answer)))?;
        same_rows(rows, &answer.ndjson(), "the NDJSON export")?;

        let columns = *random.pick(&["standard", "elearning", "full", "full"]);
        let path = question.export("export.csv", &[("columns", columns)]).unwrap_or_default();
        let answer = caller.get(&path).await;
        must(answer.status == 200, || format!("CSV was expected, not {}", told(&answer)))?;
        let (headings, lines) = answer.csv();
        must(lines.len() == rows.len(), || format!("the CSV has {} rows, not {}", lines.len(), rows.len()))?;
        if let Some(column) = headings.iter().position(|heading| heading == "Activity ID") {
            let ids: Vec<Value> = lines.iter().map(|line| json!({"id": line[column]})).collect();
            same_rows(rows, &ids, "the CSV export")?;
        }
        Ok(())
    }

    /// Some activities by their id: there for who may see them, unknown to everybody else; and as statements.
    async fn singles(&self, caller: &Caller, question: &Question, random: &mut Random) -> Judgement {
        let facts = &self.asked.facts;
        let admitted = judge::admitted(facts, &question.who);
        let rows = reading::rows(facts);
        for _ in 0..4 {
            let from = if random.percent(75) { facts } else { &self.other.facts };
            let id = random.pick(&from.records).id;
            let row = rows.iter().find(|row| row.id() == id);
            let visible = row.is_some_and(|row| judge::within_reach(facts, &question.who, row.user));
            let expected = match (admitted, visible) {
                (false, _) => 403,
                (true, true) => 200,
                (true, false) => 404,
            };
            let answer = caller.get(&format!("/v1/activities/{id}")).await;
            must(answer.status == expected, || {
                format!("{expected} was expected of activity {id}, not {}; {row:#?}", told(&answer))
            })?;
            if let Some(row) = row.filter(|_| expected == 200) {
                let activity = answer.json();
                must(activity["id"] == json!(id), || format!("activity {id} is answered with\n{activity}"))?;
                self.same_cells(row, &activity)?;
            }
            self.as_statement(caller, question, id, row).await?;
        }
        Ok(())
    }

    /// A person reads all statements where their reach is the organisation, else their own alone.
    async fn as_statement(
        &self,
        caller: &Caller,
        question: &Question,
        id: uuid::Uuid,
        row: Option<&Row<'_>>,
    ) -> Judgement {
        let Who::Person { user: me, .. } = &question.who else {
            return Ok(());
        };
        let facts = &self.asked.facts;
        let mine = |row: &Row<'_>| row.user.is_some_and(|user| user.id == *me);
        let visible = row.is_some_and(|row| judge::sees_everything(&question.who) || mine(row));
        let expected = match (judge::admitted(facts, &question.who), visible) {
            (false, _) => 403,
            (true, true) => 200,
            (true, false) => 404,
        };
        let answer = caller.get(&format!("/xapi/statements?statementId={id}")).await;
        must(answer.status == expected, || {
            format!("{expected} was expected of statement {id}, not {}; {row:#?}", told(&answer))
        })
    }

    /// Takes one thing after another out of the question while it still goes wrong.
    async fn smallest(
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
                if let Err(still) = self.run(&candidate, &mut random.clone()).await {
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

/// The verb's IRI, which is a member of its own.
fn verb_of(activity: &Value) -> Value {
    match &activity["verb"] {
        Value::Object(verb) => verb.get("id").or(verb.get("iri")).cloned().unwrap_or_default(),
        verb => verb.clone(),
    }
}

/// Compares the ids in their order and says where they part.
fn same_rows(expected: &[Row<'_>], found: &[Value], what: &str) -> Judgement {
    let ours: Vec<String> = expected.iter().map(|row| row.id().to_string()).collect();
    let theirs: Vec<String> =
        found.iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
    if ours == theirs {
        return Ok(());
    }
    let missing = expected.iter().find(|row| !theirs.contains(&row.id().to_string()));
    let surplus = found.iter().zip(&theirs).find(|(_, id)| !ours.contains(id)).map(|(row, _)| row);
    let place = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    let parting = place.map(|place| (&expected[place], &found[place]));
    Err(format!(
        "{what} has {} rows, not {}\nfirst missing: {missing:#?}\nfirst too many: {surplus:#?}\n\
         they part at {place:?}: {parting:#?}",
        theirs.len(),
        ours.len(),
    ))
}

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Judgement {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn told(answer: &Answer) -> String {
    format!(
        "{}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body).chars().take(1_000).collect::<String>()
    )
}
