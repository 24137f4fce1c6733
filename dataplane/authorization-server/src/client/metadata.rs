//! Client metadata common to registrations and metadata documents (RFC 7591, section 2).

use url::Url;

use super::redirect::{self, RedirectError};
use portcullis_jwt_verification::JwkSetError;

/// Maximum number of redirect URIs of a client.
const MAX_REDIRECT_URIS: usize = 32;
/// Maximum length of a displayed name, in characters.
const MAX_NAME_CHARS: usize = 80;
const MAX_URL_LEN: usize = 2048;

/// Client metadata is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// There are no redirect URIs, or too many.
    #[error("redirect_uris must list between 1 and 32 URIs")]
    RedirectCount,
    /// One redirect URI is invalid.
    #[error("redirect_uris[{at}] is invalid: {problem}")]
    Redirect {
        /// Index, from 0.
        at: usize,
        /// The problem.
        #[source]
        problem: RedirectError,
    },
    /// The metadata that would be stored is too large.
    #[error("the metadata is larger than 4 KiB; register fewer or shorter redirect URIs, links and keys")]
    TooLarge,
    /// The key set is invalid.
    #[error("jwks is invalid: {0}")]
    Keys(#[from] JwkSetError),
    /// Another member is invalid.
    #[error("{0}")]
    Other(&'static str),
}

/// Checks all redirect URIs of a client. A set may mix `https`, loopback and private schemes.
pub(crate) fn check_redirects(uris: &[String]) -> Result<(), MetadataError> {
    if uris.is_empty() || uris.len() > MAX_REDIRECT_URIS {
        return Err(MetadataError::RedirectCount);
    }
    uris.iter().enumerate().try_for_each(|(at, uri)| {
        redirect::check(uri).map_err(|problem| MetadataError::Redirect { at, problem })
    })
}

/// Makes a name safe to display: short, on one line, without invisible and direction-changing characters.
pub(crate) fn sanitize_name(name: &str) -> Option<String> {
    let shown = name.chars().filter(|c| !is_invisible(*c)).map(|c| if c.is_whitespace() { ' ' } else { c });
    let name: String = shown.take(MAX_NAME_CHARS).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a character is a control, or shows nothing or changes the direction of text: the code points of
/// Unicode's property `Default_Ignorable_Code_Point`, the remaining format characters (`Cf`), the separators
/// of lines and paragraphs, and blanks that are no white space. With them two names look alike, or one name
/// looks empty or reversed.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A link that a page may show: `https` only. Other links are dropped, not rejected. The length limit applies
/// to the normalized URL, where characters outside ASCII take up to three times their length.
pub(crate) fn https_url(url: Option<&str>) -> Option<String> {
    let parsed = Url::parse(url?).ok()?;
    let plain = parsed.scheme() == "https" && parsed.username().is_empty() && parsed.password().is_none();
    (plain && parsed.as_str().len() <= MAX_URL_LEN).then(|| parsed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_redirects_when_there_are_none_or_too_many_then_they_are_refused() {
        let redirects = |count: usize| vec!["https://a.example/cb".to_owned(); count];
        assert_eq!(check_redirects(&redirects(1)), Ok(()));
        assert_eq!(check_redirects(&redirects(MAX_REDIRECT_URIS)), Ok(()));
        for count in [0, MAX_REDIRECT_URIS + 1] {
            assert_eq!(check_redirects(&redirects(count)), Err(MetadataError::RedirectCount), "{count}");
        }
    }

    #[test]
    fn given_a_name_with_invisible_characters_when_shown_then_they_are_gone_and_it_is_short() {
        assert_eq!(sanitize_name(" Clau\u{202e}de\n ").as_deref(), Some("Claude"));
        assert_eq!(sanitize_name("\u{200b}\t"), None);
        assert_eq!(sanitize_name("Cl\u{ad}a\u{61c}u\u{3164}d\u{e0041}e").as_deref(), Some("Claude"));
        assert_eq!(sanitize_name("\u{3164}\u{2800}\u{115f}\u{ffa0}\u{3000}"), None);
        assert_eq!(sanitize_name("My\u{a0}Cl\u{fe0f}ient").as_deref(), Some("My Client"));
        for kept in ["Müller & Søn", "クライアント", "عميل", "ลูกค้า", "高级客户端"]
        {
            assert_eq!(sanitize_name(kept).as_deref(), Some(kept));
        }
        assert_eq!(sanitize_name(&"x".repeat(500)).map(|name| name.len()), Some(80));
    }

    /// Requirements: as.document.logo
    #[test]
    fn given_a_link_that_is_not_plain_https_then_it_is_left_out() {
        assert!(https_url(Some("https://example.com/logo.png")).is_some());
        for url in
            ["http://example.com", "javascript:alert(1)", "https://bank.example@evil.example/", "/logo"]
        {
            assert_eq!(https_url(Some(url)), None, "{url}");
        }
        let long = format!("https://example.com/{}", "\u{455}".repeat(600));
        assert!(long.len() < MAX_URL_LEN);
        assert_eq!(https_url(Some(&long)), None, "too long as it would be kept");
    }
}
