//! Tests that every resource agrees: archived content, deactivated users, source and device, visits, and
//! time zones in the log, timelines, summaries, facets, progress and exports.

use serde_json::{Value, json};

use crate::features::{Fixture, create_fixture};
use crate::support::builders::activity;
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

async fn get_json(caller: &Caller, path: &str) -> Value {
    caller.get(path).await.expect(200).json()
}

/// The count of a value of a facet, if the facet contains the value.
fn facet_count(facets: &Value, name: &str, value: &str) -> Option<u64> {
    let of = |list: &Value, member: &str, text: &str| {
        list.as_array()?.iter().find(|one| one[member] == text).cloned()
    };
    let facet = of(&facets["facets"], "name", name)?;
    of(&facet["values"], "value", value)?["count"].as_u64()
}

#[apply(both_databases)]
async fn archived_content_has_a_suffix_in_its_name(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    let page = get_json(admin, "/v1/activities?content=old-course").await;
    let row = &page["activities"][0];
    assert_eq!(
        (&row["description"], &row["content"]["archived"]),
        (&json!("Completed Old Course (Archived)"), &json!(true))
    );
    assert_eq!(row["content"]["title"], "Old Course", "the title is unchanged");
    assert_eq!(
        row["description_parts"][1],
        json!({"text": "Old Course (Archived)", "content": "old-course"})
    );
    let summary = get_json(admin, "/v1/activities/summary?by=content&content=old-course").await;
    assert_eq!(summary["groups"][0]["label"], json!({"content": "Old Course (Archived)"}));
    let timeline = get_json(admin, "/v1/users/bo/timeline?content=old-course").await;
    assert_eq!(timeline["entries"][0]["description"], "Completed Old Course (Archived)");
    let facets = get_json(admin, "/v1/facets").await.to_string();
    assert!(facets.contains("Old Course (Archived)"));
    let progress = get_json(admin, "/v1/contents/old-course/progress").await;
    assert_eq!(
        (&progress["content"]["archived"], &progress["content"]["title"]),
        (&json!(true), &json!("Old Course"))
    );
    // The suffix disappears when the content is not archived any more.
    admin.patch("/v1/contents/old-course", &json!({"archived_at": null})).await.expect(200);
    assert!(!get_json(admin, "/v1/facets").await.to_string().contains("(Archived)"));
}

#[apply(both_databases)]
async fn deactivated_users_are_shown_on_request(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    let people = async |path: &str, plural: &str| -> Vec<String> {
        let list = admin.list(path, plural).await;
        list.iter().filter_map(|one| one["user"]["id"].as_str().map(str::to_owned)).collect()
    };
    let users = async |extra: &str| {
        facet_count(&get_json(admin, &format!("/v1/facets?{extra}")).await, "user", "dee")
    };
    assert_eq!((users("").await, users("include_deactivated=true").await), (None, Some(2)));
    let groups = async |extra: &str| {
        get_json(admin, &format!("/v1/activities/summary?by=user{extra}")).await.to_string()
    };
    assert!(!groups("").await.contains("Dee") && groups("&include_deactivated=true").await.contains("Dee"));
    let progress = "/v1/contents/fire-safety/progress";
    assert_eq!(people(progress, "progress").await, ["ada", "bo", "cy"]);
    assert_eq!(
        people(&format!("{progress}?include_deactivated=true"), "progress").await,
        ["ada", "bo", "cy", "dee"]
    );
    let csv = admin.get("/v1/activities/export.csv?include_deactivated=true&user=dee").await.expect(200);
    assert_eq!(csv.csv_column("Status (at time of export)"), ["Deactivated", "Deactivated"]);
    assert!(csv.csv_column("Deactivated").iter().all(|at| at.ends_with('Z')));
    // The timeline of a deactivated user is complete, but the user cannot be marked as complete.
    assert_eq!(get_json(admin, "/v1/users/dee/timeline").await["entries"].as_array().map(Vec::len), Some(2));
    let marked = admin
        .post("/v1/completions", &json!({"content": "podcast", "users": ["dee"]}))
        .await
        .expect(200)
        .json();
    assert_eq!(marked["results"][0]["outcome"], "deactivated");
}

#[apply(both_databases)]
async fn source_device_labels_and_custom_fields_are_filters_columns_and_facets(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let (admin, integration) = (&callers["admin"], &callers["integration"]);
    let definition = activity("cy", "completed").set("content", "old-course").set("source", "Library Two");
    integration.post("/v1/activities", &definition).await.expect(201);
    let facets = get_json(admin, "/v1/facets").await;
    assert_eq!(
        facet_count(&facets, "source", "Library One"),
        Some(1),
        "the source of the content, because the record has none"
    );
    assert_eq!(facet_count(&facets, "source", "Library Two"), Some(1));
    for (filter, heading, facet, value) in [
        ("source=Library+One", "Source", "source", "Library One"),
        ("source=Library+Two", "Source", "source", "Library Two"),
        ("cpd_label=Health", "CPD labels", "cpd_label", "Health"),
        ("device_type=api", "Device type", "device_type", "api"),
        ("device_type=phone", "Device type", "device_type", "phone"),
        ("custom%5BRegion%5D=North", "Region", "custom[Region]", "North"),
    ] {
        let csv = admin.get(&format!("/v1/activities/export.csv?columns=full&{filter}")).await.expect(200);
        let cells = csv.csv_column(heading);
        assert!(!cells.is_empty() && cells.iter().all(|cell| cell == value), "{filter}: {cells:?}");
        assert_eq!(facet_count(&facets, facet, value), Some(cells.len() as u64), "{filter}");
        let total = get_json(admin, &format!("/v1/activities/summary?by=action&{filter}")).await;
        assert_eq!(total["total"]["rows"], json!(cells.len()), "{filter}");
    }
    // Records of a credential have the default device type `api`. Records of people and xAPI statements
    // have none.
    let devices = async |filter: &str| {
        let rows = admin.list(&format!("/v1/activities?{filter}"), "activities").await;
        rows.iter().map(|row| row["device_type"].clone()).collect::<Vec<_>>()
    };
    assert!(devices("origin=manual").await.iter().chain(&devices("origin=xapi").await).all(Value::is_null));
}

#[apply(both_databases)]
async fn every_action_has_the_label_and_colour_of_the_list(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    let actions = get_json(admin, "/v1/actions").await;
    let rows = admin.list("/v1/activities", "activities").await;
    let timeline = admin.list("/v1/users/bo/timeline?kind=system", "entries").await;
    let activities = rows.iter().chain(timeline.iter().map(|entry| &entry["activity"]));
    for row in activities {
        let definition = actions["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .find(|action| action["key"] == row["action"]["key"]);
        let definition = definition.unwrap_or_else(|| panic!("{} is missing in the list", row["action"]));
        assert_eq!(
            (&row["action"]["colour"], &row["action"]["label"]),
            (&definition["colour"], &definition["label"])
        );
    }
}

/// A late login turns the following login into a visit in every resource.
#[apply(both_databases)]
async fn late_login_turns_the_next_login_into_a_visit(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let (admin, integration) = (&callers["admin"], &callers["integration"]);
    let logins = async || {
        let summary = get_json(admin, "/v1/activities/summary?by=action&action=logged_in&user=bo").await;
        let timeline = admin.list("/v1/users/bo/timeline?action=logged_in", "entries").await;
        let facets = get_json(admin, "/v1/facets?scope=team&team=sales&primary_team_only=true").await;
        (summary["total"]["rows"].as_u64(), timeline.len(), facet_count(&facets, "action", "logged_in"))
    };
    // Two logins of Bo in January and March, and one of Ada.
    assert_eq!(logins().await, (Some(2), 2, Some(3)));
    let late = activity("bo", "logged_in").set("happened_at", "2026-03-15T08:00:00Z");
    let late = integration.post("/v1/activities", &late).await.expect(201).json();
    // The late login counts, and the login of the next day does not.
    assert_eq!(logins().await, (Some(2), 2, Some(3)));
    let timeline = admin.list("/v1/users/bo/timeline?action=logged_in", "entries").await;
    assert_eq!(timeline[0]["happened_at"], "2026-03-15T08:00:00.000Z");
    let visits = admin.list("/v1/users/bo/timeline?action=visited", "entries").await;
    assert_eq!(visits[0]["happened_at"], "2026-03-16T08:00:00.000Z");
    let visits = get_json(admin, "/v1/activities/summary?by=month&action=visited").await;
    assert_eq!(visits["total"]["rows"], json!(2));
    admin.delete(&format!("/v1/activities/{}", late["id"].as_str().expect("an id"))).await.expect(204);
    assert_eq!(
        get_json(admin, "/v1/activities/summary?by=month&action=visited").await["total"]["rows"],
        json!(1)
    );
}

/// Exports contain UTC times, independent of the zone of the filter.
#[apply(both_databases)]
async fn exports_contain_utc_times(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    admin.patch("/v1/organisation", &json!({"time_zone": "Asia/Tokyo"})).await.expect(200);
    for set in ["standard", "elearning", "full"] {
        let path = format!(
            "/v1/activities/export.csv?columns={set}&from=2026-03-17&to=2026-03-18&tz=Pacific%2FAuckland&sort=happened_at"
        );
        // In Auckland, 17 March is from 11:00 on 16 March to 11:00 on 17 March in UTC.
        let csv = admin.get(&path).await.expect(200);
        assert_eq!(csv.csv_column("Happened at"), ["2026-03-17T09:00:00.000Z"], "{set}");
    }
    let csv = admin.get("/v1/contents/fire-safety/progress.csv?user=bo").await.expect(200);
    assert_eq!(csv.csv_column("Since"), ["2025-05-10T09:00:00.000Z"]);
    assert_eq!(csv.csv_column("Progress"), ["Expired"]);
}
