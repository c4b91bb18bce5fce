//! Counts the selected rows of the columns one by one, if there are too many groups for arrays.

use uuid::Uuid;

use super::columns::SummaryLookups;
use super::remembered::Question;
use super::{CountFault, CountedActivity, CountedGroups, LimitExceeded, SummaryCounter, count_in_partitions};
use crate::base::clock::Timestamp;
use crate::log::columns::Kind;
use crate::log::columns::selection::Selected;
use crate::log::projection::Percent;

/// Counts the selected rows one by one.
pub(super) fn count_each_row(
    question: Question<'_>,
    most_groups: usize,
) -> Result<CountedGroups, LimitExceeded> {
    let Question {
        by,
        zone,
        selected,
        lookups,
    } = question;
    count_in_partitions(by, zone, most_groups, |counter| {
        let mut places = Vec::new();
        for number in 0..selected.blocks().len() {
            selected.find_places(number, selected.persons(), &mut places);
            for place in &places {
                add_row(number, *place as usize, selected, lookups, counter)?;
            }
        }
        Ok(())
    })
}

fn add_row(
    number: usize,
    place: usize,
    selected: &Selected<'_>,
    lookups: &SummaryLookups<'_>,
    counter: &mut SummaryCounter,
) -> Result<(), CountFault> {
    let columns = selected.columns();
    let block = &selected.blocks()[number];
    let Some(Kind {
        action,
        completed,
        success,
        is_part,
        ..
    }) = columns.kinds()[block.kind[place] as usize]
    else {
        return Ok(());
    };
    let person = block.person[place] as usize;
    // The counter needs no more of a user than a key, and a person without user has its own.
    let user = lookups.people.key(lookups.people.users()[person]);
    let content = columns.contents()[block.content[place] as usize];
    let (learning_type, content_type) = content
        .map(|content| lookups.kind_of(content))
        .unwrap_or_default();
    let session = columns.sessions()[block.session[place] as usize];
    let registration = session.and_then(|session| session.registration.checked_sub(1));
    counter.add(&CountedActivity {
        happened_at: Timestamp::from_micros(block.happened_at[place]),
        seq: selected.seq(number, place),
        person: user,
        user: Some(user),
        teams: lookups.teams_of(user),
        content,
        learning_type,
        content_type,
        action,
        completed,
        success,
        percent: block.percent.get(place).map(Percent),
        is_part,
        seconds: block.seconds.get(place),
        registration: registration.map(|code| Uuid::from_u128(code.into())),
        session: session.and_then(|session| columns.cmi5_session(session.session)),
    })
}
