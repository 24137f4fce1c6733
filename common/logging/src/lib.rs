//! Helpers for log lines.

/// The state that a loop logged last. With it a loop logs changes of a state, not every repetition.
#[derive(Debug, Default)]
pub struct LoggedState<T>(T);

impl<T: PartialEq> LoggedState<T> {
    /// Records the current state. `true` if it differs from the previous one and must be logged.
    pub fn changes_to(&mut self, state: T) -> bool {
        std::mem::replace(&mut self.0, state) != self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_states_then_only_changes_are_logged() {
        let mut failure = LoggedState::default();
        let logged: Vec<_> = [None, Some("a"), Some("a"), Some("b"), None, None, Some("b")]
            .into_iter()
            .filter(|state| failure.changes_to(*state))
            .collect();
        assert_eq!(logged, [Some("a"), Some("b"), None, Some("b")]);
    }
}
