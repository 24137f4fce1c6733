//! Builds the conditions of a resource from diagnostics and condition states. Pure. The transition time
//! changes only with the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portcullis_compiler::Diagnostic;
use portcullis_crds::values::{Condition, ConditionStatus};

use crate::desired_state::GatewayState;
use crate::programmed::ConditionState;

use ConditionStatus::{False, True, Unknown};

/// Reasons that concern a reference (`ResolvedRefs`) and not the resource itself (`Accepted`).
const REFERENCE_REASONS: [&str; 12] = [
    "HostNotAllowed",
    "IdentityProviderNotFound",
    "InvalidCertificate",
    "InvalidSecretValue",
    "OriginNotAccepted",
    "OriginNotAllowed",
    "OriginNotFound",
    "SecretKeyNotFound",
    "SecretNotFound",
    "SecretNotOptedIn",
    "VirtualMcpNotAccepted",
    "VirtualMcpNotFound",
];

/// Maximum number of diagnostics in one condition message.
const MAX_MESSAGES: usize = 5;

/// The input for the conditions of one resource.
pub(crate) struct StatusInput<'a> {
    pub(crate) diagnostics: &'a [Diagnostic],
    /// State of the McpGateway; `Valid` if the resource is the McpGateway itself.
    pub(crate) gateway: GatewayState,
    pub(crate) programmed: ConditionState,
    /// Origins only: `Reachable` and `CatalogSynced`.
    pub(crate) origin: Option<(ConditionState, ConditionState)>,
}

impl StatusInput<'_> {
    /// All conditions, by type, `Ready` last.
    fn condition_states(self) -> Vec<(&'static str, ConditionState)> {
        let (accepted, resolved) = (self.accepted(), self.resolved_refs());
        let mut verdicts =
            vec![("Accepted", accepted), ("ResolvedRefs", resolved), ("Programmed", self.programmed)];
        let decisive = verdicts.len() + 1;
        if let Some((reachable, synced)) = self.origin {
            verdicts.extend([("Reachable", reachable), ("CatalogSynced", synced)]);
        }
        let ready = ready(verdicts.get(..decisive).unwrap_or(&verdicts));
        verdicts.push(("Ready", ready));
        verdicts
    }

    fn accepted(&self) -> ConditionState {
        let errors = |diagnostic: &&Diagnostic| diagnostic.is_error() && !is_reference(diagnostic);
        if let Some(verdict) = summarize(self.diagnostics.iter().filter(errors), False) {
            return verdict;
        }
        match self.gateway {
            GatewayState::Absent => {
                let message = "There is no McpGateway, so nothing is served. Create one.";
                ConditionState::new(Unknown, "NoGateway", message)
            }
            GatewayState::Undecodable => {
                let message =
                    "The McpGateway cannot be decoded, so its tenancy is unknown. Fix the McpGateway first.";
                ConditionState::new(Unknown, "GatewayUnreadable", message)
            }
            GatewayState::Ambiguous => {
                let message = "There are several McpGateways and none is selected, so the tenancy is unknown. \
                               Select one first (gateway.name).";
                ConditionState::new(Unknown, "GatewayAmbiguous", message)
            }
            GatewayState::Valid | GatewayState::Invalid => {
                let warnings = |diagnostic: &&Diagnostic| !diagnostic.is_error() && !is_reference(diagnostic);
                summarize(self.diagnostics.iter().filter(warnings), True)
                    .unwrap_or_else(|| ConditionState::new(True, "Accepted", "The resource is valid."))
            }
        }
    }

    fn resolved_refs(&self) -> ConditionState {
        summarize(self.diagnostics.iter().filter(|diagnostic| is_reference(diagnostic)), False)
            .unwrap_or_else(|| {
                ConditionState::new(True, "ResolvedRefs", "All referenced objects exist and may be used.")
            })
    }
}

fn is_reference(diagnostic: &Diagnostic) -> bool {
    REFERENCE_REASONS.contains(&diagnostic.reason)
}

/// The first diagnostic determines the reason; the message lists up to [`MAX_MESSAGES`] of them.
fn summarize<'a>(
    diagnostics: impl Iterator<Item = &'a Diagnostic>,
    status: ConditionStatus,
) -> Option<ConditionState> {
    let diagnostics: Vec<_> = diagnostics.collect();
    let first = diagnostics.first()?;
    let sentence = |diagnostic: &&Diagnostic| match &diagnostic.field {
        Some(field) => format!("{field}: {}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut message = diagnostics.iter().take(MAX_MESSAGES).map(sentence).collect::<Vec<_>>().join("\n");
    if diagnostics.len() > MAX_MESSAGES {
        message.push_str(&format!("\nand {} more", diagnostics.len() - MAX_MESSAGES));
    }
    Some(ConditionState::new(status, first.reason, message))
}

/// The first `False` condition, else the first `Unknown` one. If all are `True`, a warning of `Accepted` is
/// repeated.
fn ready(verdicts: &[(&'static str, ConditionState)]) -> ConditionState {
    let of = |status| verdicts.iter().find(|(_, verdict)| verdict.status == status);
    // An origin that was not probed yet can be ready.
    let failed = of(False).or_else(|| of(Unknown).filter(|(type_, _)| *type_ != "Reachable"));
    match failed {
        Some((_, verdict)) => verdict.clone(),
        None => match verdicts.first() {
            Some((type_, verdict)) if verdict.reason != *type_ => verdict.clone(),
            _ => ConditionState::new(True, "Ready", "The resource is served as specified."),
        },
    }
}

/// The conditions of a resource at this generation. `there` are its current conditions.
pub(crate) fn conditions(
    about: StatusInput<'_>,
    generation: i64,
    there: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |(type_, verdict): (&str, ConditionState)| {
        let ConditionState { status, reason, message } = verdict;
        let before = there.iter().find(|condition| condition.type_ == type_ && condition.status == status);
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: Some(generation),
            last_transition_time: before
                .map_or_else(|| Time(whole_seconds(now)), |before| before.last_transition_time.clone()),
            reason,
            message,
        }
    };
    about.condition_states().into_iter().map(condition).collect()
}

/// Kubernetes stores times with a precision of one second.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The conditions that need an event: failures that require action, and recoveries from them.
pub(crate) fn transitions<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<&'a Condition> {
    let worth = |condition: &&Condition| {
        let was = before.iter().find(|it| it.type_ == condition.type_);
        match condition.type_.as_str() {
            "Accepted" | "ResolvedRefs" | "Reachable" => match was {
                Some(was) => {
                    was.status != condition.status
                        || (condition.status == False && was.reason != condition.reason)
                }
                None => condition.status == False,
            },
            "Programmed" => {
                matches!(condition.reason.as_str(), "Rejected" | "PublishFailed")
                    && was.is_none_or(|was| was.reason != condition.reason)
            }
            _ => false,
        }
    };
    after.iter().filter(worth).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_compiler::Severity;

    use super::*;

    fn diagnostic(severity: Severity, reason: &'static str) -> Diagnostic {
        let field = Some("spec.x".to_owned());
        Diagnostic { severity, resource: None, file: None, field, reason, message: "do this".to_owned() }
    }

    fn about(diagnostics: &[Diagnostic]) -> StatusInput<'_> {
        let programmed = ConditionState::new(True, "Programmed", "Every ready replica serves this version.");
        StatusInput { diagnostics, gateway: GatewayState::Valid, programmed, origin: None }
    }

    fn brief(conditions: &[Condition]) -> Vec<(String, ConditionStatus, String)> {
        conditions.iter().map(|it| (it.type_.clone(), it.status, it.reason.clone())).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn given_a_sound_resource_then_every_condition_holds_and_names_the_generation() {
        let conditions = conditions(about(&[]), 3, &[], at(10));
        let expected = [
            ("Accepted", "Accepted"),
            ("ResolvedRefs", "ResolvedRefs"),
            ("Programmed", "Programmed"),
            ("Ready", "Ready"),
        ];
        assert_eq!(
            brief(&conditions),
            expected.map(|(type_, reason)| (type_.to_owned(), True, reason.to_owned()))
        );
        assert!(
            conditions
                .iter()
                .all(|it| it.observed_generation == Some(3) && it.last_transition_time.0 == at(10))
        );
    }

    #[test]
    fn given_a_missing_secret_when_told_then_references_do_not_resolve_and_ready_says_why() {
        let found = [diagnostic(Severity::Error, "SecretNotFound")];
        let conditions = conditions(about(&found), 1, &[], at(10));
        assert_eq!(brief(&conditions)[0].1, True);
        assert_eq!(brief(&conditions)[1], ("ResolvedRefs".into(), False, "SecretNotFound".into()));
        assert_eq!(brief(&conditions)[3], ("Ready".into(), False, "SecretNotFound".into()));
        assert_eq!(conditions[3].message, "spec.x: do this");
    }

    #[test]
    fn given_a_warning_when_told_then_it_is_accepted_and_the_column_shows_it() {
        let found = [diagnostic(Severity::Warning, "NobodyHasAccess")];
        let conditions = conditions(about(&found), 1, &[], at(10));
        assert_eq!(brief(&conditions)[0], ("Accepted".into(), True, "NobodyHasAccess".into()));
        assert_eq!(brief(&conditions)[3], ("Ready".into(), True, "NobodyHasAccess".into()));
    }

    #[test]
    fn given_no_gateway_then_nobody_can_say_whether_it_is_accepted() {
        let about = StatusInput { gateway: GatewayState::Absent, ..about(&[]) };
        assert_eq!(
            brief(&conditions(about, 1, &[], at(10)))[0],
            ("Accepted".into(), Unknown, "NoGateway".into())
        );
    }

    #[test]
    fn given_an_origin_when_it_is_away_then_it_is_not_ready_but_an_unsynced_catalog_is_no_matter() {
        let away = ConditionState::new(False, "Unreachable", "no response");
        let unsynced = ConditionState::new(False, "Unreachable", "no response");
        let unreachable = StatusInput { origin: Some((away, unsynced.clone())), ..about(&[]) };
        assert_eq!(conditions(unreachable, 1, &[], at(1)).last().unwrap().status, False);
        let fine = ConditionState::new(True, "Reachable", "The origin responds.");
        let reachable = StatusInput { origin: Some((fine, unsynced)), ..about(&[]) };
        assert_eq!(conditions(reachable, 1, &[], at(1)).last().unwrap().status, True);
        let unasked = ConditionState::new(Unknown, "NotAskedYet", "soon");
        let unknown = StatusInput { origin: Some((unasked.clone(), unasked)), ..about(&[]) };
        assert_eq!(conditions(unknown, 1, &[], at(1)).last().unwrap().status, True);
    }

    #[test]
    fn given_conditions_when_only_reason_or_generation_change_then_the_transition_time_stays() {
        let before = conditions(about(&[]), 1, &[], at(10));
        let warned = [diagnostic(Severity::Warning, "NoEffect")];
        let after = conditions(about(&warned), 2, &before, at(20));
        assert!(
            after.iter().all(|it| it.last_transition_time.0 == at(10) && it.observed_generation == Some(2))
        );
        let found = [diagnostic(Severity::Error, "SlugTaken")];
        let refused = conditions(about(&found), 3, &after, at(30));
        assert_eq!(refused[0].last_transition_time.0, at(30));
        assert_eq!(refused[1].last_transition_time.0, at(10));
        let again = conditions(about(&found), 3, &refused, at(40));
        assert_eq!(again, refused);
    }

    #[test]
    fn given_conditions_when_they_change_then_an_event_is_recorded_once() {
        let new_reasons = |before: &[Condition], after: &[Condition]| {
            transitions(before, after).iter().map(|it| it.reason.clone()).collect::<Vec<_>>()
        };
        let well = conditions(about(&[]), 1, &[], at(10));
        assert_eq!(new_reasons(&[], &well), Vec::<String>::new());
        let found = [diagnostic(Severity::Error, "SlugTaken")];
        let ill = conditions(about(&found), 2, &well, at(20));
        assert_eq!(new_reasons(&well, &ill), ["SlugTaken"]);
        assert_eq!(new_reasons(&[], &ill), ["SlugTaken"]);
        assert_eq!(new_reasons(&ill, &ill), Vec::<String>::new());
        assert_eq!(new_reasons(&ill, &well), ["Accepted"]);
    }
}
