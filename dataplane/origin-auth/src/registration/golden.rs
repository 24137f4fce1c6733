//! Golden test of a stored client secret.

use super::*;
use crate::golden::{assert_sealed, dependencies};

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
    let dependencies = dependencies().await;
    let clients = Arc::new(ConfiguredClients::new(&dependencies));
    let registry =
        ClientRegistry::new(&dependencies, &Arc::new(CredentialSealer::new(&dependencies)), &clients);
    let sealed = registry.seal_secret(&row, &SecretString::from("client-secret")).unwrap();
    let bound_to = ["origin client", "origin-uid", "https://as.example", "client-id"];
    assert_sealed("origin-auth/stored-client-secret.json", &[("secret", &bound_to, sealed)]);
}
