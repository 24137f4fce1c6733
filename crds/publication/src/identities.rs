use std::collections::BTreeMap;

use portcullis_keys::MacRing;

use crate::seal::{PublishError, Refused, Sealed, open, seal};

/// The ConfigMap of [`Identities`]. It has no [label](crate::LABEL) and no owner: it concerns the operator alone, and like the keys
/// it outlives the installation.
pub const IDENTITIES_NAME: &str = "portcullis-identities";

/// For resources that were restored into another cluster: from the UID that they have there to the UID that they go by, under which
/// grants and connections know them. Since it is the new UID that is named, a resource made later under the same name inherits
/// nothing.
pub type Identities = BTreeMap<String, String>;

const PLACE: [&str; 3] = ["ConfigMap", IDENTITIES_NAME, "identities"];

/// Writes identities, with their hash and MAC.
///
/// # Errors
/// When there is no key for a MAC.
pub fn publish_identities(ring: &MacRing, identities: &Identities) -> Result<Sealed, PublishError> {
    seal(ring, PLACE, identities)
}

/// Verifies and reads identities.
///
/// # Errors
/// When they were not written with one of these keys.
pub fn verify_identities(ring: &MacRing, data: &BTreeMap<String, String>) -> Result<Identities, Refused> {
    open(ring, PLACE, data)
}

#[cfg(test)]
mod tests {
    use portcullis_ambient::Random;
    use portcullis_keys::Keys;

    use super::*;

    #[test]
    fn given_identities_when_somebody_without_the_key_changes_them_then_they_are_refused() {
        let keys = Keys::from_json(&Keys::generate(&Random::system()).unwrap()).unwrap();
        let identities: Identities = [("new".to_owned(), "old".to_owned())].into();
        let mut data = publish_identities(&keys.mac, &identities).unwrap().data();
        assert_eq!(verify_identities(&keys.mac, &data).unwrap(), identities);
        data.insert("document".to_owned(), r#"{"mine":"theirs"}"#.to_owned());
        assert_eq!(verify_identities(&keys.mac, &data), Err(Refused::Forged));
    }
}
