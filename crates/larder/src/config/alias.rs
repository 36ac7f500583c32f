//! A table, or a variable, as a cache.

use larder_core::{Cache, CacheBuilder, CacheUrl, Error, Schemes, suggest};

use super::at::{is_about, placed, wrong};
use super::document::{Pair, Table};
use super::interpolate::interpolate;
use super::secret;
use super::variables::Variables;

/// The keys of a table that are no options of its URL.
const OWN: [&str; 4] = ["url", "password", "password_env", "password_file"];

/// Opens the cache of a table; `last_word` may change its settings.
///
/// # Errors
/// As those of the URL, with the line of the key that is wrong.
pub(super) fn open(
    mut table: Table,
    schemes: &Schemes,
    variables: &Variables,
    last_word: impl FnOnce(CacheBuilder) -> CacheBuilder,
) -> Result<Cache, Error> {
    let secrets = secret::take(&mut table, variables)?;
    for pair in &mut table.pairs {
        pair.value = interpolate(&pair.value, variables).map_err(|error| placed(&pair.at, &error))?;
    }
    let Some(place) = table.take("url").or_else(|| tiers(&table)) else { return Err(without_url(&table)) };
    let mut url = CacheUrl::parse(&place.value).map_err(|error| placed(&place.at, &error))?;
    for pair in &table.pairs {
        url.set(&pair.name, &pair.value).map_err(|error| placed(&pair.at, &error))?;
    }
    for secret in secrets {
        let set = match secret.name.as_str() {
            "password" => url.set_password(&secret.value),
            name => url.set(name, secret.value),
        };
        set.map_err(|error| placed(&secret.at, &error))?;
    }
    // They are no options, and yet among what may have been meant.
    if OWN.into_iter().filter(|own| url.take(own).is_some()).count() > 0 {
        return Err(wrong(
            &place.at,
            "url and password are no options of a URL; write a password before its server, or as a key of its own",
        ));
    }
    let builder = schemes.builder_of(&mut url).map(|builder| last_word(builder.name(&table.name)));
    let opened = builder.and_then(CacheBuilder::build);
    opened.map_err(|error| placed(blamed(&table.pairs, &url, &error).unwrap_or(&place.at), &error))
}

/// A table with tiers is its URL.
fn tiers(table: &Table) -> Option<Pair> {
    let tier = table.pairs.iter().find(|pair| matches!(pair.name.as_str(), "l1" | "l2"))?;
    Some(Pair { name: "url".to_owned(), value: "tiered:".to_owned(), at: tier.at.clone() })
}

/// Where the option stands that an error is about.
fn blamed<'a>(pairs: &'a [Pair], url: &CacheUrl, error: &Error) -> Option<&'a String> {
    let by_name = |name: &str| pairs.iter().find(|pair| pair.name == name);
    let found = match url.blamed() {
        Some(name) => by_name(name),
        None => pairs.iter().find(|pair| is_about(error, &pair.name)),
    };
    found.map(|pair| &pair.at)
}

fn without_url(table: &Table) -> Error {
    let name = &table.name;
    let near = table.pairs.iter().find(|pair| suggest(&pair.name, &["url"]).starts_with("did"));
    match near {
        Some(pair) => wrong(&pair.at, format_args!("{:?} says nothing; did you mean \"url\"?", pair.name)),
        None if suggest(name, &["site"]).starts_with("did") => {
            wrong(&table.at, format_args!("[{name}] has no url; did you mean [site]?"))
        }
        None => wrong(
            &table.at,
            format_args!("[{name}] has no url; write url = \"redis://127.0.0.1:6379/0\", say"),
        ),
    }
}
