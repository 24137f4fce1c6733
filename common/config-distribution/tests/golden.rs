//! Golden files of the data that the operator and the replicas exchange: objects, sealed credentials,
//! reports, catalogs, UIDs.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use portcullis_clock::Random;
use portcullis_config::{SecretKey, SecretValue};
use portcullis_config_distribution::{
    CATALOGS_PATH, CatalogRequest, DEFAULT_NAMESPACE, DocumentKind, GENERATION_ANNOTATION, KEYS_LABEL_VALUE,
    KEYS_SECRET, KEYS_SECRET_ENTRY, ListKind, MAC_HEADER, MANAGED_BY, MAX_REPLY_BYTES, NONCE_HEADER,
    OBJECT_KIND_LABEL, OWNER_CONFIG_MAP, OWNER_LABEL_VALUE, ObservedCatalogs, ObservedItem,
    PublishedDiagnostic, PublishedDiagnostics, REPLICA_OF_LABEL, REPORT_ANNOTATION, REPORT_MAX_AGE_SECONDS,
    RESTORED_UIDS_CONFIG_MAP, Rejection, ReplicaReport, SLUGS_CONFIG_MAP, SOURCE_ANNOTATION,
    SealedCredential, SlugRecord, Stamp, VerifyError, object_name, sign_document, sign_restored_uids,
    sign_slugs, sign_stamped, verify_restored_uids, verify_slugs,
};
use portcullis_golden::assert_golden;
use portcullis_keyring::Keyring;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;

/// Sealed with the keys of `portcullis_golden::key_document`. Nonces are random, so these values are kept from one run.
const SEALED_CREDENTIAL: &str = "AXNlYTHhy2bu2HioLNaTUGZ6fRmQcmIs4G4K2RDAsuZgsMfz9g";
const SEALED_ANSWER: &str = "AXNlYTGpa1Gr4uSiqQuM1cUPTTEM1HXrUg6aohyOg8BvD4fXgPRLLnG4byra8lMa_knPGli7BhgBa_aXik-06WArBYy8IM-_hwHt\
    Ulf4RfSOv_2w6XHT_O8dgkuXsGMLDglyPc7NtS8WAGM1kziSPQYw8FJ1OVkAzTwPbv_ANGKPhvMUOc4U96BtpCAeydxHvw8Q3qGb\
    VoAyRJgVGGLwa-cNmsK4lS0VElT0s5Gy1lR4cFM8-iLvIZINLAyDWamjZ8ZXOuXdz2BAmSSeqwJVniOEbjhSU-GJh0qrNfhJ2p5-\
    6F4qV8uM5g7PETNLt_TdiRpheELcdc4yLck4_NKltd9eNT4QYqFOurX19CQrw3in5ky60bWqrJ1qIiAHxFDHGeVmh96MviuDTbSE\
    tssMLAlQtx1BNYxDWH8w8qsCq1JHgRS6Vl_XP_S4XIEuzVtd6N61fZK1GLNUEwAzy7V5uYbYHD7QH1LzNgI6kcb8TQnF2gxnC2rX\
    B-2pw1rOCt3Pt267hdioVl9VN1APP5e2omWF4g";

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn keys() -> Keyring {
    Keyring::from_json(portcullis_golden::key_document().as_bytes()).unwrap()
}

#[test]
fn names_labels_annotations_and_limits_stay() {
    let names = json!({
        "namespace": DEFAULT_NAMESPACE,
        "label": OBJECT_KIND_LABEL,
        "managed by": MANAGED_BY,
        "source annotation": SOURCE_ANNOTATION,
        "generation annotation": GENERATION_ANNOTATION,
        "keys": {"name": KEYS_SECRET, "label value": KEYS_LABEL_VALUE, "data": KEYS_SECRET_ENTRY},
        "owner": {"name": OWNER_CONFIG_MAP, "label value": OWNER_LABEL_VALUE},
        "identities": {"name": RESTORED_UIDS_CONFIG_MAP},
        "slugs": {"name": SLUGS_CONFIG_MAP},
        "report": {"annotation": REPORT_ANNOTATION, "label": REPLICA_OF_LABEL, "fresh seconds": REPORT_MAX_AGE_SECONDS},
        "catalogs": {
            "path": CATALOGS_PATH, "nonce header": NONCE_HEADER, "mac header": MAC_HEADER,
            "limit in bytes": MAX_REPLY_BYTES,
        },
    });
    assert_golden("config-distribution/names.json", &pretty(&names));
}

#[test]
fn objects_of_every_kind_keep_names_hash_and_mac() {
    let keys = keys();
    let object = |kind: DocumentKind| {
        let name = object_name(kind, "uid-1");
        let document = json!({"uid": "uid-1", "name": "mcp/ü"});
        let stamp = Stamp { installation: "aW5zdGFsbGF0aW9u".into(), serial: 1_800_000_000_000 };
        let text = document.to_string();
        json!({
            "label value": kind.label(), "kind": kind.object_kind(), "resource": kind.resource(), "name": name,
            "data": sign_stamped(&keys.mac, kind, &name, &stamp, &text).unwrap().data(),
            "data without serial": sign_document(&keys.mac, kind, &name, &document).unwrap().data(),
        })
    };
    assert_golden("config-distribution/objects.json", &pretty(&DocumentKind::ALL.map(object)));
}

#[test]
fn sealed_credentials_of_an_earlier_version_still_open() {
    let keys = keys();
    let key = SecretKey("mcp/key/token".into());
    let allowed_hosts = vec!["mcp.linear.app".to_owned(), "*.example.com".to_owned()];
    let value = SecretValue { value: SecretString::from("hush"), allowed_hosts };
    let fresh = SealedCredential::seal(&keys.sealing, &Random::system(), &key, &value).unwrap();
    let kept = SealedCredential { sealed: SEALED_CREDENTIAL.to_owned(), ..fresh.clone() };
    for document in [&fresh, &kept] {
        let opened = document.open(&keys.sealing);
        assert!(opened.is_ok(), "it does not open; a fresh one is {}", fresh.sealed);
        assert_eq!(opened.unwrap().value.expose_secret(), "hush");
    }
    assert_golden("config-distribution/credential.json", &pretty(&kept));
}

#[test]
fn reports_of_replicas_keep_their_form() {
    let report = ReplicaReport {
        observed: [("configmaps".to_owned(), "7".to_owned()), ("secrets".to_owned(), "8".to_owned())].into(),
        table_hash: "hash".into(),
        rejected: vec![Rejection {
            name: "route-x".into(),
            resource_version: "7".into(),
            reason: "Forged".into(),
            accepted_serial: None,
        }],
        version: "0.1.0".into(),
        private: "10.1.2.3:9090".parse().ok(),
        catalogs: "hash".into(),
        keys: "fingerprint".into(),
        sealed_under: "c2VhMQ".into(),
    };
    let reasons = [
        VerifyError::Incomplete("mac"),
        VerifyError::WrongHash,
        VerifyError::Forged,
        VerifyError::NotUnderstood(serde_json::from_str::<()>("").unwrap_err()),
        VerifyError::Unsupported("feature".into()),
        VerifyError::OtherInstallation,
        VerifyError::NoSerial,
        VerifyError::Unopenable,
    ];
    let mut replayed = report.clone();
    replayed.rejected[0].accepted_serial = Some(1_800_000_000_000);
    let mut text = pretty(&[&report, &ReplicaReport::default(), &replayed]);
    let reasons: Vec<_> = reasons.iter().map(VerifyError::reason).collect();
    text.push_str(&format!("\n{}", pretty(&json!({"rejection reasons": reasons}))));
    assert_golden("config-distribution/reports.json", &text);
}

#[test]
fn diagnostics_keep_their_form() {
    let full = PublishedDiagnostic {
        severity: "error".into(),
        resource: Some("Team mcp/finance".into()),
        field: Some("spec.access[0].virtualMcp".into()),
        reason: "VirtualMcpNotFound".into(),
        message: "message".into(),
    };
    let least = PublishedDiagnostic { resource: None, field: None, ..full.clone() };
    let document = PublishedDiagnostics { diagnostics: vec![full, least] };
    assert_golden("config-distribution/diagnostics.json", &pretty(&document));
}

fn observations() -> ObservedCatalogs {
    let mut seen = ObservedCatalogs::default();
    let (origin, url) = ("uid-1", "https://mcp.example.com/mcp");
    seen.record_protocol_version(origin, url, "2025-11-25", 5);
    for (kind, name) in [
        (ListKind::Tools, "get_issue"),
        (ListKind::Prompts, "review"),
        (ListKind::ResourceTemplates, "docs://{page}"),
    ] {
        seen.record(origin, url, kind, [ObservedItem::new(name, r#"{"name":"a"}"#)], 7);
    }
    for version in 0..5 {
        seen.record(origin, url, ListKind::Tools, [ObservedItem::new("changes", &version.to_string())], 8);
    }
    seen
}

#[test]
fn catalog_requests_and_answers_keep_their_form_and_hashes() {
    let (keys, random, observed) = (keys(), Random::system(), observations());
    let mut inquiry = CatalogRequest::new(&random, "replica-0").unwrap();
    inquiry.nonce = "bm9uY2U".to_owned();
    let fresh = base64(&inquiry.seal_reply(&keys, &random, &observed).unwrap());
    for answer in [fresh.as_str(), SEALED_ANSWER] {
        let opened = inquiry.open_reply(&keys, &unbase64(answer));
        assert!(opened.is_ok_and(|it| it == observed), "it does not open; a fresh one is {fresh}");
    }
    let exchange = json!({
        "nonce": inquiry.nonce,
        "mac": inquiry.mac(&keys).unwrap(),
        "sealed answer": SEALED_ANSWER,
        "hash": observed.hash(),
        "hash of one origin": observed.get("uid-1").unwrap().hash(),
    });
    let text = format!("{}\n{}", pretty(&exchange), pretty(&observed));
    assert_golden("config-distribution/catalogs.json", &text);
}

#[test]
fn identities_keep_their_form_and_mac() {
    let keys = keys();
    let restored_uids = [("uid-new".to_owned(), "uid-old".to_owned())].into();
    let data: BTreeMap<String, String> = sign_restored_uids(&keys.mac, &restored_uids).unwrap().data();
    assert_eq!(verify_restored_uids(&keys.mac, &data).unwrap(), restored_uids);
    assert_golden("config-distribution/identities.json", &pretty(&data));
}

#[test]
fn slugs_keep_their_form_and_mac() {
    let keys = keys();
    let record = |freed_at| SlugRecord { namespace: "mcp".into(), uid: "uid-1".into(), freed_at };
    let records = [("read".to_owned(), record(None)), ("write".to_owned(), record(Some(1_800_000_000_000)))];
    let data: BTreeMap<String, String> = sign_slugs(&keys.mac, &records.clone().into()).unwrap().data();
    assert_eq!(verify_slugs(&keys.mac, &data).unwrap(), records.into());
    let mut changed = data.clone();
    changed.insert("document".to_owned(), "{}".to_owned());
    assert!(matches!(verify_slugs(&keys.mac, &changed), Err(VerifyError::Forged)));
    assert_golden("config-distribution/slugs.json", &pretty(&data));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}
