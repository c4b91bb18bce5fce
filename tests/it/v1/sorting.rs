//! Tests of the parameter `sort` of `/v1/users` and `/v1/contents`.

use rollbook::base::fold;
use rollbook::base::ids::OrgId;
use rollbook::base::sort::{ListOrder, SortField, SortValue};
use rollbook::catalogue::ContentSortField;
use rollbook::directory::UserSortField;
use rollbook::store::ListPart;
use serde_json::{Value, json};

use crate::support::builders::{Body, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, list_ids};
use crate::support::{Database, TestServer, apply, both_databases};

/// The types in the order of the specification.
const TYPES: [&str; 9] =
    ["item", "learnlist", "channel", "event", "quiz", "survey", "exercise", "learning_plan", "certification"];

/// Texts that differ in case, accents, scripts, punctuation and length.
fn odd_texts() -> Vec<String> {
    let texts = [
        "Émile",
        "emile",
        "EMILE",
        "Emil",
        "Zoë",
        "zoe",
        "Łukasz",
        "lukas",
        "ß",
        "ss",
        "St",
        "Ärger",
        "argon",
        "10",
        "9",
        "_x",
        "100%",
        "o'Hara",
        "O Hara",
        "Ohara",
        "🎓",
        "Ωmega",
        "Ярослав",
        "ярослав",
        "王",
        "ａ",
    ];
    let mut texts: Vec<String> = texts.map(str::to_owned).to_vec();
    // These differ only where no order compares them any more, so that the ids decide.
    texts.extend(["b", "a", "c"].map(|end| format!("{}{end}", "long ".repeat(45))));
    texts
}

/// Missing texts come last. The first 199 characters of the folded text count.
fn naive_text(text: Option<&str>) -> (bool, String) {
    let folded = text.map(fold).unwrap_or_default();
    (text.is_none(), folded.chars().take(199).collect())
}

fn joined_names(user: &Value, members: [&str; 2]) -> (bool, String) {
    let names: Vec<_> = members.iter().filter_map(|member| user[*member].as_str()).collect();
    let name = names.join(" ");
    naive_text((!names.is_empty()).then_some(&name))
}

fn naive_key(field: &str, element: &Value) -> (bool, String) {
    match field {
        "id" => (false, String::new()),
        "name" => joined_names(element, ["first_name", "last_name"]),
        "last_name" => joined_names(element, ["last_name", "first_name"]),
        "type" => {
            let place = TYPES.iter().position(|name| element["type"] == *name);
            (place.is_none(), format!("{place:?}"))
        }
        member => naive_text(element[member].as_str()),
    }
}

/// Compares the pages of a list in each order with the elements of the list by id, sorted in the test.
async fn check_orders(caller: &Caller, path: &str, plural: &str, fields: &[&str], filters: &[&str]) {
    for filter in filters {
        let by_id = caller.list(&format!("{path}?{filter}"), plural).await;
        assert!(by_id.len() > 7, "{path}?{filter} has several pages");
        for field in fields {
            let key = |element: &Value| {
                let id = element["id"].as_str().expect("an id").to_owned();
                (naive_key(field, element), id)
            };
            let mut expected = by_id.clone();
            expected.sort_by_key(key);
            for sort in [(*field).to_owned(), format!("-{field}")] {
                let found = caller.list(&format!("{path}?limit=7&sort={sort}&{filter}"), plural).await;
                assert_eq!(list_ids(&found), list_ids(&expected), "{path}?{filter} by {sort}");
                expected.reverse();
            }
        }
    }
}

async fn put_odd_users(admin: &Caller) {
    let texts = odd_texts();
    let mut users = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let other = &texts[number * 7 % texts.len()];
        let named = Body::default().set("id", format!("{}{number}", if number % 2 == 0 { "A" } else { "a" }));
        let named = if number % 5 == 0 { named } else { named.set("first_name", text.as_str()) };
        let named = if number % 3 == 0 { named } else { named.set("last_name", other.as_str()) };
        let address = format!("{}{}@example.org", ["B", "b", "a_", "Z"][number % 4], number / 2 * 3);
        let named = if number % 4 == 1 { named } else { named.set("email", address) };
        users.push(named.set("active", number % 2 == 0));
    }
    // Equal names and no names, in the reverse order of their ids.
    users
        .extend(["z3", "z2", "z1"].map(user).map(|one| one.set("first_name", "Émile").set("last_name", "X")));
    users.extend(["y3", "y2", "y1"].map(|id| Body::default().set("id", id)));
    admin.post("/v1/users/batch", &users).await.expect(200);
}

#[apply(both_databases)]
async fn users_are_listed_in_each_order(server: &TestServer) {
    let admin = server.person("admin", "root");
    put_odd_users(&admin).await;
    let fields = ["id", "name", "last_name", "email"];
    check_orders(&admin, "/v1/users", "users", &fields, &["", "active=true", "q=e"]).await;
    // A changed name has its new place.
    admin.patch("/v1/users/y2", &json!({"first_name": "000"})).await.expect(200);
    let first = admin.get("/v1/users?sort=name&limit=1").await.expect(200).json();
    assert_eq!(first["users"][0]["id"], "y2");
}

#[apply(both_databases)]
async fn contents_are_listed_in_each_order(server: &TestServer) {
    let admin = server.person("admin", "root");
    let texts = odd_texts();
    let mut contents: Vec<Body> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let kind = TYPES[number * 5 % TYPES.len()];
            content(&format!("c{number}"), kind).set("title", text.as_str()).set("tags", json!(["t"]))
        })
        .collect();
    contents.extend(["z3", "z2", "z1"].map(|id| content(id, "quiz").set("title", "Equal")));
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    // Contents that only records name: without a title and type, with ids that differ at their ends.
    let long = format!("https://example.org/{}", "é".repeat(500));
    for end in ["3", "1", "2"] {
        for start in ["urn:x:", "URN:X:", &long] {
            let one = statement(mailbox("ada@example.org"), COMPLETED, &format!("{start}{end}"));
            admin.post("/xapi/statements", &one).await.expect(200);
        }
    }
    let filters = ["", "tag=t", "archived=false"];
    check_orders(&admin, "/v1/contents", "contents", &["id", "title", "type"], &filters).await;
    // A record gives a title.
    let mut named = statement(mailbox("ada@example.org"), COMPLETED, "urn:x:2").json();
    named["object"]["definition"] = json!({"name": {"en": "!"}});
    admin.post("/xapi/statements", &named).await.expect(200);
    let first = admin.get("/v1/contents?sort=title&limit=1").await.expect(200).json();
    assert_eq!(first["contents"][0]["id"], "urn:x:2");
}

#[apply(both_databases)]
async fn order_that_does_not_exist_and_cursor_of_another_order_are_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/users/batch", &["a", "b", "c"].map(user)).await.expect(200);
    admin.post("/v1/contents/batch", &["a", "b", "c"].map(|id| content(id, "item"))).await.expect(200);
    for (path, sorts) in [
        ("/v1/users", &["id", "-id", "name", "-name", "last_name", "-last_name", "email", "-email"][..]),
        ("/v1/contents", &["id", "-id", "title", "-title", "type", "-type"][..]),
    ] {
        for sort in sorts {
            let page = admin.get(&format!("{path}?limit=1&sort={sort}")).await.expect(200).json();
            let next = page["next"].as_str().expect("a next page");
            let cursor = next.split("cursor=").nth(1).expect("a cursor");
            assert!(next.contains(&format!("sort={sort}")), "{next}");
            for other in sorts.iter().filter(|other| *other != sort) {
                let problem = admin.get(&format!("{path}?limit=1&sort={other}&cursor={cursor}")).await;
                assert_eq!(problem.expect(400).json()["code"], "bad-cursor", "{sort} {other}");
            }
            admin.get(&format!("{path}?limit=1&cursor={cursor}")).await.expect(400);
        }
        let problem = admin.get(&format!("{path}?sort=-size")).await.expect(400).json();
        let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert_eq!(detail, format!("`-size` is not one of {}", sorts.join(", ")));
        for bad in ["sort=", "sort=-", "sort=--id", "sort=ID", "sort=id,-id", "sort=id&sort=id"] {
            admin.get(&format!("{path}?{bad}")).await.expect(400);
        }
    }
    for path in ["/v1/teams", "/v1/groups"] {
        admin.get(&format!("{path}?sort=id")).await.expect(400);
    }
}

#[apply(both_databases)]
async fn each_order_shows_only_visible_users(server: &TestServer) {
    let admin = server.person("admin", "root");
    let tree =
        [user("top"), user("mid").set("manager", "top"), user("low").set("manager", "mid"), user("far")];
    admin.post("/v1/users/batch", &tree).await.expect(200);
    admin.put("/v1/contents/secret", &content("secret", "quiz")).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    for sort in ["id", "-id", "name", "-name", "last_name", "-last_name", "email", "-email"] {
        for (role, who, expected) in [
            ("manager", "top", "low mid top"),
            ("manager", "mid", "low mid"),
            ("learner", "far", "far"),
            ("learner", "unknown", ""),
        ] {
            let caller = server.person(role, who);
            let found = caller.list(&format!("/v1/users?limit=1&sort={sort}"), "users").await;
            let mut ids = list_ids(&found);
            ids.sort_unstable();
            assert_eq!(ids.join(" "), expected, "{role} {who} by {sort}");
        }
        let page = admin.get(&format!("/v1/users?limit=1&sort={sort}")).await.expect(200).json();
        let next = page["next"].as_str().expect("a next page").to_owned();
        for caller in [&other, &server.person("learner", "far"), &server.person("owner", "far")] {
            caller.get(&next).await.expect(400);
        }
        assert_eq!(other.list(&format!("/v1/users?sort={sort}"), "users").await, Vec::<Value>::new());
    }
    for sort in ["title", "-title", "type", "-type"] {
        assert_eq!(other.list(&format!("/v1/contents?sort={sort}"), "contents").await, Vec::<Value>::new());
    }
}

/// The lines of a plan that read all users or contents, or sort them.
fn find_costly_lines(plan: &[String]) -> Vec<&String> {
    let is_costly = |line: &&String| {
        ["Seq Scan on users", "Seq Scan on contents"].iter().any(|scan| line.contains(scan))
            || line.contains("SCAN ")
            || line.contains("USE TEMP B-TREE FOR ORDER BY")
            || (line.contains("Sort  (cost") && !line.contains("Incremental Sort"))
    };
    plan.iter().filter(is_costly).collect()
}

fn orders<F: SortField>() -> impl Iterator<Item = ListOrder<F>> {
    let both = |field: &F| [false, true].map(|descending| ListOrder { field: *field, descending });
    F::ALL.iter().flat_map(both)
}

fn check_plan(plan: &[String], index: &str, order: &str) {
    let costly = find_costly_lines(plan);
    assert!(costly.is_empty(), "{order}: {costly:#?}\n{plan:#?}");
    assert!(plan.iter().any(|line| line.contains(index)), "{order} {index}: {plan:#?}");
}

async fn check_plans(server: &TestServer, org: &OrgId, statistics: &str) {
    let text = |text: &str| SortValue::from(text);
    for is_first in [true, false] {
        for order in orders::<UserSortField>() {
            let (index, values) = match order.field {
                UserSortField::Id => ("users_id", vec![text("u0500")]),
                UserSortField::Name => ("users_name", vec![text("0u0500 example"), text("u0500")]),
                UserSortField::LastName => ("users_last_name", vec![text("0example u0500"), text("u0500")]),
                UserSortField::Email => ("users_email", vec![text("1"), text("u0500")]),
            };
            let part = ListPart { order, after: (!is_first).then_some(values.as_slice()) };
            let plan = server.store.explain_users(org, part).await.expect("a plan");
            check_plan(&plan, index, &format!("{statistics} {is_first} {order:?}"));
        }
        for order in orders::<ContentSortField>() {
            let id = [text("u0500"), text("u0500")];
            let (index, first) = match order.field {
                ContentSortField::Id => ("contents_id_order", None),
                ContentSortField::Title => ("contents_title", Some(text("0content u0500"))),
                ContentSortField::Type => ("contents_type", Some(SortValue::Number(5))),
            };
            let values: Vec<_> = first.into_iter().chain(id).collect();
            let part = ListPart { order, after: (!is_first).then_some(values.as_slice()) };
            let plan = server.store.explain_contents(org, part).await.expect("a plan");
            check_plan(&plan, index, &format!("{statistics} {is_first} {order:?}"));
        }
    }
}

#[apply(both_databases)]
async fn each_order_is_served_by_an_index(server: &TestServer) {
    let admin = server.person("admin", "root");
    for start in [0, 1_000] {
        let numbers = start..start + 1_000;
        let users: Vec<_> = numbers.clone().map(|number| user(&format!("u{number:04}"))).collect();
        admin.post("/v1/users/batch", &users).await.expect(200);
        let kind = |number: usize| TYPES[number % TYPES.len()];
        let contents: Vec<_> =
            numbers.map(|number| content(&format!("u{number:04}"), kind(number))).collect();
        admin.post("/v1/contents/batch", &contents).await.expect(200);
    }
    let org = OrgId::new("acme").expect("an id");
    // PostgreSQL has statistics soon after the first rows. SQLite has none unless an operator asks for them.
    let analyse = match server.database() {
        Database::Sqlite { .. } => {
            check_plans(server, &org, "without statistics").await;
            "ANALYZE"
        }
        Database::Postgres { .. } => "VACUUM ANALYZE",
    };
    server.database().execute(analyse).await;
    check_plans(server, &org, "with statistics").await;
}
