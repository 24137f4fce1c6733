//! What people were shown of origins that ask for an account: whom to ask for it, and what it means for the resources.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_compiler::{Catalog, ResourceId};
use portcullis_contract::OriginDoc;
use portcullis_crds::kinds::origin_mcp as kind;
use portcullis_publication::{ListKind, ObservedCatalog};

use super::Engine;
use crate::discover::answer::Answer;
use crate::observe::{Source, Witnesses};
use crate::world::World;

/// What nobody has been shown for this long is gone.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

impl Engine {
    /// Names the replicas that are to be asked: those that report, as long as this operator leads.
    pub(super) fn call_witnesses(&self, leads: bool) {
        let keys = self.keys.as_ref().filter(|_| leads).map(|rings| Arc::clone(&rings.keys));
        let witnesses = keys.map(|keys| {
            let source = |replica: &crate::world::Replica| {
                let hash = replica.report.as_ref()?.catalogs.clone();
                Some(Source { name: replica.name.clone(), address: replica.private?, hash })
            };
            Witnesses { keys, replicas: self.replicas.iter().filter_map(source).collect() }
        });
        self.parts.witnesses.send_if_modified(|known| {
            let same = match (&*known, &witnesses) {
                (Some(known), Some(witnesses)) => known.are(witnesses),
                (None, None) => true,
                _ => false,
            };
            if !same {
                *known = witnesses;
            }
            !same
        });
    }

    /// Holds curations against what people were shown where nobody else may ask. Whether that has changed, so that all is to be
    /// compiled again.
    pub(super) fn learn(&mut self) -> bool {
        let world = &mut self.parts.world;
        let old = i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        world.learned |= world.observed.forget_before(self.parts.clock.now().0.saturating_sub(old));
        if !std::mem::take(&mut world.learned) {
            return false;
        }
        let origins = world.subjects.iter().filter(|(id, _)| id.kind == "OriginMcp");
        let there: BTreeSet<_> =
            origins.map(|(_, subject)| world.identity(&subject.uid).to_owned()).collect();
        world.observed.retain(|origin, _| there.contains(origin));
        let mut changed = false;
        for document in &self.plan.compiled.origins {
            let asked = world.asked.get(&document.uid).map(|asked| &asked.answer);
            let Some((namespace, name)) = document.name.split_once('/') else { continue };
            if asked != Some(&Answer::NeedsAccount) {
                continue;
            }
            let id = ResourceId::new("OriginMcp", namespace, name);
            let catalog = of(world, document).map(names);
            if world.resources.catalogs.get(&id) != catalog.as_ref() {
                changed = true;
                match catalog {
                    Some(catalog) => world.resources.catalogs.insert(id, catalog),
                    None => world.resources.catalogs.remove(&id),
                };
            }
        }
        changed
    }
}

/// What people were shown of this origin as it is now.
pub(super) fn of<'a>(world: &'a World, document: &OriginDoc) -> Option<&'a ObservedCatalog> {
    let observed = world.observed.of(&document.uid)?;
    (observed.url() == document.url.as_str() && !observed.is_empty()).then_some(observed)
}

fn names(observed: &ObservedCatalog) -> Catalog {
    let (tools, prompts) = (observed.names(ListKind::Tools), observed.names(ListKind::Prompts));
    Catalog { tools, prompts, observed: true }
}

/// In numbers. Resources are each person's own.
pub(super) fn counts(observed: &ObservedCatalog) -> kind::Catalog {
    let count = |kind| i64::try_from(observed.count(kind)).unwrap_or(i64::MAX);
    kind::Catalog {
        tools: count(ListKind::Tools),
        prompts: count(ListKind::Prompts),
        resources: None,
        resource_templates: count(ListKind::ResourceTemplates),
        hash: observed.hash(),
    }
}
