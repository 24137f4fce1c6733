//! Golden test of the resource identities that a state folder keeps. Grants and connections are bound to
//! them.

use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};

use super::ManifestFolder;
use crate::golden::pretty;

fn manifests() -> String {
    let resource = |kind: &str, spec: Value| {
        let metadata = json!({"name": "name", "namespace": "mcp"});
        json!({"apiVersion": "portcullis.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
            .to_string()
    };
    let gateway = json!({
        "publicUrl": "http://127.0.0.1:8080",
        "identityProviders": [{"name": "company", "development": {"users": [{"email": "ana@example.com", "name": "Ana"}]}}],
        "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
    });
    let resources = [
        resource("McpGateway", gateway),
        resource("OriginMcp", json!({"url": "https://origin.example/mcp", "auth": {"none": {}}})),
        resource("VirtualMcp", json!({"origins": [{"name": "name"}], "access": "Teams"})),
        resource(
            "Team",
            json!({"members": {"users": ["ana@example.com"]}, "access": [{"virtualMcp": "name"}]}),
        ),
    ];
    resources.join("\n---\n")
}

#[test]
fn a_state_folder_names_identities_as_before() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("all.yaml"), manifests()).unwrap();
    let mut source = ManifestFolder::new(folder.path(), state.path()).unwrap();
    let loaded = source.load().unwrap().unwrap();
    source.commit_uids(loaded.uids).unwrap();
    let ids = std::fs::read(state.path().join("ids.json")).unwrap();
    let ids: Map<String, Value> = serde_json::from_slice(&ids).unwrap();
    let lengths = ids.into_iter().map(|(name, uid)| (name, json!(uid.as_str().map(str::len))));
    assert_golden("state/ids.json", &pretty(&lengths.collect()));
}
