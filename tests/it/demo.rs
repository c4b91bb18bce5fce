//! Tests of `rollbook demo`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rollbook::access::Reach;
use rollbook::base::clock::Clock;
use rollbook::base::ids::OrgId;
use rollbook::cli::demo::{
    ORGANISATION, PAGES, Prepared, Seeded, Size, UNIT, prepare, seed, write_addresses,
};
use rollbook::directory::UserFilter;
use rollbook::http::AppOptions;
use rollbook::reports::mailer::Mailer;
use rollbook::reports::sender::{Sender, SenderOptions};
use rollbook::store::PageLimits;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::browser::open_in_browser;
use crate::support::server::{START, TestServer, run, run_with};
use crate::support::tools::is_installed;

/// The contents that the guide starts, with their standards.
const LAUNCHED: [(&str, &str); 2] = [("incident-drill", "xapi"), ("fire-safety", "scorm")];

/// A small organisation for fast tests.
const ALL_USERS: PageLimits = PageLimits { rows: 1_000, bytes: usize::MAX };
const SMALL: Size = Size { users: 45, activities: 900 };

fn acme() -> OrgId {
    OrgId::new(ORGANISATION).expect("an id")
}

/// Runs a test with a server and an organisation of this size.
fn run_with_demo(size: Size, test: impl AsyncFnOnce(&TestServer)) {
    run(Database::sqlite(), async |server: &TestServer| {
        let seeded = seed(&server.store, &acme(), size, "platform").await.expect("the demo's data is taken");
        assert_eq!((seeded.users, seeded.contents, seeded.activities), (size.users, 60, size.activities));
        test(server).await;
    });
}

async fn count_activities(server: &TestServer, query: &str) -> u64 {
    let owner = server.person("owner", "u001");
    let page = owner.get(&format!("/v1/activities?limit=1&count=exact&{query}")).await.expect(200).json();
    page["total"].as_u64().expect("a total")
}

/// All activities, without times of storing.
async fn read_log(server: &TestServer) -> Vec<Value> {
    let owner = server.person("owner", "u001");
    let mut rows = owner.list("/v1/activities?include_deactivated=true&limit=1000", "activities").await;
    for row in &mut rows {
        row["stored_at"] = Value::Null;
    }
    rows
}

#[test]
fn demo_has_the_documented_size() {
    run_with_demo(Size::default(), async |server| {
        let owner = server.person("owner", "u001");
        let people = owner.list("/v1/users?limit=1000", "users").await;
        assert_eq!(people.len(), 200);
        assert_eq!(
            people.iter().filter(|user| user["manager"].is_null()).count(),
            1,
            "one user has no manager"
        );
        assert!(people.iter().any(|user| user["active"] == json!(false)));
        let roles: BTreeSet<&str> = people.iter().filter_map(|user| user["role"].as_str()).collect();
        assert_eq!(roles.len(), 8, "{roles:?}");

        let contents = owner.list("/v1/contents?limit=1000", "contents").await;
        let registered = contents.iter().filter(|content| content["registered"] == json!(true));
        assert_eq!((registered.count(), contents.len()), (60, 61), "one content occurs only in statements");
        assert!(contents.iter().any(|content| !content["archived_at"].is_null()));

        // Activities that are listed only on request are in the log too.
        let listed = count_activities(server, "include_deactivated=true").await;
        let visited = count_activities(server, "include_deactivated=true&action=visited").await;
        assert_eq!(listed + visited, 20_000 + 1, "one more activity is the voiding of another one");
        assert_eq!(count_activities(server, "verb=http://adlnet.gov/expapi/verbs/voided").await, 1);
        assert!(visited > 100 && listed > 18_000, "{listed} shown, {visited} visited");
        assert!(count_activities(server, "").await < listed, "some users are deactivated");
        for query in [
            "origin=xapi",
            "origin=manual",
            "action=failed&type=quiz",
            "result=passed",
            "expired=true",
            "has_certificate=true",
            "certificate_expires_within=P90D",
            "action=watched",
            "action=read",
            "action=listened_to",
            "action=attended",
            "action=unenrolled",
            "action=graded",
            "action=assigned",
            "action=unassigned",
            "action=downloaded",
            "action=answered",
            "action=logged_out",
            "period=last_7_days",
            "device_type=ios",
            "custom[employee_type]=apprentice",
            "title=fire",
            "tag=sales",
        ] {
            assert!(count_activities(server, query).await > 0, "no activity with {query}");
        }
        let oldest = owner.get("/v1/activities?sort=happened_at&limit=1").await.expect(200).json();
        let oldest = oldest["activities"][0]["happened_at"].as_str().unwrap_or_default().to_owned();
        assert!(oldest.starts_with("2024-03"), "the oldest activity is two years old: {oldest}");
    });
}

#[test]
fn learner_has_notes_that_they_cannot_see() {
    run(Database::sqlite(), async |server: &TestServer| {
        let seeded = seed(&server.store, &acme(), SMALL, "platform").await.expect("the demo is created");
        let part = |variable: &str| {
            let part = seeded.cast.iter().find(|part| part.variable == variable).expect("a part");
            let claims = json!({"sub": part.user, "role": part.role.key(), "permissions": part.permissions});
            (part.user.to_string(), server.person_of(ORGANISATION, claims))
        };
        let ((id, learner), (_, hr), (_, manager)) = (part("LEARNER"), part("HR"), part("MANAGER"));
        let notes = hr.list(&format!("/v1/users/{id}/notes"), "notes").await;
        assert_eq!(notes.len(), 3);
        let path = format!("/v1/users/{id}/timeline?kind=manual");
        assert_eq!(hr.list(&path, "entries").await.len(), 3);
        assert_eq!(learner.list(&path, "entries").await, Vec::<Value>::new());
        let body = json!({"content": "event-first-aid", "teams": ["warehouse-north"], "dry_run": true});
        let report = manager.post("/v1/completions", &body).await.expect(200).json();
        assert!(report["results"].as_array().is_some_and(|results| !results.is_empty()), "{report}");
    });
}

#[test]
fn demo_is_the_same_for_the_same_time() {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    run_with_demo(SMALL, async |server| one = read_log(server).await);
    run_with_demo(SMALL, async |server| other = read_log(server).await);
    assert!(one.len() > 700, "{}", one.len());
    assert_eq!(one, other);
}

#[test]
fn statements_with_a_private_address_belong_to_its_user() {
    run_with_demo(SMALL, async |server| {
        let page =
            server.store.users(&acme(), &Reach::Organisation, &UserFilter::default(), None, ALL_USERS).await;
        let users = page.expect("users").items;
        let with_private_address: Vec<_> = users
            .iter()
            .filter(|user| serde_json::to_string(&user.identifiers).expect("JSON").contains("@mail.example"))
            .collect();
        assert_eq!(with_private_address.len(), 3);
        let rows = read_log(server).await;
        assert!(rows.iter().all(|row| !row["user"]["email"].to_string().contains("@mail.example")));
        assert!(rows.iter().any(|row| row["user"]["id"].is_null()), "visitors are not users");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_is_created_once_and_reused() {
    let Database::Sqlite { folder } = Database::sqlite() else { unreachable!("an SQLite database") };
    let home: PathBuf = folder.join("demo");
    let clock = Clock::manual(START);
    let Prepared { store, state, seeded, .. } =
        prepare(&home, SMALL, clock.clone()).await.expect("the demo is created");
    let added = store.credentials(&acme()).await.expect("credentials");
    assert_eq!(added.len(), 1);
    store.close().await;

    let second_start = prepare(&home, Size::default(), clock.clone()).await.expect("the demo is reused");
    assert_eq!(second_start.seeded, seeded, "a second start creates nothing, with any size");
    assert_eq!(second_start.state.credential_key, state.credential_key);
    let page = second_start
        .store
        .users(&acme(), &Reach::Organisation, &UserFilter::default(), None, ALL_USERS)
        .await;
    assert_eq!(page.expect("users").items.len(), SMALL.users);
    second_start.store.close().await;
    drop(second_start);

    // An interrupted start is repeated.
    let file = home.join("demo.json");
    let mut saved_state: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    saved_state["seeded"] = Value::Null;
    std::fs::write(&file, saved_state.to_string()).expect("written");
    let repeated_start = prepare(&home, SMALL, clock.clone()).await.expect("the demo is created again");
    // The reports have the same names, but new ids.
    let names = |seeded: &Seeded| -> Vec<String> {
        let reports = seeded.reports.iter();
        reports.map(|report| report.variable.clone()).collect()
    };
    assert_eq!(names(&repeated_start.seeded), names(&seeded));
    let reports = seeded.reports.clone();
    assert_eq!(Seeded { reports, ..repeated_start.seeded }, seeded);
    repeated_start.store.close().await;
    drop(repeated_start.lock);

    // A database that the demo did not create is not changed.
    std::fs::remove_file(&file).expect("removed");
    let before = std::fs::metadata(home.join("rollbook.db")).expect("a database").len();
    let refused = prepare(&home, SMALL, clock).await.err().expect("refused").to_string();
    assert!(refused.contains("--folder"), "{refused}");
    assert_eq!(std::fs::metadata(home.join("rollbook.db")).expect("still there").len(), before);
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_has_a_user_for_every_role() {
    let Database::Sqlite { folder } = Database::sqlite() else { unreachable!("an SQLite database") };
    let Prepared { store, seeded, .. } =
        prepare(&folder.join("demo"), SMALL, Clock::manual(START)).await.expect("the demo is created");
    let roles: BTreeSet<_> = seeded.cast.iter().map(|part| part.role).collect();
    assert_eq!((roles.len(), seeded.cast.len()), (8, 9), "two users are curators");
    for part in &seeded.cast {
        let user = store
            .user(&acme(), &Reach::Organisation, &part.user)
            .await
            .expect("a query")
            .expect("the user exists");
        assert!(user.active && user.role == part.role, "{}", part.variable);
    }
    store.close().await;
    std::fs::remove_dir_all(folder).expect("removed");
}

/// The message with a manager's report contains the manager's export.
#[test]
fn report_of_the_demo_is_sent() {
    run(Database::sqlite(), async |server: &TestServer| {
        let size = Size { activities: 4_000, ..SMALL };
        let seeded = seed(&server.store, &acme(), size, "platform").await.expect("the demo is created");
        let manager = seeded.cast.iter().find(|part| part.variable == "MANAGER");
        let manager = manager.expect("a manager").user.to_string();
        let report = seeded.reports.iter().find(|report| report.variable == "FAILED_REPORT");
        let report = report.expect("their report").id;

        let folder = tempfile::tempdir().expect("a folder");
        let mailer = Mailer::folder(folder.path(), "Rollbook <rollbook@localhost>").expect("a mailer");
        let sender = Sender::new(server.store.clone(), mailer, SenderOptions::default());
        sender.work().await.expect("sent");

        let mut files =
            std::fs::read_dir(folder.path()).expect("read").map(|file| file.expect("a file").path());
        let (file, None) = (files.next().expect("a message"), files.next()) else {
            panic!("more than one message");
        };
        let bytes = std::fs::read(file).expect("read");
        let message = mailparse::parse_mail(&bytes).expect("a message");
        let attached = message.subparts.last().expect("an attachment");
        assert_eq!(attached.ctype.mimetype, "text/csv");

        let manager = server.person("manager", &manager);
        let export = manager.get(&format!("/v1/reports/{report}/export.csv?bom=true")).await.expect(200).body;
        assert_eq!(attached.get_body_raw().expect("decoded"), export);
        assert!(export.iter().filter(|byte| **byte == b'\n').count() > 1, "the export must have rows");
    });
}

/// The demo serves contents that an LMS can start: the learner plays them in a browser.
#[test]
fn contents_of_the_demo_are_played_in_a_browser() {
    if !is_installed("chromium") {
        return;
    }
    let options = AppOptions { pages: PAGES, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let seeded = seed(&server.store, &acme(), SMALL, "platform").await.expect("the demo is created");
        let address = server.base.trim_start_matches("http://").parse().expect("an address");
        write_addresses(&server.store, &acme(), address).await.expect("the addresses are written");
        let learner = seeded.cast.iter().find(|part| part.variable == "LEARNER").expect("a learner");
        let owner = server.person("owner", "u001");
        for (content, standard) in LAUNCHED {
            let body = json!({"user": learner.user, "content": content, "standard": standard});
            let launch = owner.post("/v1/launches", &body).await.expect(201).json();
            let url = format!("{}&auto=3", launch["url"].as_str().expect("an address"));
            let page = open_in_browser(&url);
            assert!(page.contains("data-end=\"played\""), "{content}: {page}");
            let query = format!("/v1/activities?user={}&content={content}&completed=true", learner.user);
            let rows = owner.list(&query, "activities").await;
            let today = rows.iter().filter(|row| row["registration"] == launch["registration"]);
            assert!(today.count() > 0, "{content}: {rows:?}");
        }
        let body = json!({"user": learner.user, "content": UNIT, "standard": "cmi5"});
        let launch = owner.post("/v1/launches", &body).await.expect(201).json();
        let page = open_in_browser(&format!("{}&auto=3", launch["url"].as_str().expect("an address")));
        assert!(page.contains("data-end=\"played\""), "{page}");
        let courses = owner.list(&format!("/v1/courses?user={}", learner.user), "courses").await;
        assert_eq!(courses[0]["progress"]["registration"], launch["registration"]);
    });
}
