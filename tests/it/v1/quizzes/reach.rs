//! Tests that a caller reads only the answers of people within the reach.

use serde_json::json;

use super::{QUIZ, chose, post, set_up};
use crate::support::builders::{content, mailbox, user};
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const PATHS: [&str; 5] = [
    "/v1/quizzes/fire/responses",
    "/v1/quizzes/fire/responses?shape=wide",
    "/v1/quizzes/fire/responses.csv",
    "/v1/quizzes/fire/responses.csv?shape=wide",
    "/v1/quizzes/fire/questions",
];

/// The users that the answer of a path names.
async fn users(caller: &Caller, path: &str) -> Vec<String> {
    let mut ids = match path {
        _ if path.contains(".csv") => caller.get(path).await.expect(200).csv_column("User ID"),
        _ if path.contains("questions") => {
            // Each user answered a question of their own.
            let found = caller.get(path).await.expect(200).json();
            let questions = found["questions"].as_array().expect("a list").clone();
            let ids = questions
                .iter()
                .map(|one| one["question"].as_str().expect("an id").trim_start_matches("urn:q:").to_owned());
            ids.collect()
        }
        _ => {
            let name = if path.contains("wide") { "attempts" } else { "responses" };
            let separator = if path.contains('?') { '&' } else { '?' };
            let found = caller.list(&format!("{path}{separator}limit=1"), name).await;
            found.iter().map(|one| one["user"]["id"].as_str().unwrap_or("").to_owned()).collect()
        }
    };
    ids.sort();
    ids
}

#[apply(both_databases)]
async fn caller_reads_answers_within_reach_only(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let people = ["ada", "bo", "dee", "eve", "old"];
    let mut statements: Vec<_> =
        people.iter().enumerate().map(|(n, who)| chose(n + 1, who, who, "a")).collect();
    statements.push(chose(9, "guest", "", "a").set("actor", mailbox("guest@example.com")));
    post(&sender, &statements).await;
    // Another organisation with the same ids.
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.post("/v1/users/batch", &[user("bo"), user("zoe")]).await.expect(200);
    let theirs = content("fire", "quiz").set("iri", QUIZ);
    other.put("/v1/contents/fire", &theirs).await.expect(201);
    other.put("/v1/contents/theirs", &content("theirs", "quiz")).await.expect(201);

    let no_reports = json!({"direct": [], "indirect": []});
    let claimed = json!({"direct": ["eve"], "indirect": ["dee"]});
    let callers = [
        ("owner", server.person("owner", "x"), vec!["", "ada", "bo", "dee", "eve"]),
        ("hr", server.person("hr", "x"), vec!["", "ada", "bo", "dee", "eve"]),
        ("reporter", server.person("reporter", "x"), vec!["", "ada", "bo", "dee", "eve"]),
        ("designer", server.person("learning_designer", "x"), vec!["", "ada", "bo", "dee", "eve"]),
        ("curator", server.person("curator", "bo"), vec!["bo"]),
        ("manager", server.person("manager", "ada"), vec!["ada", "bo", "dee"]),
        (
            "manager of nobody",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": no_reports})),
            vec!["ada"],
        ),
        (
            "manager by claim",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": claimed})),
            vec!["ada", "dee", "eve"],
        ),
        ("learner", server.person("learner", "eve"), vec!["eve"]),
        ("learner without answers", server.person("learner", "zoe"), vec![]),
        (
            "credential",
            server.credential(ORG, &["activities/read"]).await,
            vec!["", "ada", "bo", "dee", "eve"],
        ),
        ("other organisation", other.clone(), vec![]),
    ];
    for (name, caller, expected) in &callers {
        for path in PATHS {
            assert_eq!(users(caller, path).await, *expected, "{name} {path}");
        }
        let page = caller.get(&format!("{}?count=exact", PATHS[0])).await.expect(200).json();
        assert_eq!(page["total"], expected.len(), "{name}");
        let page = caller.get(&format!("{}&count=exact", PATHS[1])).await.expect(200).json();
        assert_eq!(page["total"], expected.len(), "{name}");
    }
    let ada = server.person("manager", "ada");
    for (query, expected) in [
        ("scope=managed", vec!["bo"]),
        ("scope=managed&include_sub_managers=true", vec!["bo", "dee"]),
        ("scope=me", vec!["ada"]),
        ("scope=team&team=sales", vec!["bo"]),
        ("user=eve", vec![]),
        ("include_deactivated=true", vec!["ada", "bo", "dee", "old"]),
    ] {
        for path in PATHS {
            let separator = if path.contains('?') { '&' } else { '?' };
            assert_eq!(users(&ada, &format!("{path}{separator}{query}")).await, expected, "{query} {path}");
        }
    }
    for path in PATHS {
        let separator = if path.contains('?') { '&' } else { '?' };
        let with = |query: &str| format!("{path}{separator}{query}");
        ada.get(&with("scope=company")).await.expect(403);
        server.person("learner", "bo").get(&with("scope=managed")).await.expect(403);
        server.person("learner", "old").get(path).await.expect(403);
        for scopes in [&["all"][..], &["activities/write"], &["catalogue"], &["statements/read"]] {
            server.credential(ORG, scopes).await.get(path).await.expect(403);
        }
        server.anonymous().get(path).await.expect(401);
        admin.get(&path.replace("fire", "theirs")).await.expect(404);
    }
    // The key of a report opens its report only.
    let report = admin.post("/v1/reports", &json!({"name": "All", "filter": {}})).await.expect(201).json();
    let keys = format!("/v1/reports/{}/keys", report["id"].as_str().expect("an id"));
    let key = admin.post(&keys, &json!({"name": "BI"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", key["secret"].as_str().expect("a secret"));
    for path in PATHS {
        key.get(path).await.expect_one_of(&[401, 403]);
    }
}
