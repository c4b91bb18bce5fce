//! Tests of recipients: users with reporting access, and external addresses in allowed domains.

use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use serde_json::json;

use super::{create_report, location, refused_recipients, set_up};
use crate::support::builders::user;
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

#[apply(both_databases)]
async fn recipients_must_have_reporting_access(server: &TestServer) {
    let admin = set_up(server).await;
    // A caller that may see the whole directory. `attack::unsigned::recipients` tests a manager.
    let hal = server.person("hr", "hal");
    let report = create_report(&hal, "Mine", "shared", json!({})).await;
    // A present or former address of a user is that user. Each user is listed once, in the form that was
    // given first, so that an address does not reveal the id.
    admin.patch("/v1/users/hal", &json!({"email": "hal.new@example.org"})).await.expect(200);
    let recipients = json!(["rita@example.org", "hal@example.org", "mo", "RITA@Example.org", "rita", "hal"]);
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    let created = hal.post(&format!("{report}/schedules"), &body).await.expect(201);
    assert_eq!(created.json()["recipients"], json!(["rita@example.org", "hal@example.org", "mo"]));
    // The answer is the same for an unknown user, a deactivated one, one without rights, and an address
    // outside the directory.
    let invalid_recipients = json!([
        "nobody",
        "bo",
        "cy",
        "dee",
        "bo@example.org",
        "dee@example.org",
        "someone@example.org",
        "x@outside.example",
        "not an address",
        "@",
        "",
        "root",
        "eve"
    ]);
    let errors = refused_recipients(&hal, &report, invalid_recipients.clone()).await;
    for (index, (pointer, detail)) in errors.iter().enumerate() {
        assert_eq!((pointer.as_str(), detail), (format!("/recipients/{index}").as_str(), &errors[0].1));
    }
    assert_eq!(errors.len(), invalid_recipients.as_array().expect("an array").len());
    assert_eq!(refused_recipients(&hal, &report, json!(["ada", "eve"])).await[0].0, "/recipients/1");
    // The role in the directory decides.
    admin.patch("/v1/users/bo", &json!({"role": "reporter"})).await.expect(200);
    let path = location(&created);
    hal.patch(&path, &json!({"recipients": ["bo@example.org"]})).await.expect(200);
    assert_eq!(hal.get(&path).await.json()["recipients"], json!(["bo@example.org"]));
    // An existing recipient stays, even without rights: the rights are checked at each run.
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    hal.patch(&path, &json!({"at": "09:00"})).await.expect(200);
    let unchanged_recipient = json!({"frequency": "daily", "at": "10:00", "recipients": ["bo"]});
    assert_eq!(hal.put(&path, &unchanged_recipient).await.expect(400).error_pointers(), ["/recipients/0"]);
    assert_eq!(
        hal.patch(&path, &json!({"recipients": ["bo"]})).await.expect(400).error_pointers(),
        ["/recipients/0"]
    );
    assert_eq!(hal.get(&path).await.json()["at"], "09:00");
}

/// Tests addresses outside the directory in a domain that the operator allows.
fn external_addresses_need_an_allowed_domain(database: Database) {
    let recipients = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients, ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        let admin = set_up(server).await;
        let person = user("pat").set("email", "pat@partner.example");
        admin.put("/v1/users/pat", &person).await.expect(201);
        let rita = server.person("reporter", "rita");
        let report = create_report(&rita, "Mine", "private", json!({})).await;
        let recipients =
            json!(["Audit@Partner.Example", "ada", "Audit@partner.example", "it@partner.example"]);
        let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
        let created = rita.post(&format!("{report}/schedules"), &body).await.expect(201);
        let expected = json!(["Audit@partner.example", "ada", "it@partner.example"]);
        assert_eq!(created.json()["recipients"], expected);
        // Other domains, a subdomain, invalid addresses, and the address of a learner in the allowed
        // domain: the address is still that of the learner.
        let errors = refused_recipients(
            &rita,
            &report,
            json!([
                "audit@outside.example",
                "a@mail.partner.example",
                "pat@partner.example",
                "\"pat\"@partner.example",
                "\"someone\"@partner.example",
                "x\r\nBcc: y@partner.example"
            ]),
        )
        .await;
        assert_eq!(errors.len(), 6);
        // The address of a user in the allowed domain is that user, also in another case, and is shown as
        // it was sent.
        admin.patch("/v1/users/pat", &json!({"role": "reporter"})).await.expect(200);
        let body = json!({"frequency": "daily", "at": "08:00", "recipients": ["Pat@Partner.Example", "pat"]});
        let created = rita.post(&format!("{report}/schedules"), &body).await.expect(201);
        assert_eq!(created.json()["recipients"], json!(["Pat@partner.example"]));
        refused_recipients(&rita, &report, json!(["\"pat\"@partner.example"])).await;
    });
}

#[test]
fn external_addresses_need_an_allowed_domain_on_sqlite() {
    external_addresses_need_an_allowed_domain(Database::sqlite());
}

#[test]
fn external_addresses_need_an_allowed_domain_on_postgres() {
    external_addresses_need_an_allowed_domain(Database::postgres());
}
