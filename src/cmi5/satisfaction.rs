//! When blocks and courses are satisfied (cmi5, sections 9.3.9 and 13.1.4).
//!
//! A unit is satisfied by its `moveOn`, a block or course when everything in it is.

use std::collections::HashMap;

/// An element of a course, as satisfaction sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeElement {
    /// The key.
    pub key: i64,
    /// The key of the element that contains it.
    pub parent: Option<i64>,
    /// Whether it is a unit; otherwise it is a block or the course.
    pub is_unit: bool,
    /// For a unit: whether it is satisfied. For a block or course: whether it was satisfied before.
    pub satisfied: bool,
}

/// The blocks and courses that are satisfied now and were not before, the innermost first.
pub fn find_newly_satisfied(elements: &[TreeElement]) -> Vec<i64> {
    let mut open_children: HashMap<i64, usize> = HashMap::new();
    let by_key: HashMap<i64, &TreeElement> = elements.iter().map(|element| (element.key, element)).collect();
    for element in elements {
        if let Some(parent) = element.parent {
            *open_children.entry(parent).or_default() += 1;
        }
    }
    let mut newly = Vec::new();
    // Elements whose satisfaction is known and not yet counted by their parent.
    let mut waiting: Vec<&TreeElement> = elements
        .iter()
        .filter(|element| element.satisfied)
        .rev()
        .collect();
    while let Some(element) = waiting.pop() {
        let Some(parent) = element.parent.and_then(|parent| by_key.get(&parent)) else {
            continue;
        };
        let Some(open) = open_children.get_mut(&parent.key) else {
            continue;
        };
        *open = open.saturating_sub(1);
        if *open == 0 && !parent.satisfied && !parent.is_unit {
            newly.push(parent.key);
            waiting.push(parent);
        }
    }
    newly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(key: i64, parent: Option<i64>, satisfied: bool) -> TreeElement {
        TreeElement {
            key,
            parent,
            is_unit: false,
            satisfied,
        }
    }

    fn unit(key: i64, parent: i64, satisfied: bool) -> TreeElement {
        TreeElement {
            key,
            parent: Some(parent),
            is_unit: true,
            satisfied,
        }
    }

    #[test]
    fn satisfaction_climbs_the_tree() {
        let mut tree = vec![
            block(1, None, false),
            block(2, Some(1), false),
            unit(3, 2, true),
            block(4, Some(2), false),
            unit(5, 4, false),
            unit(6, 1, true),
        ];
        assert!(find_newly_satisfied(&tree).is_empty());
        tree[4].satisfied = true;
        assert_eq!(find_newly_satisfied(&tree), [4, 2, 1]);
    }

    #[test]
    fn what_was_satisfied_before_is_not_satisfied_again() {
        let tree = vec![
            block(1, None, false),
            block(2, Some(1), true),
            unit(3, 2, true),
            unit(4, 1, true),
        ];
        assert_eq!(find_newly_satisfied(&tree), [1]);
        let all = vec![block(1, None, true), unit(2, 1, true)];
        assert!(find_newly_satisfied(&all).is_empty());
    }

    #[test]
    fn block_that_was_satisfied_stays_so_when_a_unit_is_added() {
        let tree = vec![
            block(1, None, false),
            block(2, Some(1), true),
            unit(3, 2, true),
            unit(4, 2, false),
        ];
        assert_eq!(find_newly_satisfied(&tree), [1]);
    }

    #[test]
    fn course_of_units_without_demands_is_satisfied_at_once() {
        let tree = vec![block(1, None, false), block(2, Some(1), false), unit(3, 2, true)];
        assert_eq!(find_newly_satisfied(&tree), [2, 1]);
    }
}
