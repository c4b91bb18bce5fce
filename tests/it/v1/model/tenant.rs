//! Creates the organisations: random facts, sent to the server and stored in the model.

pub mod bodies;
mod contents;
mod marks;
mod owners;
mod people;
mod records;

use chrono_tz::Tz;
use serde_json::json;
use uuid::Uuid;

use super::TITLE_WORDS;
use super::world::Organisation;
use crate::support::TestServer;
use crate::support::http::Caller;
use crate::support::random::Random;

/// The number of addresses that no user has at first. Some become users later.
const STRANGERS: usize = 4;

/// An organisation of the model, with callers of the server.
pub struct Tenant {
    pub facts: Organisation,
    pub admin: Caller,
    /// A credential that reads and writes activities.
    pub integration: Caller,
    /// A credential that cannot read activities.
    pub without_read_scope: Caller,
    /// A credential with every xAPI scope.
    xapi_credential: Caller,
    /// Ids of another organisation's records, to use here as well.
    shared_ids: Vec<Uuid>,
}

impl Tenant {
    /// Creates an organisation with a directory, a catalogue and records.
    pub async fn create(server: &TestServer, id: &str, shared_ids: Vec<Uuid>, random: &mut Random) -> Self {
        let admin = server.person_of(id, json!({"sub": "root", "role": "admin"}));
        let integration = server.credential(id, &["activities/read", "activities/write", "catalogue"]).await;
        let without_read_scope =
            server.credential(id, &["activities/write", "directory", "catalogue", "statements/write"]).await;
        let xapi_credential = server.credential(id, &["all"]).await;
        let facts = Organisation {
            id: id.to_owned(),
            time_zone: *random.pick(super::question::ZONES),
            managers_see_indirect_reports: random.percent(60),
            teams: Vec::new(),
            groups: Vec::new(),
            users: Vec::new(),
            claims: Vec::new(),
            given_up: Vec::new(),
            contents: Vec::new(),
            records: Vec::new(),
        };
        let mut tenant = Self { facts, admin, integration, without_read_scope, xapi_credential, shared_ids };
        tenant.change_settings(random).await;
        tenant.create_directory(server, random).await;
        tenant.create_catalogue(server, random).await;
        tenant.add_records(server, random, 220).await;
        tenant.mark_contents(server, random, 8).await;
        tenant
    }

    /// Changes people and contents and adds records, some of them late.
    pub async fn change(&mut self, server: &TestServer, random: &mut Random) {
        if random.percent(50) {
            self.facts.managers_see_indirect_reports = !self.facts.managers_see_indirect_reports;
            self.change_settings(random).await;
        }
        self.change_people(server, random).await;
        self.change_owners(server, random).await;
        self.change_contents(server, random).await;
        self.add_records(server, random, 90).await;
        self.mark_contents(server, random, 8).await;
        self.delete_activities(random).await;
        self.compare_catalogue().await;
    }

    async fn change_settings(&mut self, random: &mut Random) {
        self.facts.time_zone = *random.pick(super::question::ZONES);
        let tz: Tz = self.facts.time_zone;
        let body = json!({
            "time_zone": tz.name(),
            "managers_see_indirect_reports": self.facts.managers_see_indirect_reports,
        });
        self.admin.patch("/v1/organisation", &body).await.expect(200);
    }
}

fn stranger_address(number: usize) -> String {
    format!("stranger{number}@example.com")
}

fn to_strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn random_title(random: &mut Random) -> String {
    let words: Vec<&str> = (0..1 + random.below(3)).map(|_| *random.pick(TITLE_WORDS)).collect();
    let words = words.join(" ");
    if random.percent(30) { words.to_uppercase() } else { words }
}
