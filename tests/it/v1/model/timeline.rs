//! Compares timelines with the model: the activities of one user, and the notes about them that the
//! requester may read, as one list.

use std::cmp::Reverse;

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::answers::{self, Expected};
use super::question::{self, DAY, Filter, Question, Requester, Role, When, rfc3339};
use super::tenant::Tenant;
use super::world::Micros;
use super::{calendar, check, describe};
use crate::support::http::{encode_segment, query};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const SEEDS: &[u64] = &[11, 12];
const CASES: usize = 60;
const KINDS: &[&[&str]] = &[&[], &[], &["system"], &["manual"], &["manual", "system"]];

/// A note with its current values.
#[derive(Debug, Clone)]
struct Note {
    id: String,
    about: String,
    text: String,
    happened_at: Micros,
    /// The number of records and notes before it, which is its position in the order of recording.
    after: (usize, usize),
}

/// An entry of an answer: kind, id and time.
type TimelineEntry = (&'static str, String, String);

#[apply(both_databases)]
async fn timeline_equals_the_naive_model(server: &TestServer) {
    for seed in SEEDS {
        check_world(server, *seed).await;
    }
}

async fn check_world(server: &TestServer, seed: u64) {
    let mut random = Random::new(seed);
    let mut tenant = Tenant::create(server, &format!("timelines-{seed}"), Vec::new(), &mut random).await;
    let mut notes = Vec::new();
    let (mut entries, mut manual) = (0, 0);
    for stage in ["created", "changed"] {
        if stage == "changed" {
            let now = server.clock.now().micros() + 3 * DAY;
            server.clock.set(Timestamp::from_micros(now));
            tenant.change(server, &mut random).await;
        }
        create_notes(&tenant, &mut notes, &mut random).await;
        change_notes(&tenant, &mut notes, &mut random).await;
        for case in 0..CASES {
            let requester = question::random_requester(&mut random, &tenant.facts);
            let now = server.clock.now().micros();
            let request = random_question(&mut random, &tenant, requester, now);
            let kinds = *random.pick(KINDS);
            let expected = expected_answer(&tenant, &notes, &request, kinds, now);
            if let Ok(lines) = &expected {
                entries += lines.len();
                manual += lines.iter().filter(|line| line.0 == "manual").count();
            }
            let result = compare_timeline(server, &tenant, &request, kinds, expected).await;
            result.unwrap_or_else(|difference| {
                panic!(
                    "seed {seed}, {stage}, question {case}: {}\nas {:?}\n{difference}",
                    path(&request, kinds),
                    request.requester
                )
            });
        }
    }
    // Empty answers, and answers without notes, test little.
    assert!(
        entries > 5 * CASES && manual > CASES / 2,
        "seed {seed}: {entries} entries, {manual} of them notes"
    );
}

/// A random request for the timeline of one user. Most have few filters, or only filters of time, so that
/// notes remain.
fn random_question(random: &mut Random, tenant: &Tenant, requester: Requester, now: Micros) -> Question {
    let mut request = question::random_question(random, &tenant.facts, requester, now);
    let subject = random.pick(&tenant.facts.users).id.clone();
    let only_time = random.percent(70);
    request.filters.retain(|filter| match filter {
        Filter::From(_)
        | Filter::To(_)
        | Filter::Period(_)
        | Filter::TimeZone(_)
        | Filter::IncludeDeactivated(_) => true,
        _ => !only_time,
    });
    if random.percent(10) {
        request.filters.retain(|filter| !filter.has_name("user"));
        request.filters.push(Filter::with_values("user", vec![subject.clone()]));
    }
    Question { person: Some(subject), scope: None, ascending: false, ..request }
}

/// Creates notes about random users, many at the time of a record.
async fn create_notes(tenant: &Tenant, notes: &mut Vec<Note>, random: &mut Random) {
    for _ in 0..80 {
        let about = random.pick(&tenant.facts.users).id.clone();
        let happened_at = random.pick(&tenant.facts.records).happened_at;
        let text = format!("note {}", notes.len());
        let body = json!({"text": text, "happened_at": rfc3339(happened_at)});
        let created = tenant
            .admin
            .post(&format!("/v1/users/{}/notes", encode_segment(&about)), &body)
            .await
            .expect(201)
            .json();
        notes.push(Note {
            id: created["id"].as_str().expect("an id").to_owned(),
            about,
            text,
            happened_at,
            after: (tenant.facts.records.len(), notes.len()),
        });
    }
}

/// Changes notes. A changed note keeps its position in the order of recording, but may have another time.
async fn change_notes(tenant: &Tenant, notes: &mut [Note], random: &mut Random) {
    for note in notes {
        if !random.percent(20) {
            continue;
        }
        note.happened_at += random.between(-2, 2) * DAY;
        note.text.push_str(", changed");
        let change = json!({"text": note.text, "happened_at": rfc3339(note.happened_at)});
        tenant.admin.patch(&format!("/v1/notes/{}", note.id), &change).await.expect(200);
    }
}

/// Returns true if the requester may read notes about this user.
fn may_read_notes(tenant: &Tenant, requester: &Requester, subject: &str) -> bool {
    let Requester::Person { user, role, .. } = requester else {
        return false;
    };
    let has_role = matches!(role, Role::Owner | Role::Admin | Role::Hr | Role::Manager);
    has_role
        && user != subject
        && answers::is_within_reach(&tenant.facts, requester, tenant.facts.user(subject))
}

/// The complete timeline of the model, or the status of a refused request.
fn expected_answer(
    tenant: &Tenant,
    notes: &[Note],
    request: &Question,
    kinds: &[&str],
    now: Micros,
) -> Result<Vec<TimelineEntry>, u16> {
    let includes = |kind: &str| kinds.is_empty() || kinds.contains(&kind);
    let rows = match answers::expected_answer(&tenant.facts, request, now) {
        Expected::Refused(status) => return Err(status),
        Expected::Rows(rows) => rows,
    };
    let mut lines: Vec<((Micros, usize, usize), TimelineEntry)> = Vec::new();
    for row in rows.iter().filter(|_| includes("system")) {
        let happened_at = row.record.happened_at;
        // A record comes before the notes that were written after it.
        let place = (happened_at, row.position + 1, 0);
        lines.push((place, ("system", row.id().to_string(), rfc3339(happened_at))));
    }
    let subject = request.person.as_deref().unwrap_or_default();
    let readable = includes("manual") && may_read_notes(tenant, &request.requester, subject);
    for note in notes
        .iter()
        .filter(|note| readable && note.about == subject && passes_note_filters(tenant, request, note, now))
    {
        let place = (note.happened_at, note.after.0, note.after.1 + 1);
        lines.push((place, ("manual", note.id.clone(), rfc3339(note.happened_at))));
    }
    lines.sort_unstable_by_key(|(place, _)| Reverse(*place));
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Any filter that does not concern time or user excludes notes.
fn passes_note_filters(tenant: &Tenant, request: &Question, note: &Note, now: Micros) -> bool {
    let tz = request.tz(&tenant.facts);
    let to_time = |when: When| calendar::to_micros(when, tz);
    request.filters.iter().all(|filter| match filter {
        Filter::From(when) => to_time(*when) <= note.happened_at,
        Filter::To(when) => note.happened_at < to_time(*when),
        Filter::Period(period) => {
            let (from, to) = calendar::period_bounds(*period, tz, now);
            from <= note.happened_at && note.happened_at < to
        }
        Filter::TimeZone(_) | Filter::IncludeDeactivated(_) | Filter::Latest(false) => true,
        Filter::Values(filter, users) => filter.name == "user" && users.contains(&note.about),
        _ => false,
    })
}

fn path(request: &Question, kinds: &[&str]) -> String {
    let mut pairs = request.pairs();
    let mut set = |name: &str, value: String| pairs.push((name.to_owned(), value));
    match request.commas && !kinds.is_empty() {
        true => set("kind", kinds.join(",")),
        false => kinds.iter().for_each(|kind| set("kind", (*kind).to_owned())),
    }
    set("limit", request.limit.to_string());
    set("count", "exact".to_owned());
    let subject = encode_segment(request.person.as_deref().unwrap_or_default());
    format!("/v1/users/{subject}/timeline{}", query(&pairs))
}

async fn compare_timeline(
    server: &TestServer,
    tenant: &Tenant,
    request: &Question,
    kinds: &[&str],
    expected: Result<Vec<TimelineEntry>, u16>,
) -> Result<(), String> {
    let caller = match (&request.requester, request.requester.claims()) {
        (_, Some(claims)) => server.person_of(&tenant.facts.id, claims),
        (Requester::Credential { reads_activities: true }, None) => tenant.integration.clone(),
        (_, None) => tenant.without_read_scope.clone(),
    };
    let mut next = Some(path(request, kinds));
    let mut found: Vec<TimelineEntry> = Vec::new();
    // Very many small pages test nothing new.
    while let Some(path) = next.filter(|_| found.len() < 40 * request.limit) {
        let answer = caller.get(&path).await;
        let lines = match &expected {
            Ok(lines) => lines,
            Err(status) => {
                return check(answer.status == *status, || {
                    format!("the status must be {status}, not {}", describe(&answer))
                });
            }
        };
        check(answer.status == 200, || format!("{path}: the status must be 200, not {}", describe(&answer)))?;
        let page = answer.json();
        check(page["total"] == json!(lines.len()), || {
            format!("the total is {}, not {}", page["total"], lines.len())
        })?;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        let full = entries.len() == request.limit.min(lines.len() - found.len());
        check(full, || format!("a page of {} after {} of {}", entries.len(), found.len(), lines.len()))?;
        found.extend(entries.iter().map(to_line));
        check(found[..] == lines[..found.len()], || format!("found\n{found:#?}\nnot\n{lines:#?}"))?;
        next = page["next"].as_str().map(str::to_owned);
        check(next.is_some() == (found.len() < lines.len()), || format!("next is {}", page["next"]))?;
    }
    Ok(())
}

fn to_line(entry: &Value) -> TimelineEntry {
    let (kind, inner) = match entry["kind"].as_str() {
        Some("system") => ("system", &entry["activity"]),
        Some("manual") => ("manual", &entry["note"]),
        _ => ("of no kind", entry),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (kind, text(&inner["id"]), text(&entry["happened_at"]))
}
