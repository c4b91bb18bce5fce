//! Mappings: exports of other systems, and mappings that are sent.

use super::*;
use crate::support::builders::{activity, statement};
use crate::support::http::encode_segment;

/// The rows of an export of Rollbook: a CSV with the columns of Learn Amp.
async fn export(caller: &Caller, columns: &str) -> String {
    let path = format!("/v1/activities/export.csv?columns={columns}&sort=happened_at");
    caller.get(&path).await.expect(200).text().to_owned()
}

#[apply(both_databases)]
async fn export_of_the_log_gives_the_same_rows_when_it_is_imported(server: &TestServer) {
    let admin = admin_of_some(server).await;
    admin.put("/v1/contents/video", &content("video", "item").set("content_type", "video")).await.expect(201);
    let quiz = json!({"id": "fire", "title": "=Fire, \"Quiz\"", "type": "quiz"});
    let rows = [
        activity("bo", "logged_in"),
        activity("bo", "completed").set("content", "video"),
        activity("bo", "failed")
            .set("content", "fire")
            .set("result.score", 45)
            .set("result.total_time", "PT5M"),
        activity("cy", "completed")
            .set("content", quiz)
            .set("result.score", 92.5)
            .set("result.success", true),
        activity("cy", "completed")
            .set("content", "fire")
            .set("certificate.expires_at", "2027-01-01T00:00:00Z"),
        activity("cy", "viewed")
            .set("content", json!({"iri": "https://example.org/a b".replace(' ', "%20"), "title": "-1"})),
        activity("cy", "attended").set("content", "fire").set("expired_at", "2026-02-01T00:00:00Z"),
        activity("bo", "answered").set("content", "fire").set("result.completion", true),
    ];
    for (number, row) in rows.iter().enumerate() {
        let row = row.clone().set("happened_at", format!("2026-01-{:02}T00:00:00.250Z", number + 1));
        admin.post("/v1/activities", &row).await.expect(201);
    }
    for columns in ["standard", "elearning", "full"] {
        let text = export(&admin, columns).await;
        // The directory is the same, as after an import of it.
        let organisation = format!("other-{columns}");
        let other = server.person_of(&organisation, json!({"sub": "root", "role": "owner"}));
        for id in ["bo", "cy"] {
            other
                .put(&format!("/v1/users/{id}"), &user(id).set("email", format!("{id}@example.org")))
                .await
                .expect(201);
        }
        let done = import(&other, "?mapping=learn_amp_activity_log", "text/csv", text.clone()).await;
        assert_eq!(counts(&done), [8, 8, 0, 0], "{columns}: {done}");
        let again = export(&other, columns).await;
        if columns == "full" {
            // Ids, times of storage and the way in are of the new records.
            let ignored = ["Activity ID", "Stored at", "Origin", "Recorded by"];
            assert_eq!(without(&again, &ignored), without(&text, &ignored));
        } else {
            assert_eq!(again, text, "{columns}");
        }
        let repeated = import(&other, "?mapping=learn_amp_activity_log", "text/csv", again + "\n").await;
        assert_eq!(counts(&repeated), [8, 0, 8, 0]);
    }
}

/// The cells of a CSV without some columns.
fn without(text: &str, headings: &[&str]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|index| !headings.contains(&rows[0][*index].as_str())).collect();
    rows.iter().map(|row| kept.iter().map(|index| row[*index].clone()).collect()).collect()
}

#[apply(both_databases)]
async fn log_of_moodle_is_imported(server: &TestServer) {
    let admin = server.person("admin", "root");
    let text = "Time,User full name,Affected user,Event context,Component,Event name,Description,Origin,IP address\n\
        \"25/03/24, 10:15:30\",Bo Example,-,Quiz: Fire quiz,Quiz,Course module viewed,\"The user with id '2' viewed the 'quiz' activity with course module id '9'.\",web,10.0.0.1\n\
        \"25/03/24, 10:16:30\",Bo Example,-,System,System,User has logged in,The user with id '2' has logged in.,web,10.0.0.1\n\
        \"5/04/24, 10:17\",Ada Admin,Cy Example,Course: Fire Safety,System,User enrolled in course,\"The user with id '1' enrolled the user with id '3' using the enrolment method 'manual' in the course with id '4'.\",web,10.0.0.1\n\
        \"05/04/24, 10:18\",Bo Example,-,Course: Fire Safety,System,Log report viewed,The user with id '2' viewed the log report.,web,10.0.0.1\n\
        \"31/03/24, 01:30:00\",Bo Example,-,System,System,User has logged in,The user with id '2' has logged in.,web,10.0.0.1\n";
    let query = "?mapping=moodle_log&time_zone=Europe/London&home_page=https://moodle.example.org/";
    let done = import(&admin, query, "text/csv", text).await;
    assert_eq!(counts(&done), [5, 3, 0, 2], "{done}");
    let (_, rows) = errors(&admin, &done).await;
    let places: Vec<(&str, &str)> = rows.iter().map(|row| (row[9].as_str(), row[10].as_str())).collect();
    assert_eq!(places, [("5", "Event name"), ("6", "Time")]);
    let found = admin.list("/v1/activities?sort=happened_at", "activities").await;
    let summary: Vec<Value> = found
        .iter()
        .map(|row| {
            json!([
                row["user"]["name"],
                row["action"]["key"],
                row["content"]["iri"],
                row["content"]["title"],
                row["happened_at"]
            ])
        })
        .collect();
    assert_eq!(
        summary,
        [
            json!([
                "Bo Example",
                "viewed",
                "https://moodle.example.org/mod/quiz/view.php?id=9",
                "Fire quiz",
                "2024-03-25T10:15:30.000Z"
            ]),
            json!(["Bo Example", "logged_in", null, null, "2024-03-25T10:16:30.000Z"]),
            json!([
                "Cy Example",
                "enrolled_for",
                "https://moodle.example.org/course/view.php?id=4",
                "Fire Safety",
                "2024-04-05T09:17:00.000Z"
            ]),
        ]
    );
}

#[apply(both_databases)]
async fn completion_report_of_moodle_is_imported(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let text = "\"\"\t\"Email address\"\t\"Fire\"\t\"\"\t\"Quiz\"\t\"2024-06-30 00:00:00\"\n\
        \"Bo\"\t\"bo@example.org\"\t\"Completed\"\t\"2024-03-25 10:15:30\"\t\"Completed (did not achieve pass grade)\"\t\"2024-03-26 10:15:30\"\n\
        \"Cy\"\t\"cy@example.org\"\t\"Not completed\"\t\"\"\t\"Completed (achieved pass grade)\"\t\"2024-03-27 10:15:30\"\n\
        \"Cy\"\t\"cy@example.org\"\t\"Completed\"\t\"27.3.2024\"\t\"\"\t\"\"\n";
    let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let query = "?mapping=moodle_completion&time_zone=UTC&home_page=https://moodle.example.org";
    let done = import(&admin, query, "text/csv", utf_16).await;
    assert_eq!(counts(&done), [3, 3, 0, 1], "{done}");
    let found = admin.list("/v1/activities?sort=happened_at", "activities").await;
    let summary: Vec<Value> = found
        .iter()
        .map(|row| {
            json!([
                row["user"]["id"],
                row["action"]["key"],
                row["content"]["title"],
                row["result"]["success"]
            ])
        })
        .collect();
    assert_eq!(
        summary,
        [
            json!(["bo", "completed", "Fire", null]),
            json!(["bo", "failed", "Quiz", false]),
            json!(["cy", "completed", "Quiz", true])
        ]
    );
}

#[apply(both_databases)]
async fn report_of_smarteru_is_imported(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let text = "Last Name,First Name,Email,Course Name,Enrolled Date,Started Date,Completed Date,Status,Grade\n\
        Example,bo,bo@example.org,Forklift,01/31/2026,02/01/2026 09:00 AM,02/01/2026 10:00 AM,Passed,92%\n\
        Example,cy,cy@example.org,Forklift,01/31/2026,,02/03/2026,Failed,40\n\
        Example,cy,cy@example.org,Forklift,31/01/2026,,,,\n\
        Example,cy,cy@example.org,Forklift,,,,,\n";
    let query = "?mapping=smarteru_learner_report&time_zone=America/Toronto&date_format=month_first";
    let done = import(&admin, query, "text/csv", text).await;
    assert_eq!(counts(&done), [4, 5, 0, 2], "{done}");
    let found = admin.list("/v1/activities?sort=happened_at&user=bo", "activities").await;
    let summary: Vec<Value> = found
        .iter()
        .map(|row| json!([row["action"]["key"], row["happened_at"], row["result"]["score"]["percent"]]))
        .collect();
    assert_eq!(
        summary,
        [
            json!(["enrolled_for", "2026-01-31T05:00:00.000Z", null]),
            json!(["started", "2026-02-01T14:00:00.000Z", null]),
            json!(["completed", "2026-02-01T15:00:00.000Z", 92])
        ]
    );
}

#[apply(both_databases)]
async fn dumps_of_record_stores_are_imported(server: &TestServer) {
    let admin = server.person("admin", "root");
    let one = |number: u32| {
        statement(
            json!({"mbox": "mailto:bo@example.org"}),
            "http://adlnet.gov/expapi/verbs/completed",
            &format!("urn:c{number}"),
        )
        .set("id", format!("0190a000-0000-4000-8000-00000000000{number}"))
        .set("timestamp", "2020-01-01T00:00:00Z")
        .json()
    };
    let mut escaped = one(1);
    escaped["result"] = json!({"extensions": {"https://a&46;b/c": {"$numberInt": "5"}}});
    let locker = json!({"_id": {"$oid": "5"}, "hash": "x", "statement": escaped, "stored": {"$date": "2020-01-02T00:00:00Z"}});
    let lrsql = json!({"id": "x", "payload": one(2).to_string(), "is_voided": false});
    for (mapping, body) in [
        ("learning_locker", format!("{locker}\n")),
        ("lrsql", format!("{lrsql}\n")),
        ("lrsql", format!("{}\n", one(3))),
        ("lrsql", format!("[{}]", json!({"payload": one(4)}))),
        ("lrsql", format!("id,payload\n7,\"{}\"\n", one(5).to_string().replace('"', "\"\""))),
    ] {
        let done =
            import(&admin, &format!("?mapping={mapping}"), "application/octet-stream", body.clone()).await;
        assert_eq!(counts(&done), [1, 1, 0, 0], "{body}: {done}");
    }
    let stored = admin
        .get("/xapi/statements?statementId=0190a000-0000-4000-8000-000000000001")
        .await
        .expect(200)
        .json();
    assert_eq!(stored["result"]["extensions"], json!({"https://a.b/c": 5}));
}

#[apply(both_databases)]
async fn mapping_that_is_sent_says_what_columns_mean(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let mapping = json!({
        "columns": {"Mitarbeiter": "user", "Status": "action", "Datum": "happened_at", "Punkte": "result.score", "Kommentar": null},
        "constants": {"content.id": "fire", "source": "SAP"},
        "values": {"action": {"bestanden": "completed", "nicht bestanden": "failed"}},
        "dates": {"formats": ["%d.%m.%Y %H:%M", "serial_1900"], "time_zone": "Europe/Berlin"},
        "decimal": ","
    });
    let query = format!("?encoding=windows-1252&mapping={}", encode_segment(&mapping.to_string()));
    let text = "Mitarbeiter;Status;Datum;Punkte;Kommentar\n\
        bo;Bestanden;01.02.2026 08:30;87,5;gut\n\
        cy;nicht bestanden;46054,5;40;\n\
        cy;nicht bestanden;46054.5;40;\n\
        cy;offen;01.02.2026 08:30;;\n\
        cy;bestanden;25.10.2026 02:30;;\n\
        cy;bestanden;01.02.26 08:30;;\n\
        cy;bestanden;01.02.2026 08:30;1.234;\n";
    let done = import(&admin, &query, "text/csv", text).await;
    assert_eq!((done["mapping"].as_str(), counts(&done)), (Some("custom"), [7, 2, 0, 5]), "{done}");
    let found = admin.list("/v1/activities?sort=happened_at", "activities").await;
    let summary: Vec<Value> = found
        .iter()
        .map(|row| {
            json!([row["user"]["id"], row["happened_at"], row["result"]["score"]["percent"], row["source"]])
        })
        .collect();
    assert_eq!(
        summary,
        [
            json!(["bo", "2026-02-01T07:30:00.000Z", 87.5, "SAP"]),
            json!(["cy", "2026-02-01T11:00:00.000Z", 40, "SAP"])
        ]
    );
    let (_, rows) = errors(&admin, &done).await;
    let columns: Vec<&str> = rows.iter().map(|row| row[6].as_str()).collect();
    assert_eq!(columns, ["Datum", "Status", "Datum", "Datum", "Punkte"]);
}
