//! Random contents and their demands over time.

use serde_json::Value;

use super::bodies::content_body;
use super::{Tenant, random_title, to_strings};
use crate::support::TestServer;
use crate::support::builders::Body;
use crate::support::http::encode_segment;
use crate::support::random::Random;
use crate::v1::model::question::DAY;
use crate::v1::model::world::{Content, DemandChange, Demands, Micros, Months};
use crate::v1::model::{CPD_LABELS, SOURCES, TAGS};

impl Tenant {
    pub(super) async fn create_catalogue(&mut self, server: &TestServer, random: &mut Random) {
        let now = server.clock.now().micros();
        let kinds = [
            ("item", Some("video")),
            ("item", Some("article")),
            ("item", Some("book")),
            ("item", Some("audio")),
            ("item", Some("scorm")),
            ("item", None),
            ("quiz", None),
            ("quiz", Some("scorm")),
            ("event", None),
            ("learnlist", None),
            ("certification", None),
        ];
        for (number, (kind, content_type)) in kinds.into_iter().enumerate() {
            let id = format!("content-{number}");
            let iri = format!("https://content.example/{number}");
            let from = now - random.between(300, 700) * DAY;
            let content = Content {
                registered: true,
                title: Some(random_title(random)),
                kind: Some(kind.to_owned()),
                content_type: content_type.map(str::to_owned),
                tags: random.maybe(60, |random| random.some(&to_strings(TAGS), 2)).unwrap_or_default(),
                cpd_labels: random
                    .maybe(40, |random| random.some(&to_strings(CPD_LABELS), 2))
                    .unwrap_or_default(),
                source: random.maybe(40, |random| (*random.pick(SOURCES)).to_owned()),
                archived: random.percent(20),
                demands: vec![random_change(random, from, now)],
                id,
                iri,
            };
            self.facts.contents.push(content);
        }
        let bodies: Vec<Body> = self.facts.contents.iter().map(content_body).collect();
        self.admin.post("/v1/contents/batch", &bodies).await.expect(200);
    }

    /// Changes contents and their demands. May register a content that occurs only in records.
    pub(super) async fn change_contents(&mut self, server: &TestServer, random: &mut Random) {
        let now = server.clock.now().micros();
        for number in 0..self.facts.contents.len() {
            if !self.facts.contents[number].registered || !random.percent(50) {
                continue;
            }
            let content = &mut self.facts.contents[number];
            content.title = Some(random_title(random));
            content.content_type = random
                .maybe(70, |random| (*random.pick(&["video", "audio", "document", "course"])).to_owned());
            content.tags = random.some(&to_strings(TAGS), 2);
            content.archived = random.percent(30);
            let last = content.demands.last().map_or(now - 900 * DAY, |change| change.from);
            let from = (last + random.between(1, 200) * DAY).min(now);
            content.demands.push(random_change(random, from, now));
            let path = format!("/v1/contents/{}", encode_segment(&content.id));
            let body = content_body(content);
            self.admin.put(&path, &body).await.expect(200);
        }
        let unknown = self.facts.contents.iter_mut().find(|content| !content.registered);
        if let Some(content) = unknown.filter(|_| random.percent(70)) {
            content.registered = true;
            content.id = format!("adopted-{}", random.below(1_000_000));
            content.title = Some(random_title(random));
            content.kind = Some("item".into());
            content.content_type = Some("video".into());
            content.demands = vec![random_change(random, now - 2_000 * DAY, now)];
            let path = format!("/v1/contents/{}", encode_segment(&content.id));
            let body = content_body(content);
            self.admin.put(&path, &body).await.expect(201);
        }
    }

    /// Compares the catalogue with the server. Takes the type of contents that are not registered from the
    /// server, because the model does not derive it.
    pub async fn compare_catalogue(&mut self) {
        let listed = self.admin.list("/v1/contents?limit=100", "contents").await;
        let id_of = |content: &Value| content["id"].as_str().expect("a content has an id").to_owned();
        let mut found_ids: Vec<String> = listed.iter().map(id_of).collect();
        let mut expected_ids: Vec<String> =
            self.facts.contents.iter().map(|content| content.id.clone()).collect();
        found_ids.sort();
        expected_ids.sort();
        assert_eq!(found_ids, expected_ids, "the contents of {}", self.facts.id);
        for content in &mut self.facts.contents {
            let found =
                listed.iter().find(|listed| id_of(listed) == content.id).expect("the lists are equal");
            assert_eq!(found["title"].as_str(), content.title.as_deref(), "the title of {}", content.iri);
            if !content.registered {
                content.kind = found["type"].as_str().map(str::to_owned);
                content.content_type = found["content_type"].as_str().map(str::to_owned);
            }
        }
    }
}

/// A change with the time `from`, or without a time.
fn random_change(random: &mut Random, from: Micros, now: Micros) -> DemandChange {
    let with_time = random.percent(60);
    let from = if with_time { from } else { now };
    DemandChange { from, with_time, demands: random_demands(random) }
}

fn random_demands(random: &mut Random) -> Demands {
    let months = |random: &mut Random| Months(*random.pick(&[1, 6, 12, 24]));
    Demands {
        pass_mark: random.maybe(50, |random| *random.pick(&[50, 57, 80])),
        expires_after: random.maybe(40, months),
        certificate: random.maybe(40, |random| ("Certificate of skill".to_owned(), random.maybe(70, months))),
    }
}
