//! The command `adopt`, for use after a restore into another cluster. Grants, connections and slugs belong to a
//! resource's UID, and a new cluster assigns a new UID. The command writes the mapping from new UIDs to the
//! original ones, and which of those had which slug.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use portcullis_config_distribution::{
    KEYS_SECRET, KEYS_SECRET_ENTRY, MANAGED_BY, RESTORED_UIDS_CONFIG_MAP, RestoredUids, SLUGS_CONFIG_MAP,
    SlugRecord, SlugRecords, sign_restored_uids, sign_slugs, verify_restored_uids, verify_slugs,
};
use portcullis_egress::{Egress, HttpClients, Proxies};
use portcullis_key_encryption::KeyEncryption;
use portcullis_keyring::{Keyring, MacRing};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::command::Adopt;
use crate::publish::FIELD_MANAGER;
use crate::watch::{KINDS, api_resource};

/// `Kind namespace/name` -> UID.
type Uids = BTreeMap<String, String>;

pub(crate) fn run(arguments: Adopt) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&arguments.backup)
        .with_context(|| format!("failed to read {}", arguments.backup.display()))?;
    let objects = objects(&text).context(
        "the backup is not a YAML stream of Kubernetes objects; create it with kubectl get -o yaml",
    )?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(restore(&objects, &arguments))
}

#[allow(clippy::print_stdout, reason = "the command's output")]
async fn restore(backup: &[Value], arguments: &Adopt) -> anyhow::Result<ExitCode> {
    let namespace = arguments.publication_namespace.as_str();
    let client = Client::try_default().await.context("no cluster is configured; set KUBECONFIG")?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(KEYS_SECRET).await.with_context(|| {
        format!("failed to read the Secret {KEYS_SECRET} in namespace {namespace}; restore the Secret first")
    })?;
    let text = secret.data.as_ref().and_then(|data| data.get(KEYS_SECRET_ENTRY));
    let stored = text.with_context(|| {
        format!("the Secret {KEYS_SECRET} has no entry {KEYS_SECRET_ENTRY}; restore it from a backup")
    })?;
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    let key_encryption = KeyEncryption::new(&arguments.encryption, &HttpClients::through(egress))?;
    let keys = Keyring::from_json(&key_encryption.decrypt(&stored.0).await?)?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let earlier = earlier_mapping(backup, &keys.mac)?;
    restore_slugs(&config_maps, backup, &earlier, &keys.mac).await?;
    let there = config_maps.get_opt(RESTORED_UIDS_CONFIG_MAP).await?.and_then(|there| there.data);
    let there = there.map_or(Ok(RestoredUids::new()), |data| verify_restored_uids(&keys.mac, &data))?;

    let mut present = Uids::new();
    for kind in KINDS {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &api_resource(kind));
        for object in api.list(&ListParams::default()).await? {
            let metadata = object.metadata;
            let (namespace, name) =
                (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
            present.insert(format!("{kind} {namespace}/{name}"), metadata.uid.unwrap_or_default());
        }
    }
    let adopted = uid_mapping(&uids(backup), &earlier, &present);
    let count = adopted.len();
    let restored_uids: RestoredUids = there.into_iter().chain(adopted).collect();
    let data = sign_restored_uids(&keys.mac, &restored_uids)?.data();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": RESTORED_UIDS_CONFIG_MAP, "labels": {"app.kubernetes.io/managed-by": MANAGED_BY}},
        "data": data,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    config_maps.patch(RESTORED_UIDS_CONFIG_MAP, &parameters, &Patch::Apply(object)).await?;
    println!("mapped {count} restored resources to their previous UIDs");
    Ok(ExitCode::SUCCESS)
}

/// Records who had which slug, so that the restored virtual MCPs get theirs back whatever their new creation
/// times are.
async fn restore_slugs(
    config_maps: &Api<ConfigMap>,
    backup: &[Value],
    earlier: &RestoredUids,
    ring: &MacRing,
) -> anyhow::Result<()> {
    let there = config_maps.get_opt(SLUGS_CONFIG_MAP).await?.and_then(|there| there.data);
    let there = there.map_or(Ok(SlugRecords::new()), |data| verify_slugs(ring, &data))?;
    let records: SlugRecords = there.into_iter().chain(served_slugs(backup, earlier)).collect();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": SLUGS_CONFIG_MAP, "labels": {"app.kubernetes.io/managed-by": MANAGED_BY}},
        "data": sign_slugs(ring, &records)?.data(),
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    config_maps.patch(SLUGS_CONFIG_MAP, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}

/// The slugs in the backup that were served: only those have a URL in the status, which nobody but the
/// operator writes.
fn served_slugs(backup: &[Value], earlier: &RestoredUids) -> SlugRecords {
    let text = |object: &Value, pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    let served =
        backup.iter().filter(|object| text(object, "/kind").is_some_and(|kind| kind == "VirtualMcp"));
    served
        .filter_map(|object| {
            let url = text(object, "/status/url")?;
            let slug = url.rsplit_once("/mcp/")?.1.to_owned();
            let uid = text(object, "/metadata/uid")?;
            let uid = earlier.get(&uid).cloned().unwrap_or(uid);
            let namespace = text(object, "/metadata/namespace")?;
            Some((slug, SlugRecord { namespace, uid, freed_at: None }))
        })
        .collect()
}

/// The objects of a stream of YAML documents. Lists are flattened.
fn objects(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        match Value::deserialize(document)? {
            Value::Object(mut list) if list.contains_key("items") => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            object => objects.push(object),
        }
    }
    Ok(objects)
}

fn uids(objects: &[Value]) -> Uids {
    let text = |object: &Value, pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    let ours =
        objects.iter().filter(|object| text(object, "/kind").is_some_and(|kind| KINDS.contains(&&*kind)));
    ours.filter_map(|object| {
        let (kind, name) = (text(object, "/kind")?, text(object, "/metadata/name")?);
        let namespace = text(object, "/metadata/namespace").unwrap_or_default();
        Some((format!("{kind} {namespace}/{name}"), text(object, "/metadata/uid")?))
    })
    .collect()
}

/// The UID mapping of the old cluster, if its resources had been restored themselves.
fn earlier_mapping(objects: &[Value], ring: &MacRing) -> anyhow::Result<RestoredUids> {
    let is_it = |object: &&Value| {
        object.pointer("/metadata/name").and_then(Value::as_str) == Some(RESTORED_UIDS_CONFIG_MAP)
    };
    let Some(data) = objects.iter().find(is_it).and_then(|object| object.get("data")) else {
        return Ok(RestoredUids::new());
    };
    let data = serde_json::from_value(data.clone()).context("the restored UIDs in the backup are invalid")?;
    verify_restored_uids(ring, &data)
        .context("the restored UIDs in the backup do not verify; restore the keys from the same backup")
}

/// Maps each resource's UID in this cluster to its original UID, where the two differ.
fn uid_mapping(backup: &Uids, earlier: &RestoredUids, present: &Uids) -> RestoredUids {
    let of = |(name, here): (&String, &String)| {
        let there = backup.get(name)?;
        let identity = earlier.get(there).unwrap_or(there);
        (here != identity).then(|| (here.clone(), identity.clone()))
    };
    present.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_json_and_nothing_one_after_the_other_when_read_then_the_objects_are_found() {
        let text = "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Team\",\n\"metadata\": {\"name\": \"a\", \"uid\": \"x\"}}]}\n\n---\n";
        assert_eq!(uids(&objects(text).unwrap()), [("Team /a".to_owned(), "x".to_owned())].into());
    }

    #[test]
    fn given_a_backup_then_the_slugs_that_were_served_belong_to_the_first_uids() {
        let text = "{kind: List, items: [\
            {kind: VirtualMcp, metadata: {name: a, namespace: n, uid: second-a}, status: {url: 'https://x/mcp/read'}},\
            {kind: VirtualMcp, metadata: {name: b, namespace: m, uid: first-b}, spec: {slug: read}, status: {}},\
            {kind: Team, metadata: {name: c, namespace: n, uid: first-c}, status: {url: 'https://x/mcp/team'}}]}";
        let earlier = [("second-a".to_owned(), "first-a".to_owned())].into();
        let record = SlugRecord { namespace: "n".into(), uid: "first-a".into(), freed_at: None };
        let expected: SlugRecords = [("read".to_owned(), record)].into();
        assert_eq!(served_slugs(&objects(text).unwrap(), &earlier), expected);
    }

    #[test]
    fn given_a_backup_when_adopted_then_the_same_names_go_by_their_first_uids_and_others_by_their_own() {
        let text = "apiVersion: v1\nkind: List\nitems:\n\
            - {kind: VirtualMcp, metadata: {name: a, namespace: n, uid: second-a}}\n\
            - {kind: VirtualMcp, metadata: {name: b, namespace: n, uid: first-b}}\n\
            - {kind: Secret, metadata: {name: c, namespace: n, uid: first-c}}\n";
        let backup = uids(&objects(text).unwrap());
        assert_eq!(backup.len(), 2);
        let earlier = [("second-a".to_owned(), "first-a".to_owned())].into();
        let present = [("a", "third-a"), ("b", "second-b"), ("new", "first-new")];
        let present = present.map(|(name, uid)| (format!("VirtualMcp n/{name}"), uid.to_owned())).into();
        let expected = [("third-a", "first-a"), ("second-b", "first-b")];
        let expected: RestoredUids = expected.map(|(here, there)| (here.to_owned(), there.to_owned())).into();
        assert_eq!(uid_mapping(&backup, &earlier, &present), expected);
    }
}
