//! The origins to probe, and their conditions `Reachable` and `CatalogSynced`.

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

/// Condition reason of a catalog that was observed in responses to users.
const OBSERVED_REASON: &str = "Observed";

/// The origins to probe: those that are served and not suspended.
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

/// `Reachable` and `CatalogSynced`. Before the first probe of this process, the stored conditions stay if
/// they are of the same generation.
pub(super) fn origin_conditions(
    asked: Option<&Discovery>,
    observed: Option<&ObservedCatalog>,
    subject: &TrackedResource,
) -> (ConditionState, ConditionState) {
    let reachable = || ConditionState::new(True, "Reachable", "The origin responds.");
    let last = |type_: &str| {
        let same = subject.status.observed_generation == Some(subject.generation);
        let last = subject.status.conditions.iter().find(|it| it.type_ == type_).filter(|_| same);
        last.map(|last| ConditionState::new(last.status, &last.reason, last.message.clone()))
    };
    let Some(Discovery { document, outcome }) = asked else {
        let message = "The origin has not been probed with this config yet.";
        let unasked = || ConditionState::new(Unknown, "NotAskedYet", message);
        return (last("Reachable").unwrap_or_else(unasked), last("CatalogSynced").unwrap_or_else(unasked));
    };
    match outcome {
        DiscoveryOutcome::Offers(_) => {
            (reachable(), ConditionState::new(True, "CatalogSynced", "The catalog is up to date."))
        }
        DiscoveryOutcome::NeedsAccount if observed.is_some() => {
            let message = if document.has_private_catalog() {
                "The catalog is private to each user. It counts what users were shown recently through the gateway. \
                 To check curations against it, and to show it to users before they connect an account, set \
                 spec.catalog.sharing: Shared."
            } else {
                "The catalog contains what users were shown recently through the gateway. It may be incomplete."
            };
            (reachable(), ConditionState::new(True, OBSERVED_REASON, message))
        }
        DiscoveryOutcome::NeedsAccount => {
            let message = "The origin shows its catalog only to calls that bear a token, and the operator has \
                           none. The catalog appears here after a user has used the origin through the gateway.";
            let message = match document.auth {
                OriginAuth::SharedOAuth { .. } => {
                    "The origin uses a shared account, which a gateway administrator connects on the page \
                     /admin/origins. The catalog appears here after a user has used the origin."
                }
                _ => message,
            };
            let unknown = || ConditionState::new(Unknown, "NeedsAccount", message);
            // Replicas that have just started have observed no catalog yet.
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
