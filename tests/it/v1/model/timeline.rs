//! Timelines against the model: the rows that the naive judge gives for one person, and the notes about them that
//! the caller may read, as one list.

use std::cmp::Reverse;

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::growth::Tenant;
use super::judge::{self, Expected};
use super::question::{self, DAY, Filter, Question, Role, When, Who, rfc3339};
use super::world::Micros;
use super::{calendar, must, told};
use crate::support::http::{encode_segment, query};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const SEEDS: &[u64] = &[11, 12];
const CASES: usize = 60;
const KINDS: &[&[&str]] = &[&[], &[], &["system"], &["manual"], &["manual", "system"]];

/// A note as it stands now.
#[derive(Debug, Clone)]
struct Note {
    id: String,
    about: String,
    text: String,
    happened_at: Micros,
    /// How many records and how many notes there were before it: its place in the order of recording.
    after: (usize, usize),
}

/// One line of an answer: what it is, and when.
type Line = (&'static str, String, String);

#[apply(both_databases)]
async fn a_timeline_is_rows_and_notes_in_one_order(server: &TestServer) {
    for seed in SEEDS {
        one_world(server, *seed).await;
    }
}

async fn one_world(server: &TestServer, seed: u64) {
    let mut random = Random::new(seed);
    let mut tenant = Tenant::found(server, &format!("timelines-{seed}"), Vec::new(), &mut random).await;
    let mut notes = Vec::new();
    let (mut entries, mut manual) = (0, 0);
    for stage in ["founded", "lived on"] {
        if stage == "lived on" {
            let now = server.clock.now().micros() + 3 * DAY;
            server.clock.set(Timestamp::from_micros(now));
            tenant.live_on(server, &mut random).await;
        }
        write_some(&tenant, &mut notes, &mut random).await;
        change_some(&tenant, &mut notes, &mut random).await;
        for case in 0..CASES {
            let who = question::who(&mut random, &tenant.facts);
            let now = server.clock.now().micros();
            let asked = random_question(&mut random, &tenant, who, now);
            let kinds = *random.pick(KINDS);
            let expected = answer(&tenant, &notes, &asked, kinds, now);
            if let Ok(lines) = &expected {
                entries += lines.len();
                manual += lines.iter().filter(|line| line.0 == "manual").count();
            }
            let judged = compare(server, &tenant, &asked, kinds, expected).await;
            judged.unwrap_or_else(|difference| {
                panic!(
                    "seed {seed}, {stage}, question {case}: {}\nas {:?}\n{difference}",
                    path(&asked, kinds),
                    asked.who
                )
            });
        }
    }
    // Answers without entries prove little, and so do those without notes.
    assert!(
        entries > 5 * CASES && manual > CASES / 2,
        "seed {seed}: {entries} entries, {manual} of them notes"
    );
}

/// A question for one person's timeline. Most are about somebody within the reach of many, with few filters or with
/// none but of time, so that notes are left in.
fn random_question(random: &mut Random, tenant: &Tenant, who: Who, now: Micros) -> Question {
    let mut asked = question::question(random, &tenant.facts, who, now);
    let subject = random.pick(&tenant.facts.users).id.clone();
    let only_time = random.percent(70);
    asked.filters.retain(|filter| match filter {
        Filter::From(_)
        | Filter::To(_)
        | Filter::Period(_)
        | Filter::TimeZone(_)
        | Filter::IncludeDeactivated(_) => true,
        _ => !only_time,
    });
    if random.percent(10) {
        asked.filters.retain(|filter| !filter.is("user"));
        asked.filters.push(Filter::with_values("user", vec![subject.clone()]));
    }
    Question { person: Some(subject), scope: None, ascending: false, ..asked }
}

/// Notes about random users, many at the moment of a record and in the middle of others' recording.
async fn write_some(tenant: &Tenant, notes: &mut Vec<Note>, random: &mut Random) {
    for _ in 0..40 {
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

/// A changed note keeps its place in the order of recording, and moves in time.
async fn change_some(tenant: &Tenant, notes: &mut [Note], random: &mut Random) {
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

/// Section 4: who may read notes about this user.
fn reads_notes(tenant: &Tenant, who: &Who, subject: &str) -> bool {
    let Who::Person { user, role, .. } = who else {
        return false;
    };
    let keeper = matches!(role, Role::Owner | Role::Admin | Role::Hr | Role::Manager);
    keeper && user != subject && judge::within_reach(&tenant.facts, who, tenant.facts.user(subject))
}

/// The whole timeline as the model has it, or the status of the refusal.
fn answer(
    tenant: &Tenant,
    notes: &[Note],
    asked: &Question,
    kinds: &[&str],
    now: Micros,
) -> Result<Vec<Line>, u16> {
    let wants = |kind: &str| kinds.is_empty() || kinds.contains(&kind);
    let rows = match judge::answer(&tenant.facts, asked, now) {
        Expected::Refused(status) => return Err(status),
        Expected::Rows(rows) => rows,
    };
    let mut lines: Vec<((Micros, usize, usize), Line)> = Vec::new();
    for row in rows.iter().filter(|_| wants("system")) {
        let happened_at = row.record.happened_at;
        // A record comes before the notes that were written when it was the last one.
        let place = (happened_at, row.position + 1, 0);
        lines.push((place, ("system", row.id().to_string(), rfc3339(happened_at))));
    }
    let subject = asked.person.as_deref().unwrap_or_default();
    let readable = wants("manual") && reads_notes(tenant, &asked.who, subject);
    for note in
        notes.iter().filter(|note| readable && note.about == subject && in_time(tenant, asked, note, now))
    {
        let place = (note.happened_at, note.after.0, note.after.1 + 1);
        lines.push((place, ("manual", note.id.clone(), rfc3339(note.happened_at))));
    }
    lines.sort_unstable_by_key(|(place, _)| Reverse(*place));
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// A note has a time and a subject; whatever else is asked leaves it out.
fn in_time(tenant: &Tenant, asked: &Question, note: &Note, now: Micros) -> bool {
    let tz = asked.tz(&tenant.facts);
    let moment = |when: When| calendar::instant(when, tz);
    asked.filters.iter().all(|filter| match filter {
        Filter::From(when) => moment(*when) <= note.happened_at,
        Filter::To(when) => note.happened_at < moment(*when),
        Filter::Period(period) => {
            let (from, to) = calendar::period_bounds(*period, tz, now);
            from <= note.happened_at && note.happened_at < to
        }
        Filter::TimeZone(_) | Filter::IncludeDeactivated(_) => true,
        Filter::Values(filter, users) => filter.name == "user" && users.contains(&note.about),
        _ => false,
    })
}

fn path(asked: &Question, kinds: &[&str]) -> String {
    let mut pairs = asked.pairs();
    let mut set = |name: &str, value: String| pairs.push((name.to_owned(), value));
    match asked.commas && !kinds.is_empty() {
        true => set("kind", kinds.join(",")),
        false => kinds.iter().for_each(|kind| set("kind", (*kind).to_owned())),
    }
    set("limit", asked.limit.to_string());
    set("count", "exact".to_owned());
    let subject = encode_segment(asked.person.as_deref().unwrap_or_default());
    format!("/v1/users/{subject}/timeline{}", query(&pairs))
}

async fn compare(
    server: &TestServer,
    tenant: &Tenant,
    asked: &Question,
    kinds: &[&str],
    expected: Result<Vec<Line>, u16>,
) -> Result<(), String> {
    let caller = match (&asked.who, asked.who.claims()) {
        (_, Some(claims)) => server.person_of(&tenant.facts.id, claims),
        (Who::Credential { reads_activities: true }, None) => tenant.integration.clone(),
        (_, None) => tenant.blind.clone(),
    };
    let mut next = Some(path(asked, kinds));
    let mut found: Vec<Line> = Vec::new();
    // Pages of one entry over hundreds say nothing new after some dozens.
    while let Some(path) = next.filter(|_| found.len() < 40 * asked.limit) {
        let answer = caller.get(&path).await;
        let lines = match &expected {
            Ok(lines) => lines,
            Err(status) => {
                return must(answer.status == *status, || {
                    format!("{status} was expected, not {}", told(&answer))
                });
            }
        };
        must(answer.status == 200, || format!("a page was expected at {path}, not {}", told(&answer)))?;
        let page = answer.json();
        must(page["total"] == json!(lines.len()), || {
            format!("the total is {}, not {}", page["total"], lines.len())
        })?;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        let full = entries.len() == asked.limit.min(lines.len() - found.len());
        must(full, || format!("a page of {} after {} of {}", entries.len(), found.len(), lines.len()))?;
        found.extend(entries.iter().map(line));
        must(found[..] == lines[..found.len()], || format!("found\n{found:#?}\nnot\n{lines:#?}"))?;
        next = page["next"].as_str().map(str::to_owned);
        must(next.is_some() == (found.len() < lines.len()), || format!("next is {}", page["next"]))?;
    }
    Ok(())
}

fn line(entry: &Value) -> Line {
    let (kind, inner) = match entry["kind"].as_str() {
        Some("system") => ("system", &entry["activity"]),
        Some("manual") => ("manual", &entry["note"]),
        _ => ("of no kind", entry),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (kind, text(&inner["id"]), text(&entry["happened_at"]))
}
