//! Computes the desired status of each resource.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use portcullis_compiler::{Diagnostic, GatewaySelector, ResourceId};
use portcullis_crds::values::ConditionStatus;

use super::{Reconciler, observed_catalogs, origin_status};
use crate::cluster_state::{ResourceStatus, TrackedResource};
use crate::desired_state::GatewayState;
use crate::discover::outcome::DiscoveryOutcome;
use crate::programmed::{ConditionState, programmed};
use crate::status::{StatusInput, conditions};

impl Reconciler {
    /// Updates the origins to probe, and drops outcomes for config that has changed since.
    pub(super) fn update_targets(&mut self) {
        let Some(targets) = &self.context.targets else { return };
        let wanted = origin_status::targets(&self.desired_state.compiled);
        let by_uid: BTreeMap<_, _> =
            wanted.iter().map(|target| (&target.document.uid, &target.document)).collect();
        let cluster_state = &mut self.context.cluster_state;
        let before = cluster_state.discoveries.len();
        cluster_state
            .discoveries
            .retain(|uid, asked| by_uid.get(uid).is_some_and(|it| **it == asked.document));
        // The catalog of an origin may have become private.
        cluster_state.catalogs_changed |= cluster_state.discoveries.len() != before;
        targets.send_replace(Arc::new(wanted));
    }

    /// Whether this operator writes the status of a resource: of the McpGateways in the namespace of the
    /// gateway, and of everything else in the namespaces that the gateway admits. While its tenancy is
    /// unknown, the last known one applies.
    pub(super) fn writes_status(&self, id: &ResourceId) -> bool {
        let own = match &self.context.cluster_state.resources.gateway_selector {
            GatewaySelector::InNamespace { namespace, .. } => id.namespace == *namespace,
            GatewaySelector::Only => true,
        };
        match (id.kind.as_str(), &self.admitted) {
            ("McpGateway", _) | (_, None) => own,
            (_, Some(admitted)) => admitted.contains(&id.namespace),
        }
    }

    /// The status that a resource should have.
    pub(super) fn status(
        &self,
        id: &ResourceId,
        subject: &TrackedResource,
        pending: &BTreeSet<String>,
        now: Timestamp,
    ) -> ResourceStatus {
        let nothing = Vec::new();
        let origin = id.kind == "OriginMcp" && self.context.targets.is_some();
        let cluster_state = &self.context.cluster_state;
        let identity = cluster_state.effective_uid(&subject.uid);
        let asked = cluster_state.discoveries.get(identity);
        let observed = asked.and_then(|asked| observed_catalogs::of(cluster_state, &asked.document));
        let diagnostics = self.desired_state.diagnostics.get(id).unwrap_or(&nothing);
        let about = StatusInput {
            diagnostics,
            gateway: if id.kind == "McpGateway" { GatewayState::Valid } else { self.desired_state.gateway },
            programmed: self.programmed(id, diagnostics, pending),
            origin: origin.then(|| origin_status::origin_conditions(asked, observed, subject)),
        };
        let mut status = ResourceStatus {
            observed_generation: Some(subject.generation),
            url: self.desired_state.urls.get(id).cloned(),
            conditions: conditions(about, subject.generation, &subject.status.conditions, now),
            ..ResourceStatus::default()
        };
        if origin {
            // The last known values stay while the origin does not respond.
            status.protocol_version = subject.status.protocol_version.clone();
            status.catalog = subject.status.catalog.clone();
            match (asked.map(|asked| &asked.outcome), observed) {
                (Some(DiscoveryOutcome::Offers(offer)), _) => {
                    status.protocol_version = Some(offer.protocol_version.clone());
                    status.catalog = Some(offer.counts.clone());
                }
                (Some(DiscoveryOutcome::NeedsAccount), Some(observed)) => {
                    let version = observed.protocol_version().map(str::to_owned);
                    status.protocol_version = version.or(status.protocol_version);
                    status.catalog = Some(observed_catalogs::counts(observed));
                }
                _ => {}
            }
        }
        status
    }

    fn programmed(
        &self,
        id: &ResourceId,
        diagnostics: &[Diagnostic],
        pending: &BTreeSet<String>,
    ) -> ConditionState {
        let Some(names) = self.desired_state.objects_by_resource.get(id) else {
            return match self.desired_state.gateway {
                GatewayState::Undecodable => {
                    let message = "The McpGateway cannot be decoded, so the published config stays unchanged. \
                                   Fix the McpGateway first.";
                    ConditionState::new(ConditionStatus::Unknown, "GatewayUnreadable", message)
                }
                GatewayState::Ambiguous => {
                    let message = "There are several McpGateways and none is selected, so the published config \
                                   stays unchanged. Select one first (gateway.name).";
                    ConditionState::new(ConditionStatus::Unknown, "GatewayAmbiguous", message)
                }
                GatewayState::Invalid if Some(id) == self.desired_state.compiled.selected() => {
                    let message =
                        "The last valid version is still served. Fix the errors in the other conditions.";
                    ConditionState::new(ConditionStatus::False, "LastGoodStays", message)
                }
                _ => {
                    let message = "The resource is not served. Fix the errors in the other conditions.";
                    ConditionState::new(ConditionStatus::False, "NotPublished", message)
                }
            };
        };
        if diagnostics.iter().any(Diagnostic::is_error) {
            let message =
                "The resource is served without the invalid entries. Fix the errors in the other conditions.";
            return ConditionState::new(ConditionStatus::False, "PartlyPublished", message);
        }
        if let Some(problem) = names.iter().find_map(|name| self.retry_queue.last_error(name)) {
            return ConditionState::new(
                ConditionStatus::False,
                "PublishFailed",
                format!("Publishing failed: {problem}. The operator retries."),
            );
        }
        let objects = &self.context.cluster_state.published.objects;
        let mut written = Vec::with_capacity(names.len());
        for name in names {
            if let Some(object) = objects.get(name).filter(|_| !pending.contains(name)) {
                written.push((object.kind.resource(), name.as_str(), object.version));
            }
        }
        match Some(written).filter(|written| written.len() == names.len()) {
            Some(written) => programmed(&written, &self.replicas),
            None => {
                ConditionState::new(ConditionStatus::False, "Propagating", "The resource is being published.")
            }
        }
    }
}
