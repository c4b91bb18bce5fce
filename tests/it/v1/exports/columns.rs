//! Tests of the headings of custom fields, and of archived contents in the files.

use serde_json::json;

use super::{CSV, activity, content, set_up_with_every_column, user};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn custom_field_like_another_column_has_a_heading_of_its_own(server: &TestServer) {
    let admin = server.person("admin", "root");
    let custom = json!({
        "Role": "fireman", "role": "lower", "Since": "2020", "Stored at": "shelf 7", "Region": "North", "REGION": "upper",
        "Grade (custom)": "5",
    });
    admin.put("/v1/users/bo", &user("bo").set("role", "hr").set("custom", custom)).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    admin.post("/v1/activities", &activity("bo", "viewed").set("content", "fire")).await.expect(201);
    let cells = [
        ("Role (custom)", "fireman"),
        ("role (custom 2)", "lower"),
        ("Since (custom)", "2020"),
        ("Stored at (custom)", "shelf 7"),
        ("REGION", "upper"),
        ("Region (custom)", "North"),
        ("Grade (custom)", "5"),
        ("Role", "HR"),
    ];
    // A field has the same heading in every file, also in files without the column that it is called like.
    for path in [CSV.to_owned(), format!("{CSV}?columns=full"), "/v1/contents/fire/progress.csv".to_owned()] {
        let answer = admin.get(&path).await.expect(200);
        let mut headings: Vec<String> = answer.csv().0.iter().map(|heading| heading.to_lowercase()).collect();
        for (heading, expected) in cells {
            assert_eq!(answer.csv_column(heading), [expected], "{heading} in {path}");
        }
        let count = headings.len();
        headings.sort();
        headings.dedup();
        assert_eq!(headings.len(), count, "the headings of {path} are unique");
    }
}

#[apply(both_databases)]
async fn title_of_an_archived_content_says_so(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let fire = content("fire", "quiz").set("title", "Fire Safety").set("time_limit", "PT10M");
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let done = activity("bo", "completed").set("content", "fire");
    admin
        .post("/v1/activities", &done.set("result", json!({"total_time": "PT11M", "score": 92.5})))
        .await
        .expect(201);
    let progress = "/v1/contents/fire/progress.csv";
    let full = format!("{CSV}?columns=full");
    for (archived_at, title, archived) in
        [(json!(null), "Fire Safety", "No"), (json!("2026-03-01T00:00:00Z"), "Fire Safety (Archived)", "Yes")]
    {
        admin.patch("/v1/contents/fire", &json!({"archived_at": archived_at})).await.expect(200);
        for path in [CSV, progress, &full] {
            assert_eq!(admin.get(path).await.expect(200).csv_column("Title"), [title], "{path}");
        }
        let answer = admin.get(&full).await.expect(200);
        assert_eq!(answer.csv_column("Archived"), [archived]);
        assert_eq!(answer.csv_column("Time limit exceeded"), ["Yes"]);
        assert_eq!(answer.csv_column("Score"), ["92.5"]);
        assert_eq!(answer.csv_column("E-learning / Quiz score"), ["92.5%"]);
    }
}

#[apply(both_databases)]
async fn full_set_has_keys_of_manager_and_teams(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let answer = admin.get(&format!("{CSV}?columns=full&user=bo&action=completed")).await.expect(200);
    assert_eq!(answer.csv_column("Manager ID"), ["ada"]);
    // The order of the names in `Primary team` and `Secondary teams`.
    assert_eq!(answer.csv_column("Team IDs"), ["sales; aid; north"]);
    assert_eq!(answer.csv_column("Stored at"), ["2026-03-18T10:17:23.000Z"]);
    assert_eq!(answer.csv_column("Identifier"), [""]);
}
