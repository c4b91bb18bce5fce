//! A copy of the log or of the directory that is built only from a change feed, as a client would build it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::http::Caller;

/// The longest time that a copy may need to become equal to what is stored.
const MOST_SECONDS: u64 = 30;

/// A copy that follows a feed.
pub struct Copy {
    /// The address of the next page.
    pub next: String,
    /// The activities by id, or the resources by kind and id.
    pub entries: BTreeMap<String, Value>,
}

impl Copy {
    /// An empty copy of the log.
    pub fn of_log() -> Self {
        Self { next: "/v1/activities/changes".to_owned(), entries: BTreeMap::new() }
    }

    /// An empty copy of the directory and the catalogue.
    pub fn of_directory() -> Self {
        Self { next: "/v1/directory/changes".to_owned(), entries: BTreeMap::new() }
    }

    /// The place in the address of the next page.
    pub fn place(&self) -> i64 {
        let after = self.next.split_once("after=").map_or("0", |(_, rest)| rest);
        after.split('&').next().and_then(|place| place.parse().ok()).expect("a place")
    }

    /// Reads one page. Returns its changes in words, such as `upsert 00000000-…`.
    pub async fn read_page(&mut self, caller: &Caller) -> Vec<String> {
        let page = caller.get(&self.next).await.expect(200).json();
        self.apply(&page)
    }

    /// Applies a page. The place never goes back, and moves on with every change.
    pub fn apply(&mut self, page: &Value) -> Vec<String> {
        let before = self.place();
        self.next = page["next"].as_str().expect("a next page").to_owned();
        let changes = page["changes"].as_array().expect("changes");
        assert!(self.place() >= before + i64::from(!changes.is_empty()), "{before} and then {}", self.next);
        changes.iter().map(|change| self.apply_change(change)).collect()
    }

    fn apply_change(&mut self, change: &Value) -> String {
        let (op, kind) = (change["op"].as_str().expect("an op"), change["kind"].as_str());
        let element = match op {
            "upsert" => &change[kind.unwrap_or("activity")],
            _ => change,
        };
        let id = element["id"].as_str().expect("an id");
        let key = kind.map_or_else(|| id.to_owned(), |kind| format!("{kind} {id}"));
        match op {
            "upsert" => self.entries.insert(key.clone(), element.clone()),
            "delete" => self.entries.remove(&key),
            _ => panic!("an unknown op: {change}"),
        };
        format!("{op} {key}")
    }

    /// Reads pages until one is empty. Returns all changes in words, with the numbers of records instead of their ids.
    pub async fn follow(&mut self, caller: &Caller) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let changes = self.read_page(caller).await;
            if changes.is_empty() {
                return all;
            }
            let shorten = |change: String| change.replace("00000000-0000-4000-8000-0000000000", "");
            all.extend(changes.into_iter().map(shorten));
        }
    }

    /// Follows until the copy of the log equals its lists. What an activity shows of other resources is left out.
    pub async fn follow_until_equal(&mut self, caller: &Caller) {
        let begin = Instant::now();
        loop {
            self.follow(caller).await;
            let stored = read_log(caller).await;
            let copied: BTreeMap<String, Value> =
                self.entries.iter().map(|(id, activity)| (id.clone(), without_joined(activity))).collect();
            if copied == stored {
                return;
            }
            if begin.elapsed() > Duration::from_secs(MOST_SECONDS) {
                panic!("{}", describe_difference(&copied, &stored));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// All activities by id, as the lists show them.
async fn read_log(caller: &Caller) -> BTreeMap<String, Value> {
    let mut stored = BTreeMap::new();
    for filter in ["", "&action=visited"] {
        let path = format!("/v1/activities?include_deactivated=true&limit=1000{filter}");
        for activity in caller.list(&path, "activities").await {
            let id = activity["id"].as_str().expect("an id").to_owned();
            stored.insert(id, without_joined(&activity));
        }
    }
    stored
}

/// The activity without what it shows of its user, its content, its verb and its recorder.
fn without_joined(activity: &Value) -> Value {
    let mut own = activity.clone();
    let user = &activity["user"];
    own["user"] = match &user["id"] {
        Value::Null => user["identifier"].clone(),
        id => id.clone(),
    };
    own["content"] = activity["content"]["iri"].clone();
    own["recorded_by"] = activity["recorded_by"]["id"].clone();
    own["action"] = activity["action"]["key"].clone();
    for joined in ["description", "description_parts", "source", "cpd_labels"] {
        own[joined] = json!(null);
    }
    own
}

fn describe_difference(copied: &BTreeMap<String, Value>, stored: &BTreeMap<String, Value>) -> String {
    let missing = stored.keys().filter(|id| !copied.contains_key(*id)).count();
    let extra = copied.keys().filter(|id| !stored.contains_key(*id)).count();
    let different =
        stored.iter().find(|(id, activity)| copied.get(*id).is_some_and(|other| other != *activity));
    let different = different.map(|(id, activity)| format!("stored {activity}\ncopied {}", copied[id]));
    format!("{missing} activities are missing and {extra} too many\n{}", different.unwrap_or_default())
}
