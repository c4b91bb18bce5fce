//! Setting what a content demands, from some moment on (product text, section 6, rule 10).
//!
//! What is kept is a list of snapshots: from this moment on, these demands. A moment in the past may be
//! given. Then each field that is set there holds until the moment at which *that field* was changed next:
//! a snapshot that was made for the sake of another field says nothing about this one.

use crate::base::clock::Timestamp;

use super::demands::{DemandHistory, Demands};

/// From when on something was demanded, by time; no moment twice.
pub type Snapshots = Vec<(Timestamp, Demands)>;

/// The snapshots once `demands` are set from `from` on, until each field's next change.
pub fn set_from(mut snapshots: Snapshots, from: Timestamp, demands: Demands) -> Snapshots {
    let place = snapshots.partition_point(|(at, _)| *at < from);
    let before = match place.checked_sub(1).and_then(|index| snapshots.get(index)) {
        Some((_, demands)) => demands.clone(),
        None => Demands::default(),
    };
    let replaced = match snapshots.get(place) {
        Some((at, old)) if *at == from => old.clone(),
        _ => {
            snapshots.insert(place, (from, before.clone()));
            before
        }
    };
    let (_, rest) = snapshots.split_at_mut(place);
    carry(
        rest,
        |demands| &mut demands.pass_mark,
        &replaced.pass_mark,
        &demands.pass_mark,
    );
    carry(
        rest,
        |demands| &mut demands.time_limit,
        &replaced.time_limit,
        &demands.time_limit,
    );
    carry(
        rest,
        |demands| &mut demands.expires_after,
        &replaced.expires_after,
        &demands.expires_after,
    );
    carry(
        rest,
        |demands| &mut demands.certificate,
        &replaced.certificate,
        &demands.certificate,
    );
    // A snapshot that says what the one before it says is no change.
    let mut last = Demands::default();
    snapshots.retain(|(_, demands)| std::mem::replace(&mut last, demands.clone()) != *demands);
    snapshots
}

/// Sets one field of the first snapshot and of those after it, up to where the field was changed next.
fn carry<T: PartialEq + Clone>(
    snapshots: &mut [(Timestamp, Demands)],
    field: impl Fn(&mut Demands) -> &mut Option<T>,
    old: &Option<T>,
    new: &Option<T>,
) {
    for (_, demands) in snapshots {
        let field = field(demands);
        if field != old {
            return;
        }
        field.clone_from(new);
    }
}

/// The history that the snapshots tell.
pub fn history(snapshots: &[(Timestamp, Demands)]) -> DemandHistory {
    let mut history = DemandHistory::default();
    for (from, demands) in snapshots {
        history.set(*from, demands.clone());
    }
    history
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::demands::History;
    use crate::record::Duration;

    fn at(time: i64) -> Timestamp {
        Timestamp::from_micros(time)
    }

    fn limit(seconds: u8) -> Duration {
        Duration::parse(&format!("PT{seconds}S")).unwrap()
    }

    fn demands(mark: Option<u8>, seconds: Option<u8>) -> Demands {
        Demands {
            pass_mark: mark.map(f64::from),
            time_limit: seconds.map(limit),
            ..Demands::default()
        }
    }

    #[test]
    fn a_change_in_the_past_holds_until_that_field_was_changed_next() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), None));
        let snapshots = set_from(snapshots, at(20), demands(Some(50), Some(9)));
        let snapshots = set_from(snapshots, at(30), demands(Some(80), Some(9)));
        let snapshots = set_from(snapshots, at(15), demands(Some(60), None));
        let marks: Vec<_> = snapshots
            .iter()
            .map(|(from, demands)| (from.micros(), demands.pass_mark))
            .collect();
        assert_eq!(
            marks,
            [
                (10, Some(50.0)),
                (15, Some(60.0)),
                (20, Some(60.0)),
                (30, Some(80.0))
            ]
        );
        assert_eq!(
            history(&snapshots).at(at(17)).time_limit,
            Some(limit(9)),
            "the first value covers what was before"
        );
    }

    #[test]
    fn setting_what_holds_already_changes_nothing() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), None));
        assert_eq!(
            set_from(snapshots.clone(), at(20), demands(Some(50), None)),
            snapshots
        );
        assert!(set_from(Vec::new(), at(10), Demands::default()).is_empty());
    }

    #[test]
    fn the_same_moment_again_replaces() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), Some(1)));
        assert_eq!(
            set_from(snapshots, at(10), demands(None, Some(2))),
            [(at(10), demands(None, Some(2)))]
        );
    }

    proptest! {
        /// The judge keeps a list of changes for one field alone, as if there were no other.
        #[test]
        fn a_field_is_not_disturbed_by_changes_of_another(
            changes in prop::collection::vec((0i64..12, 1u8..4, 1u8..4), 1..10),
            moment in 0i64..12,
        ) {
            let mut snapshots = Vec::new();
            let mut marks: Vec<(i64, Option<u8>)> = Vec::new();
            for (from, mark, seconds) in changes {
                snapshots = set_from(snapshots, at(from), demands(Some(mark), Some(seconds)));
                let before = marks.iter().rev().find(|(other, _)| *other < from).and_then(|(_, mark)| *mark);
                marks.retain(|(other, _)| *other != from);
                if before != Some(mark) {
                    marks.push((from, Some(mark)));
                    marks.sort_unstable();
                }
                // A change to what then held before it anyway is none.
                let mut last = None;
                marks.retain(|(_, mark)| std::mem::replace(&mut last, *mark) != *mark);
            }
            let judge: History<u8> = marks.into_iter().map(|(from, mark)| (at(from), mark)).collect();
            let told = history(&snapshots).at(at(moment)).pass_mark;
            prop_assert_eq!(told, judge.at(at(moment)).map(|mark| f64::from(*mark)));
        }
    }
}
