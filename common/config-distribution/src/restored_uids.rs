//! UIDs of resources that were restored into another cluster.

use std::collections::BTreeMap;

use portcullis_keyring::MacRing;

use crate::sign::{SignError, SignedDocument, VerifyError, sign, verify_in_context};

/// The ConfigMap of [`RestoredUids`]. It has no [label](crate::OBJECT_KIND_LABEL) and no owner: only the
/// operator reads it, and like the keys it survives an uninstall.
pub const RESTORED_UIDS_CONFIG_MAP: &str = "portcullis-identities";

/// For resources that were restored into another cluster: new UID -> original UID, to which grants and
/// connections refer. The entries name the new UID, so a resource that is created later under the same name
/// inherits nothing.
pub type RestoredUids = BTreeMap<String, String>;

const CONTEXT: [&str; 3] = ["ConfigMap", RESTORED_UIDS_CONFIG_MAP, "identities"];

/// Serializes and signs restored UIDs.
///
/// # Errors
/// When the MAC ring has no key.
pub fn sign_restored_uids(ring: &MacRing, restored_uids: &RestoredUids) -> Result<SignedDocument, SignError> {
    sign(ring, CONTEXT, restored_uids)
}

/// Verifies and decodes restored UIDs.
///
/// # Errors
/// When they were not signed with one of these keys or cannot be decoded.
pub fn verify_restored_uids(
    ring: &MacRing,
    data: &BTreeMap<String, String>,
) -> Result<RestoredUids, VerifyError> {
    verify_in_context(ring, CONTEXT, data)
}

#[cfg(test)]
mod tests {
    use portcullis_clock::Random;
    use portcullis_keyring::Keyring;

    use super::*;

    #[test]
    fn given_identities_when_somebody_without_the_key_changes_them_then_they_are_refused() {
        let keys = Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap();
        let restored_uids: RestoredUids = [("new".to_owned(), "old".to_owned())].into();
        let mut data = sign_restored_uids(&keys.mac, &restored_uids).unwrap().data();
        assert_eq!(verify_restored_uids(&keys.mac, &data).unwrap(), restored_uids);
        data.insert("document".to_owned(), r#"{"mine":"theirs"}"#.to_owned());
        assert!(matches!(verify_restored_uids(&keys.mac, &data), Err(VerifyError::Forged)));
    }
}
