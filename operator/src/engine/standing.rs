//! How each resource stands, from all that the loop knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use portcullis_compiler::{Diagnosis, ResourceId};
use portcullis_crds::words::ConditionStatus;

use super::{Engine, observed, origins};
use crate::discover::answer::Answer;
use crate::plan::GatewayState;
use crate::programmed::{Verdict, programmed};
use crate::status::{About, conditions};
use crate::world::{StatusDoc, Subject};

impl Engine {
    /// Tells whom to ask for a catalog, and forgets what was answered to another question.
    pub(super) fn ask(&mut self) {
        let Some(targets) = &self.parts.targets else { return };
        let wanted = origins::targets(&self.plan.compiled);
        let by_uid: BTreeMap<_, _> =
            wanted.iter().map(|target| (&target.document.uid, &target.document)).collect();
        self.parts.world.asked.retain(|uid, asked| by_uid.get(uid).is_some_and(|it| **it == asked.document));
        targets.send_replace(Arc::new(wanted));
    }

    /// The status that a resource should have.
    pub(super) fn status(
        &self,
        id: &ResourceId,
        subject: &Subject,
        pending: &BTreeSet<String>,
        now: Timestamp,
    ) -> StatusDoc {
        let nothing = Vec::new();
        let origin = id.kind == "OriginMcp" && self.parts.targets.is_some();
        let world = &self.parts.world;
        let identity = world.identity(&subject.uid);
        let asked = world.asked.get(identity);
        let observed = asked.and_then(|asked| observed::of(world, &asked.document));
        let diagnoses = self.plan.diagnoses.get(id).unwrap_or(&nothing);
        let about = About {
            diagnoses,
            gateway: if id.kind == "McpGateway" { GatewayState::Sound } else { self.plan.gateway },
            programmed: self.programmed(id, diagnoses, pending),
            origin: origin.then(|| origins::verdicts(asked, observed, subject)),
        };
        let mut status = StatusDoc {
            observed_generation: Some(subject.generation),
            url: self.plan.urls.get(id).cloned(),
            conditions: conditions(about, subject.generation, &subject.status.conditions, now),
            ..StatusDoc::default()
        };
        if origin {
            // What was last learned stays while nobody answers.
            status.protocol_version = subject.status.protocol_version.clone();
            status.catalog = subject.status.catalog.clone();
            match (asked.map(|asked| &asked.answer), observed) {
                (Some(Answer::Offers(offer)), _) => {
                    status.protocol_version = Some(offer.protocol_version.clone());
                    status.catalog = Some(offer.counts.clone());
                }
                (Some(Answer::NeedsAccount), Some(observed)) => {
                    let version = observed.protocol_version().map(str::to_owned);
                    status.protocol_version = version.or(status.protocol_version);
                    status.catalog = Some(observed::counts(observed));
                }
                _ => {}
            }
        }
        status
    }

    fn programmed(&self, id: &ResourceId, diagnoses: &[Diagnosis], pending: &BTreeSet<String>) -> Verdict {
        let Some(names) = self.plan.parts.get(id) else {
            return match self.plan.gateway {
                GatewayState::Undecodable => {
                    let message = "what is published stays as it is until the McpGateway can be read again";
                    Verdict::new(ConditionStatus::Unknown, "GatewayUnreadable", message)
                }
                GatewayState::Unsound if id.kind == "McpGateway" => {
                    let message = "what was last good of it goes on; do what the other conditions say";
                    Verdict::new(ConditionStatus::False, "LastGoodStays", message)
                }
                _ => {
                    let message = "nothing is served of it; do what the other conditions say";
                    Verdict::new(ConditionStatus::False, "NotPublished", message)
                }
            };
        };
        if diagnoses.iter().any(Diagnosis::is_error) {
            let message =
                "it is served without the entries that have errors; do what the other conditions say";
            return Verdict::new(ConditionStatus::False, "PartlyPublished", message);
        }
        if let Some(problem) = names.iter().find_map(|name| self.backlog.problem(name)) {
            return Verdict::new(
                ConditionStatus::False,
                "PublishFailed",
                format!("{problem}; it is tried again"),
            );
        }
        let objects = &self.parts.world.publication.objects;
        let mut written = Vec::with_capacity(names.len());
        for name in names {
            if let Some(object) = objects.get(name).filter(|_| !pending.contains(name)) {
                written.push((object.kind.resource(), name.as_str(), object.version));
            }
        }
        match Some(written).filter(|written| written.len() == names.len()) {
            Some(written) => programmed(&written, &self.replicas),
            None => Verdict::new(ConditionStatus::False, "Propagating", "it is being published"),
        }
    }
}
