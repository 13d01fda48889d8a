//! What handles have left, each thing in its place among the commands.

use std::collections::VecDeque;

use crate::shared::{Left, Place};

/// What is due when so many commands have been dealt with.
#[derive(Debug, Default)]
pub(super) struct Due {
    dealt_with: Place,
    left: VecDeque<(Place, Left)>,
    wants_end: bool,
}

impl Due {
    /// A command has been dealt with.
    pub(super) fn next_place(&mut self) {
        self.dealt_with.0 += 1;
    }

    /// Takes in what was left.
    pub(super) fn add(&mut self, left: Vec<(Place, Left)>) {
        let is_end = |(_, left): &(Place, Left)| matches!(left, Left::Close(_) | Left::Abandoned);
        self.wants_end |= left.iter().any(is_end);
        self.left.extend(left);
    }

    /// The next thing whose turn has come; all of them when no command is left to wait for.
    pub(super) fn next(&mut self, is_drained: bool) -> Option<Left> {
        let is_due = |(place, _): &mut (Place, Left)| is_drained || *place <= self.dealt_with;
        self.left.pop_front_if(is_due).map(|(_, left)| left)
    }

    /// Whether the connection is to end, in its turn.
    pub(super) fn wants_end(&self) -> bool {
        self.wants_end
    }
}

#[cfg(test)]
mod tests {
    use super::Due;
    use crate::shared::{ConsumerId, Left, Place};

    #[test]
    fn what_was_left_waits_for_the_commands_before_it_and_no_longer() {
        let mut due = Due::default();
        due.add(vec![
            (Place(1), Left::Consumer(ConsumerId(7))),
            (Place(2), Left::Abandoned),
        ]);
        assert!(due.wants_end());
        assert!(due.next(false).is_none());
        due.next_place();
        assert!(matches!(
            due.next(false),
            Some(Left::Consumer(ConsumerId(7)))
        ));
        assert!(due.next(false).is_none());
        assert!(matches!(due.next(true), Some(Left::Abandoned)));
    }
}
