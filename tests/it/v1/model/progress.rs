//! Compares progress with the model: derives the state of each person from their activities with loops.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answers;
use super::calendar::add_months;
use super::derivation::{self, Row};
use super::question::{self, Filter, Question, rfc3339};
use super::tenant::Tenant;
use super::tenant::bodies::agent;
use super::world::{Actor, Content, Micros, Months, Organisation, User};
use super::{CheckResult, Comparison, check, describe};
use crate::support::TestServer;
use crate::support::http::{encode_segment, query};
use crate::support::random::Random;

const STATES: &[&str] = &["not_started", "in_progress", "failed", "completed", "expired"];

/// The actions that do not start a content.
const NOT_STARTING: &[&str] = &[
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

/// A request for progress.
#[derive(Debug, Clone)]
struct ProgressRequest {
    /// The requester, the scope, and filters of people.
    people: Question,
    content: String,
    states: Vec<&'static str>,
    expires_within: Option<Months>,
}

/// An expected entry of the list.
#[derive(Debug, Clone)]
struct Entry<'a> {
    user: Option<&'a User>,
    /// A person without a user.
    actor: Option<&'a Actor>,
    /// The address of a person without a user.
    email: Option<String>,
    state: &'static str,
    since: Option<Micros>,
    expires_at: Option<Micros>,
    score: Option<f64>,
    certificate: Option<(Option<String>, Micros, Option<Micros>)>,
    activity: Option<uuid::Uuid>,
}

impl Entry<'_> {
    fn json(&self) -> Value {
        json!({
            "user": self.user.map(|user| &user.id),
            "email": self.user.map_or(&self.email, |user| &user.email),
            "name": match (self.user, self.actor) {
                (Some(user), _) => format!("{} {}", user.first_name, user.last_name),
                (None, actor) => actor.map(Actor::name).unwrap_or_default(),
            },
            "identifier": self.actor.map(agent),
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

/// The same members of an entry of the answer.
fn entry_from_answer(one: &Value) -> Value {
    json!({
        "user": one["user"]["id"],
        "email": one["user"]["email"],
        "name": one["user"]["name"],
        "identifier": one["user"]["identifier"],
        "state": one["state"],
        "since": one["since"],
        "expires_at": one["expires_at"],
        "score": one["score"].as_f64(),
        "certificate": one["certificate"],
        "activity": one["activity"],
    })
}

/// Checks random requests in both organisations.
pub async fn check_random_requests(
    server: &TestServer,
    seed: u64,
    stage: &str,
    tenants: [&Tenant; 2],
    cases: usize,
) {
    let mut random = Random::new(seed ^ ((stage.len() as u64) << 32));
    let now = server.clock.now().micros();
    let (mut with_people, mut states_found) = (0, BTreeSet::new());
    for case in 0..cases {
        let (tenant, other) = match random.percent(50) {
            true => (tenants[0], tenants[1]),
            false => (tenants[1], tenants[0]),
        };
        let question = random_question(&mut random, &tenant.facts, &other.facts, now);
        let comparison = Comparison { server, tenant, other, now };
        let outcome = check_request(&comparison, &question, &mut random).await;
        match outcome {
            Ok(states) => {
                with_people += usize::from(!states.is_empty());
                states_found.extend(states);
            }
            Err(difference) => panic!(
                "seed {seed}, {stage}, progress {case}, organisation {}:\n{question:#?}\n{difference}\n\
                 Repeat with ROLLBOOK_TEST_SEED={seed}",
                tenant.facts.id
            ),
        }
    }
    // Empty answers test little.
    assert!(
        with_people * 4 > cases && states_found.len() * 2 > STATES.len(),
        "seed {seed}: only {with_people} of {cases} answers have people, in the states {states_found:?}"
    );
}

fn random_question(
    random: &mut Random,
    facts: &Organisation,
    other: &Organisation,
    now: Micros,
) -> ProgressRequest {
    let requester = question::random_requester(random, facts);
    let mut people = question::random_question(random, facts, requester, now);
    people.person = None;
    people.ascending = false;
    people.filters.retain(is_of_people);
    if random.percent(50) {
        people.filters.retain(|filter| !filter.has_name("user"));
    }
    let rows = derivation::derive_rows(facts);
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
    let expires_within = random.maybe(20, |random| Months(random.between(1, 14) as u32));
    ProgressRequest { people, content, states, expires_within }
}

fn is_of_people(filter: &Filter) -> bool {
    filter.selects_persons() || matches!(filter, Filter::IncludeDeactivated(_))
}

/// Compares one request, and returns the states that the answer contains.
async fn check_request(
    comparison: &Comparison<'_>,
    request: &ProgressRequest,
    random: &mut Random,
) -> Result<BTreeSet<&'static str>, String> {
    let facts = &comparison.tenant.facts;
    let caller = comparison.caller(&request.people.requester);
    let mut pairs = request.people.pairs();
    match request.people.commas {
        true if !request.states.is_empty() => pairs.push(("state".into(), request.states.join(","))),
        _ => pairs.extend(request.states.iter().map(|state| ("state".to_owned(), (*state).to_owned()))),
    }
    if let Some(Months(months)) = request.expires_within {
        pairs.push(("expires_within".into(), format!("P{months}M")));
    }
    let path = format!("/v1/contents/{}/progress", encode_segment(&request.content));
    let csv = format!("{path}.csv{}", query(&pairs));
    pairs.push(("limit".into(), request.people.limit.to_string()));
    if random.percent(70) {
        pairs.push(("count".into(), "exact".into()));
    }
    let list = format!("{path}{}", query(&pairs));
    let content = facts.contents.iter().find(|content| content.id == request.content);
    let refused = match content {
        _ if !answers::may_query(facts, &request.people.requester) => Some(403),
        None => answers::refusal(facts, &request.people).or(Some(404)),
        Some(_) => answers::refusal(facts, &request.people),
    };
    let (None, Some(content)) = (refused, content) else {
        for path in [list, csv] {
            let answer = caller.get(&path).await;
            check(Some(answer.status) == refused, || {
                format!("{path}: the status must be {refused:?}, not {}", describe(&answer))
            })?;
        }
        return Ok(BTreeSet::new());
    };
    let all_entries = derive_entries(facts, request, content, comparison.now);
    let now = comparison.now;
    let wanted = |line: &&Entry<'_>| {
        let in_time = request.expires_within.is_none_or(|months| {
            line.expires_at.is_some_and(|at| now <= at && at <= add_months(now, months))
        });
        in_time && (request.states.is_empty() || request.states.contains(&line.state))
    };
    let expected: Vec<&Entry<'_>> = all_entries.iter().filter(wanted).collect();

    let mut people = Vec::new();
    let mut next = Some(list);
    while let Some(path) = next {
        let answer = caller.get(&path).await;
        check(answer.status == 200, || format!("{path}: the status must be 200, not {}", describe(&answer)))?;
        let page = answer.json();
        if path.contains("count=exact") {
            check(page["total"] == json!(expected.len()), || {
                format!("the total is {}, not {}", page["total"], expected.len())
            })?;
            for state in STATES {
                let count = all_entries.iter().filter(|line| line.state == *state).count();
                check(page["states"][state] == json!(count), || {
                    format!("{state} is counted as {}, not {count}", page["states"])
                })?;
            }
        }
        let mut found = page["progress"].as_array().cloned().unwrap_or_default();
        next = page["next"].as_str().map(str::to_owned);
        check(next.is_none() || found.len() == request.people.limit, || {
            format!("a page has {} people, although a next page exists", found.len())
        })?;
        people.append(&mut found);
    }
    compare_entries(&expected, people.iter().map(entry_from_answer).collect())?;

    let answer = caller.get(&csv).await;
    check(answer.status == 200, || format!("the status of the CSV must be 200, not {}", describe(&answer)))?;
    let (headings, rows) = answer.csv();
    let cell = |row: &[String], heading: &str| {
        let place = headings.iter().position(|other| other == heading);
        place.map(|place| row[place].clone()).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| {
        let cells = ["User ID", "Progress", "Since", "Expires at"].map(|heading| cell(row, heading));
        cells.join(",")
    });
    let expected_cells = people.iter().map(|one| {
        let label = one["state"].as_str().unwrap_or_default().replace('_', " ");
        let label = label[..1].to_uppercase() + &label[1..];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        [text(&one["user"]["id"]), label, text(&one["since"]), text(&one["expires_at"])].join(",")
    });
    let (cells, expected_cells): (Vec<String>, Vec<String>) = (cells.collect(), expected_cells.collect());
    check(cells == expected_cells, || format!("the CSV has\n{cells:#?}\nnot\n{expected_cells:#?}"))?;
    Ok(expected.iter().map(|line| line.state).collect())
}

/// Compares users in order, and persons without a user in any order.
fn compare_entries(expected: &[&Entry<'_>], found: Vec<Value>) -> CheckResult {
    let mut expected_list: Vec<Value> = expected.iter().map(|line| line.json()).collect();
    let mut found_list = found;
    let users = expected.iter().filter(|line| line.user.is_some()).count();
    for list in [&mut expected_list, &mut found_list] {
        let users = users.min(list.len());
        list[users..].sort_by_key(Value::to_string);
    }
    let place = expected_list
        .iter()
        .zip(&found_list)
        .position(|(expected_list, found_list)| expected_list != found_list);
    check(expected_list.len() == found_list.len() && place.is_none(), || {
        format!(
            "{} people, not {}; first difference at {place:?}:\n{:#?}\nnot\n{:#?}",
            found_list.len(),
            expected_list.len(),
            place.map(|place| &found_list[place]),
            place.map(|place| &expected_list[place]),
        )
    })
}

/// The entries of all people in the request, in every state.
fn derive_entries<'a>(
    facts: &'a Organisation,
    request: &ProgressRequest,
    content: &Content,
    now: Micros,
) -> Vec<Entry<'a>> {
    let rows = derivation::derive_rows(facts);
    let (about, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.content.is_some_and(|other| other.iri == content.iri));
    let Some(any) = about.first().or(others.first()).cloned() else {
        return Vec::new();
    };
    let people = &request.people;
    let shows_deactivated = people.shows_deactivated();
    let mut users: Vec<&User> = facts.users.iter().collect();
    users.sort_by(|one, other| one.id.cmp(&other.id));
    let mut lines = Vec::new();
    for user in users {
        // Reach, scope and these filters depend only on the user of a row.
        let row = Row { user: Some(user), ..any.clone() };
        let in_scope = answers::is_within_reach(facts, &people.requester, Some(user))
            && answers::is_within_scope(facts, people, &row)
            && people.filters.iter().all(|filter| answers::passes_filter(facts, people, filter, &row, now));
        if in_scope && (user.active || shows_deactivated) {
            let found_list = about.iter().filter(|row| row.user.is_some_and(|other| other.id == user.id));
            lines.push(derive_entry(Some(user), None, found_list.collect(), now));
        }
    }
    let names_people = people.filters.iter().any(|filter| !matches!(filter, Filter::IncludeDeactivated(_)));
    let whole = answers::reads_everything(&people.requester)
        && matches!(people.scope, None | Some(question::Scope::Company));
    if whole && !names_people {
        let mut actors: Vec<&Actor> = Vec::new();
        for row in about.iter().filter(|row| row.user.is_none()) {
            if !actors.contains(&&row.record.actor) {
                actors.push(&row.record.actor);
            }
        }
        for actor in actors {
            let found_list = about.iter().filter(|row| row.record.actor == *actor);
            lines.push(derive_entry(None, Some(actor), found_list.collect(), now));
        }
    }
    lines
}

/// Derives the state of a person from their activities on the content.
fn derive_entry<'a>(
    user: Option<&'a User>,
    actor: Option<&'a Actor>,
    rows: Vec<&Row<'_>>,
    now: Micros,
) -> Entry<'a> {
    let mut rows = rows;
    rows.sort_by_key(|row| (row.record.happened_at, row.position));
    let completions: Vec<&&Row<'_>> = rows.iter().filter(|row| row.completed).collect();
    // A part that was failed does not fail the whole.
    let fails = |row: &&&Row<'_>| row.action == "failed" && !row.record.is_about_part();
    let failures: Vec<&&Row<'_>> = rows.iter().filter(fails).collect();
    let first = rows.iter().find(|row| !NOT_STARTING.contains(&row.action));
    let score = |rows: &[&&Row<'_>]| rows.iter().rev().find_map(|row| row.shown_percent());
    let email = match actor {
        Some(Actor::Mbox(address)) => Some(address.clone()),
        Some(Actor::MboxSha1(_) | Actor::Account { .. }) | None => None,
    };
    let mut line = Entry {
        user,
        actor,
        email,
        state: "not_started",
        since: None,
        expires_at: None,
        score: None,
        certificate: None,
        activity: None,
    };
    // The completion that expires last counts; of two with the same expiry, the later one.
    let or_never = |at: Option<Micros>| at.unwrap_or(Micros::MAX);
    let last_to_expire = completions.iter().max_by_key(|row| or_never(row.expired_at));
    if let Some(best) = last_to_expire {
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
    let last_to_expire = certified.max_by_key(|(_, (_, expires_at))| or_never(*expires_at));
    line.certificate =
        last_to_expire.map(|(row, (name, expires_at))| (name.clone(), row.record.happened_at, *expires_at));
    line
}
