//! Every type that is parsed from a text: what `parse` takes, `parse(print(x))` takes and gives the same.

use std::fmt::Debug;

use chrono_tz::Tz;
use rollbook::access::{CredentialScope, Role, Scopes};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::{ContentId, GroupId, OrgId, StatementId, TeamId, UserId};
use rollbook::base::timestamp;
use rollbook::log::filter::Paging;
use rollbook::log::{ParseContext, Query};
use rollbook::record::{
    CalendarDuration, Duration, Identifier, Iri, LanguageTag, Limits, ServerFields, Statement, Version,
    parse_statement,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::builders::{Body, activity, content, group, team, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::random::Random;
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};

/// The number of texts for each type.
const TEXTS: usize = 4_000;

/// Pieces that are at the edge of some format.
const PIECES: &[&str] = &[
    "0",
    "9",
    "99",
    "9999",
    "-",
    "+",
    ":",
    ".",
    ",",
    "T",
    "Z",
    "P",
    "Y",
    "M",
    "D",
    "W",
    "H",
    "S",
    "~",
    "/",
    "?",
    "#",
    "%",
    "%41",
    " ",
    "\u{a0}",
    "\u{200b}",
    "\u{301}",
    "é",
    "ß",
    "İ",
    "\u{1f600}",
    "\u{feff}",
    "\u{0}",
    "\n",
    "\"",
    "\\",
    "<",
    "@",
    "mailto:",
    "23:59:60",
    "9999-12-31",
    "0000-01-01",
    "+24:00",
    "-00:00",
    "1e309",
    "-0",
    "x-",
    "i-klingon",
    "de-",
    "a-a-a-a",
];

/// A text near one of the seeds.
fn mutate(random: &mut Random, seeds: &[&str]) -> String {
    let mut text: Vec<char> = random.pick(seeds).chars().collect();
    for _ in 0..random.below(4) {
        let place = random.below(text.len() + 1);
        match random.below(4) {
            0 if place < text.len() => drop(text.remove(place)),
            1 if place < text.len() => text.truncate(place),
            2 => {
                let other: Vec<char> = random.pick(seeds).chars().collect();
                text.splice(place..place, other.into_iter().take(5));
            }
            _ => drop(text.splice(place..place, random.pick(PIECES).chars())),
        }
    }
    text.into_iter().collect()
}

/// Parses many texts, and each accepted one again after printing.
fn check<T: PartialEq + Debug>(
    name: &str,
    seeds: &[&str],
    parse: impl Fn(&str) -> Option<T>,
    print: impl Fn(&T) -> String,
) {
    let mut random = Random::new(7);
    let mut accepted = 0;
    let texts = seeds.iter().map(|seed| (*seed).to_owned());
    let mutated: Vec<String> = (0..TEXTS).map(|_| mutate(&mut random, seeds)).collect();
    for text in texts.chain(mutated) {
        let Some(value) = parse(&text) else { continue };
        accepted += 1;
        let printed = print(&value);
        assert_eq!(parse(&printed).as_ref(), Some(&value), "{name}: {text:?} is printed as {printed:?}");
    }
    assert!(accepted >= seeds.len(), "{name}: only {accepted} texts are accepted");
}

fn check_json<T: PartialEq + Debug + Serialize + DeserializeOwned>(name: &str, seeds: &[&str]) {
    let print = |value: &T| serde_json::to_string(value).expect("it has a JSON form");
    check(name, seeds, |text| serde_json::from_str::<T>(text).ok(), print);
}

#[test]
fn texts_of_times_and_durations() {
    let times = &[
        "2026-03-18T10:17:23.123456Z",
        "9999-12-31T23:59:59.999999+00:00",
        "0000-01-01T00:00Z",
        "2016-12-31T23:59:60Z",
        "9999-12-31T22:59:59-0100",
    ];
    check("Timestamp", times, |text| timestamp::parse(text).ok(), |at| at.to_precise_text());
    check("zoned", times, |text| timestamp::parse_zoned(text).ok(), |at| at.to_precise_text());
    let spans = &["P1Y2M3DT4H5M6.789S", "P7W", "PT0.000001S", "P99999999999999999999Y", "P9999Y", "PT36H"];
    check("Duration", spans, |text| Duration::parse(text).ok(), |span| span.as_str().to_owned());
    let loose = &["90", "12.5", "0012:34:56.78", "PT1M", "0.1234567890"];
    let parse_loose = |text: &str| Duration::parse_loose(text).ok();
    check("loose Duration", loose, parse_loose, |span| span.as_str().to_owned());
    let calendar = &["P1Y", "P30D", "P1M1D", "PT36H", "P9999Y", "P99999999999999999999M"];
    check("CalendarDuration", calendar, |text| CalendarDuration::parse(text).ok(), ToString::to_string);
}

/// Adding any duration to any moment stays in the years that can be written.
#[test]
fn sums_of_times_and_durations_are_readable() {
    let mut random = Random::new(11);
    let seeds =
        &["P9999Y", "P1M", "P7W", "PT36H", "P99999999999999999999Y", "P120000M", "P3652059D", "PT999999999H"];
    let starts = [
        Timestamp::MIN,
        Timestamp::MAX,
        START,
        Timestamp::from_micros(0),
        Timestamp::from_micros(Timestamp::MAX.micros() - 1),
    ];
    for _ in 0..TEXTS {
        let Ok(span) = CalendarDuration::parse(&mutate(&mut random, seeds)) else { continue };
        for start in starts {
            let sum = span.add_to(start);
            assert!((start..=Timestamp::MAX).contains(&sum), "{start} plus {span} is {sum}");
            assert_eq!(timestamp::parse(&sum.to_precise_text()), Ok(sum));
        }
    }
}

#[test]
fn texts_of_ids_and_names() {
    let ids = &["ada", "ada/1", "ü", "a b", "x:y", "https://example.org/ada"];
    check("UserId", ids, |text| UserId::new(text).ok(), ToString::to_string);
    check("TeamId", ids, |text| TeamId::new(text).ok(), ToString::to_string);
    check("GroupId", ids, |text| GroupId::new(text).ok(), ToString::to_string);
    check("ContentId", ids, |text| ContentId::new(text).ok(), ToString::to_string);
    check("OrgId", ids, |text| OrgId::new(text).ok(), ToString::to_string);
    let uuids = &["00000000-0000-4000-8000-000000000001", "F47AC10B-58CC-4372-A567-0E02B2C3D479"];
    check("StatementId", uuids, |text| text.parse::<Uuid>().ok().map(StatementId), |id| id.0.to_string());
    let iris = &["https://example.org/x?y#z", "urn:x:ü", "http://[::1]/", "tag:a@b,2020:c", "mailto:a@b.c"];
    check("Iri", iris, |text| Iri::parse(text).ok(), |iri| iri.as_str().to_owned());
    let tags = &[
        "en",
        "de-CH",
        "zh-Hans-CN",
        "sl-rozaj-biske",
        "de-CH-1901",
        "x-whatever",
        "en-a-bbb-x-a-ccc",
        "i-klingon",
    ];
    check("LanguageTag", tags, LanguageTag::parse, |tag| tag.as_str().to_owned());
    let zones = &["Europe/London", "UTC", "Etc/GMT+12", "America/Argentina/Buenos_Aires"];
    check("Tz", zones, |text| text.parse::<Tz>().ok(), |zone| zone.name().to_owned());
}

#[test]
fn texts_of_scopes_and_roles() {
    let scopes = &["statements/write", "all activities/read", "define,catalogue", "state  profile"];
    check("Scopes", scopes, |text| text.parse::<Scopes>().ok(), ToString::to_string);
    check(
        "CredentialScope",
        &["all", "define"],
        |text| text.parse::<CredentialScope>().ok(),
        ToString::to_string,
    );
    check(
        "Role",
        &["owner", "learning_designer"],
        |text| text.parse::<Role>().ok(),
        |role| role.key().to_owned(),
    );
    check_json::<Scopes>("Scopes as JSON", &[r#"["all","define"]"#, "[]"]);
    check_json::<Role>("Role as JSON", &[r#""hr""#]);
}

#[test]
fn texts_of_actors_and_statements() {
    let actors = &[
        r#"{"mbox":"mailto:ada@example.org"}"#,
        r#"{"account":{"homePage":"https://example.org/","name":"ada"}}"#,
        r#"{"openid":"https://id.example.org/ada","name":"Ada"}"#,
        r#"{"mbox_sha1sum":"0123456789abcdef0123456789abcdef01234567"}"#,
    ];
    let print = |identifier: &Identifier| rollbook::record::Actor::agent(identifier.clone(), None).to_json();
    check("Identifier", actors, |text| Identifier::parse_agent(text).ok(), print);
    let statements = &[
        r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"},"timestamp":"9999-12-31T23:59:59Z"}"#,
        r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"},"result":{"duration":"PT0.5S","score":{"scaled":0.1234567890123456789}}}"#,
    ];
    let fields = ServerFields {
        id: StatementId(Uuid::from_u128(7)),
        stored: START,
        authority: r#"{"mbox":"mailto:lrs@example.org"}"#,
        keep_authority: true,
        default_version: "1.0.0",
    };
    // The first storing adds what the server knows. What is stored is read and stored again unchanged.
    let parse = |text: &str| {
        let sent = parse_statement(text.as_bytes(), Version::V1, &Limits::default());
        let stored = match sent {
            Ok(sent) => Statement::parse_stored(&sent.canonicalise(&fields))
                .unwrap_or_else(|fault| panic!("{text}: {fault}")),
            Err(_) => return None,
        };
        Some(stored.canonicalise(&fields))
    };
    check("Statement", statements, parse, String::clone);
}

/// The canonical pairs of a query, of random parameters.
#[test]
fn parameters_of_the_log() {
    let names = [
        "action",
        "title",
        "from",
        "to",
        "user",
        "verb",
        "tag",
        "custom[a]",
        "period",
        "tz",
        "scope",
        "completed",
        "result",
        "certificate_expires_within",
        "sort",
        "type",
        "location",
        "registration",
    ];
    let seeds = &[
        "completed",
        "2026-03-01",
        "2026-03-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "0000-01-01",
        "P30D",
        "today",
        "UTC",
        "me",
        "true",
        "passed",
        "-happened_at",
        "quiz",
        "urn:x:y",
        "Fire Safety",
        "ada,bo",
    ];
    let context = ParseContext::list(START, Tz::Europe__London, None::<Paging<'_>>);
    let mut random = Random::new(3);
    let mut accepted = 0;
    for _ in 0..3 * TEXTS {
        let pairs: Vec<(String, String)> = (0..1 + random.below(2))
            .map(|_| ((*random.pick(&names)).to_owned(), mutate(&mut random, seeds)))
            .collect();
        let Ok(query) = Query::parse(&pairs, &context) else { continue };
        accepted += 1;
        let again = Query::parse(&query.to_pairs(), &context);
        let again = again.unwrap_or_else(|faults| panic!("{pairs:?}: {faults:?}"));
        assert_eq!(
            (&again.filter, again.asked_scope, again.sort),
            (&query.filter, query.asked_scope, query.sort),
            "{pairs:?}"
        );
    }
    assert!(accepted > 200, "only {accepted} queries are accepted");
}

/// A body with some members replaced by values at the edge.
fn edge_body(random: &mut Random, body: &Body, members: &[(&str, &[Value])]) -> Body {
    let mut changed = body.clone();
    for _ in 0..1 + random.below(3) {
        let (name, values) = random.pick(members);
        changed = changed.set(name, random.pick(values).clone());
    }
    changed
}

/// Sends a body by PUT. If it is accepted, what GET gives is accepted by PUT and changes nothing.
async fn put_and_send_back(caller: &Caller, path: &str, body: &Body) -> bool {
    let status = caller.put(path, body).await.expect_one_of(&[200, 201, 400, 409]).status;
    if status >= 400 {
        return false;
    }
    let read = caller.get(path).await.expect(200).json();
    let put = caller.put(path, &read).await.expect(200).json();
    assert_eq!(put, read, "{path}: {}", body.json());
    true
}

fn edge_texts() -> Vec<Value> {
    let mut texts: Vec<Value> = PIECES.iter().map(|piece| json!(piece)).collect();
    texts.extend(PIECES.iter().map(|piece| json!(format!("a{piece}b"))));
    texts.extend([json!(null), json!(""), json!("x".repeat(1_000))]);
    texts
}

fn edge_times() -> Vec<Value> {
    [
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0000-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "2016-12-31T23:59:60Z",
        "-0001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "2026-03-18T10:17:23.000001Z",
    ]
    .map(|text| json!(text))
    .to_vec()
}

#[apply(both_databases)]
async fn bodies_with_put(server: &TestServer) {
    let admin = server.person("owner", "root");
    admin.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    let (texts, times) = (edge_texts(), edge_times());
    let dates: Vec<Value> =
        ["9999-12-31", "0000-01-01", "2024-02-29", "0000-02-29", "10000-01-01", "-001-01-01"]
            .map(|text| json!(text))
            .to_vec();
    let spans: Vec<Value> =
        ["P9999Y", "P1M", "PT0.5S", "P99999999999999999999Y", "P7W"].map(|text| json!(text)).to_vec();
    let numbers: Vec<Value> = vec![
        json!(0),
        json!(100),
        json!(70.12345678901234),
        json!(33.333333333333336),
        json!(1e-300),
        json!(100.1),
    ];
    let mut random = Random::new(5);
    let mut accepted = 0;
    for n in 0..60 {
        let user = edge_body(
            &mut random,
            &user(&format!("u{n}")),
            &[
                ("first_name", &texts),
                ("last_name", &texts),
                ("job_title", &texts),
                ("location", &texts),
                ("joined_on", &dates),
                ("language", &texts),
                ("deactivated_at", &times),
            ],
        );
        accepted += usize::from(put_and_send_back(&admin, &format!("/v1/users/u{n}"), &user).await);
        let content = edge_body(
            &mut random,
            &content(&format!("c{n}"), "quiz"),
            &[
                ("title", &texts),
                ("source", &texts),
                ("archived_at", &times),
                ("effective_from", &times),
                ("expires_after", &spans),
                ("time_limit", &spans),
                ("pass_mark", &numbers),
            ],
        );
        accepted += usize::from(put_and_send_back(&admin, &format!("/v1/contents/c{n}"), &content).await);
        let team = edge_body(&mut random, &team(&format!("t{n}")), &[("name", &texts)]);
        accepted += usize::from(put_and_send_back(&admin, &format!("/v1/teams/t{n}"), &team).await);
        let group = edge_body(&mut random, &group(&format!("g{n}")), &[("name", &texts)]);
        accepted += usize::from(put_and_send_back(&admin, &format!("/v1/groups/g{n}"), &group).await);
        let id = random.pick(&texts).as_str().unwrap_or("x").to_owned();
        if !id.is_empty() && id.len() < 100 {
            let named = crate::support::builders::group(&id);
            admin
                .put(&format!("/v1/groups/{}", encode_segment(&id)), &named)
                .await
                .expect_one_of(&[200, 201, 400, 404]);
        }
    }
    assert!(accepted > 40, "only {accepted} bodies are accepted");
    // Every list is still readable.
    for (path, plural) in [
        ("/v1/users", "users"),
        ("/v1/contents", "contents"),
        ("/v1/teams", "teams"),
        ("/v1/groups", "groups"),
    ] {
        admin.list(&format!("{path}?limit=7"), plural).await;
    }
}

/// Times and numbers at the edge in activities and statements. What is accepted is on every page, is exported, is rebuilt, and is
/// a repetition when it is sent again.
#[apply(both_databases)]
async fn records_at_the_edge_stay_readable(server: &TestServer) {
    let admin = server.person("owner", "root");
    admin.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    // Durations that lead beyond the year 9999.
    let fire = content("fire", "quiz")
        .set("expires_after", "P9999Y")
        .set("certificate", json!({"name": "Warden", "expires_after": "P99999999Y"}));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let mut accepted = Vec::new();
    let members = ["expired_at", "certificate.expires_at", "happened_at"];
    for (index, (name, at)) in
        members.iter().flat_map(|name| edge_times().into_iter().map(move |at| (*name, at))).enumerate()
    {
        let id = crate::support::records::id(index + 1);
        let record = activity("root", "completed")
            .set("id", id.clone())
            .set("content", "fire")
            .set(
                "responses",
                json!([{"question": "1", "response": "x", "score": 0.12345678901234567, "seconds": 1.1}]),
            )
            .set(name, at.clone());
        let answer = admin.post("/v1/activities", &record).await;
        if answer.expect_one_of(&[201, 400]).status == 201 {
            admin.post("/v1/activities", &record).await.expect(200);
            accepted.push((id, record));
        }
    }
    assert!(accepted.len() >= 8, "{}", accepted.len());
    for (index, at) in edge_times().into_iter().enumerate() {
        let statement = json!({"id": crate::support::records::id(500 + index), "actor": {"mbox": "mailto:a@b.c"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": "urn:o"}, "timestamp": at});
        admin.post("/xapi/statements", &statement).await.expect_one_of(&[200, 400]);
    }
    let read_all = async || {
        let log = admin.list("/v1/activities?limit=3", "activities").await;
        let mut next = "/xapi/statements?limit=4".to_owned();
        let mut statements = 0;
        while !next.is_empty() {
            let page = admin.get(&next).await.expect(200).json();
            statements += page["statements"].as_array().expect("statements").len();
            next = page["more"].as_str().expect("`more`").to_owned();
        }
        let csv =
            admin.get("/v1/activities/export.csv?columns=full").await.expect(200).text().lines().count();
        (log, statements, csv)
    };
    let before = read_all().await;
    assert_eq!(before.0.len(), before.1);
    for row in &before.0 {
        for name in ["happened_at", "expired_at"] {
            if let Some(text) = row[name].as_str() {
                timestamp::parse_zoned(text).unwrap_or_else(|error| panic!("{row}: {error}"));
            }
        }
    }
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(read_all().await, before);
    for (id, record) in accepted {
        admin.post("/v1/activities", &record).await.expect(200);
        admin.delete(&format!("/v1/activities/{id}")).await.expect(204);
    }
}
