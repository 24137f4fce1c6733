//! Keeps track of slugs and of the gateway's tenancy from one compilation to the next.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_compiler::{GatewaySelection, slug_of};
use portcullis_config_distribution::{
    DocumentKind, SLUGS_CONFIG_MAP, SlugRecords, object_name, sign_slugs, verify_slugs,
};
use portcullis_keyring::Keyring;

use super::{Reconciler, with_timeout};
use crate::publish::has_current_mac;
use crate::slug_ledger::SlugHolder;

impl Reconciler {
    /// Passes the known slugs to the compiler.
    pub(super) fn load_slugs(&mut self, keys: &Keyring) {
        if !self.slugs.is_loaded() {
            let published = &mut self.context.cluster_state.published;
            let records = published.slugs.as_ref().map_or_else(SlugRecords::new, |data| {
                verify_slugs(&keys.mac, data).unwrap_or_else(|error| {
                    tracing::error!(
                        %error,
                        config_map = SLUGS_CONFIG_MAP,
                        "the recorded slugs do not verify and are ignored; freed slugs are no longer reserved"
                    );
                    SlugRecords::new()
                })
            });
            self.slugs.load(published.routes(&keys.mac), records);
        }
        let resources = &mut self.context.cluster_state.resources;
        let wanted: BTreeSet<_> =
            resources.virtual_mcps.iter().map(|it| (slug_of(it), it.metadata.uid.as_deref())).collect();
        let now = self.context.clock.now();
        resources.slugs = self.slugs.claims(now, |slug, uid| wanted.contains(&(slug, Some(uid))));
    }

    /// Records the slugs and the admitted namespaces of the last compilation. Without a gateway that can be
    /// decoded, the last known ones stay.
    pub(super) fn record_tenancy(&mut self) {
        let compiled = &self.desired_state.compiled;
        if !matches!(compiled.selection, GatewaySelection::Selected(_)) {
            self.slugs.end_reservations(self.context.clock.now());
            return;
        }
        self.admitted = Some(compiled.admitted.clone());
        let uids: BTreeMap<_, _> = self
            .context
            .cluster_state
            .tracked
            .iter()
            .filter(|(id, _)| id.kind == "VirtualMcp")
            .map(|(id, subject)| (id, self.context.cluster_state.effective_uid(&subject.uid)))
            .collect();
        let assigned = compiled.slugs.iter().filter_map(|(slug, id)| {
            let uid = (*uids.get(id)?).to_owned();
            Some((slug.clone(), SlugHolder { uid, namespace: id.namespace.clone() }))
        });
        self.slugs.update(assigned.collect(), self.context.clock.now());
        self.slugs_changed = true;
    }

    /// Writes what the published documents do not show about slugs, if it changed.
    pub(super) async fn write_slugs(&mut self, keys: &Keyring) {
        let stored = &self.context.cluster_state.published.slugs;
        let is_signed = stored.as_ref().is_none_or(|data| has_current_mac(keys, data));
        if (is_signed && !self.slugs_changed)
            || !self.retry_queue.can_try(SLUGS_CONFIG_MAP)
            || !*self.context.leading.borrow()
        {
            return;
        }
        let objects = &self.desired_state.objects;
        let is_published = |uid: &str| objects.contains_key(&object_name(DocumentKind::Route, uid));
        let records = self.slugs.records(is_published);
        let is_same = match stored {
            Some(data) => verify_slugs(&keys.mac, data).is_ok_and(|stored| stored == records),
            None => records.is_empty(),
        };
        if is_signed && is_same {
            self.slugs_changed = false;
            return;
        }
        let signed = match sign_slugs(&keys.mac, &records) {
            Ok(signed) => signed.data(),
            Err(error) => return self.record_failure(SLUGS_CONFIG_MAP, &error.into()),
        };
        match with_timeout(self.config_writer.write_record(SLUGS_CONFIG_MAP, signed)).await {
            Ok(change) => {
                self.retry_queue.succeeded(SLUGS_CONFIG_MAP);
                self.slugs_changed = false;
                self.context.cluster_state.handle(change);
            }
            Err(error) => self.record_failure(SLUGS_CONFIG_MAP, &error),
        }
    }
}
