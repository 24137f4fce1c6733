//! The stamp of a published document: installation id and serial. It protects against replay.

use portcullis_config::unknown_feature;
use portcullis_keyring::Installation;
use serde::{Deserialize, Serialize};

use crate::VerifyError;

/// Installation and serial of a document. The MAC covers both, because they are part of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// Id of the installation whose operator wrote the document.
    pub installation: String,
    /// Increases whenever the content changes, or when a missing object is written again.
    pub serial: i64,
}

/// Members of every document, beside those of its kind.
#[derive(Deserialize)]
pub(crate) struct Header {
    /// Features that a reader must know.
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    installation: Option<String>,
    #[serde(default)]
    serial: Option<i64>,
}

impl Stamp {
    /// The serial of the next version of an object: the time in Unix milliseconds, or `last + 1` if that is
    /// higher.
    #[must_use]
    pub fn next_serial(now_ms: i64, last: Option<i64>) -> i64 {
        last.map_or(now_ms, |last| now_ms.max(last.saturating_add(1)))
    }

    /// Puts the stamp in front of the members of a document, a JSON object.
    #[must_use]
    pub fn apply(&self, document: &str) -> String {
        let members = document.strip_prefix('{').unwrap_or(document);
        let separator = if members.trim_start().starts_with('}') { "" } else { "," };
        format!("{}{separator}{members}", self.prefix())
    }

    /// The document without the stamp. `None` if the text does not begin with exactly this stamp.
    #[must_use]
    pub fn remove_from(&self, text: &str) -> Option<String> {
        let members = text.strip_prefix(&self.prefix())?;
        Some(format!("{{{}", members.strip_prefix(',').unwrap_or(members)))
    }

    /// Opening brace and members of the stamp.
    fn prefix(&self) -> String {
        // An id is text, so this cannot fail.
        let installation = serde_json::to_string(&self.installation).unwrap_or_default();
        format!("{{\"installation\":{installation},\"serial\":{}", self.serial)
    }
}

impl Header {
    /// The stamp, or `None` for a document of a version without serials.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let (installation, serial) = (self.installation.clone()?, self.serial?);
        Some(Stamp { installation, serial })
    }

    /// Checks that this version reads every required feature.
    pub(crate) fn check_features(&self) -> Result<(), VerifyError> {
        match unknown_feature(&self.requires) {
            Some(feature) => Err(VerifyError::Unsupported(feature.to_owned())),
            None => Ok(()),
        }
    }
}

/// Checks that a document belongs to this installation. Without a stamp it is accepted only while documents
/// of a version without serials may still be published.
pub(crate) fn check_stamp(
    stamp: Option<&Stamp>,
    installation: Option<&Installation>,
) -> Result<(), VerifyError> {
    match (stamp, installation) {
        (Some(stamp), Some(installation)) if stamp.installation != installation.id => {
            Err(VerifyError::OtherInstallation)
        }
        (None, Some(installation)) if installation.serials_required => Err(VerifyError::NoSerial),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(serial: i64) -> Stamp {
        Stamp { installation: "i\"1".to_owned(), serial }
    }

    #[test]
    fn given_a_document_when_stamped_then_the_stamp_is_part_of_it_and_can_be_removed() {
        for document in ["{}", r#"{"a":1}"#, r#"{"a":{"b":[]},"c":"}"}"#] {
            let text = stamp(7).apply(document);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&read["installation"], &read["serial"]), (&"i\"1".into(), &7.into()));
            let header: Header = serde_json::from_str(&text).unwrap();
            assert_eq!(header.stamp(), Some(stamp(7)));
            assert_eq!(stamp(7).remove_from(&text).as_deref(), Some(document));
            assert_eq!(stamp(8).remove_from(&text), None);
        }
    }

    #[test]
    fn given_a_clock_that_went_back_then_serials_still_increase() {
        assert_eq!(Stamp::next_serial(1_000, None), 1_000);
        assert_eq!(Stamp::next_serial(1_000, Some(999)), 1_000);
        assert_eq!(Stamp::next_serial(1_000, Some(1_000)), 1_001);
        assert_eq!(Stamp::next_serial(1_000, Some(5_000)), 5_001);
        assert_eq!(Stamp::next_serial(1_000, Some(i64::MAX)), i64::MAX);
    }
}
