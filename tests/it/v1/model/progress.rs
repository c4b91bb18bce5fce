//! Progress, naively: for each person all of their rows on the content, by loops over lists (product text, section 3,
//! under sections 4 and 7).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::growth::Tenant;
use super::judge;
use super::question::{self, Filter, Question, rfc3339};
use super::reading::{self, Row};
use super::world::{Actor, Content, Micros, Organisation, User};
use super::{Judgement, Trial, must, told};
use crate::support::TestServer;
use crate::support::http::{encode_segment, query};
use crate::support::random::Random;

const STATES: &[&str] = &["not_started", "in_progress", "failed", "completed", "expired"];

/// What starts nothing.
const IDLE: &[&str] = &[
    "added",
    "arranged",
    "enrolled_for",
    "unenrolled",
    "updated",
    "accepted",
    "assigned",
    "unassigned",
    "logged_in",
    "logged_out",
    "visited",
];

/// A question about where people stand.
#[derive(Debug, Clone)]
struct Asked {
    /// Who, in which scope; only filters that name people.
    people: Question,
    content: String,
    states: Vec<&'static str>,
}

/// One expected line.
#[derive(Debug, Clone)]
struct Line<'a> {
    user: Option<&'a User>,
    /// Of a person whom nobody claims: what the record gave.
    email: Option<String>,
    state: &'static str,
    since: Option<Micros>,
    expires_at: Option<Micros>,
    score: Option<f64>,
    certificate: Option<(Option<String>, Micros, Option<Micros>)>,
    activity: Option<uuid::Uuid>,
}

impl Line<'_> {
    fn json(&self) -> Value {
        json!({
            "user": self.user.map(|user| &user.id),
            "email": self.user.map_or(&self.email, |user| &user.email),
            "state": self.state,
            "since": self.since.map(rfc3339),
            "expires_at": self.expires_at.map(rfc3339),
            "score": self.score,
            "certificate": self.certificate.as_ref().map(|(name, awarded_at, expires_at)| {
                json!({"name": name, "awarded_at": rfc3339(*awarded_at), "expires_at": expires_at.map(rfc3339)})
            }),
            "activity": self.activity,
        })
    }
}

/// The same of a line that the server gave.
fn given(one: &Value) -> Value {
    json!({
        "user": one["user"]["id"],
        "email": one["user"]["email"],
        "state": one["state"],
        "since": one["since"],
        "expires_at": one["expires_at"],
        "score": one["score"].as_f64(),
        "certificate": one["certificate"],
        "activity": one["activity"],
    })
}

/// Asks random questions about where people stand, of both organisations.
pub async fn ask(server: &TestServer, seed: u64, stage: &str, tenants: [&Tenant; 2], cases: usize) {
    let mut random = Random::new(seed ^ ((stage.len() as u64) << 32));
    let now = server.clock.now().micros();
    let (mut with_people, mut seen) = (0, BTreeSet::new());
    for case in 0..cases {
        let (asked, other) = match random.percent(50) {
            true => (tenants[0], tenants[1]),
            false => (tenants[1], tenants[0]),
        };
        let question = random_question(&mut random, &asked.facts, &other.facts, now);
        let trial = Trial { server, asked, other, now };
        let outcome = run(&trial, &question, &mut random).await;
        match outcome {
            Ok(states) => {
                with_people += usize::from(!states.is_empty());
                seen.extend(states);
            }
            Err(difference) => panic!(
                "seed {seed}, {stage}, progress {case}, organisation {}:\n{question:#?}\n{difference}\n\
                 Again: ROLLBOOK_TEST_SEED={seed}",
                asked.facts.id
            ),
        }
    }
    // Questions that nobody answers prove little.
    assert!(
        with_people * 4 > cases && seen.len() * 2 > STATES.len(),
        "seed {seed}: only {with_people} of {cases} answers have people, in the states {seen:?}"
    );
}

fn random_question(random: &mut Random, facts: &Organisation, other: &Organisation, now: Micros) -> Asked {
    let who = question::who(random, facts);
    let mut people = question::question(random, facts, who, now);
    people.person = None;
    people.ascending = false;
    people.filters.retain(is_of_people);
    if random.percent(50) {
        people.filters.retain(|filter| !filter.is("user"));
    }
    let rows = reading::rows(facts);
    let from = if random.percent(5) { other } else { facts };
    let content = match random.below(10) {
        0 => random.pick(&from.contents).id.clone(),
        1 if random.percent(20) => "no-such-content".to_owned(),
        _ => {
            let named: Vec<&Content> = rows.iter().filter_map(|row| row.content).collect();
            random.pick(&named).id.clone()
        }
    };
    let mut states = Vec::new();
    if random.percent(40) {
        states = random.some(STATES, 4);
    }
    Asked { people, content, states }
}

fn is_of_people(filter: &Filter) -> bool {
    filter.selects_persons() || matches!(filter, Filter::IncludeDeactivated(_))
}

/// Puts the question to the server; the states that its answer has.
async fn run(
    trial: &Trial<'_>,
    asked: &Asked,
    random: &mut Random,
) -> Result<BTreeSet<&'static str>, String> {
    let facts = &trial.asked.facts;
    let caller = trial.caller(&asked.people.who);
    let mut pairs = asked.people.pairs();
    match asked.people.commas {
        true if !asked.states.is_empty() => pairs.push(("state".into(), asked.states.join(","))),
        _ => pairs.extend(asked.states.iter().map(|state| ("state".to_owned(), (*state).to_owned()))),
    }
    let path = format!("/v1/contents/{}/progress", encode_segment(&asked.content));
    let csv = format!("{path}.csv{}", query(&pairs));
    pairs.push(("limit".into(), asked.people.limit.to_string()));
    if random.percent(70) {
        pairs.push(("count".into(), "exact".into()));
    }
    let list = format!("{path}{}", query(&pairs));
    let content = facts.contents.iter().find(|content| content.id == asked.content);
    let refused = match content {
        _ if !judge::admitted(facts, &asked.people.who) => Some(403),
        None => judge::refusal(facts, &asked.people).or(Some(404)),
        Some(_) => judge::refusal(facts, &asked.people),
    };
    let (None, Some(content)) = (refused, content) else {
        for path in [list, csv] {
            let answer = caller.get(&path).await;
            must(Some(answer.status) == refused, || {
                format!("{refused:?} was expected at {path}, not {}", told(&answer))
            })?;
        }
        return Ok(BTreeSet::new());
    };
    let everybody = lines(facts, asked, content, trial.now);
    let wanted = |line: &&Line<'_>| asked.states.is_empty() || asked.states.contains(&line.state);
    let expected: Vec<&Line<'_>> = everybody.iter().filter(wanted).collect();

    let mut people = Vec::new();
    let mut next = Some(list);
    while let Some(path) = next {
        let answer = caller.get(&path).await;
        must(answer.status == 200, || format!("a page was expected at {path}, not {}", told(&answer)))?;
        let page = answer.json();
        if path.contains("count=exact") {
            must(page["total"] == json!(expected.len()), || {
                format!("the total is {}, not {}", page["total"], expected.len())
            })?;
            for state in STATES {
                let count = everybody.iter().filter(|line| line.state == *state).count();
                must(page["states"][state] == json!(count), || {
                    format!("{state} is counted as {}, not {count}", page["states"])
                })?;
            }
        }
        let mut found = page["progress"].as_array().cloned().unwrap_or_default();
        next = page["next"].as_str().map(str::to_owned);
        must(next.is_none() || found.len() == asked.people.limit, || {
            format!("a page has {} people, and there is a next one", found.len())
        })?;
        people.append(&mut found);
    }
    same(&expected, people.iter().map(given).collect())?;

    let answer = caller.get(&csv).await;
    must(answer.status == 200, || format!("CSV was expected, not {}", told(&answer)))?;
    let (headings, rows) = answer.csv();
    let cell = |row: &[String], heading: &str| {
        let place = headings.iter().position(|other| other == heading);
        place.map(|place| row[place].clone()).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| {
        let cells = ["User ID", "Progress", "Since", "Expires at"].map(|heading| cell(row, heading));
        cells.join(",")
    });
    let written = people.iter().map(|one| {
        let label = one["state"].as_str().unwrap_or_default().replace('_', " ");
        let label = label[..1].to_uppercase() + &label[1..];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        [text(&one["user"]["id"]), label, text(&one["since"]), text(&one["expires_at"])].join(",")
    });
    let (cells, written): (Vec<String>, Vec<String>) = (cells.collect(), written.collect());
    must(cells == written, || format!("the CSV says\n{cells:#?}\nnot\n{written:#?}"))?;
    Ok(expected.iter().map(|line| line.state).collect())
}

/// Users in their order; persons whom nobody claims in whatever order they came.
fn same(expected: &[&Line<'_>], found: Vec<Value>) -> Judgement {
    let mut ours: Vec<Value> = expected.iter().map(|line| line.json()).collect();
    let mut theirs = found;
    let users = expected.iter().filter(|line| line.user.is_some()).count();
    for list in [&mut ours, &mut theirs] {
        let users = users.min(list.len());
        list[users..].sort_by_key(Value::to_string);
    }
    let place = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    must(ours.len() == theirs.len() && place.is_none(), || {
        format!(
            "there are {} people, not {}; they part at {place:?}:\n{:#?}\nnot\n{:#?}",
            theirs.len(),
            ours.len(),
            place.map(|place| &theirs[place]),
            place.map(|place| &ours[place]),
        )
    })
}

/// The lines of everybody who is asked for, whatever their state.
fn lines<'a>(facts: &'a Organisation, asked: &Asked, content: &Content, now: Micros) -> Vec<Line<'a>> {
    let rows = reading::rows(facts);
    let (about, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.content.is_some_and(|other| other.iri == content.iri));
    let Some(any) = about.first().or(others.first()).cloned() else {
        return Vec::new();
    };
    let people = &asked.people;
    let shows_deactivated = people.shows_deactivated();
    let mut users: Vec<&User> = facts.users.iter().collect();
    users.sort_by(|one, other| one.id.cmp(&other.id));
    let mut lines = Vec::new();
    for user in users {
        // Reach, scope and these filters look at nothing of a row but its user.
        let row = Row { user: Some(user), ..any.clone() };
        let in_scope = judge::within_reach(facts, &people.who, Some(user))
            && judge::within_scope(facts, people, &row)
            && people.filters.iter().all(|filter| judge::passes(facts, people, filter, &row, now));
        if in_scope && (user.active || shows_deactivated) {
            let theirs = about.iter().filter(|row| row.user.is_some_and(|other| other.id == user.id));
            lines.push(line(Some(user), None, theirs.collect(), now));
        }
    }
    let names_people = people.filters.iter().any(|filter| !matches!(filter, Filter::IncludeDeactivated(_)));
    let whole =
        judge::sees_everything(&people.who) && matches!(people.scope, None | Some(question::Scope::Company));
    if whole && !names_people {
        let mut actors: Vec<&Actor> = Vec::new();
        for row in about.iter().filter(|row| row.user.is_none()) {
            if !actors.contains(&&row.record.actor) {
                actors.push(&row.record.actor);
            }
        }
        for actor in actors {
            let theirs = about.iter().filter(|row| row.record.actor == *actor);
            let email = match actor {
                Actor::Mbox(address) => Some(address.clone()),
                Actor::MboxSha1(_) | Actor::Account { .. } => None,
            };
            lines.push(line(None, email, theirs.collect(), now));
        }
    }
    lines
}

/// Where somebody stands with these rows on the content.
fn line<'a>(user: Option<&'a User>, email: Option<String>, rows: Vec<&Row<'_>>, now: Micros) -> Line<'a> {
    let mut rows = rows;
    rows.sort_by_key(|row| (row.record.happened_at, row.position));
    let completions: Vec<&&Row<'_>> = rows.iter().filter(|row| row.completed).collect();
    let failures: Vec<&&Row<'_>> = rows.iter().filter(|row| row.action == "failed").collect();
    let first = rows.iter().find(|row| !IDLE.contains(&row.action));
    let score = |rows: &[&&Row<'_>]| rows.iter().rev().find_map(|row| row.shown_percent());
    let mut line = Line {
        user,
        email,
        state: "not_started",
        since: None,
        expires_at: None,
        score: None,
        certificate: None,
        activity: None,
    };
    // What never expires holds longest; of equals the later one, which comes later in the list.
    let far = |at: Option<Micros>| at.unwrap_or(Micros::MAX);
    let longest = completions.iter().max_by_key(|row| far(row.expired_at));
    if let Some(best) = longest {
        let expired = best.expired_at.is_some_and(|at| at < now);
        line.state = if expired { "expired" } else { "completed" };
        line.since = if expired { best.expired_at } else { Some(best.record.happened_at) };
        line.expires_at = best.expired_at;
        line.score = score(&completions);
        line.activity = Some(best.id());
    } else if let Some(latest) = failures.last() {
        line.state = "failed";
        line.since = Some(latest.record.happened_at);
        line.score = score(&failures);
        line.activity = Some(latest.id());
    } else if let Some(first) = first {
        line.state = "in_progress";
        line.since = Some(first.record.happened_at);
    }
    let certified = rows.iter().filter_map(|row| Some((row, row.certificate.as_ref()?)));
    let longest = certified.max_by_key(|(_, (_, expires_at))| far(*expires_at));
    line.certificate =
        longest.map(|(row, (name, expires_at))| (name.clone(), row.record.happened_at, *expires_at));
    line
}
