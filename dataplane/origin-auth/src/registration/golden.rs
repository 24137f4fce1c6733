//! Golden tests of client registration: the stored client secret and the client ID metadata document.

use portcullis_golden::assert_golden;

use super::*;
use crate::golden::{assert_sealed, pretty, table, vault};

#[tokio::test]
async fn a_stored_client_secret_opens_as_before() {
    let row = OriginClientRow {
        origin_uid: "origin-uid".to_owned(),
        issuer: "https://as.example".to_owned(),
        redirect_uri: "https://gateway.example/connect/origin-id/callback".to_owned(),
        client_id: "client-id".to_owned(),
        sealed_secret: None,
        auth_method: "client_secret_basic".to_owned(),
        secret_expires_at: None,
        registered_at: 1,
    };
    let sealed = vault().await.0.0.seal_secret(&row, &SecretString::from("client-secret")).unwrap();
    let bound_to = ["origin client", "origin-uid", "https://as.example", "client-id"];
    assert_sealed("origin-auth/stored-client-secret.json", &[("secret", &bound_to, sealed)]);
}

#[test]
fn the_client_metadata_document_is_stable() {
    let table = table();
    let (gateway, origin) = (&table.gateway, table.origin("origin-id").unwrap());
    let published = json!({"url": client_metadata_url(gateway, origin), "document": client_metadata_document(gateway, origin)});
    assert_golden("origin-auth/client-metadata.json", &pretty(&published));
}
