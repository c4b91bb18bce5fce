//! Real units: `@xapi/cmi5` under Node.js, and a page in Chromium.

use std::process::Command;

use reqwest::Method;
use rollbook::http::AppOptions;
use serde_json::{Value, json};

use super::unit::{find, launch_body};
use crate::support::browser::{install_example, open_in_browser, output_of, serve_page};
use crate::support::builders::user;
use crate::support::http::Caller;
use crate::support::server::{run, run_with};
use crate::support::tools::is_installed;
use crate::support::{Database, TestServer};
use crate::v1::courses::find_element;

const STRUCTURE: &str = include_str!("../../../examples/cmi5/cmi5.xml");
const PAGE: &str = include_str!("../../../examples/cmi5/unit.html");
const FIRST: &str = "https://publisher.example.org/courses/ladders/basics/setting-up";
const SECOND: &str = "https://publisher.example.org/courses/ladders/climbing";

/// Imports the course of the example. Returns an administrator, the path of the course, and the ids of its units.
async fn prepare(server: &TestServer, structure: &str, base: &str) -> (Caller, String, [String; 2]) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let base: String = form_urlencoded::byte_serialize(base.as_bytes()).collect();
    let path = format!("/v1/courses?base_url={base}");
    let headers = [("content-type", "application/xml")];
    let imported = admin.send(Method::POST, &path, &headers, structure.as_bytes().to_vec()).await;
    let imported = imported.expect(201).json();
    let units = [FIRST, SECOND].map(|publisher_id| {
        let unit = find_element(&imported["children"], publisher_id).expect("a unit");
        unit["id"].as_str().expect("an id").to_owned()
    });
    (admin, format!("/v1/courses/{}?user=bo", imported["id"].as_str().expect("an id")), units)
}

/// Launches a unit for `bo` and returns the address to open.
async fn launch(admin: &Caller, unit: &str) -> String {
    let launched = admin.post("/v1/launches", &launch_body(unit)).await.expect(201).json();
    launched["url"].as_str().expect("an address").to_owned()
}

#[test]
fn published_library_is_a_unit() {
    let Some(folder) = install_example("cmi5", &["package.json", "unit.mjs", "xhr.mjs"]) else {
        return;
    };
    run(Database::sqlite(), async |server: &TestServer| {
        let (admin, course, [first, _]) = prepare(server, STRUCTURE, "https://cdn.example/").await;
        let url = launch(&admin, &first).await;
        let text = output_of(Command::new("node").arg("unit.mjs").arg(&url).current_dir(folder.path()));
        assert!(text.ends_with("the session is over\n"), "{text}");
        let shown = admin.get(&course).await.expect(200).json();
        let unit = find_element(&shown["children"], FIRST).expect("a unit");
        let expected = json!({"satisfied": true, "completed": true, "passed": true, "waived": false});
        assert_eq!(unit["progress"], expected);
        assert_eq!(find(&admin, "answered").await.len(), 2);
        // The answers belong to the unit.
        let path = format!("/v1/activities?action=answered&content={first}");
        assert_eq!(admin.list(&path, "activities").await.len(), 2);
        assert_eq!(find(&admin, "satisfied").await.len(), 1);
    });
}

#[test]
fn page_of_another_origin_is_a_unit() {
    if !is_installed("chromium") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let origin = runtime.block_on(serve_page(PAGE));
    let options = AppOptions { cors_origins: vec![origin.clone()], ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let structure = STRUCTURE.replace("unit.html", "unit.html?auto=1");
        let (admin, course, units) = prepare(server, &structure, &format!("{origin}/")).await;
        let mut url = String::new();
        for unit in &units {
            url = launch(&admin, unit).await;
            let page = open_in_browser(&url);
            assert!(page.contains("data-end=\"played\""), "{page}");
        }
        let shown = admin.get(&course).await.expect(200).json();
        assert_eq!(shown["progress"]["satisfied"], Value::Bool(true), "{shown:#}");
        assert_eq!(find(&admin, "satisfied").await.len(), 2);
        // The address of a session that was played has no token any more.
        let page = open_in_browser(&url);
        assert!(page.contains("no token: 1"), "{page}");
    });
}
