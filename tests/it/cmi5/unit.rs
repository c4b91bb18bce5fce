//! A unit of cmi5 as a client: it fetches its token and sends statements with the context template.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::user;
use crate::support::http::{Answer, Caller};
use crate::support::records::id;
use crate::v1::courses::{block, course, find_element, import, unit};

pub const CMI5: &str = "https://w3id.org/xapi/cmi5/context/categories/cmi5";
pub const MOVE_ON: &str = "https://w3id.org/xapi/cmi5/context/categories/moveon";
pub const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
pub const MASTERY_SCORE: &str = "https://w3id.org/xapi/cmi5/context/extensions/masteryscore";

/// The number of the next statement.
static NUMBER: AtomicUsize = AtomicUsize::new(1);

/// Imports a course with two units in a block and one beside it. Returns the course and the ids of the units.
pub async fn import_course(admin: &Caller) -> (String, [String; 3]) {
    let inside = block(
        "urn:block",
        &(unit(
            "urn:one",
            "moveOn='CompletedAndPassed' masteryScore='0.8'",
            "https://p.example/1.html?lang=en",
        ) + &unit("urn:two", "moveOn='Completed'", "https://p.example/2.html")),
    ) + &unit("urn:three", "moveOn='Passed'", "https://p.example/3.html");
    let imported = import(admin, &course("https://p.example/course", &inside)).await.expect(201).json();
    let ids = ["urn:one", "urn:two", "urn:three"].map(|publisher_id| {
        let unit = find_element(&imported["children"], publisher_id).expect("a unit");
        unit["id"].as_str().expect("an id").to_owned()
    });
    (imported["id"].as_str().expect("an id").to_owned(), ids)
}

/// An administrator, the user `bo`, and the course of [`import_course`].
pub async fn prepare(server: &TestServer) -> (Caller, String, [String; 3]) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let (course, units) = import_course(&admin).await;
    (admin, course, units)
}

/// A launched unit with its token.
pub struct Unit {
    /// The answer to the launch.
    pub launch: Value,
    /// The unit as a caller.
    pub caller: Caller,
    pub publisher_id: String,
    seconds: std::cell::Cell<u32>,
}

/// The body of a launch for `bo`.
pub fn launch_body(content: &str) -> Value {
    json!({"user": "bo", "content": content, "standard": "cmi5"})
}

/// The path of an address of this server.
pub fn path_of(server: &TestServer, address: &str) -> String {
    address.strip_prefix(&server.base).expect("an address of the server").to_owned()
}

/// Launches a unit and fetches its token.
pub async fn launch(server: &TestServer, admin: &Caller, body: &Value) -> Unit {
    let launch = admin.post("/v1/launches", body).await.expect(201).json();
    let fetch = path_of(server, launch["cmi5"]["fetch"].as_str().expect("an address"));
    let fetched = server.anonymous().send(Method::POST, &fetch, &[], Vec::new()).await.expect(200).json();
    let token = fetched["auth-token"].as_str().expect("a token");
    let pair = String::from_utf8(STANDARD.decode(token).expect("base64")).expect("text");
    let (id, secret) = pair.split_once(':').expect("a pair");
    let caller = server.anonymous().with_basic(id, secret);
    let mut unit = Unit { launch, caller, publisher_id: String::new(), seconds: std::cell::Cell::new(0) };
    let data = unit.read_launch_data().await;
    let template = &data["contextTemplate"];
    unit.publisher_id =
        template["contextActivities"]["grouping"][0]["id"].as_str().expect("an id").to_owned();
    unit
}

impl Unit {
    pub fn registration(&self) -> &str {
        self.launch["registration"].as_str().expect("a registration")
    }

    pub fn activity(&self) -> &str {
        self.launch["activity_id"].as_str().expect("an IRI")
    }

    pub fn session(&self) -> &str {
        self.launch["cmi5"]["session"].as_str().expect("a session")
    }

    fn actor(&self) -> &Value {
        &self.launch["cmi5"]["actor"]
    }

    /// The query of this unit's states.
    pub fn state_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("activityId", self.activity());
        query.append_pair("agent", &self.actor().to_string());
        query.append_pair("registration", self.registration());
        query.finish()
    }

    /// The path of the learner's preferences.
    pub fn preferences_path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("agent", &self.actor().to_string());
        query.append_pair("profileId", "cmi5LearnerPreferences");
        format!("/xapi/agents/profile?{}", query.finish())
    }

    pub async fn read_launch_data(&self) -> Value {
        let path = format!("/xapi/activities/state?{}&stateId=LMS.LaunchData", self.state_query());
        self.caller.get(&path).await.expect(200).json()
    }

    /// A correct statement, each a second after the one before.
    pub fn statement(&self, verb: &str) -> Value {
        self.seconds.set(self.seconds.get() + 1);
        let second = self.seconds.get();
        let result = match verb {
            "passed" => json!({"success": true, "duration": "PT5M", "score": {"scaled": 0.9}}),
            "failed" => json!({"success": false, "duration": "PT5M", "score": {"scaled": 0.5}}),
            "completed" => json!({"completion": true, "duration": "PT5M"}),
            "terminated" => json!({"duration": "PT5M"}),
            _ => Value::Null,
        };
        let mut category = Vec::new();
        if ["initialized", "passed", "failed", "completed", "terminated"].contains(&verb) {
            category.push(json!({"id": CMI5}));
        }
        if ["passed", "failed", "completed"].contains(&verb) {
            category.push(json!({"id": MOVE_ON}));
        }
        let mut statement = json!({
            "id": id(NUMBER.fetch_add(1, Ordering::Relaxed)),
            "actor": self.actor(),
            "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
            "object": {"id": self.activity()},
            "context": {
                "registration": self.registration(),
                "contextActivities": {"grouping": [{"id": self.publisher_id}], "category": category},
                "extensions": {SESSION_ID: self.session()},
            },
            "timestamp": format!("2026-03-18T11:{:02}:{:02}Z", second / 60, second % 60),
        });
        if !result.is_null() {
            statement["result"] = result;
        }
        statement
    }

    /// Sends a statement.
    pub async fn send(&self, statement: &Value) -> Answer {
        self.caller.post("/xapi/statements", statement).await
    }

    /// Sends correct statements with these verbs.
    pub async fn report(&self, verbs: &[&str]) {
        for verb in verbs {
            self.send(&self.statement(verb)).await.expect(200);
        }
    }
}

/// The statements with this verb, in the order in which they were stored. `verb` is the last part of its IRI.
pub async fn find(admin: &Caller, verb: &str) -> Vec<Value> {
    let root = match verb {
        "abandoned" | "waived" | "satisfied" => "https://w3id.org/xapi/adl/verbs/",
        _ => "http://adlnet.gov/expapi/verbs/",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("verb", &format!("{root}{verb}"));
    let path = format!("/xapi/statements?{}&ascending=true", query.finish());
    let found = admin.get(&path).await.expect(200).json();
    found["statements"].as_array().expect("a list").clone()
}
