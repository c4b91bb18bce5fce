//! A database that the first release wrote, brought up to this one's schema: after `rollbook migrate` and
//! `rollbook rebuild` it answers everything as a database does to which the same was sent afresh, and goes on as that
//! one does.
//!
//! `first_release/sent.json` is what was sent: by whom, where, what. `first_release/kept.json` is what the tables of that
//! release held then, with `{"uuid"}`, `{"bytes"}` (in hexadecimal) and `{"text"}` (the bytes of a text) for what JSON
//! doesn't have. That release is the commit before migration 2: `git log -- migrations` names it.

use std::borrow::Cow;
use std::fmt::Write as _;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlStr};

use super::{KEY, SECRET, on, serving};
use crate::support::Database;
use crate::support::builders::mailbox;
use crate::support::http::{Caller, segment};
use crate::support::process::Process;
use crate::support::records::{STATEMENTS, VOIDED, id, statements_found};
use crate::support::server::{ORG, sign};

const SENT: &str = include_str!("first_release/sent.json");
const KEPT: &str = include_str!("first_release/kept.json");
const SPINE_OF_SQLITE: &str = include_str!("../../../migrations/sqlite/0001_spine.sql");
const SPINE_OF_POSTGRES: &str = include_str!("../../../migrations/postgres/0001_spine.sql");

const HOME: &str = "https://rollbook.invalid/acme";
/// When the tokens here expire: in 2100.
const EXPIRES: i64 = 4_102_444_800;
/// What stands for the key of the credential `quiet`, which is random.
const QUIET: &str = "the-quiet-one";

#[derive(Deserialize)]
struct Sent {
    by: String,
    method: String,
    path: String,
    body: Value,
}

#[derive(Deserialize)]
struct Kept {
    quiet: Credential,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Credential {
    key: String,
    secret: String,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Makes the database as the first release left it.
async fn as_the_first_release_left_it(database: &Database, tables: &[Table]) {
    let (url, spine) = match database {
        Database::Sqlite { .. } => (format!("{}?mode=rwc", database.url()), SPINE_OF_SQLITE),
        Database::Postgres { .. } => (database.url(), SPINE_OF_POSTGRES),
    };
    let first = Migration::new(
        1,
        Cow::Borrowed("0001_spine"),
        MigrationType::Simple,
        SqlStr::from_static(spine),
        false,
    );
    let migrator = Migrator::with_migrations(vec![first]);
    let migrated = match database {
        Database::Sqlite { .. } => {
            let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a file");
            migrator.run(&mut connection).await
        }
        Database::Postgres { .. } => {
            let mut connection = sqlx::PgConnection::connect(&url).await.expect("a connection");
            migrator.run(&mut connection).await
        }
    };
    migrated.expect("the first migration goes through");
    for table in tables {
        let rows: Vec<String> = table
            .rows
            .iter()
            .map(|row| {
                let cells: Vec<String> = row.iter().map(|cell| literal(database, cell)).collect();
                format!("({})", cells.join(", "))
            })
            .collect();
        let columns = table.columns.join(", ");
        let insert = format!(
            "INSERT INTO {} ({columns}) VALUES {}",
            table.name,
            rows.join(", ")
        );
        assert_eq!(database.execute(&insert).await, table.rows.len() as u64);
    }
}

/// A cell as the database writes it in SQL.
fn literal(database: &Database, cell: &Value) -> String {
    let bytes = |hex: &str| match database {
        Database::Sqlite { .. } => format!("x'{hex}'"),
        Database::Postgres { .. } => format!(r"'\x{hex}'::bytea"),
    };
    let within = |kind: &str| cell[kind].as_str();
    match cell {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Object(_) => match (within("uuid"), within("bytes"), within("text")) {
            (Some(uuid), ..) => match database {
                Database::Sqlite { .. } => bytes(&uuid.replace('-', "")),
                Database::Postgres { .. } => format!("'{uuid}'::uuid"),
            },
            (_, Some(hex), _) => bytes(hex),
            (_, _, Some(text)) => bytes(&text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
            _ => panic!("{cell} is no cell"),
        },
        _ => cell.to_string(),
    }
}

/// Runs a command of the binary on the database, as an operator does.
fn command(database: &Database, name: &str) -> String {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_rollbook"))
        .args([name, "--database"])
        .arg(database.url())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    said
}

/// A running server, and everybody who asks it.
struct Asked {
    root: Caller,
    hal: Caller,
    key: Caller,
    quiet: Caller,
    /// The key of `quiet`, which stands in answers and questions.
    quiet_key: String,
    _process: Process,
}

impl Asked {
    /// Starts it, with the credential `quiet` that is there, or a new one.
    async fn start(database: &Database, quiet: Option<Credential>) -> Self {
        let process = Process::start(serving(database));
        let nobody = Caller::nobody(reqwest::Client::new(), process.base.clone());
        let admin = |user: &str| {
            nobody.with_token(&sign(
                &json!({"sub": user, "role": "admin", "org": ORG, "exp": EXPIRES}),
            ))
        };
        let root = admin("root");
        let quiet = match quiet {
            Some(quiet) => quiet,
            None => {
                let wanted = json!({"name": "quiet", "scopes": ["statements/write", "statements/read/mine"]});
                let made = root.post("/v1/credentials", &wanted).await.expect(201);
                serde_json::from_slice(&made.body).expect("a key and a secret")
            }
        };
        Self {
            hal: admin("hal"),
            key: nobody.with_basic(KEY, SECRET),
            quiet: nobody.with_basic(&quiet.key, &quiet.secret),
            quiet_key: quiet.key,
            root,
            _process: process,
        }
    }

    fn caller(&self, name: &str) -> &Caller {
        match name {
            "root" => &self.root,
            "hal" => &self.hal,
            "key" => &self.key,
            "quiet" => &self.quiet,
            _ => panic!("nobody is called {name}"),
        }
    }

    async fn send(&self, sent: &[Sent]) {
        for one in sent {
            let method: Method = one.method.parse().expect("a method");
            let headers = [("content-type", "application/json")];
            let body = one.body.to_string().into_bytes();
            let answer = self.caller(&one.by).send(method, &one.path, &headers, body).await;
            answer.expect_one_of(&[200, 201]);
        }
    }

    /// An answer without what differs from server to server: the moment of storing, and the random key. 404 where there
    /// is none.
    async fn answer(&self, path: &str) -> Value {
        let answer = self.root.get(&path.replace(QUIET, &self.quiet_key)).await;
        if answer.status == 404 {
            return json!(404);
        }
        let answer = answer.expect(200);
        let text = answer.text().replace(&self.quiet_key, QUIET);
        let mut answer = serde_json::from_str(&text).expect("JSON");
        without_storing(&mut answer);
        answer
    }
}

fn without_storing(answer: &mut Value) {
    match answer {
        Value::Object(members) => {
            for name in ["stored", "stored_at", "as_of", "created_at", "effective_from"] {
                members.remove(name);
            }
            members.values_mut().for_each(without_storing);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_storing),
        _ => {}
    }
}

/// Fails unless both answer each question alike, with all that they answer otherwise.
async fn alike(one: &Asked, other: &Asked, questions: &[String]) {
    let mut faults = String::new();
    for path in questions {
        let answers = (one.answer(path).await, other.answer(path).await);
        if answers.0 != answers.1 {
            let _ = write!(faults, "{path}\nupgraded: {}\nfresh: {}\n", answers.0, answers.1); // a String takes all
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// What the log, the directory and the catalogue can be asked.
fn about_the_log() -> Vec<String> {
    let mut questions: Vec<String> = [
        "/v1/activities?sort=happened_at&limit=100",
        "/v1/activities?custom[none]=x",
        "/v1/activities/summary?by=action&by=content",
        "/v1/facets",
        "/v1/contents?limit=100",
        "/v1/contents/fire",
        "/v1/contents/fire/progress",
        "/v1/users?limit=100",
        "/v1/users/ada/activities",
        "/v1/users/bo/timeline",
        "/v1/organisation",
    ]
    .map(str::to_owned)
    .into();
    questions.extend((1..=19).map(|number| format!("/v1/activities/{}", id(number))));
    questions
}

/// What the LRS can be asked: by everybody and everything that was named anywhere.
fn about_statements() -> Vec<String> {
    let account = |name: &str| json!({"account": {"homePage": HOME, "name": name}});
    let people = [
        "ada", "bo", "cy", "dee", "fay", "gus", "hope", "visitor", "root", "stranger", "nobody",
    ];
    let mailboxes = people.map(|name| mailbox(&format!("{name}@example.org")));
    let accounts = ["ada", "bo", "root", "hal", KEY, QUIET].map(account);
    let agents = mailboxes
        .into_iter()
        .chain(accounts)
        .chain([json!({"openid": "https://id.example.org/eli"})]);
    let agents: Vec<String> = agents.map(|agent| segment(&agent.to_string())).collect();
    let activities = [
        "https://example.org/fire",
        "urn:video",
        "urn:course",
        "urn:category",
        "urn:inner",
        "urn:grouping",
        "urn:other",
        "urn:never",
        "urn:together",
        "urn:report",
        "urn:page",
        "urn:late",
        HOME,
    ]
    .map(segment);
    let mut questions = vec![
        format!("{STATEMENTS}?ascending=true"),
        format!("{STATEMENTS}?registration=ec531277-b57b-4c15-8d91-d292c5b2b8f7"),
        format!("{STATEMENTS}?verb={}", segment(VOIDED)),
        format!(
            "{STATEMENTS}?verb={}",
            segment("http://adlnet.gov/expapi/verbs/completed")
        ),
        format!("{STATEMENTS}?voidedStatementId={}", id(9)),
    ];
    for agent in &agents {
        questions.push(format!("{STATEMENTS}?agent={agent}"));
        questions.push(format!("{STATEMENTS}?agent={agent}&related_agents=true"));
        questions.push(format!("/xapi/agents?agent={agent}"));
    }
    for activity in &activities {
        questions.push(format!("{STATEMENTS}?activity={activity}"));
        questions.push(format!(
            "{STATEMENTS}?activity={activity}&related_activities=true"
        ));
        questions.push(format!("/xapi/activities?activityId={activity}"));
    }
    questions
}

/// What comes after the upgrade: what was referred to and voided before it came, what refers to what was there, and a
/// definition that goes on where the last one ended.
fn what_comes_later() -> Vec<Sent> {
    let statement = |number: usize, verb: &str, object: Value| {
        json!({"id": id(number), "actor": mailbox("late@example.org"), "verb": {"id": verb}, "object": object,
            "timestamp": "2026-02-20T09:00:00Z"})
    };
    let late = json!({"id": "urn:late", "definition": {"name": {"en": "Late"}}});
    let video = json!({"id": "urn:video", "definition": {"name": {"en": "Video, renamed"}}});
    let refers = |number: usize| json!({"objectType": "StatementRef", "id": id(number)});
    [
        (
            "hal",
            statement(30, "https://example.org/verbs/met", late.clone()),
        ),
        ("key", statement(31, "https://example.org/verbs/met", late)),
        (
            "root",
            statement(32, "https://example.org/verbs/liked", refers(5)),
        ),
        ("quiet", statement(33, VOIDED, refers(3))),
        ("root", statement(34, "https://example.org/verbs/met", video)),
    ]
    .into_iter()
    .map(|(by, body)| Sent {
        by: by.to_owned(),
        method: "POST".to_owned(),
        path: STATEMENTS.to_owned(),
        body,
    })
    .collect()
}

/// Whether statement 12, whose attachment was declared to lie elsewhere, is given with the content that another brings.
async fn gives_what_another_brought(asked: &Asked) -> bool {
    let declared = json!([{"usageType": "https://example.org/usage", "display": {"en": "A report"}, "contentType": "text/plain",
        "length": 5, "sha2": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}]);
    let statement = json!({"id": id(40), "actor": mailbox("late@example.org"), "verb": {"id": "https://example.org/verbs/met"},
        "object": {"id": "urn:late"}, "timestamp": "2026-02-19T09:00:00Z", "attachments": declared});
    let body = format!(
        "--b\r\nContent-Type: application/json\r\n\r\n{statement}\r\n--b\r\nContent-Type: text/plain\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}\r\n\r\nhello\r\n--b--\r\n",
        declared[0]["sha2"].as_str().expect("a hash")
    );
    let headers = [("content-type", "multipart/mixed; boundary=b")];
    let kept = asked
        .root
        .send(Method::POST, STATEMENTS, &headers, body.into_bytes())
        .await;
    kept.expect(200);
    let path = format!("{STATEMENTS}?attachments=true&statementId=");
    let own = asked.root.get(&format!("{path}{}", id(40))).await.expect(200);
    assert!(
        own.text().contains("\r\n\r\nhello\r\n"),
        "whoever brought it has it"
    );
    let other = asked.root.get(&format!("{path}{}", id(12))).await.expect(200);
    other.text().contains("\r\n\r\nhello\r\n")
}

async fn upgraded_and_fresh_are_alike(database: &Database) {
    let sent: Vec<Sent> = serde_json::from_str(SENT).expect("what was sent");
    let kept: Kept = serde_json::from_str(KEPT).expect("what was kept");
    let other = match database {
        Database::Sqlite { .. } => Database::sqlite(),
        Database::Postgres { .. } => Database::postgres(),
    };
    other.create().await;
    let fresh = Asked::start(&other, None).await;
    fresh.send(&sent).await;

    as_the_first_release_left_it(database, &kept.tables).await;
    let said = command(database, "migrate");
    assert!(said.contains("from version 1 to"), "{said}");
    let said = command(database, "rebuild");
    assert!(said.starts_with("acme: 19 records replayed"), "{said}");
    let upgraded = Asked::start(database, Some(kept.quiet)).await;

    alike(&upgraded, &fresh, &about_the_log()).await;
    alike(&upgraded, &fresh, &about_statements()).await;
    for asked in [&upgraded, &fresh] {
        assert_eq!(
            statements_found(&asked.quiet, "ascending=true").await,
            [3],
            "those that it sent"
        );
        assert!(!gives_what_another_brought(asked).await);
        asked.send(&what_comes_later()).await;
    }
    alike(&upgraded, &fresh, &about_the_log()).await;
    alike(&upgraded, &fresh, &about_statements()).await;
    drop(fresh);
    other.delete().await;
}

mod from_the_first_release {
    use super::*;

    #[test]
    fn sqlite() {
        on(Database::sqlite(), async |database: &Database| {
            upgraded_and_fresh_are_alike(database).await
        });
    }

    #[test]
    fn postgres() {
        on(Database::postgres(), async |database: &Database| {
            upgraded_and_fresh_are_alike(database).await
        });
    }
}
