//! Refusals that pass by themselves.
//!
//! A release is installed all at once: its roles, and the process that needs them. The API server's authorizer learns of roles
//! from a watch of its own, some moments later, and until then refuses what it will allow. In: what the API server said, and
//! when. Out: whether to try again.

use std::time::{Duration, Instant};

/// How long a refusal is believed to pass; after that a person has to act.
const PASSES_WITHIN: Duration = Duration::from_secs(60);

/// Since when everything has been refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Instant>,
}

impl Refusals {
    /// May this refusal pass? `false` as well for what is none.
    pub(crate) fn may_pass(&mut self, error: &kube::Error, now: Instant) -> bool {
        is_refusal(error) && now.duration_since(*self.since.get_or_insert(now)) < PASSES_WITHIN
    }

    /// Something was answered: what is refused from now on is another matter.
    pub(crate) fn over(&mut self) {
        self.since = None;
    }
}

/// Does the API server say that we may not, or that it does not know us?
pub(crate) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16) -> kube::Error {
        let status = kube::core::Status::failure("no", "Forbidden").with_code(code);
        kube::Error::Api(status.boxed())
    }

    #[test]
    fn a_refusal_may_pass_for_a_while_and_anything_else_is_none() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        assert!(!refusals.may_pass(&answer(404), start));
        assert!(refusals.may_pass(&answer(403), start));
        assert!(refusals.may_pass(&answer(401), start + PASSES_WITHIN / 2));
        assert!(!refusals.may_pass(&answer(403), start + PASSES_WITHIN));
        refusals.over();
        assert!(refusals.may_pass(&answer(403), start + PASSES_WITHIN));
    }
}
