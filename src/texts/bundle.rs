//! The texts of one language.
//!
//! Labels, phrases and templates are formatted once, since every row of a page or an export needs some of them. Only texts
//! that depend on their values, for example on a plural, are formatted each time.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
use fluent_syntax::parser;
use unic_langid::LanguageIdentifier;

use super::numbers::Units;
use super::template::{Template, mark};

/// The beginning of the names of messages that are phrases.
const PHRASE: &str = "phrase-";

/// What a person did, in the words of a language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phrase {
    /// The phrase with a place for its object: `Enrolled for { $object }`.
    pub with_object: Template,
    /// The label: `Enrolled for`.
    pub label: String,
    /// The phrase without an object: `Enrolled`.
    pub alone: String,
}

/// The texts of a language.
pub(super) struct Texts {
    bundle: FluentBundle<FluentResource>,
    labels: HashMap<&'static str, HashMap<&'static str, String>>,
    phrases: HashMap<&'static str, Phrase>,
    templates: HashMap<&'static str, Template>,
    pub(super) units: Units,
}

impl Texts {
    /// Reads a file. Faults of a file are left out; a test demands that no file has any.
    pub(super) fn load(tag: &'static str, source: &'static str) -> Self {
        let locale: LanguageIdentifier = tag.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![locale]);
        // Marks around values would show in CSV files and plain texts.
        bundle.set_use_isolating(false);
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
        let mut texts = Self {
            bundle,
            labels: HashMap::new(),
            phrases: HashMap::new(),
            templates: HashMap::new(),
            units: Units::default(),
        };
        let parsed = parser::parse(source).unwrap_or_else(|(parsed, _)| parsed);
        for entry in &parsed.body {
            if let Entry::Message(message) = entry {
                let id = message.id.name;
                let attributes = message.attributes.iter().map(|attribute| attribute.id.name);
                texts.prepare(id, message.value.as_ref(), attributes);
            }
        }
        texts.units = Units::new(&texts);
        texts
    }

    fn prepare(
        &mut self,
        id: &'static str,
        value: Option<&Pattern<&'static str>>,
        attributes: impl Iterator<Item = &'static str>,
    ) {
        let mut labels = HashMap::new();
        let none = FluentArgs::new();
        for attribute in attributes {
            let label = self.format_attribute(id, attribute, &none).unwrap_or_default();
            labels.insert(attribute, label.into_owned());
        }
        if let Some(pattern) = value {
            let mut marks = FluentArgs::new();
            for name in variables(pattern) {
                marks.set(name, mark(name));
            }
            let template = Template::parse(&self.format(id, &marks).unwrap_or_default());
            match id.strip_prefix(PHRASE) {
                Some(key) => {
                    let label = labels.remove("label");
                    let label = label.unwrap_or_else(|| capitalised(&template.words()));
                    let phrase = Phrase {
                        alone: labels.remove("alone").unwrap_or_else(|| label.clone()),
                        label,
                        with_object: template,
                    };
                    self.phrases.insert(key, phrase);
                }
                None => {
                    self.templates.insert(id, template);
                }
            }
        }
        if !labels.is_empty() {
            self.labels.insert(id, labels);
        }
    }

    fn format_attribute(&self, id: &str, attribute: &str, values: &FluentArgs<'_>) -> Option<Cow<'_, str>> {
        let message = self.bundle.get_message(id)?;
        let pattern = message.get_attribute(attribute)?.value();
        let mut errors = Vec::new();
        Some(self.bundle.format_pattern(pattern, Some(values), &mut errors))
    }

    /// The text with these values.
    pub(super) fn format(&self, id: &str, values: &FluentArgs<'_>) -> Option<Cow<'_, str>> {
        let message = self.bundle.get_message(id)?;
        let mut errors = Vec::new();
        Some(
            self.bundle
                .format_pattern(message.value()?, Some(values), &mut errors),
        )
    }

    pub(super) fn label(&self, group: &str, key: &str) -> Option<&str> {
        self.labels.get(group)?.get(key).map(String::as_str)
    }

    pub(super) fn phrase(&self, key: &str) -> Option<&Phrase> {
        self.phrases.get(key)
    }

    /// All phrases by key.
    #[cfg(test)]
    pub(super) fn phrases(&self) -> impl Iterator<Item = (&'static str, &Phrase)> {
        self.phrases.iter().map(|(key, phrase)| (*key, phrase))
    }

    /// All groups of labels.
    #[cfg(test)]
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &HashMap<&'static str, String>)> {
        self.labels.iter().map(|(group, labels)| (*group, labels))
    }

    pub(super) fn template(&self, id: &str) -> Option<&Template> {
        self.templates.get(id)
    }
}

/// The names of the values that a text uses.
pub(super) fn variables(pattern: &Pattern<&'static str>) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    collect_variables(pattern, &mut names);
    names
}

fn collect_variables(pattern: &Pattern<&'static str>, names: &mut BTreeSet<&'static str>) {
    for element in &pattern.elements {
        match element {
            PatternElement::Placeable {
                expression: Expression::Inline(inline),
            } => collect_from_inline(inline, names),
            PatternElement::Placeable {
                expression: Expression::Select { selector, variants },
            } => {
                collect_from_inline(selector, names);
                for variant in variants {
                    collect_variables(&variant.value, names);
                }
            }
            PatternElement::TextElement { .. } => {}
        }
    }
}

fn collect_from_inline(inline: &InlineExpression<&'static str>, names: &mut BTreeSet<&'static str>) {
    if let InlineExpression::VariableReference { id } = inline {
        names.insert(id.name);
    }
}

/// The text with a capital first letter.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
