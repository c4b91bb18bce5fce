//! What definitions say about a question.

use std::collections::HashMap;

use crate::log::placement::{prompt_of, to_line};
use crate::record::Definition;
use crate::record::object::InteractionType;

/// The greatest number of characters of a prompt.
const MAX_PROMPT: usize = 1_000;
/// The greatest number of characters of a choice, step and so on.
const MAX_COMPONENT: usize = 500;

/// A question, as definitions describe it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// The prompt, as one line of plain text.
    pub prompt: Option<String>,
    /// The type.
    pub interaction: Option<InteractionType>,
    /// The correct responses, in the format of the type.
    pub correct: Vec<String>,
    /// Whether responses are plain texts, as in the short form.
    pub(super) is_plain: bool,
    /// The texts of the choices, of the scale, of the sources and of the steps, by id.
    texts: HashMap<String, String>,
    /// The texts of the targets, by id.
    targets: HashMap<String, String>,
    /// The ids of `texts`, by text. `None` for a text that several ids have.
    ids: HashMap<String, Option<String>>,
}

impl Question {
    /// A question of the short form. Its responses are plain texts.
    pub fn plain(prompt: Option<String>) -> Self {
        Self {
            prompt,
            is_plain: true,
            ..Self::default()
        }
    }

    /// The question of the definitions. The first one counts more: the others add what it lacks.
    pub fn from_definitions<'a>(definitions: impl IntoIterator<Item = &'a Definition>) -> Self {
        let mut question = Self::default();
        for definition in definitions {
            question.add(definition);
        }
        for (id, text) in &question.texts {
            let is_shared = question.ids.contains_key(text);
            let id = (!is_shared).then(|| id.clone());
            question.ids.insert(text.clone(), id);
        }
        question
    }

    fn add(&mut self, definition: &Definition) {
        if self.prompt.is_none() {
            self.prompt = prompt_of(definition, MAX_PROMPT);
        }
        self.interaction = self.interaction.or(definition.interaction_type);
        // The format of responses depends on the type.
        if definition.interaction_type != self.interaction {
            return;
        }
        if self.correct.is_empty() {
            self.correct.clone_from(&definition.correct_responses);
        }
        for list in &definition.components {
            let texts = match list.name {
                "target" => &mut self.targets,
                _ => &mut self.texts,
            };
            for component in &list.components {
                let text = component.description.pick_english_first();
                if let Some(text) = text.and_then(|text| to_line(text, MAX_COMPONENT)) {
                    texts.entry(component.id.clone()).or_insert(text);
                }
            }
        }
    }

    /// Whether another definition could add something.
    pub fn is_incomplete(definition: Option<&Definition>) -> bool {
        use InteractionType::{Choice, Likert, Matching, Performance, Sequencing};
        let Some(definition) = definition else {
            return true;
        };
        let has_components = matches!(
            definition.interaction_type,
            Some(Choice | Likert | Matching | Performance | Sequencing)
        );
        definition.interaction_type.is_none()
            || (definition.name.is_empty() && definition.description.is_empty())
            || definition.correct_responses.is_empty()
            || (has_components && definition.components.is_empty())
    }

    /// The text of a choice, step and so on.
    pub(super) fn text_of(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(String::as_str)
    }

    /// The number of choices, steps and so on that have a text.
    pub(super) fn component_count(&self) -> usize {
        self.texts.len()
    }

    /// The text of a target.
    pub(super) fn target_text(&self, id: &str) -> Option<&str> {
        self.targets.get(id).map(String::as_str)
    }

    /// The id of a choice in a response. A response with the text of one choice only means its id.
    pub(super) fn id_of<'a>(&'a self, response: &'a str) -> &'a str {
        if self.texts.contains_key(response) {
            return response;
        }
        match self.ids.get(response) {
            Some(Some(id)) => id,
            _ => response,
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::Question;
    use crate::base::fault::Place;
    use crate::base::json;
    use crate::record::Definition;

    /// The definition with this JSON.
    pub fn definition(text: &str) -> Definition {
        let node = json::parse_stored(text).expect("JSON");
        Definition::from_node(&node, &Place::Root).expect("a definition")
    }

    /// The question of one definition.
    pub fn question(text: &str) -> Question {
        Question::from_definitions([&definition(text)])
    }
}

#[cfg(test)]
mod tests {
    use super::testing::definition;
    use super::*;

    #[test]
    fn second_definition_adds_what_the_first_one_lacks() {
        let first = definition(
            r#"{"interactionType":"choice","choices":[{"id":"a","description":{"en":"A"}},{"id":"b"}]}"#,
        );
        let second = definition(
            r#"{"interactionType":"choice","name":{"en":"Why?"},"correctResponsesPattern":["b"],
                "choices":[{"id":"a","description":{"en":"old"}},{"id":"b","description":{"en":"B"}}]}"#,
        );
        let question = Question::from_definitions([&first, &second]);
        assert_eq!(question.prompt.as_deref(), Some("Why?"));
        assert_eq!(
            (question.text_of("a"), question.text_of("b")),
            (Some("A"), Some("B"))
        );
        assert_eq!(question.correct, ["b"]);
        assert!(Question::is_incomplete(Some(&first)) && !Question::is_incomplete(Some(&second)));
    }

    #[test]
    fn correct_responses_of_another_type_do_not_count() {
        let first = definition(r#"{"interactionType":"fill-in"}"#);
        let second = definition(r#"{"interactionType":"choice","correctResponsesPattern":["b"]}"#);
        let question = Question::from_definitions([&first, &second]);
        assert_eq!(
            (question.interaction, question.correct),
            (Some(InteractionType::FillIn), Vec::new())
        );
    }
}
