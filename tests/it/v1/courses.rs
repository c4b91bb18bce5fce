//! Tests of `/v1/courses`: importing course structures, their trees in the catalogue, and what a user has reached.

use std::io::{Cursor, Write as _};

use reqwest::Method;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::builders::user;
use crate::support::http::{Answer, Caller};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const NAMESPACE: &str = "https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd";

/// An assignable unit.
pub fn unit(id: &str, attributes: &str, url: &str) -> String {
    format!(
        "<au id=\"{id}\" {attributes}><title><langstring lang=\"en\">Unit {id}</langstring></title>\
         <description><langstring lang=\"en\">About {id}</langstring></description><url>{url}</url></au>"
    )
}

/// A block.
pub fn block(id: &str, inside: &str) -> String {
    format!(
        "<block id=\"{id}\"><title><langstring lang=\"en\">Block {id}</langstring></title>\
         <description><langstring lang=\"en\">-</langstring></description>{inside}</block>"
    )
}

/// A course.
pub fn course(id: &str, inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><courseStructure xmlns=\"{NAMESPACE}\"><course id=\"{id}\">\
         <title><langstring lang=\"en-US\">Geology</langstring><langstring lang=\"de\">Geologie</langstring></title>\
         <description><langstring lang=\"en-US\">Rocks</langstring></description></course>{inside}</courseStructure>"
    )
}

/// Sends a course structure.
pub async fn import(caller: &Caller, xml: &str) -> Answer {
    let headers = [("content-type", "application/xml; charset=utf-8")];
    caller.send(Method::POST, "/v1/courses", &headers, xml.as_bytes().to_vec()).await
}

async fn import_zip(caller: &Caller, query: &str, package: Vec<u8>) -> Answer {
    let path = format!("/v1/courses{query}");
    caller.send(Method::POST, &path, &[("content-type", "application/zip")], package).await
}

/// A package with these files.
fn package(files: &[(&str, &str)]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, options).expect("an entry");
        writer.write_all(content.as_bytes()).expect("written");
    }
    writer.finish().expect("an archive").into_inner()
}

/// The ids of a tree, with the ids in blocks after them.
fn publisher_ids(children: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for child in children.as_array().expect("a list") {
        ids.push(child["publisher_id"].as_str().expect("an id").to_owned());
        if child["kind"] == "block" {
            ids.extend(publisher_ids(&child["children"]));
        }
    }
    ids
}

/// The element with this publisher's id.
pub fn find_element<'v>(children: &'v Value, publisher_id: &str) -> Option<&'v Value> {
    children.as_array()?.iter().find_map(|child| match child["publisher_id"] == publisher_id {
        true => Some(child),
        false => find_element(&child["children"], publisher_id),
    })
}

#[apply(both_databases)]
async fn course_becomes_contents_with_their_tree(server: &TestServer) {
    let admin = server.person("admin", "root");
    let inside = block(
        "urn:b1",
        &(unit(
            "urn:a1",
            "moveOn='CompletedAndPassed' masteryScore='0.85' launchMethod='OwnWindow'",
            "https://p.example/1?x=1",
        ) + &block("urn:b2", &unit("urn:a2", "", "https://p.example/2"))),
    ) + &unit(
        "urn:a3",
        "moveOn='Passed' activityType='http://adlnet.gov/expapi/activities/assessment'",
        "app://quiz/3",
    );
    let imported = import(&admin, &course("https://p.example/course", &inside)).await.expect(201);
    let created = imported.json();
    let id = created["id"].as_str().expect("an id");
    assert_eq!(imported.header("location"), Some(format!("/v1/courses/{id}").as_str()));
    assert_eq!(created["title"], json!({"en-US": "Geology", "de": "Geologie"}));
    assert_eq!(publisher_ids(&created["children"]), ["urn:b1", "urn:a1", "urn:b2", "urn:a2", "urn:a3"]);
    let first = find_element(&created["children"], "urn:a1").expect("a unit");
    let expected = json!({
        "url": "https://p.example/1?x=1", "move_on": "CompletedAndPassed", "mastery_score": 0.85,
        "launch_method": "OwnWindow", "launch_parameters": null, "activity_type": null
    });
    assert_eq!(first["unit"], expected);
    // The IRI by which statements name an element is never that of its publisher.
    assert_eq!(
        first["iri"],
        format!("https://rollbook.invalid/acme/contents/{}", first["id"].as_str().unwrap())
    );
    let content =
        admin.get(&format!("/v1/contents/{}", first["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&content["title"], &content["pass_mark"]), (&json!("Unit urn:a1"), &json!(85.0)));
    assert_eq!(content["url"], "https://p.example/1?x=1");
    let third = find_element(&created["children"], "urn:a3").expect("a unit");
    let content =
        admin.get(&format!("/v1/contents/{}", third["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&content["type"], &content["url"]), (&json!("quiz"), &Value::Null));
    let learner = server.person("learner", "bo");
    assert_eq!(learner.get(&format!("/v1/courses/{id}")).await.expect(200).json(), created);
    let listed = learner.list("/v1/courses", "courses").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &created["id"]));
}

#[apply(both_databases)]
async fn course_is_updated_by_importing_it_again(server: &TestServer) {
    let admin = server.person("admin", "root");
    let before = unit("urn:a1", "", "https://p.example/1") + &unit("urn:a2", "", "https://p.example/2");
    let first = import(&admin, &course("https://p.example/course", &before)).await.expect(201).json();
    let id_of = |course: &Value, unit: &str| {
        find_element(&course["children"], unit).expect("a unit")["id"].as_str().expect("an id").to_owned()
    };
    let kept = id_of(&first, "urn:a1");
    admin.patch(&format!("/v1/contents/{kept}"), &json!({"tags": ["own"]})).await.expect(200);
    let after = block("urn:b", &unit("urn:a1", "moveOn='Completed'", "https://p.example/other"))
        + &unit("urn:a3", "", "https://p.example/3");
    let second = import(&admin, &course("https://p.example/course", &after)).await.expect(200).json();
    assert_eq!(second["id"], first["id"]);
    assert_eq!(publisher_ids(&second["children"]), ["urn:b", "urn:a1", "urn:a3"]);
    assert_eq!(id_of(&second, "urn:a1"), kept);
    let content = admin.get(&format!("/v1/contents/{kept}")).await.expect(200).json();
    assert_eq!((&content["tags"], &content["url"]), (&json!(["own"]), &json!("https://p.example/other")));
    let gone = admin.get(&format!("/v1/contents/{}", id_of(&first, "urn:a2"))).await.expect(200).json();
    assert!(gone["archived_at"].is_string());
    // What comes back is not archived any more.
    import(&admin, &course("https://p.example/course", &before)).await.expect(200);
    let back = admin.get(&format!("/v1/contents/{}", id_of(&first, "urn:a2"))).await.expect(200).json();
    assert_eq!(back["archived_at"], Value::Null);
    // The same unit in another course is another content.
    let other = import(&admin, &course("https://p.example/other", &before)).await.expect(201).json();
    assert_ne!(id_of(&other, "urn:a1"), kept);
}

#[apply(both_databases)]
async fn course_of_more_than_a_thousand_units_is_imported(server: &TestServer) {
    let admin = server.person("admin", "root");
    let units: String =
        (0..1_500).map(|number| unit(&format!("urn:a{number}"), "", "https://p.example/1")).collect();
    let imported = import(&admin, &course("https://p.example/course", &units)).await.expect(201).json();
    assert_eq!(imported["children"].as_array().map(Vec::len), Some(1_500));
    assert_eq!(imported["children"][1_499]["publisher_id"], "urn:a1499");
}

#[apply(both_databases)]
async fn package_is_read_with_its_relative_addresses(server: &TestServer) {
    let admin = server.person("admin", "root");
    let xml = course("https://p.example/course", &unit("urn:a1", "", "unit%201/index.html?lang=en"));
    let whole = package(&[("cmi5.xml", &xml), ("unit 1/index.html", "<html></html>")]);
    let refused = import_zip(&admin, "", whole.clone()).await.expect(400).json();
    assert!(refused["detail"].as_str().expect("a text").contains("base_url"), "{refused}");
    let base = "?base_url=https%3A%2F%2Fcdn.example%2Fgeology%2F";
    let imported = import_zip(&admin, base, whole).await.expect(201).json();
    let url = &imported["children"][0]["unit"]["url"];
    assert_eq!(url, "https://cdn.example/geology/unit%201/index.html?lang=en");
    // A relative address must be a file of the package.
    let incomplete = package(&[("cmi5.xml", &xml)]);
    let refused = import_zip(&admin, base, incomplete).await.expect(400).json();
    assert!(refused["detail"].as_str().expect("a text").contains("unit 1/index.html"), "{refused}");
    for (body, detail) in [
        (package(&[("course/cmi5.xml", &xml)]), "at its root"),
        (b"no archive".to_vec(), "not a ZIP file"),
        (package(&[("cmi5.xml", "<x/>")]), "courseStructure"),
    ] {
        let refused = import_zip(&admin, base, body).await.expect(400).json();
        assert!(refused["detail"].as_str().expect("a text").contains(detail), "{refused}");
    }
    let parameter = import_zip(&admin, "?base_url=ftp%3A%2F%2Fx", Vec::new()).await.expect(400);
    assert!(parameter.error_parameters().contains("base_url"));
}

#[apply(both_databases)]
async fn hostile_documents_are_refused_and_change_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>";
    let good = course("https://p.example/course", &unit("urn:a1", "", "https://p.example/1"));
    let with_type = good.replace("?>", &format!("?>{bomb}"));
    let with_entity = good.replace("Geology", "&b;");
    let deep = course("urn:c", &("<block id='urn:b'>".repeat(500) + &"</block>".repeat(500)));
    for xml in [with_type, with_entity, deep, String::new(), "\0".to_owned(), good.replace("</au>", "")] {
        import(&admin, &xml).await.expect(400);
    }
    let zip_bomb = package(&[("cmi5.xml", &" ".repeat(12_000_000))]);
    import_zip(&admin, "", zip_bomb).await.expect(413);
    let relative = course("https://p.example/course", &unit("urn:a1", "", "index.html"));
    import(&admin, &relative).await.expect(400);
    let headers = [("content-type", "application/json")];
    admin.send(Method::POST, "/v1/courses", &headers, b"{}".to_vec()).await.expect(415);
    assert!(admin.list("/v1/courses", "courses").await.is_empty());
    assert!(admin.list("/v1/contents", "contents").await.is_empty());
}

#[apply(both_databases)]
async fn courses_are_imported_by_administrators_and_catalogue_credentials(server: &TestServer) {
    let admin = server.person("admin", "root");
    let xml = course("https://p.example/course", &unit("urn:a1", "", "https://p.example/1"));
    import(&server.person("learner", "bo"), &xml).await.expect(403);
    import(&server.person("manager", "mo"), &xml).await.expect(403);
    let without = server.credential(ORG, &["directory"]).await;
    import(&without, &xml).await.expect(403);
    without.get("/v1/courses").await.expect(403);
    let with = server.credential(ORG, &["catalogue"]).await;
    let imported = import(&with, &xml).await.expect(201).json();
    let path = format!("/v1/courses/{}", imported["id"].as_str().expect("an id"));
    admin.get(&path).await.expect(200);
    // Another organisation has no such course.
    server.person_of("other", json!({"sub": "root", "role": "admin"})).get(&path).await.expect(404);
    assert!(
        server
            .person_of("other", json!({"sub": "root", "role": "admin"}))
            .list("/v1/courses", "courses")
            .await
            .is_empty()
    );
}

#[apply(both_databases)]
async fn progress_is_shown_for_users_in_reach_only(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    admin.put("/v1/users/cy", &user("cy")).await.expect(201);
    let xml = course("https://p.example/course", &unit("urn:a1", "", "https://p.example/1"));
    let imported = import(&admin, &xml).await.expect(201).json();
    let path = format!("/v1/courses/{}?user=bo", imported["id"].as_str().expect("an id"));
    let shown = admin.get(&path).await.expect(200).json();
    assert_eq!(shown["progress"], json!({"user": "bo", "registration": null, "satisfied": false}));
    let none = json!({"satisfied": false, "completed": false, "passed": false, "waived": false});
    assert_eq!(shown["children"][0]["progress"], none);
    server.person("learner", "bo").get(&path).await.expect(200);
    server.person("learner", "cy").get(&path).await.expect(404);
    server.person("learner", "cy").get("/v1/courses?user=bo").await.expect(404);
    server.credential(ORG, &["catalogue"]).await.get(&path).await.expect(403);
    let both = server.credential(ORG, &["catalogue", "activities/read"]).await;
    both.get("/v1/courses?user=bo").await.expect(200);
    let other = format!("{path}&registration=0190a000-0000-7000-8000-00000000000f");
    admin.get(&other).await.expect(404);
    let alone = path.replace("user=bo", "registration=0190a000-0000-7000-8000-00000000000f");
    assert!(admin.get(&alone).await.expect(400).error_parameters().contains("registration"));
}
