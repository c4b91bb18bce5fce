use super::*;
use crate::cmi5::xml::NAMESPACE;

/// A unit with these attributes and this address.
fn unit(attributes: &str, url: &str) -> String {
    format!(
        "<au {attributes}><title><langstring lang=\"en\">Unit</langstring></title>\
         <description><langstring>About it</langstring></description><url>{url}</url></au>"
    )
}

fn block(id: &str, inside: &str) -> String {
    format!(
        "<block id=\"{id}\"><title><langstring lang=\"en\">Block</langstring></title>\
         <description><langstring lang=\"en\">-</langstring></description>{inside}</block>"
    )
}

fn course(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<courseStructure xmlns=\"{NAMESPACE}\">\
         <course id=\" https://p.example/course \"><title><langstring lang=\"en-US\"> Geology\n</langstring>\
         <langstring lang=\"de\">Geologie</langstring></title>\
         <description><langstring lang=\"en-US\">Rocks</langstring></description></course>{inside}</courseStructure>"
    )
}

fn parse(inside: &str) -> Result<CourseStructure, Vec<String>> {
    CourseStructure::parse(course(inside).as_bytes())
        .map_err(|faults| faults.iter().map(CourseFault::to_string).collect())
}

#[test]
fn tree_is_a_list_with_parents() {
    let inside = block(
        "urn:b1",
        &format!(
            "{}{}",
            unit("id='urn:a1'", "https://p.example/1"),
            block("urn:b2", &unit("id='urn:a2'", "https://p.example/2"))
        ),
    ) + &unit("id='urn:a3'", "https://p.example/3");
    let structure = parse(&inside).expect("parsed");
    let tree: Vec<(&str, Option<usize>)> = structure
        .elements
        .iter()
        .map(|element| (element.publisher_id.as_str(), element.parent))
        .collect();
    let expected = [
        ("https://p.example/course", None),
        ("urn:b1", Some(0)),
        ("urn:a1", Some(1)),
        ("urn:b2", Some(1)),
        ("urn:a2", Some(3)),
        ("urn:a3", Some(0)),
    ];
    assert_eq!(tree, expected);
}

#[test]
fn white_space_around_values_is_removed() {
    let structure = parse(&unit(
        "id='\n urn:a ' moveOn=' Passed ' masteryScore=' 0.8500 '",
        "\n https://p.example/1 \n",
    ))
    .expect("parsed");
    assert_eq!(structure.elements[0].title.get("en-US"), Some("Geology"));
    let found = structure.elements[1].unit().expect("a unit");
    assert_eq!(found.url, "https://p.example/1");
    assert_eq!((found.move_on, found.mastery_score), (MoveOn::Passed, Some(0.85)));
}

#[test]
fn defaults_are_those_of_the_specification() {
    let structure = parse(&unit("id='urn:a'", "https://p.example/1")).expect("parsed");
    let found = structure.elements[1].unit().expect("a unit");
    assert_eq!(found.move_on, MoveOn::NotApplicable);
    assert_eq!(found.launch_method, LaunchMethod::AnyWindow);
    assert_eq!((found.mastery_score, &found.launch_parameters), (None, &None));
}

#[test]
fn every_fault_is_named_with_its_place() {
    let inside = unit("id='not an iri' moveOn='Seen'", "https://p.example/1")
        + &unit("id='urn:a' masteryScore='85'", "https://p.example/1?fetch=x")
        + &unit("id='urn:a' launchMethod='Tab'", "javascript:alert(1)")
        + &unit("", "")
        + "<section/><block id='urn:b'/>";
    let faults = parse(&inside).expect_err("faults");
    let expected = [
        "moveOn",
        "an IRI with a scheme",
        "masteryScore",
        "`fetch`",
        "launchMethod",
        "scheme `javascript`",
        "same `id`",
        "`url` is missing",
        "`id` is missing",
        "section",
        "at least one `au`",
    ];
    for text in expected {
        assert!(
            faults.iter().any(|fault| fault.contains(text)),
            "{text}: {faults:#?}"
        );
    }
    assert!(
        faults.iter().any(|fault| fault.contains("(line 3)")),
        "{faults:#?}"
    );
}

#[test]
fn documents_of_other_kinds_are_refused() {
    for text in [
        "<x/>",
        "<courseStructure/>",
        "<manifest xmlns='http://www.imsglobal.org/xsd/imscp_v1p1'/>",
    ] {
        assert!(CourseStructure::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse("").is_err(), "a course needs a unit");
}

#[test]
fn mastery_score_has_at_most_four_decimal_places() {
    for (score, valid) in [
        ("0", true),
        ("1.0", true),
        (".5", true),
        ("0.12345", false),
        ("1.1", false),
        ("-0.1", false),
        ("1e-1", false),
        ("NaN", false),
        ("", false),
    ] {
        let inside = unit(
            &format!("id='urn:a' masteryScore='{score}'"),
            "https://p.example/1",
        );
        assert_eq!(parse(&inside).is_ok(), valid, "{score}");
    }
}

#[test]
fn relative_addresses_need_a_base() {
    let mut structure = parse(&unit("id='urn:a'", "au1/in%20dex.html?lang=en#x")).expect("parsed");
    assert_eq!(structure.relative_files(), ["au1/in dex.html"]);
    assert!(structure.clone().resolve_urls(None).is_err());
    structure
        .resolve_urls(Some("https://cdn.example/geology/"))
        .expect("resolved");
    let found = structure.elements[1].unit().expect("a unit");
    assert_eq!(
        found.url,
        "https://cdn.example/geology/au1/in%20dex.html?lang=en#x"
    );
}

#[test]
fn course_of_more_than_a_thousand_units_is_read() {
    let units: String = (0..3_000)
        .map(|number| unit(&format!("id='urn:a{number}'"), "https://p.example/1"))
        .collect();
    assert_eq!(parse(&units).expect("parsed").elements.len(), 3_001);
    let too_many: String = (0..MAX_ELEMENTS + 5)
        .map(|number| unit(&format!("id='urn:a{number}'"), "https://p.example/1"))
        .collect();
    let faults = parse(&too_many).expect_err("too many");
    assert_eq!(faults.len(), 1, "{faults:#?}");
}

#[test]
fn move_on_decides_from_results() {
    let results = |completed, passed, waived| UnitResults {
        completed,
        passed,
        waived,
    };
    for (move_on, completed, passed, both) in [
        (MoveOn::Passed, false, true, true),
        (MoveOn::Completed, true, false, true),
        (MoveOn::CompletedAndPassed, false, false, true),
        (MoveOn::CompletedOrPassed, true, true, true),
        (MoveOn::NotApplicable, true, true, true),
    ] {
        assert_eq!(
            move_on.is_satisfied(results(true, false, false)),
            completed,
            "{move_on:?}"
        );
        assert_eq!(
            move_on.is_satisfied(results(false, true, false)),
            passed,
            "{move_on:?}"
        );
        assert_eq!(
            move_on.is_satisfied(results(true, true, false)),
            both,
            "{move_on:?}"
        );
        assert!(move_on.is_satisfied(results(false, false, true)), "{move_on:?}");
        let nothing = move_on.is_satisfied(UnitResults::default());
        assert_eq!(nothing, move_on == MoveOn::NotApplicable, "{move_on:?}");
    }
}
