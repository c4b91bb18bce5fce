//! Tests of query plans of `/xapi/statements` with a million statements. Each filter uses an index in the
//! order of recording, for statements and for referring statements, and no plan reads all statements.

use rollbook::access::StatementReach;
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::{OrgId, UserId};
use rollbook::record::Identifier;
use rollbook::store::StatementQuery;

use crate::support::builders::{mailbox, statement, user};
use crate::support::server::START;
use crate::support::{Database, TestServer, apply, both_databases};

const ROWS: u32 = 1_000_000;
const REGISTRATION: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";
const VERB: &str = "http://adlnet.gov/expapi/verbs/completed";

/// SQL that inserts a million statements by `u1`, every fifth by another actor.
///
/// Every third is about `urn:often`, one in 1,000 about `urn:rare`, and one in 10,000 has a registration.
/// Each mentions an activity, one in 100 mentions a person, and one in 50 refers to the one before. Two
/// verbs alternate.
const INSERT: [&str; 4] = [
    "INSERT INTO statements (org, seq, id, stored, actor, verb, object, registration, reference, sender, voids, voided, envelope, body) \
     SELECT k.org, 1000 + s.n, {id}, {start} + s.n * 1000, CASE WHEN s.n % 5 = 0 THEN k.other ELSE k.person END, \
        CASE WHEN s.n % 2 = 0 THEN k.verb ELSE -1 END, \
        CASE WHEN s.n % 50 = 0 THEN NULL WHEN s.n % 1000 = 1 THEN k.rare WHEN s.n % 3 = 0 THEN k.often ELSE -2 END, \
        CASE WHEN s.n % 10000 = 1 THEN {registration} END, CASE WHEN s.n % 50 = 0 THEN {id} END, \
        CASE WHEN s.n % 7 = 0 THEN 'key:few' ELSE 'key:many' END, {false}, {false}, '{}', {body} \
     FROM ({series}) s CROSS JOIN ({keys}) k",
    "INSERT INTO mentions (org, thing, seq, direct) \
     SELECT k.org, CASE WHEN s.n % 1000 = 1 THEN k.rare ELSE k.often END, 1000 + s.n, {false} FROM ({series}) s CROSS JOIN ({keys}) k \
     UNION ALL SELECT k.org, CASE WHEN s.n % 200 = 0 THEN k.other ELSE k.person END, 1000 + s.n, s.n % 300 = 0 \
     FROM ({series}) s CROSS JOIN ({keys}) k WHERE s.n % 100 = 0",
    "INSERT INTO reference_mentions (org, thing, seq, target, direct) \
     SELECT m.org, m.thing, m.seq + 1, m.seq, m.direct FROM mentions m WHERE m.seq % 50 = 49 AND m.seq > 1000",
    "INSERT INTO statement_references (org, seq, target, actor, verb, object, registration) \
     SELECT t.org, t.seq + 1, t.seq, t.actor, t.verb, t.object, t.registration FROM statements t WHERE t.seq % 50 = 49 AND t.seq > 1000",
];

const KEYS: &str = "SELECT c.org AS org, c.key AS often, r.key AS rare, v.key AS verb, p.key AS person, o.key AS other \
     FROM contents c JOIN contents r ON r.org = c.org AND r.iri = 'urn:rare' JOIN verbs v ON v.org = c.org \
     JOIN persons p ON p.org = c.org AND p.value LIKE '%u1@example.org%' JOIN persons o ON o.org = c.org AND o.value LIKE '%u2@example.org%' \
     WHERE c.iri = 'urn:often'";

async fn insert_statements(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (email, object) in [("u1@example.org", "urn:often"), ("u2@example.org", "urn:rare")] {
        let one = statement(mailbox(email), VERB, object);
        admin.post("/xapi/statements", &one).await.expect(200);
    }
    let known = user("u1").set("email", "known@example.org");
    admin.put("/v1/users/u1", &known).await.expect(201);

    let database = server.database();
    let (registration, no, body) = match database {
        Database::Sqlite { .. } => {
            let registration = format!("x'{}'", REGISTRATION.replace('-', ""));
            (registration, "0", "x'7b7d'")
        }
        Database::Postgres { .. } => (format!("'{REGISTRATION}'::uuid"), "false", r"'\x7b7d'::bytea"),
    };
    for insert in INSERT {
        let insert = insert
            .replace("{series}", &database.series(ROWS))
            .replace("{keys}", KEYS)
            .replace("{start}", &START.micros().to_string())
            .replace("{id}", database.random_id())
            .replace("{registration}", &registration)
            .replace("{false}", no)
            .replace("{body}", body);
        database.execute(&insert).await;
    }
    let ledger = format!("UPDATE ledgers SET seq = {}", ROWS + 1_000);
    database.execute(&ledger).await;
    if matches!(database, Database::Postgres { .. }) {
        database.execute("VACUUM ANALYZE").await;
    }
}

async fn explain(server: &TestServer, reach: &StatementReach, query: &StatementQuery) -> Vec<String> {
    let org = OrgId::new("acme").expect("an id");
    let plan = server.store.explain_statements(&org, reach, query).await;
    plan.expect("a plan")
}

/// The steps that read a large table completely, or that sort many rows.
fn bad_steps(plan: &[String]) -> Vec<&String> {
    let bad = |line: &&String| {
        let step = line.trim_start_matches([' ', '-', '>']);
        let large = ["statements", "mentions", "statement_references", "reference_mentions"];
        let reads_all = large.iter().any(|table| step.starts_with(&format!("Seq Scan on {table}")))
            || ["SCAN s", "SCAN m", "SCAN f"].contains(&step);
        // The number of rows that PostgreSQL expects, as in `(cost=1.00..2.00 rows=3 width=4)`.
        let rows = line.split("rows=").nth(1).and_then(|rows| rows.split(' ').next());
        let rows: i64 = rows.and_then(|rows| rows.parse().ok()).unwrap_or(0);
        reads_all || (step.starts_with("Sort") || step.starts_with("HashAggregate")) && rows > 10_000
    };
    plan.iter().filter(bad).collect()
}

fn identifier(email: &str) -> Option<Identifier> {
    Identifier::from_email(email)
}

#[apply(both_databases)]
async fn no_query_reads_all_statements(server: &TestServer) {
    insert_statements(server).await;
    let base = StatementQuery { limit: 101, ..StatementQuery::default() };
    let (often, rare) = (Some("urn:often".to_owned()), Some("urn:rare".to_owned()));
    let verb = Some(VERB.to_owned());
    let registration = REGISTRATION.parse().ok();
    let later = Some(Timestamp::from_micros(START.micros() + 500_000_000));
    let cases: Vec<(&str, StatementQuery, &[&str])> = vec![
        ("no filter", base.clone(), &["statements_pkey", "PRIMARY KEY", "sqlite_autoindex_statements_1"]),
        (
            "since",
            StatementQuery { since: later, ascending: true, ..base.clone() },
            &["statements_pkey", "sqlite_autoindex_statements_1"],
        ),
        (
            "a common agent",
            StatementQuery { agent: identifier("u1@example.org"), ..base.clone() },
            &["statements_actor", "statement_references_actor"],
        ),
        (
            "an agent",
            StatementQuery { agent: identifier("u2@example.org"), ..base.clone() },
            &["statements_actor", "statement_references_actor"],
        ),
        (
            "a related agent",
            StatementQuery { agent: identifier("u2@example.org"), related_agents: true, ..base.clone() },
            &["statements_actor", "statement_references_actor"],
        ),
        (
            "an authority",
            StatementQuery {
                agent: Some(Identifier::Account {
                    home_page: "https://rollbook.invalid/acme".to_owned(),
                    name: "few".to_owned(),
                }),
                related_agents: true,
                ..base.clone()
            },
            &["statements_sender"],
        ),
        (
            "a common verb",
            StatementQuery { verb: verb.clone(), ..base.clone() },
            &["statements_verb", "statement_references_verb"],
        ),
        (
            "a common activity",
            StatementQuery { activity: often.clone(), ..base.clone() },
            &["statements_object", "statement_references_object"],
        ),
        (
            "an activity",
            StatementQuery { activity: rare.clone(), ..base.clone() },
            &["statements_object", "statement_references_object"],
        ),
        (
            "a related activity",
            StatementQuery { activity: rare.clone(), related_activities: true, ..base.clone() },
            &["statements_object", "statement_references_object"],
        ),
        (
            "a common related activity",
            StatementQuery { activity: often.clone(), related_activities: true, ..base.clone() },
            &["statements_object", "statement_references_object"],
        ),
        (
            "a registration",
            StatementQuery { registration, ..base.clone() },
            &["statements_registration", "statement_references_registration"],
        ),
        (
            "an agent and a verb",
            StatementQuery { agent: identifier("u2@example.org"), verb: verb.clone(), ..base.clone() },
            &["statements_actor"],
        ),
        (
            "all filters",
            StatementQuery {
                agent: identifier("u2@example.org"),
                related_agents: true,
                verb,
                activity: rare,
                related_activities: true,
                registration,
                since: later,
                ..base.clone()
            },
            &["mentions", "SEARCH m USING PRIMARY KEY", "statements_registration"],
        ),
    ];
    for (name, query, indexes) in &cases {
        for ascending in [false, true] {
            for after in [None, Some(500_000)] {
                let query = StatementQuery { ascending, after, ..query.clone() };
                let plan = explain(server, &StatementReach::Organisation, &query).await;
                if std::env::var("ROLLBOOK_TEST_SHOW").is_ok() && after.is_none() && !ascending {
                    println!("{name}: {plan:#?}");
                }
                let used = indexes.iter().any(|index| plan.iter().any(|line| line.contains(index)));
                assert!(used, "{name}: {plan:#?}");
                assert_eq!(bad_steps(&plan), Vec::<&String>::new(), "{name}: {plan:#?}");
            }
        }
    }
    for (reach, index) in [
        (StatementReach::SentBy("few".to_owned()), "statements_sender"),
        (StatementReach::ActorIs(UserId::new("u1").expect("an id")), "statements_actor"),
        (
            StatementReach::Attempt {
                user: UserId::new("u1").expect("an id"),
                registration: uuid::Uuid::from_u128(1),
            },
            "statements_registration",
        ),
    ] {
        let plan = explain(server, &reach, &base).await;
        assert!(plan.iter().any(|line| line.contains(index)), "{reach:?}: {plan:#?}");
    }
    for nothing in [
        StatementQuery { agent: identifier("nobody@example.org"), ..base.clone() },
        StatementQuery { activity: Some("urn:none".to_owned()), ..base.clone() },
    ] {
        assert!(
            explain(server, &StatementReach::Organisation, &nothing).await.is_empty(),
            "no query is needed"
        );
    }
}
