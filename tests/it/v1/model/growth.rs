//! How the organisations come to be: random facts, told to the server and written down in the model alike.

mod contents;
mod marks;
mod people;
mod records;
mod sent;

use chrono_tz::Tz;
use serde_json::json;
use uuid::Uuid;

use super::TITLE_WORDS;
use super::world::Organisation;
use crate::support::TestServer;
use crate::support::http::Caller;
use crate::support::random::Random;

/// Addresses that no user has at first; some are claimed later.
const STRANGERS: usize = 4;

/// An organisation of the model, and those who speak to the server in its name.
pub struct Tenant {
    pub facts: Organisation,
    pub admin: Caller,
    /// Reads and writes activities.
    pub integration: Caller,
    /// A credential that may not read activities.
    pub blind: Caller,
    /// Speaks xAPI, with every xAPI scope.
    content: Caller,
    /// Records that were told twice already, and those of another organisation whose ids are told again here.
    borrowed_ids: Vec<Uuid>,
}

impl Tenant {
    /// A new organisation with its directory, its catalogue and its first records.
    pub async fn found(server: &TestServer, id: &str, borrowed_ids: Vec<Uuid>, random: &mut Random) -> Self {
        let admin = server.person_of(id, json!({"sub": "root", "role": "admin"}));
        let integration = server.credential(id, &["activities/read", "activities/write"]).await;
        let blind =
            server.credential(id, &["activities/write", "directory", "catalogue", "statements/write"]).await;
        let content = server.credential(id, &["all"]).await;
        let facts = Organisation {
            id: id.to_owned(),
            time_zone: *random.pick(super::question::ZONES),
            managers_see_indirect_reports: random.percent(60),
            teams: Vec::new(),
            groups: Vec::new(),
            users: Vec::new(),
            contents: Vec::new(),
            records: Vec::new(),
        };
        let mut tenant = Self { facts, admin, integration, blind, content, borrowed_ids };
        tenant.settle(random).await;
        tenant.fill_directory(random).await;
        tenant.fill_catalogue(server, random).await;
        tenant.record_some(server, random, 220).await;
        tenant.mark_some(server, random, 8).await;
        tenant
    }

    /// What a while later is different: people and contents move, and more is recorded, some of it late.
    pub async fn live_on(&mut self, server: &TestServer, random: &mut Random) {
        if random.percent(50) {
            self.facts.managers_see_indirect_reports = !self.facts.managers_see_indirect_reports;
            self.settle(random).await;
        }
        self.move_people(random).await;
        self.change_contents(server, random).await;
        self.record_some(server, random, 90).await;
        self.mark_some(server, random, 8).await;
        self.withdraw_some(random).await;
        self.observe_catalogue().await;
    }

    async fn settle(&mut self, random: &mut Random) {
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

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn title(random: &mut Random) -> String {
    let words: Vec<&str> = (0..1 + random.below(3)).map(|_| *random.pick(TITLE_WORDS)).collect();
    let words = words.join(" ");
    if random.percent(30) { words.to_uppercase() } else { words }
}
