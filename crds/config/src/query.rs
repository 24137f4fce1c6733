//! Adds a credential to the query of a URL.

use url::{Url, form_urlencoded};

/// Sets one query parameter of a URL and removes other parameters with that name. The rest of the query stays
/// unchanged. The result contains the credential: do not log it or put it in a message.
#[must_use]
pub fn with_query_parameter(url: &Url, name: &str, value: &str) -> Url {
    let is_other = |part: &&str| {
        !part.is_empty() && !form_urlencoded::parse(part.as_bytes()).any(|(found, _)| found == name)
    };
    let mut query: String =
        url.query().unwrap_or_default().split('&').filter(is_other).flat_map(|part| [part, "&"]).collect();
    // Only servers that parse the query as a form read `+` as a space. All servers read `%20` as one.
    let encode =
        |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    query.push_str(&format!("{}={}", encode(name), encode(value)));
    let mut url = url.clone();
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str, name: &str, value: &str) -> String {
        with_query_parameter(&url.parse().unwrap(), name, value).to_string()
    }

    #[test]
    fn given_a_url_then_the_parameter_is_added_encoded_and_the_rest_stays_as_written() {
        assert_eq!(with("https://h/mcp", "key", "a b+c&d=é"), "https://h/mcp?key=a%20b%2Bc%26d%3D%C3%A9");
        assert_eq!(
            with("https://h/mcp?tenant=a%2fb+c&x", "key", "v"),
            "https://h/mcp?tenant=a%2fb+c&x&key=v"
        );
    }

    /// Requirements: client.query
    #[test]
    fn given_a_parameter_of_that_name_however_written_then_it_is_replaced() {
        assert_eq!(with("https://h/mcp?key=old&a=1&k%65y=older", "key", "new"), "https://h/mcp?a=1&key=new");
    }
}
