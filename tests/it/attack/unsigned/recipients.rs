//! Recipients of reports that a manager guesses: no answer, delivery or message shows whether they are users.

use serde_json::{Value, json};

use crate::support::builders::{Body, user};
use crate::support::outbox::{Outbox, deliveries, path, quick, report, run_now, sender};
use crate::support::{TestServer, apply, both_databases};

/// Recipients outside the reach of the manager: users with and without rights, a deactivated one, and no users.
const GUESSES: [&str; 9] = [
    "rita",
    "rita@example.org",
    "lee",
    "lee@example.org",
    "gone",
    "gone@example.org",
    "nobody",
    "nobody@example.org",
    "someone@elsewhere.example",
];

async fn set_up(server: &TestServer) {
    let with_address =
        |id: &str, role: &str| user(id).set("role", role).set("email", format!("{id}@example.org"));
    let users: Vec<Body> = vec![
        with_address("ada", "manager"),
        with_address("mo", "manager").set("manager", "ada"),
        with_address("zoe", "learner").set("manager", "ada"),
        with_address("rita", "reporter"),
        with_address("lee", "learner"),
        with_address("gone", "reporter").set("active", false),
    ];
    server.person("admin", "root").post("/v1/users/batch", &users).await.expect(200);
}

/// The schedule without what differs between any two schedules.
fn comparable(mut schedule: Value) -> Value {
    for member in ["id", "recipients"] {
        schedule[member] = Value::Null;
    }
    schedule
}

#[apply(both_databases)]
async fn answers_do_not_show_which_recipients_exist(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = report(&ada, "Mine", json!({})).await;
    let schedules = format!("/v1/reports/{report}/schedules");
    let body = |recipients: &[&str]| json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    let mut answers = Vec::new();
    for guess in GUESSES {
        let created = ada.post(&schedules, &body(&[guess])).await.expect(201).json();
        assert_eq!(created["recipients"], json!([guess]));
        let changed =
            ada.patch(&path(&created), &json!({"recipients": ["ada", guess]})).await.expect(200).json();
        assert_eq!(changed["recipients"], json!(["ada", guess]));
        let replaced = ada.put(&path(&created), &body(&[guess])).await.expect(200).json();
        answers.push([created, changed, replaced].map(comparable));
    }
    for (guess, answer) in GUESSES.iter().zip(&answers) {
        assert_eq!(answer, &answers[0], "{guess}");
    }
    // An id and an address of one user, and of no user.
    for pair in [["rita", "rita@example.org"], ["nobody", "nobody@example.org"]] {
        let created = ada.post(&schedules, &body(&pair)).await.expect(201).json();
        assert_eq!(created["recipients"], json!(pair));
    }
    // Within the reach, a recipient is checked. What can be no recipient at all is refused.
    for refused in ["zoe", "zoe@example.org", "", "@", "a@", "\"rita\"@example.org"] {
        let errors = ada.post(&schedules, &body(&["ada", refused])).await.expect(400).error_pointers();
        assert_eq!(errors, ["/recipients/1"], "{refused}");
    }
    let own = ada.post(&schedules, &body(&["mo", "mo@example.org", "ada"])).await.expect(201).json();
    assert_eq!(own["recipients"], json!(["mo", "ada"]));
}

#[apply(both_databases)]
async fn deliveries_do_not_show_which_recipients_exist(server: &TestServer) {
    set_up(server).await;
    let (ada, admin) = (server.person("manager", "ada"), server.person("admin", "root"));
    let outbox = Outbox::new();
    let report = report(&ada, "Mine", json!({})).await;
    let mut runs = Vec::new();
    for guess in GUESSES {
        let body = json!({"frequency": "daily", "at": "08:00", "recipients": [guess, "ada"]});
        let schedule = ada.post(&format!("/v1/reports/{report}/schedules"), &body).await.expect(201).json();
        runs.push((guess, run_now(&ada, &schedule).await));
    }
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    let find = |listed: &[Value], id: &str| {
        let found = listed.iter().find(|one| one["id"] == id);
        found.expect("an ended delivery").clone()
    };
    let (listed, exact) = (deliveries(&ada, &report).await, deliveries(&admin, &report).await);
    let mut shown = Vec::new();
    for (guess, id) in &runs {
        let mut one = find(&listed, id);
        assert_eq!(one["recipients"][0]["recipient"], *guess);
        assert_eq!(one["recipients"][1]["status"], "sent", "{guess}: ada is within her own reach");
        one["recipients"][0]["recipient"] = Value::Null;
        for member in ["id", "schedule", "run_at", "finished_at"] {
            one[member] = Value::Null;
        }
        one["recipients"][1]["sent_at"] = Value::Null;
        shown.push(one);
        // An administrator sees the result.
        let status = if guess.starts_with("rita") { "sent" } else { "failed" };
        assert_eq!(find(&exact, id)["status"], status, "{guess}");
    }
    assert_eq!(shown[0]["recipients"][0]["status"], "undisclosed");
    for ((guess, _), one) in runs.iter().zip(&shown) {
        assert_eq!(one, &shown[0], "{guess}");
    }
    // The message to the maker names each of the others as the schedule does.
    let texts: Vec<String> =
        outbox.take().into_iter().filter(|mail| mail.to.contains("ada@")).map(|mail| mail.text).collect();
    assert_eq!(texts.len(), GUESSES.len());
    for text in &texts {
        let named = GUESSES.iter().filter(|guess| text.contains(**guess)).count();
        assert!(named > 0 && !text.contains("rita Example"), "{text}");
    }
}
