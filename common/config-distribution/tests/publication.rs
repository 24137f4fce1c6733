//! A published config is read back unchanged. An object that the operator did not write for this place is
//! rejected.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::error::Error as _;

use portcullis_clock::Random;
use portcullis_config::{
    Access, Capabilities, CatalogSharing, ClientPolicy, Config, EventOverload, GatewayConfig, Members,
    Network, OriginAuth, OriginConfig, OriginLimits, RouteConfig, SecretKey, SecretValue, Secrets, Selection,
    TeamAccess, TeamConfig, TokenLifetimes,
};
use portcullis_config_distribution::{
    ConfigDocument, DocumentKind, SealedCredential, Stamp, VerifiedDocument, VerifyError, object_name,
    sign_document, sign_stamped,
};
use portcullis_keyring::{KeyDocument, Keyring};
use secrecy::{ExposeSecret as _, SecretString};

fn keys() -> Keyring {
    Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap()
}

fn key() -> SecretKey {
    SecretKey("mcp/key/token".into())
}

fn config() -> Config {
    let gateway = GatewayConfig {
        name: "gateway".into(),
        public_url: "https://mcp.example.com".parse().unwrap(),
        identity_providers: vec![],
        tokens: TokenLifetimes { access_seconds: 900, refresh_seconds: 9000, session_seconds: 900 },
        store_outage_grace_seconds: 900,
        admins: Members::default(),
        clients: ClientPolicy {
            metadata_document_hosts: vec![],
            dynamic_registration: true,
            workloads: vec![],
        },
        trusted_proxies: vec![],
        event_overload: EventOverload::Drop,
    };
    let origin = OriginConfig {
        uid: "uid-origin".into(),
        id: "opaque".into(),
        name: "mcp/linear".into(),
        display_name: "Linear".into(),
        url: "https://mcp.linear.app/mcp".parse().unwrap(),
        suspended: false,
        auth: OriginAuth::Header { name: "X-Api-Key".into(), prefix: String::new(), value: key() },
        network: Network::default(),
        limits: OriginLimits { request_timeout_ms: 1000, response_bytes: 1000 },
        catalog_sharing: CatalogSharing::Private,
    };
    let route = RouteConfig {
        uid: "uid-route".into(),
        name: "mcp/read".into(),
        slug: "read".into(),
        display_name: "Read".into(),
        description: String::new(),
        suspended: false,
        identity_provider: "company".into(),
        origin: "uid-origin".into(),
        capabilities: Capabilities::default(),
        access: Access::Teams,
    };
    let access = vec![TeamAccess { route: "uid-route".into(), tools: Selection::default() }];
    let team = TeamConfig {
        uid: "uid-team".into(),
        name: "mcp/finance".into(),
        display_name: "Finance".into(),
        members: Members::default(),
        access,
    };
    let mut secrets = Secrets::default();
    let allowed_hosts = vec!["mcp.linear.app".into()];
    secrets.insert(key(), SecretValue { value: SecretString::from("hush"), allowed_hosts });
    Config { gateway, origins: vec![origin], routes: vec![route], teams: vec![team], secrets }
}

type Object = (DocumentKind, String, BTreeMap<String, String>);

fn documents(config: &Config) -> Vec<ConfigDocument<'_>> {
    let mut documents = vec![ConfigDocument::Gateway(&config.gateway)];
    documents.extend(config.origins.iter().map(ConfigDocument::Origin));
    documents.extend(config.routes.iter().map(ConfigDocument::Route));
    documents.extend(config.teams.iter().map(ConfigDocument::Team));
    documents
}

/// Signs a document of this installation.
fn signed(
    keys: &Keyring,
    kind: DocumentKind,
    name: &str,
    document: &serde_json::Value,
) -> BTreeMap<String, String> {
    let stamp = Stamp { installation: keys.installation().unwrap().id.clone(), serial: 7 };
    sign_stamped(&keys.mac, kind, name, &stamp, &document.to_string()).unwrap().data()
}

/// A published document without its stamp.
fn content(keys: &Keyring, data: &BTreeMap<String, String>) -> serde_json::Value {
    let stamp = Stamp { installation: keys.installation().unwrap().id.clone(), serial: 7 };
    serde_json::from_str(&stamp.remove_from(&data["document"]).unwrap()).unwrap()
}

/// Publishes a config as the operator does.
fn published(keys: &Keyring, config: &Config) -> Vec<Object> {
    let published = |kind: DocumentKind, name: String, document: &serde_json::Value| {
        let data = signed(keys, kind, &name, document);
        (kind, name, data)
    };
    let documents = documents(config).into_iter().map(|document| {
        published(document.kind(), document.object_name(), &serde_json::to_value(document).unwrap())
    });
    let credentials = config.secrets.iter().map(|(key, value)| {
        let sealed = SealedCredential::seal(&keys.sealing, &Random::system(), key, value).unwrap();
        let name = object_name(DocumentKind::Credential, &key.0);
        published(DocumentKind::Credential, name, &serde_json::to_value(sealed).unwrap())
    });
    documents.chain(credentials).collect()
}

#[test]
fn given_a_published_config_when_verified_then_each_document_is_unchanged() {
    let (keys, config) = (keys(), config());
    let mut verified = Vec::new();
    for (kind, name, data) in published(&keys, &config) {
        let (_, document) = VerifiedDocument::from_object(&keys, kind, &name, &data).unwrap().unwrap();
        let document = match &document {
            VerifiedDocument::Gateway(document) => ConfigDocument::Gateway(document),
            VerifiedDocument::Origin(document) => ConfigDocument::Origin(document),
            VerifiedDocument::Route(document) => ConfigDocument::Route(document),
            VerifiedDocument::Team(document) => ConfigDocument::Team(document),
            VerifiedDocument::Credential(name, secret) => {
                assert_eq!(*name, key());
                assert_eq!(secret.value.expose_secret(), "hush");
                assert_eq!(secret.allowed_hosts, ["mcp.linear.app"]);
                continue;
            }
        };
        verified.push(serde_json::to_value(document).unwrap());
    }
    let expected: Vec<_> =
        documents(&config).into_iter().map(|document| serde_json::to_value(document).unwrap()).collect();
    assert_eq!(verified, expected);
}

#[test]
fn given_a_published_config_then_no_object_contains_a_secret_in_clear_text() {
    let objects = published(&keys(), &config());
    assert!(objects.iter().any(|(kind, ..)| *kind == DocumentKind::Credential));
    assert!(objects.iter().all(|(_, _, data)| data.values().all(|value| !value.contains("hush"))));
}

#[test]
fn given_documents_then_they_list_the_credentials_that_they_refer_to() {
    let config = config();
    let credentials: Vec<_> =
        documents(&config).iter().flat_map(|document| document.credentials()).cloned().collect();
    assert_eq!(credentials, [key()]);
}

#[test]
fn given_names_then_they_follow_from_identity_alone_and_are_names_of_kubernetes() {
    let name = object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000000");
    assert_eq!(name, object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000000"));
    assert_ne!(name, object_name(DocumentKind::Route, "6f2c1f0e-2b1a-4b5e-9d55-000000000001"));
    assert!(name.strip_prefix("route-").is_some_and(|id| id.len() == 20), "{name}");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    assert_eq!(object_name(DocumentKind::Gateway, "a"), object_name(DocumentKind::Gateway, "b"));
}

/// Reason of the rejection, `None` if the object is valid.
fn rejected(
    keys: &Keyring,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
) -> Option<&'static str> {
    VerifiedDocument::from_object(keys, kind, name, data).err().map(|error| error.reason())
}

#[test]
fn given_an_object_when_anything_of_it_is_not_the_operators_then_it_is_rejected() {
    let keys = keys();
    let objects = published(&keys, &config());
    let (kind, name, data) = objects.iter().find(|(kind, _, _)| *kind == DocumentKind::Route).unwrap();
    let changed = |part: &str, value: Option<String>| {
        let mut data = data.clone();
        match value {
            Some(value) => data.insert(part.to_owned(), value),
            None => data.remove(part),
        };
        rejected(&keys, *kind, name, &data)
    };
    assert_eq!(changed("nothing", None), None);
    for part in ["document", "hash", "mac"] {
        assert_eq!(changed(part, None), Some("Incomplete"));
    }
    let other = data["document"].replace("\"read\"", "\"write\"");
    assert_eq!(changed("document", Some(other)), Some("Forged"));
    assert_eq!(changed("hash", Some("0".repeat(64))), Some("WrongHash"));
    assert_eq!(changed("mac", Some("x.AAAA".into())), Some("Forged"));
    // A valid document under another name, as another kind, or of another installation.
    assert_eq!(rejected(&keys, *kind, "route-other", data), Some("Forged"));
    assert_eq!(rejected(&keys, DocumentKind::Team, name, data), Some("Forged"));
    assert_eq!(rejected(&self::keys(), *kind, name, data), Some("Forged"));
}

#[test]
fn given_a_document_with_fields_of_a_newer_version_then_they_are_ignored() {
    let keys = keys();
    for (kind, name, data) in published(&keys, &config()) {
        let mut document = content(&keys, &data);
        add_unknown_members(&mut document);
        let data = signed(&keys, kind, &name, &document);
        assert_eq!(rejected(&keys, kind, &name, &data), None, "{document}");
    }
}

/// Adds an unknown member to every object of a document.
fn add_unknown_members(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.values_mut().for_each(add_unknown_members);
            // An enum value is an object with one member, the variant.
            if members.len() > 1 {
                members.insert("aLaterField".to_owned(), serde_json::json!({"of": "a later version"}));
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(add_unknown_members),
        _ => {}
    }
}

#[test]
fn given_a_document_that_requires_an_unknown_feature_then_it_is_rejected_by_name() {
    let keys = keys();
    for (kind, name, data) in published(&keys, &config()) {
        let mut document = content(&keys, &data);
        let sign = |document: &serde_json::Value| signed(&keys, kind, &name, document);
        document["requires"] = serde_json::json!([]);
        assert_eq!(rejected(&keys, kind, &name, &sign(&document)), None);
        document["requires"] = serde_json::json!(["time-travel"]);
        let error = VerifiedDocument::from_object(&keys, kind, &name, &sign(&document)).err().unwrap();
        assert_eq!(error.reason(), "Unsupported");
        assert!(error.to_string().contains("'time-travel'"), "{error}");
        document["requires"] = serde_json::json!("time-travel");
        assert_eq!(rejected(&keys, kind, &name, &sign(&document)), Some("NotUnderstood"));
    }
}

#[test]
fn given_a_document_of_another_installation_or_without_a_serial_then_it_is_rejected() {
    let keys = keys();
    let foreign = Stamp { installation: "another".into(), serial: i64::MAX };
    for (kind, name, data) in published(&keys, &config()) {
        let stamp = Stamp { installation: keys.installation().unwrap().id.clone(), serial: 7 };
        let content = stamp.remove_from(&data["document"]).unwrap();
        let foreign = sign_stamped(&keys.mac, kind, &name, &foreign, &content).unwrap().data();
        assert_eq!(rejected(&keys, kind, &name, &foreign), Some("OtherInstallation"));
        let content: serde_json::Value = serde_json::from_str(&content).unwrap();
        for member in ["installation", "serial"] {
            let mut half: serde_json::Value = serde_json::from_str(&data["document"]).unwrap();
            half.as_object_mut().unwrap().remove(member);
            let half = sign_document(&keys.mac, kind, &name, &half).unwrap().data();
            assert_eq!(rejected(&keys, kind, &name, &half), Some("NoSerial"));
        }
        let without = sign_document(&keys.mac, kind, &name, &content).unwrap().data();
        assert_eq!(rejected(&keys, kind, &name, &without), Some("NoSerial"));
        // Until the operator has written every document again, those of a version without serials are valid.
        let upgrading = keys_without_required_serials();
        let without = sign_document(&upgrading.mac, kind, &name, &content).unwrap().data();
        if kind != DocumentKind::Credential {
            assert_eq!(rejected(&upgrading, kind, &name, &without), None);
        }
    }
}

fn keys_without_required_serials() -> Keyring {
    let text = Keyring::generate(&Random::system()).unwrap();
    let mut written: serde_json::Value = serde_json::from_slice(&text).unwrap();
    written.as_object_mut().unwrap().remove("installation");
    let mut document = KeyDocument::read(written.to_string().as_bytes()).unwrap();
    document.add_installation(&Random::system()).unwrap();
    Keyring::from_document(&document).unwrap()
}

#[test]
fn given_a_document_that_lacks_a_field_or_has_an_unknown_variant_then_it_is_not_understood() {
    let keys = keys();
    let document = serde_json::json!({"uid": "x", "somethingNew": true});
    let data = sign_document(&keys.mac, DocumentKind::Route, "route-x", &document).unwrap().data();
    let error = VerifiedDocument::from_object(&keys, DocumentKind::Route, "route-x", &data).err().unwrap();
    assert!(matches!(error, VerifyError::NotUnderstood(_)), "{error}");
    assert!(error.source().is_some());
    let config = config();
    let mut document = serde_json::to_value(&config.origins[0]).unwrap();
    document["auth"] = serde_json::json!({"telepathy": {}});
    let data = signed(&keys, DocumentKind::Origin, "origin-x", &document);
    assert_eq!(rejected(&keys, DocumentKind::Origin, "origin-x", &data), Some("NotUnderstood"));
}

#[test]
fn given_a_sealed_credential_when_its_name_or_hosts_change_then_it_does_not_open() {
    let keys = keys();
    let value =
        SecretValue { value: SecretString::from("hush"), allowed_hosts: vec!["a.example.com".into()] };
    let sealed = SealedCredential::seal(&keys.sealing, &Random::system(), &key(), &value).unwrap();
    assert!(sealed.open(&keys.sealing).is_ok());
    let elsewhere = SealedCredential { key: SecretKey("other/key/token".into()), ..sealed.clone() };
    let anywhere = SealedCredential { allowed_hosts: vec!["*".into()], ..sealed };
    for changed in [elsewhere, anywhere] {
        assert!(matches!(changed.open(&keys.sealing), Err(VerifyError::Unopenable)));
    }
}
