//! Which of the languages that a page is offered in a request asks for (RFC 4647, section 3.4, and RFC 9110, section 12.5.4).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

/// The languages of a page; never none.
#[derive(Clone, Debug)]
pub(crate) struct Languages(Arc<[HeaderValue]>);

impl Languages {
    /// # Panics
    /// If there is none, or one can't stand in a header: these are literals in the application's source.
    pub(crate) fn of<L: AsRef<str>>(offered: impl IntoIterator<Item = L>) -> Self {
        let value = |language: L| match HeaderValue::from_str(language.as_ref()) {
            Ok(value) => value,
            Err(_) => panic!("{:?} is no language; write \"en\" or \"de-CH\"", language.as_ref()),
        };
        let offered: Arc<[HeaderValue]> = offered.into_iter().map(value).collect();
        assert!(
            !offered.is_empty(),
            "a page in no language can't be chosen; name at least one: language([\"en\"])"
        );
        Self(offered)
    }

    /// The one asked for with the greatest weight; the first if none is.
    pub(crate) fn choose(&self, headers: &HeaderMap) -> HeaderValue {
        let mut best: Option<(f32, &HeaderValue)> = None;
        let asked: Vec<_> = asked(headers).collect();
        let refused = |language: &HeaderValue| {
            let mut refusals = asked.iter().filter(|(range, weight)| *weight == 0.0 && range != "*");
            refusals.any(|(range, _)| self.matching(range) == Some(language))
        };
        // Once, however many of them a client sends.
        let has_any = asked.iter().any(|(range, _)| range == "*");
        let any = has_any.then(|| self.0.iter().find(|language| !refused(language))).flatten();
        for (range, weight) in &asked {
            let matching = if range == "*" { any } else { self.matching(range) };
            if let Some(language) = matching.filter(|_| *weight > best.map_or(0.0, |(most, _)| most)) {
                best = Some((*weight, language));
            }
        }
        best.map_or_else(|| self.0[0].clone(), |(_, language)| language.clone())
    }

    /// The language that a range names: `de-AT` also takes `de`, and `de` also `de-CH`.
    fn matching(&self, range: &str) -> Option<&HeaderValue> {
        let is = |offered: &HeaderValue, tag: &str| offered.as_bytes().eq_ignore_ascii_case(tag.as_bytes());
        let mut tag = range;
        loop {
            if let Some(found) = self.0.iter().find(|offered| is(offered, tag)) {
                return Some(found);
            }
            match tag.rsplit_once('-') {
                Some((shorter, _)) => tag = shorter,
                None => break,
            }
        }
        let front = format!("{}-", range.to_ascii_lowercase());
        self.0.iter().find(|offered| offered.as_bytes().to_ascii_lowercase().starts_with(front.as_bytes()))
    }
}

fn asked(headers: &HeaderMap) -> impl Iterator<Item = (String, f32)> {
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let range = parts.next().filter(|range| !range.is_empty())?;
        let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        Some((range.to_owned(), weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_asked_for_most_is_chosen_and_the_first_where_none_is_offered() {
        let languages = Languages::of(["en", "de-CH", "fr"]);
        for (asked, chosen) in [
            ("", "en"),
            ("fr", "fr"),
            ("FR-ca", "fr"),
            ("de", "de-CH"),
            ("es, pt;q=0.9", "en"),
            ("es, fr;q=0.4, de;q=0.6", "de-CH"),
            ("fr;q=0", "en"),
            ("*, fr;q=0.5", "en"),
            ("en;q=0, *", "de-CH"),
            ("en;q=0, de;q=0, *;q=0.1", "fr"),
            ("*;q=0", "en"),
            ("fr;q=x, de", "de-CH"),
            (";;,,q=", "en"),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_str(asked).unwrap())]);
            assert_eq!(languages.choose(&headers), chosen, "{asked}");
        }
        assert_eq!(languages.choose(&HeaderMap::new()), "en");
    }

    #[test]
    #[should_panic(expected = "name at least one")]
    fn no_language_at_all_is_a_mistake() {
        Languages::of::<&str>([]);
    }
}
