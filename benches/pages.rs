//! Pages: what Rollbook is asked, and the SQL that a person with knowledge of the tables writes for it.

pub mod sql;

use rollbook::record::Origin;
use serde_json::Value as Json;

use super::data::{self, events};
use super::plain::{Dialect, Plain};
use super::report::Unit;
use super::subject::{Connection, Subject};
use super::{Bench, Site, measure_each};
pub use sql::PageSql;
use sql::{records, statements};

const PART: &str = "pages";

/// A page that is measured.
struct Page {
    name: &'static str,
    caller: Caller,
    path: String,
    /// The same rows by SQL: the text that is fastest counts.
    sql: Vec<String>,
    has_rows: bool,
}

enum Caller {
    /// A credential that reads everything.
    Credential,
    /// This manager.
    Manager(String),
}

/// Measures all pages.
pub fn run(bench: &mut Bench, site: &mut Site<'_>) {
    if !bench.selects_part(site, PART) {
        return;
    }
    let keys = Keys::find(site.subject, &mut *site.plain);
    for page in pages(site.plain.dialect(), &keys) {
        if !bench.selects(site, PART, page.name) {
            continue;
        }
        // A connection that is idle while the database works would be closed.
        let subject = site.subject;
        let connect = || match &page.caller {
            Caller::Credential => subject.connect(),
            Caller::Manager(user) => subject.connect_as(user, "manager"),
        };
        let sql = fastest(&mut *site.plain, &page);
        let plain = &mut *site.plain;
        bench.compare(
            site.rows,
            (plain.dialect(), PART, page.name, Unit::Time),
            None,
            |_| {
                let mut connection = connect();
                measure_each(|| read(&mut connection, &page))
            },
            |_| measure_each(|| _ = plain.read(sql)),
        );
    }
}

fn read(connection: &mut Connection, page: &Page) {
    let mut body = Vec::with_capacity(64 * 1024);
    connection.get(&page.path, &mut body);
    assert!(!page.has_rows || body.len() > 100, "{} has no rows", page.name);
}

/// The text that takes least time the second time.
fn fastest<'p>(plain: &mut dyn Plain, page: &'p Page) -> &'p str {
    let mut timed = Vec::new();
    for sql in &page.sql {
        let rows = plain.read(sql);
        assert_eq!(page.has_rows, rows > 0, "{}: {rows} rows by {sql}", page.name);
        if page.sql.len() > 1 {
            timed.push((measure_each(|| _ = plain.read(sql)), sql));
        }
    }
    timed.sort_by_key(|(time, _)| *time);
    timed.first().map_or(&page.sql[0], |(_, sql)| *sql)
}

/// What is looked up once, for both sides.
struct Keys {
    /// The key of the identifier of a user.
    agent: i64,
    instructor: i64,
    /// A registration with several records.
    registration: String,
    /// The cursor of the 1,000th page, and its position.
    cursor: String,
    position: (i64, i64),
}

impl Keys {
    fn find(subject: &Subject, plain: &mut dyn Plain) -> Self {
        let mut connection = subject.connect();
        let mut get = |path: &str| connection.json("GET", path, &Json::Null);
        let text = |value: &Json| value.as_str().expect("a text").to_owned();
        let mut cursor = String::new();
        for _ in 0..50 {
            let page = get(&format!("/v1/activities?limit=999{cursor}"));
            let next = text(&page["next"]);
            let (_, value) = next.split_once("cursor=").expect("a further page");
            cursor = format!("&cursor={}", value.split('&').next().unwrap_or_default());
        }
        let next = get(&format!("/v1/activities?limit=1{cursor}"));
        let id = text(&next["activities"][0]["id"]);
        let registered = get("/v1/activities?limit=200&result=passed");
        let registered = registered["activities"].as_array().expect("a page");
        let registration = registered.iter().find_map(|row| row["registration"].as_str());
        let row = format!(
            "FROM activities WHERE org = 1 AND id = {}",
            plain.dialect().uuid(&id)
        );
        let seq = plain.integer(&format!(
            "SELECT s.seq FROM statements s WHERE s.org = 1 AND s.id = {}",
            plain.dialect().uuid(&id)
        ));
        let happened_at = plain.integer(&format!("SELECT happened_at {row} AND seq = {seq}"));
        let person = |agent: String| format!("SELECT key FROM persons WHERE org = 1 AND value = '{agent}'");
        Self {
            agent: plain.integer(&person(agent())),
            instructor: plain.integer(&person(instructor())),
            registration: registration.expect("a registration").to_owned(),
            cursor,
            position: (happened_at, seq),
        }
    }
}

/// A content that contexts name.
const IN_CONTEXTS: u64 = 118;
const CONTENT: u64 = 3_571;

/// A busy user.
const BUSY: u64 = 7_919;

/// That user, as an agent.
fn agent() -> String {
    events::Who::Account(BUSY).identifier()
}

/// A user that many records name as the instructor, as an agent.
fn instructor() -> String {
    let manager = data::manager_of(BUSY);
    events::Who::Account(manager.expect("a manager")).identifier()
}

/// The users of each set, as a subquery for their keys.
pub fn below(manager: &str) -> String {
    format!(
        "WITH RECURSIVE below (key) AS (SELECT key FROM users WHERE org = 1 AND id = '{manager}' \
         UNION SELECT u.key FROM users u JOIN below b ON u.manager = b.key WHERE u.org = 1) SELECT key FROM below"
    )
}

fn team(id: &str) -> String {
    format!(
        "SELECT m.user_key FROM memberships m JOIN teams t ON t.org = m.org AND t.key = m.team \
         WHERE m.org = 1 AND t.id = '{id}'"
    )
}

fn teams_below(id: &str) -> String {
    format!(
        "WITH RECURSIVE below (key) AS (SELECT key FROM teams WHERE org = 1 AND id = '{id}' \
         UNION SELECT t.key FROM teams t JOIN below b ON t.parent = b.key WHERE t.org = 1) \
         SELECT m.user_key FROM memberships m JOIN below b ON b.key = m.team WHERE m.org = 1"
    )
}

fn pages(dialect: Dialect, keys: &Keys) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut add = |name: &'static str, query: &str, sql: PageSql| {
        pages.push(Page {
            name,
            caller: Caller::Credential,
            path: format!("/v1/activities?limit=50{query}"),
            sql: sql.texts(dialect),
            has_rows: true,
        });
    };
    let all = PageSql::default;
    add("company", "", all());
    add("1,000th page", &keys.cursor, {
        let (happened_at, seq) = keys.position;
        all().filter(format!("(a.happened_at, a.seq) <= ({happened_at}, {seq})"))
    });
    let users = |users: String| all().of_users(users);
    let below_team = users(teams_below("t1"));
    add(
        "team with sub-teams",
        "&team=t1&include_sub_teams=true",
        below_team,
    );
    add("small team", "&team=t250", users(team("t250")));
    let group = "SELECT m.user_key FROM group_members m JOIN groups g ON g.org = m.org AND g.key = m.group_key \
         WHERE m.org = 1 AND g.id = 'g3'";
    add("group", "&group=g3", users(group.to_owned()));
    let one = |id: &str| format!("SELECT key FROM users WHERE org = 1 AND id = '{id}'");
    add("person with 20,000 rows", "&user=u777", users(one("u777")));
    let field = |field: &str, value: &str| {
        users(format!(
            "SELECT user_key FROM user_fields WHERE org = 1 AND field = '{field}' AND value = '{value}'"
        ))
    };
    add(
        "custom value",
        "&custom[cost_centre]=CC-3",
        field("cost_centre", "CC-3"),
    );
    let (badge, gold) = data::RARE_FIELD;
    let query = format!("&custom[{badge}]={gold}");
    add("rare custom value", &query, field(badge, gold));
    let tagged = |tag: &str| {
        format!(
            "c.key IN (SELECT content FROM content_terms WHERE org = 1 AND kind = 1 AND folded = {})",
            sql::digest(dialect, tag)
        )
    };
    let contents = |condition: String| all().of_contents(condition);
    let video = contents(format!(
        "c.content_type = {} AND {}",
        sql::VIDEO,
        tagged("safety")
    ));
    add("type and tag", "&content_type=video&tag=safety", video);
    add("rare tag", "&tag=Pilot", contents(tagged("pilot")));
    let titled = |word: &str| contents(format!("c.title_folded LIKE '%{word}%'"));
    add("title word", "&title=forklift", titled("forklift"));
    add("rare title word", "&title=ultramarine", titled("ultramarine"));
    add("failed", "&action=failed", all().filter("a.action = 8"));
    let month = |year_month: &str| sql::micros(&format!("{year_month}-01T00:00:00Z"));
    let (from, to) = (sql::month_before(3), sql::month_before(2));
    let failed = users(team("t7")).filter(format!(
        "a.action = 8 AND a.happened_at >= {} AND a.happened_at < {}",
        month(&from),
        month(&to)
    ));
    add(
        "failed, team and month",
        &format!("&action=failed&team=t7&tz=UTC&from={from}-01&to={to}-01"),
        failed,
    );
    let verb = |iri: &str| format!("a.verb = (SELECT key FROM verbs WHERE org = 1 AND iri = '{iri}')");
    let rare = events::RARE_VERB;
    add("rare verb", &format!("&verb={rare}"), all().filter(verb(rare)));
    let device = |value: &str| {
        format!("a.device_type IS NOT NULL AND COALESCE(a.device_type_folded, a.device_type) = '{value}'")
    };
    add(
        "rare device type",
        "&device_type=Kiosk%20terminal",
        all().filter(device("kiosk terminal")),
    );
    let source =
        |value: &str| format!("a.source IS NOT NULL AND COALESCE(a.source_folded, a.source) = '{value}'");
    add(
        "rare source",
        "&source=Legacy%20archive",
        all().filter(source("legacy archive")),
    );
    add(
        "rare origin",
        "&origin=manual",
        all().filter(format!("a.origin = {}", Origin::Manual.code())),
    );
    let now = sql::now();
    add(
        "expired",
        "&expired=true",
        all().filter(format!("a.expired_at <= {now}")),
    );
    add(
        "has_certificate",
        "&has_certificate=true",
        all().filter("a.certified"),
    );
    let soon = format!(
        "a.certificate_expires_at >= {now} AND a.certificate_expires_at <= {}",
        now + 30 * 86_400_000_000
    );
    add(
        "certificate_expires_within",
        "&certificate_expires_within=P30D",
        all().filter(soon),
    );
    add("latest", "&latest=true", all().filter("a.latest"));
    add(
        "latest and expired",
        "&latest=true&expired=true",
        all().filter(format!("a.latest AND a.expired_at <= {now}")),
    );
    add(
        "bulk import",
        "&bulk_import=true",
        all().filter("a.import IS NOT NULL"),
    );

    let mut absent = |name: &'static str, query: &str, sql: PageSql| {
        pages.push(Page {
            name,
            caller: Caller::Credential,
            path: format!("/v1/activities?limit=50{query}"),
            sql: sql.texts(dialect),
            has_rows: false,
        });
    };
    let never = "https://verbs.example/never";
    absent(
        "absent verb",
        &format!("&verb={never}"),
        all().filter(verb(never)),
    );
    absent(
        "absent device type",
        "&device_type=Abacus",
        all().filter(device("abacus")),
    );
    absent(
        "absent source",
        "&source=Nowhere",
        all().filter(source("nowhere")),
    );
    absent(
        "absent origin",
        "&origin=system",
        all().filter(format!("a.origin = {}", Origin::System.code())),
    );
    absent(
        "absent custom value",
        "&custom[cost_centre]=None",
        field("cost_centre", "None"),
    );

    for (name, size) in [("manager of 8", 8), ("manager of 6,249", 6_249)] {
        let manager = data::manager_of_about(size);
        pages.push(Page {
            name,
            path: "/v1/activities?limit=50".to_owned(),
            sql: users(below(&manager)).texts(dialect),
            caller: Caller::Manager(manager),
            has_rows: true,
        });
    }

    let mut xapi = |name: &'static str, query: String, sql: String| {
        pages.push(Page {
            name,
            caller: Caller::Credential,
            path: format!("/xapi/statements?limit=50&{query}"),
            sql: vec![sql],
            has_rows: true,
        });
    };
    let content = |number: u64| {
        format!(
            "(SELECT key FROM contents WHERE org = 1 AND id = '{}')",
            data::content_id(number)
        )
    };
    xapi("xAPI: newest", String::new(), statements("TRUE"));
    let agent = sql::encoded(&agent());
    xapi(
        "xAPI: agent",
        format!("agent={agent}"),
        statements(&format!("s.actor = {}", keys.agent)),
    );
    let activity = sql::encoded(&data::content_iri(CONTENT));
    let object = format!("s.object = {}", content(CONTENT));
    xapi(
        "xAPI: activity",
        format!("activity={activity}"),
        statements(&object),
    );
    let verb = format!("s.verb = (SELECT key FROM verbs WHERE org = 1 AND iri = '{rare}')");
    xapi(
        "xAPI: verb",
        format!("verb={}", sql::encoded(rare)),
        statements(&verb),
    );
    let registration = format!("s.registration = {}", dialect.uuid(&keys.registration));
    xapi(
        "xAPI: registration",
        format!("registration={}", keys.registration),
        statements(&registration),
    );
    let agent = sql::encoded(&instructor());
    xapi(
        "xAPI: related agents",
        format!("related_agents=true&agent={agent}"),
        records(&keys.instructor.to_string()),
    );
    let activity = sql::encoded(&data::content_iri(IN_CONTEXTS));
    xapi(
        "xAPI: related activities",
        format!("related_activities=true&activity={activity}"),
        records(&content(IN_CONTEXTS)),
    );
    pages
}
