//! Rejects weak keys: typed by hand, or published.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Published keys: in this project's documentation, and in test vectors of standards.
const PUBLISHED_KEYS: [&str; 5] = [
    // docs/keys.md
    "fZjKW1XGUO5nPWjbCPKl-NhpJSp63xMHednzcsoVaTM",
    "0mlneEtWRollhXvResju33Ep3H-dto9Zuso1eHzih-A",
    "nsjuHbQ4KGV1woDEaBwQh76RWJGrsoX2OPmzcyg9Om4",
    // RFC 8037, appendix A.1 (and RFC 8032, section 7.1, test 1)
    "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    // RFC 8032, section 7.1, test 2
    "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs",
];

/// Why a key is weak. `None` if it is not.
pub(crate) fn weakness(key: &[u8; 32]) -> Option<&'static str> {
    let distinct = key.iter().collect::<std::collections::BTreeSet<_>>().len();
    // Probability for 32 random bytes: fewer than 16 distinct values, below 2^-60;
    if distinct < 16 {
        return Some("is not random; it looks like an example");
    }
    // printable text, 2^-45;
    if key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Some("is text and not random; it looks like a passphrase");
    }
    // counting up or down, 2^-240.
    let step = |pair: &[u8]| match pair {
        [a, b] => b.wrapping_sub(*a),
        _ => 0,
    };
    let mut steps = key.windows(2).map(step);
    let first = steps.next();
    if steps.all(|step| Some(step) == first) {
        return Some("counts up or down and is not random");
    }
    let text = URL_SAFE_NO_PAD.encode(key);
    PUBLISHED_KEYS.contains(&text.as_str()).then_some("is published as an example, so it is not secret")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Requirements: advisory.keys
    #[test]
    fn given_keys_that_somebody_typed_then_each_is_refused() {
        let counting: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap() * 3 + 7);
        for key in [
            [0; 32],
            [0xff; 32],
            *b"0123456789abcdef0123456789ABCDEF",
            *b"correct horse battery staple 123",
            counting,
        ] {
            assert!(weakness(&key).is_some(), "{key:?}");
        }
    }

    #[test]
    fn given_a_random_key_then_it_is_taken() {
        for _ in 0..1000 {
            assert_eq!(weakness(&portcullis_clock::Random::system().bytes().unwrap()), None);
        }
    }

    #[test]
    fn given_a_key_of_few_distinct_bytes_then_sixteen_are_enough_and_fewer_are_not() {
        let of = |distinct: usize| std::array::from_fn(|at| u8::try_from(at % distinct * 37 % 256).unwrap());
        assert!(weakness(&of(15)).is_some());
        assert_eq!(weakness(&of(16)), None);
    }

    /// A key copied from any file of this repository is rejected as published.
    /// Requirements: advisory.keys
    #[test]
    fn given_every_key_that_this_repository_shows_then_it_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let places =
            ["docs", "charts", "examples", "tests", "crds", "common", "dataplane", "operator", "image"];
        let mut files: Vec<_> = places.iter().flat_map(|place| files(&root.join(place))).collect();
        files.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
        let mut shown = 0;
        for file in files {
            let text = fs::read(&file).unwrap();
            for key in keys_in(&String::from_utf8_lossy(&text)) {
                shown += 1;
                assert!(weakness(&key).is_some(), "{} shows a key that is taken", file.display());
            }
        }
        assert!(shown >= 3, "docs/keys.md shows an example of each ring");
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !["target", "node_modules", "corpus"].contains(&&*name.to_string_lossy()) {
                found.extend(files(&entry.path()));
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
        found
    }

    /// The values of members `key`, as JSON and as YAML write them, that could be keys.
    fn keys_in(text: &str) -> Vec<[u8; 32]> {
        let members = text.match_indices("key").filter_map(|(at, name)| {
            let rest = text.get(at + name.len()..)?.trim_start_matches(['"', '\'', '\\']).trim_start();
            let value = rest.strip_prefix(':')?.trim_start().trim_start_matches(['"', '\'', '\\']);
            let end = value.find(|it: char| !it.is_ascii_alphanumeric() && !"-_+/=".contains(it));
            let value = value.get(..end.unwrap_or(value.len()))?.trim_end_matches('=');
            let value = value.replace('+', "-").replace('/', "_");
            URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()
        });
        members.collect()
    }
}
