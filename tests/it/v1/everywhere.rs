//! One fact, every way out: what is archived, who has left, where something comes from, what a visit is, and in which
//! zone a file speaks, are told alike by the log, timelines, summaries, facets, progress and exports.

use serde_json::{Value, json};

use crate::features::{Fixture, fixture};
use crate::support::builders::activity;
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

async fn json_of(caller: &Caller, path: &str) -> Value {
    caller.get(path).await.expect(200).json()
}

/// The count of a facet's value; none where it isn't one.
fn counted(facets: &Value, name: &str, value: &str) -> Option<u64> {
    let of = |list: &Value, member: &str, text: &str| {
        list.as_array()?.iter().find(|one| one[member] == text).cloned()
    };
    let facet = of(&facets["facets"], "name", name)?;
    of(&facet["values"], "value", value)?["count"].as_u64()
}

/// What a column of a CSV has.
fn column(answer: &Answer, heading: &str) -> Vec<String> {
    let (headings, rows) = answer.csv();
    let place = headings.iter().position(|other| other == heading);
    let place = place.unwrap_or_else(|| panic!("no column {heading}"));
    rows.into_iter().map(|mut row| row.swap_remove(place)).collect()
}

#[apply(both_databases)]
async fn archived_content_says_so_after_its_name(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    let page = json_of(admin, "/v1/activities?content=old-course").await;
    let row = &page["activities"][0];
    assert_eq!(
        (&row["description"], &row["content"]["archived"]),
        (&json!("Completed Old Course (Archived)"), &json!(true))
    );
    assert_eq!(row["content"]["title"], "Old Course", "the title itself is as it is");
    assert_eq!(
        row["description_parts"][1],
        json!({"text": "Old Course (Archived)", "content": "old-course"})
    );
    let summary = json_of(admin, "/v1/activities/summary?by=content&content=old-course").await;
    assert_eq!(summary["groups"][0]["label"], json!({"content": "Old Course (Archived)"}));
    let timeline = json_of(admin, "/v1/users/bo/timeline?content=old-course").await;
    assert_eq!(timeline["entries"][0]["description"], "Completed Old Course (Archived)");
    let facets = json_of(admin, "/v1/facets").await.to_string();
    assert!(facets.contains("Old Course (Archived)"));
    let progress = json_of(admin, "/v1/contents/old-course/progress").await;
    assert_eq!(
        (&progress["content"]["archived"], &progress["content"]["title"]),
        (&json!(true), &json!("Old Course"))
    );
    // Taken back, it says nothing any more.
    admin.patch("/v1/contents/old-course", &json!({"archived_at": null})).await.expect(200);
    assert!(!json_of(admin, "/v1/facets").await.to_string().contains("(Archived)"));
}

#[apply(both_databases)]
async fn who_has_left_is_shown_where_asked_for(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    let people = async |path: &str, plural: &str| -> Vec<String> {
        let list = admin.list(path, plural).await;
        list.iter().filter_map(|one| one["user"]["id"].as_str().map(str::to_owned)).collect()
    };
    let users =
        async |extra: &str| counted(&json_of(admin, &format!("/v1/facets?{extra}")).await, "user", "dee");
    assert_eq!((users("").await, users("include_deactivated=true").await), (None, Some(2)));
    let groups = async |extra: &str| {
        json_of(admin, &format!("/v1/activities/summary?by=user{extra}")).await.to_string()
    };
    assert!(!groups("").await.contains("Dee") && groups("&include_deactivated=true").await.contains("Dee"));
    let progress = "/v1/contents/fire-safety/progress";
    assert_eq!(people(progress, "progress").await, ["ada", "bo", "cy"]);
    assert_eq!(
        people(&format!("{progress}?include_deactivated=true"), "progress").await,
        ["ada", "bo", "cy", "dee"]
    );
    let csv = admin.get("/v1/activities/export.csv?include_deactivated=true&user=dee").await.expect(200);
    assert_eq!(column(&csv, "Status (at time of export)"), ["Deactivated", "Deactivated"]);
    assert!(column(&csv, "Deactivated").iter().all(|at| at.ends_with('Z')));
    // Their own history is theirs, whoever they are now; and nobody is marked as complete any more.
    assert_eq!(json_of(admin, "/v1/users/dee/timeline").await["entries"].as_array().map(Vec::len), Some(2));
    let marked = admin
        .post("/v1/completions", &json!({"content": "podcast", "users": ["dee"]}))
        .await
        .expect(200)
        .json();
    assert_eq!(marked["results"][0]["outcome"], "deactivated");
}

#[apply(both_databases)]
async fn source_device_labels_and_fields_are_filters_columns_and_facets(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let (admin, integration) = (&callers["admin"], &callers["integration"]);
    let own = activity("cy", "completed").set("content", "old-course").set("source", "Library Two");
    integration.post("/v1/activities", &own).await.expect(201);
    let facets = json_of(admin, "/v1/facets").await;
    assert_eq!(
        counted(&facets, "source", "Library One"),
        Some(1),
        "the content's, where the record has none"
    );
    assert_eq!(counted(&facets, "source", "Library Two"), Some(1));
    for (filter, heading, facet, value) in [
        ("source=Library+One", "Source", "source", "Library One"),
        ("source=Library+Two", "Source", "source", "Library Two"),
        ("cpd_label=Health", "CPD labels", "cpd_label", "Health"),
        ("device_type=api", "Device type", "device_type", "api"),
        ("device_type=phone", "Device type", "device_type", "phone"),
        ("custom%5BRegion%5D=North", "Region", "custom[Region]", "North"),
    ] {
        let csv = admin.get(&format!("/v1/activities/export.csv?columns=full&{filter}")).await.expect(200);
        let cells = column(&csv, heading);
        assert!(!cells.is_empty() && cells.iter().all(|cell| cell == value), "{filter}: {cells:?}");
        assert_eq!(counted(&facets, facet, value), Some(cells.len() as u64), "{filter}");
        let total = json_of(admin, &format!("/v1/activities/summary?by=action&{filter}")).await;
        assert_eq!(total["total"]["rows"], json!(cells.len()), "{filter}");
    }
    // What came by an integration says so by itself; what a person or content sent doesn't.
    let devices = async |filter: &str| {
        let rows = admin.list(&format!("/v1/activities?{filter}"), "activities").await;
        rows.iter().map(|row| row["device_type"].clone()).collect::<Vec<_>>()
    };
    assert!(devices("origin=manual").await.iter().chain(&devices("origin=xapi").await).all(Value::is_null));
}

#[apply(both_databases)]
async fn every_label_has_the_colour_of_the_list(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    let actions = json_of(admin, "/v1/actions").await;
    let rows = admin.list("/v1/activities", "activities").await;
    let timeline = admin.list("/v1/users/bo/timeline?kind=system", "entries").await;
    let told = rows.iter().chain(timeline.iter().map(|entry| &entry["activity"]));
    for row in told {
        let own = actions["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .find(|action| action["key"] == row["action"]["key"]);
        let own = own.unwrap_or_else(|| panic!("{} is not in the list", row["action"]));
        assert_eq!((&row["action"]["colour"], &row["action"]["label"]), (&own["colour"], &own["label"]));
    }
}

/// A login that arrives late makes the one after it a visit, everywhere at once.
#[apply(both_databases)]
async fn a_late_login_makes_the_next_a_visit(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let (admin, integration) = (&callers["admin"], &callers["integration"]);
    let logins = async || {
        let summary = json_of(admin, "/v1/activities/summary?by=action&action=logged_in&user=bo").await;
        let timeline = admin.list("/v1/users/bo/timeline?action=logged_in", "entries").await;
        let facets = json_of(admin, "/v1/facets?scope=team&team=sales&primary_team_only=true").await;
        (summary["total"]["rows"].as_u64(), timeline.len(), counted(&facets, "action", "logged_in"))
    };
    // Bo's of January and March, and Ada's.
    assert_eq!(logins().await, (Some(2), 2, Some(3)));
    let late = activity("bo", "logged_in").set("happened_at", "2026-03-15T08:00:00Z");
    let late = integration.post("/v1/activities", &late).await.expect(201).json();
    // It is one, and the one of the next day isn't any more.
    assert_eq!(logins().await, (Some(2), 2, Some(3)));
    let timeline = admin.list("/v1/users/bo/timeline?action=logged_in", "entries").await;
    assert_eq!(timeline[0]["happened_at"], "2026-03-15T08:00:00.000Z");
    let visits = admin.list("/v1/users/bo/timeline?action=visited", "entries").await;
    assert_eq!(visits[0]["happened_at"], "2026-03-16T08:00:00.000Z");
    let visits = json_of(admin, "/v1/activities/summary?by=month&action=visited").await;
    assert_eq!(visits["total"]["rows"], json!(2));
    admin.delete(&format!("/v1/activities/{}", late["id"].as_str().expect("an id"))).await.expect(204);
    assert_eq!(
        json_of(admin, "/v1/activities/summary?by=month&action=visited").await["total"]["rows"],
        json!(1)
    );
}

/// Files speak UTC, whatever zone the dates of the filter are read in.
#[apply(both_databases)]
async fn every_csv_speaks_utc(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    admin.patch("/v1/organisation", &json!({"time_zone": "Asia/Tokyo"})).await.expect(200);
    for set in ["standard", "elearning", "full"] {
        let path = format!(
            "/v1/activities/export.csv?columns={set}&from=2026-03-17&to=2026-03-18&tz=Pacific%2FAuckland&sort=happened_at"
        );
        // Auckland's 17 March is from 11:00 on the 16th to 11:00 on the 17th in UTC.
        let csv = admin.get(&path).await.expect(200);
        assert_eq!(column(&csv, "Happened at"), ["2026-03-17T09:00:00.000Z"], "{set}");
    }
    let csv = admin.get("/v1/contents/fire-safety/progress.csv?user=bo").await.expect(200);
    assert_eq!(column(&csv, "Since"), ["2025-05-10T09:00:00.000Z"]);
    assert_eq!(column(&csv, "Progress"), ["Expired"]);
}
