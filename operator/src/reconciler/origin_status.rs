use std::sync::Arc;

use portcullis_compiler::PartialConfig;
use portcullis_config::OriginAuth;
use portcullis_crds::values::ConditionStatus::{False, True, Unknown};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cluster_state::TrackedResource;
use crate::discover::Target;
use crate::discover::outcome::{Discovery, DiscoveryOutcome};
use crate::programmed::ConditionState;
use portcullis_config_distribution::ObservedCatalog;

/// The reason of a catalog that people were shown.
const OBSERVED_REASON: &str = "Observed";

/// The origins that may be asked for their catalogs: those that are served and not suspended.
pub(super) fn targets(compiled: &PartialConfig) -> Vec<Target> {
    let origins = compiled.origins.iter().filter(|origin| !origin.suspended);
    origins
        .filter_map(|origin| {
            let credential = match &origin.auth {
                OriginAuth::Header { prefix, value, .. } => {
                    let value = compiled.secrets.get(value)?;
                    Some(SecretString::from(format!("{prefix}{}", value.value.expose_secret())))
                }
                OriginAuth::QueryParameter { value, .. } => Some(compiled.secrets.get(value)?.value.clone()),
                OriginAuth::None
                | OriginAuth::UserOAuth { .. }
                | OriginAuth::SharedOAuth { .. }
                | OriginAuth::ClientCredentials { .. }
                | OriginAuth::TokenExchange { .. }
                | OriginAuth::IdJag { .. } => None,
            };
            Some(Target { document: Arc::new(origin.clone()), credential })
        })
        .collect()
}

/// `Reachable` and `CatalogSynced`. Where nobody has asked since the operator started, what was said last stands, if it was
/// about the same generation.
pub(super) fn origin_conditions(
    asked: Option<&Discovery>,
    observed: Option<&ObservedCatalog>,
    subject: &TrackedResource,
) -> (ConditionState, ConditionState) {
    let reachable = || ConditionState::new(True, "Reachable", "it answers");
    let last = |type_: &str| {
        let same = subject.status.observed_generation == Some(subject.generation);
        let last = subject.status.conditions.iter().find(|it| it.type_ == type_).filter(|_| same);
        last.map(|last| ConditionState::new(last.status, &last.reason, last.message.clone()))
    };
    let Some(Discovery { document, outcome }) = asked else {
        let unasked = || ConditionState::new(Unknown, "NotAskedYet", "it has not been asked as it is now");
        return (last("Reachable").unwrap_or_else(unasked), last("CatalogSynced").unwrap_or_else(unasked));
    };
    match outcome {
        DiscoveryOutcome::Offers(_) => {
            (reachable(), ConditionState::new(True, "CatalogSynced", "what it offers is known"))
        }
        DiscoveryOutcome::NeedsAccount if observed.is_some() => {
            let message = "this is what people were shown lately through the gateway; there may be more";
            (reachable(), ConditionState::new(True, OBSERVED_REASON, message))
        }
        DiscoveryOutcome::NeedsAccount => {
            let message = "what it offers is shown to calls that bear a token, not to the operator; once somebody has \
                           used it through the gateway, it is known here";
            let message = match document.auth {
                OriginAuth::SharedOAuth { .. } => {
                    "an administrator of the gateway connects its account, on the page /admin/origins; once somebody has \
                     used it, what it offers is known here"
                }
                _ => message,
            };
            let unknown = || ConditionState::new(Unknown, "NeedsAccount", message);
            // Replicas that have just started have seen nothing yet.
            let synced =
                last("CatalogSynced").filter(|last| last.reason == OBSERVED_REASON).unwrap_or_else(unknown);
            (reachable(), synced)
        }
        DiscoveryOutcome::Refused(message) => {
            (reachable(), ConditionState::new(False, "CredentialRefused", message.clone()))
        }
        DiscoveryOutcome::NotMcp(message) => {
            (reachable(), ConditionState::new(False, "NotMcp", message.clone()))
        }
        DiscoveryOutcome::Unreachable(message) => {
            let verdict = || ConditionState::new(False, "Unreachable", message.clone());
            (verdict(), verdict())
        }
    }
}
