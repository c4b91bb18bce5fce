//! Tests of `/v1/quizzes/{content}/questions`.

use serde_json::{Value, json};

use super::{answered, choice, chose, post, set_up};
use crate::support::{TestServer, apply, both_databases};

const QUESTIONS: &str = "/v1/quizzes/fire/questions";

#[apply(both_databases)]
async fn each_question_has_its_numbers(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let timed = |n: usize, who: &str, response: &str, duration: &str| {
        answered(n, who, "1", choice("Why?"), json!({"response": response, "duration": duration}))
    };
    let text =
        json!({"interactionType": "fill-in", "correctResponsesPattern": ["Oslo"], "name": {"en": "Capital"}});
    let statements = [
        timed(1, "ada", "a", "PT2S"),
        timed(2, "bo", "b", "PT5.5S"),
        chose(3, "dee", "1", "a[,]b"),
        chose(4, "eve", "1", "b[,]a"),
        answered(5, "ada", "2", text.clone(), json!({"response": "oslo"})),
        answered(6, "bo", "2", text.clone(), json!({"response": "Bergen"})),
        answered(7, "dee", "2", text.clone(), json!({"response": "BERGEN "})),
        answered(8, "eve", "2", text, json!({"response": "Narvik"})),
        answered(9, "eve", "3", json!({"interactionType": "other"}), json!({"response": "free"})),
    ];
    post(&sender, &statements).await;
    let found = admin.get(QUESTIONS).await.expect(200).json();
    let question = |n: usize| found["questions"][n].clone();
    assert_eq!((&found["content"]["id"], &found["uncounted_answers"]), (&json!("fire"), &json!(0)));
    assert_eq!(
        question(0),
        json!({"question": "urn:q:1", "prompt": "Why 1?", "interaction_type": "choice", "answered": 4, "right": 1, "wrong": 3,
            "share": 25, "average_seconds": 3.75, "most_chosen_wrong": {"response": "Alarm; Burn", "count": 2}})
    );
    assert_eq!(
        question(1),
        json!({"question": "urn:q:2", "prompt": "Capital", "interaction_type": "fill-in", "answered": 4, "right": 1, "wrong": 3,
            "share": 25, "average_seconds": null, "most_chosen_wrong": {"response": "Bergen", "count": 2}})
    );
    assert_eq!(
        question(2),
        json!({"question": "urn:q:3", "prompt": null, "interaction_type": "other", "answered": 1, "right": 0, "wrong": 0,
            "share": null, "average_seconds": null, "most_chosen_wrong": null})
    );
    let counts = async |query: &str| -> Vec<Value> {
        let found = admin.get(&format!("{QUESTIONS}?{query}")).await.expect(200).json();
        found["questions"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| json!([one["question"], one["answered"]]))
            .collect()
    };
    assert_eq!(counts("user=ada").await, [json!(["urn:q:1", 1]), json!(["urn:q:2", 1])]);
    assert_eq!(counts("result=failed&user=bo").await, [json!(["urn:q:1", 1]), json!(["urn:q:2", 1])]);
    assert_eq!(counts("to=2026-03-01T09:02:00Z").await, [json!(["urn:q:1", 1])]);
    for parameter in ["limit", "sort", "cursor", "shape"] {
        let refused = admin.get(&format!("{QUESTIONS}?{parameter}=1")).await.expect(400);
        assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), [parameter]);
    }
}
