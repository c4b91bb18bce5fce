//! Reading the elements of a course structure, with every fault.

use std::collections::HashSet;

use crate::base::fault::Faults;
use crate::record::Iri;
use crate::record::language::{LanguageMap, LanguageTag};

use super::{
    CourseFault, Element, ElementKind, LAUNCH_PARAMETERS, MAX_DESCRIPTION, MAX_ELEMENTS, MAX_IRI,
    MAX_LANGUAGES, MAX_OBJECTIVES, MAX_PARAMETERS, MAX_TITLE, Objective, REFUSED_SCHEMES, Unit,
};
use crate::cmi5::xml::{Element as XmlElement, NAMESPACE};

/// Reads the elements and collects the faults.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) elements: Vec<Element>,
    pub(super) objectives: Vec<Objective>,
    ids: HashSet<String>,
    pub(super) faults: Faults<CourseFault>,
}

impl Reader {
    pub(super) fn read_root(&mut self, root: &XmlElement) {
        if root.name != "courseStructure" {
            let detail = format!(
                "the root must be `courseStructure` with the namespace {}",
                NAMESPACE
            );
            self.faults.push(CourseFault {
                place: String::new(),
                detail,
            });
            return;
        }
        match root.child("course") {
            Some(course) => self.read_element(course, None, ElementKind::Course),
            None => self.add_fault(root, "the element `course` is missing"),
        }
        for child in &root.children {
            match child.name.as_str() {
                "course" | "au" | "block" => {}
                "objectives" => self.read_objectives(child),
                _ => self.add_unknown(child),
            }
        }
        if root
            .children
            .iter()
            .filter(|child| child.name == "course")
            .count()
            > 1
        {
            self.add_fault(root, "there is more than one element `course`");
        }
        self.read_members(root, 0);
    }

    /// Reads the units and blocks in a course or block.
    fn read_members(&mut self, parent: &XmlElement, index: usize) {
        let mut members = 0;
        for child in &parent.children {
            let kind = match child.name.as_str() {
                "block" => ElementKind::Block,
                "au" => ElementKind::Unit(self.read_unit(child)),
                _ => continue,
            };
            members += 1;
            if self.elements.len() > MAX_ELEMENTS {
                if self.elements.len() == MAX_ELEMENTS + 1 {
                    self.add_fault(
                        child,
                        &format!("a course has at most {MAX_ELEMENTS} blocks and units"),
                    );
                }
                return;
            }
            let place = self.elements.len();
            let is_block = kind == ElementKind::Block;
            self.read_element(child, Some(index), kind);
            if is_block {
                self.read_members(child, place);
            }
        }
        if members == 0 {
            self.add_fault(parent, "at least one `au` or `block` is needed here");
        }
    }

    /// Reads what courses, blocks and units have in common. An element with faults is added too, so that the indexes of
    /// parents stay right.
    fn read_element(&mut self, xml: &XmlElement, parent: Option<usize>, kind: ElementKind) {
        let publisher_id = self.read_id(xml);
        let title = self.read_text(xml, "title", MAX_TITLE);
        let description = self.read_text(xml, "description", MAX_DESCRIPTION);
        let objectives = match (&kind, xml.child("objectives")) {
            (ElementKind::Course, _) | (_, None) => Vec::new(),
            (_, Some(list)) => self.read_references(list),
        };
        let known: &[&str] = match kind {
            ElementKind::Course => &["title", "description"],
            ElementKind::Block => &["title", "description", "objectives", "au", "block"],
            ElementKind::Unit(_) => &[
                "title",
                "description",
                "objectives",
                "url",
                "launchParameters",
                "entitlementKey",
            ],
        };
        for child in xml
            .children
            .iter()
            .filter(|child| !known.contains(&child.name.as_str()))
        {
            self.add_unknown(child);
        }
        self.elements.push(Element {
            kind,
            parent,
            publisher_id,
            title,
            description,
            objectives,
        });
    }

    fn read_unit(&mut self, xml: &XmlElement) -> Unit {
        let url = match xml.child("url").map(|url| url.text.trim()) {
            Some(url) if !url.is_empty() => url.to_owned(),
            _ => {
                self.add_fault(xml, "the element `url` is missing or empty");
                String::new()
            }
        };
        if !url.is_empty()
            && let Err(detail) = check_url(&url)
        {
            self.add_fault(xml, &detail);
        }
        let activity_type = xml.attribute("activityType").filter(|text| !text.is_empty());
        Unit {
            url,
            move_on: self.read_choice(xml, "moveOn"),
            mastery_score: self.read_mastery_score(xml),
            launch_method: self.read_choice(xml, "launchMethod"),
            launch_parameters: self.read_parameters(xml, "launchParameters"),
            entitlement_key: self.read_parameters(xml, "entitlementKey"),
            activity_type: activity_type.and_then(|text| self.read_iri(xml, "activityType", text)),
        }
    }

    /// Reads the id, which no other element of the course may have.
    fn read_id(&mut self, xml: &XmlElement) -> Iri {
        let placeholder = || Iri::from_constant("urn:none");
        let Some(id) = xml.attribute("id").filter(|id| !id.is_empty()) else {
            self.add_fault(xml, "the attribute `id` is missing");
            return placeholder();
        };
        if !self.ids.insert(id.to_owned()) {
            self.add_fault(xml, "another element of the course has the same `id`");
        }
        self.read_iri(xml, "id", id).unwrap_or_else(placeholder)
    }

    fn read_iri(&mut self, xml: &XmlElement, attribute: &str, text: &str) -> Option<Iri> {
        match Iri::parse(text) {
            Ok(iri) if text.chars().count() <= MAX_IRI => Some(iri),
            Ok(_) => {
                let detail = format!("the attribute `{attribute}` has more than {MAX_IRI} characters");
                self.add_fault(xml, &detail);
                None
            }
            Err(error) => {
                let detail = format!("the attribute `{attribute}`: {error}");
                self.add_fault(xml, &detail);
                None
            }
        }
    }

    fn read_choice<T>(&mut self, xml: &XmlElement, attribute: &str) -> T
    where
        T: Default + std::str::FromStr + strum::VariantNames,
    {
        let Some(text) = xml.attribute(attribute) else {
            return T::default();
        };
        text.parse().unwrap_or_else(|_| {
            let detail = format!("the attribute `{attribute}` is one of {}", T::VARIANTS.join(", "));
            self.add_fault(xml, &detail);
            T::default()
        })
    }

    /// Reads the mastery score: a decimal number from 0 to 1 with at most four decimal places.
    fn read_mastery_score(&mut self, xml: &XmlElement) -> Option<f64> {
        let text = xml.attribute("masteryScore")?;
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let is_decimal = [whole, places]
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            && !(whole.is_empty() && places.is_empty())
            && places.trim_end_matches('0').len() <= 4;
        let score = text.parse::<f64>().ok().filter(|_| is_decimal);
        match score {
            Some(score) if (0.0..=1.0).contains(&score) => Some(score.abs()),
            _ => {
                let detail =
                    "the attribute `masteryScore` is a number from 0 to 1 with at most 4 decimal places";
                self.add_fault(xml, detail);
                None
            }
        }
    }

    fn read_parameters(&mut self, xml: &XmlElement, name: &str) -> Option<String> {
        let child = xml.child(name)?;
        let text = child.text.trim();
        if text.chars().count() > MAX_PARAMETERS {
            self.add_fault(
                child,
                &format!("this text has more than {MAX_PARAMETERS} characters"),
            );
        }
        Some(text.to_owned())
    }

    /// Reads a text in several languages.
    fn read_text(&mut self, xml: &XmlElement, name: &str, max: usize) -> LanguageMap {
        let Some(child) = xml.child(name) else {
            self.add_fault(xml, &format!("the element `{name}` is missing"));
            return LanguageMap::default();
        };
        let mut texts: Vec<(LanguageTag, String)> = Vec::new();
        for text in child.children.iter().filter(|child| child.name == "langstring") {
            let tag = text
                .attribute("lang")
                .filter(|tag| !tag.is_empty())
                .unwrap_or("und");
            let Some(tag) = LanguageTag::parse(tag) else {
                self.add_fault(text, "the attribute `lang` is a language tag such as en-US");
                continue;
            };
            let value = text.text.trim();
            if value.chars().count() > max {
                self.add_fault(text, &format!("this text has more than {max} characters"));
            }
            if !texts.iter().any(|(known, _)| known.eq_ignore_ascii_case(&tag)) {
                texts.push((tag, value.to_owned()));
            }
            if texts.len() > MAX_LANGUAGES {
                self.add_fault(child, &format!("a text has at most {MAX_LANGUAGES} languages"));
                break;
            }
        }
        if texts.is_empty() {
            self.add_fault(child, "at least one `langstring` is needed here");
        }
        texts.into_iter().collect()
    }

    fn read_objectives(&mut self, list: &XmlElement) {
        for xml in list.children.iter().filter(|child| child.name == "objective") {
            if self.objectives.len() >= MAX_OBJECTIVES {
                self.add_fault(xml, &format!("a course has at most {MAX_OBJECTIVES} objectives"));
                return;
            }
            let objective = Objective {
                publisher_id: self.read_id(xml),
                title: self.read_text(xml, "title", MAX_TITLE),
                description: self.read_text(xml, "description", MAX_DESCRIPTION),
            };
            self.objectives.push(objective);
        }
    }

    /// Reads the references of a block or unit to objectives.
    fn read_references(&mut self, list: &XmlElement) -> Vec<Iri> {
        let mut references = Vec::new();
        for xml in list.children.iter().filter(|child| child.name == "objective") {
            let Some(id) = xml.attribute("idref") else {
                continue;
            };
            references.extend(self.read_iri(xml, "idref", id));
            if references.len() > MAX_OBJECTIVES {
                self.add_fault(
                    list,
                    &format!("at most {MAX_OBJECTIVES} objectives are allowed here"),
                );
                break;
            }
        }
        references
    }

    fn add_unknown(&mut self, xml: &XmlElement) {
        self.add_fault(
            xml,
            "the element is unknown here; elements of your own need a namespace of their own",
        );
    }

    fn add_fault(&mut self, xml: &XmlElement, detail: &str) {
        self.faults.push_with(|| CourseFault {
            place: match xml.attribute("id") {
                Some(id) => format!("{} \"{id}\" (line {})", xml.name, xml.line),
                None => format!("{} (line {})", xml.name, xml.line),
            },
            detail: detail.to_owned(),
        });
    }
}

/// Checks the address of a unit.
fn check_url(url: &str) -> Result<(), String> {
    let parsed = oxiri::IriRef::parse(url).map_err(|_| format!("`{url}` is not a url"))?;
    if url.chars().count() > MAX_IRI {
        return Err(format!("its url has more than {MAX_IRI} characters"));
    }
    if let Some(scheme) = parsed.scheme()
        && REFUSED_SCHEMES
            .iter()
            .any(|refused| scheme.eq_ignore_ascii_case(refused))
    {
        return Err(format!("its url must not have the scheme `{scheme}`"));
    }
    let query = parsed.query().unwrap_or_default();
    let taken =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| LAUNCH_PARAMETERS.contains(&name.as_ref()));
    match taken {
        Some((name, _)) => Err(format!(
            "the query of its url has the parameter `{name}`, which the launch adds; choose another name"
        )),
        None => Ok(()),
    }
}
