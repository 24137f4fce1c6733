//! The condition `Programmed`: whether every replica serves the published config. Pure.

use portcullis_config_distribution::RolloutState;
use portcullis_crds::values::ConditionStatus;

use crate::cluster_state::Replica;

/// A condition without type, generation and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConditionState {
    pub(crate) status: ConditionStatus,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl ConditionState {
    pub(crate) fn new(status: ConditionStatus, reason: &str, message: impl Into<String>) -> Self {
        Self { status, reason: reason.to_owned(), message: message.into() }
    }
}

/// An object as last written: resource (`configmaps` or `secrets`), name, resource version.
pub(crate) type WrittenObject<'a> = (&'a str, &'a str, u64);

/// Whether every replica that takes traffic serves these objects. True only if all of them report it.
///
/// The messages do not contain the number of replicas: scaling the data plane must not rewrite every status.
pub(crate) fn programmed(objects: &[WrittenObject<'_>], replicas: &[Replica]) -> ConditionState {
    if replicas.is_empty() {
        let message = "No replica of the data plane is ready. Check its Deployment.";
        return ConditionState::new(ConditionStatus::Unknown, "NoReplicas", message);
    }
    let (mut behind, mut silent) = (false, None);
    for replica in replicas {
        let Some(report) = &replica.report else {
            silent = silent.or(Some(replica));
            continue;
        };
        for (resource, name, version) in objects {
            match report.state_of(resource, name, *version) {
                RolloutState::Current => {}
                RolloutState::Behind => behind = true,
                RolloutState::Rejected(reason) => {
                    let message = format!(
                        "Replica {} rejected {name} ({reason}) and keeps serving the previous version. \
                         Check its log.",
                        replica.name
                    );
                    return ConditionState::new(ConditionStatus::False, "Rejected", message);
                }
            }
        }
    }
    if behind {
        let message = "Not every ready replica serves this version yet.";
        return ConditionState::new(ConditionStatus::False, "Propagating", message);
    }
    match silent {
        Some(replica) => {
            let message = format!(
                "Replica {} is ready but its report is missing or outdated, so it is unknown what it serves. \
                 Check its log.",
                replica.name
            );
            ConditionState::new(ConditionStatus::Unknown, "ReplicaSilent", message)
        }
        None => ConditionState::new(
            ConditionStatus::True,
            "Programmed",
            "Every ready replica serves this version.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config_distribution::{Rejection, ReplicaReport};

    use super::*;

    fn replica(name: &str, config_maps: u64) -> Replica {
        let observed = [("configmaps".to_owned(), config_maps.to_string())].into();
        Replica {
            name: name.to_owned(),
            report: Some(ReplicaReport { observed, ..ReplicaReport::default() }),
            private: None,
        }
    }

    const OBJECT: WrittenObject<'static> = ("configmaps", "route-a", 100);

    fn verdict(objects: &[WrittenObject<'_>], replicas: &[Replica]) -> (ConditionStatus, String) {
        let verdict = programmed(objects, replicas);
        (verdict.status, verdict.reason)
    }

    #[test]
    fn given_replicas_when_one_is_older_then_it_is_never_true() {
        use ConditionStatus::{False, True, Unknown};
        let silent = Replica { name: "c".into(), report: None, private: None };
        assert_eq!(verdict(&[OBJECT], &[replica("a", 100), replica("b", 205)]), (True, "Programmed".into()));
        assert_eq!(verdict(&[OBJECT], &[replica("a", 100), replica("b", 99)]), (False, "Propagating".into()));
        assert_eq!(
            verdict(&[OBJECT], &[silent.clone(), replica("b", 100)]),
            (Unknown, "ReplicaSilent".into())
        );
        assert_eq!(verdict(&[OBJECT], &[silent, replica("b", 99)]), (False, "Propagating".into()));
        assert_eq!(verdict(&[OBJECT], &[]), (Unknown, "NoReplicas".into()));
    }

    #[test]
    fn given_a_replica_that_refuses_it_then_that_is_told_with_its_name() {
        let mut refusing = replica("b", 300);
        let rejection = Rejection {
            name: "route-a".into(),
            resource_version: "100".into(),
            reason: "Forged".into(),
            accepted_serial: None,
        };
        refusing.report.as_mut().unwrap().rejected.push(rejection);
        let verdict = programmed(&[OBJECT], &[replica("a", 99), refusing.clone()]);
        assert_eq!((verdict.status, verdict.reason.as_str()), (ConditionStatus::False, "Rejected"));
        assert!(
            verdict.message.contains("Replica b") && verdict.message.contains("Forged"),
            "{}",
            verdict.message
        );
        let fixed = ("configmaps", "route-a", 250);
        assert_eq!(programmed(&[fixed], &[refusing]).status, ConditionStatus::True);
    }

    #[test]
    fn given_a_credential_when_its_watch_lags_then_it_is_propagating() {
        let credential = ("secrets", "credential-a", 101);
        assert_eq!(verdict(&[OBJECT, credential], &[replica("a", 500)]).1, "Propagating");
    }
}
