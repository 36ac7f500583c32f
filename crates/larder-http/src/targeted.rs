//! Cache-Control for some caches only ([RFC 9213](https://www.rfc-editor.org/rfc/rfc9213)), such as `CDN-Cache-Control`.
//!
//! A cache has a list of field names that are meant for it. The first of them that is there, readable and not empty is the
//! whole policy: Cache-Control *and Expires* are ignored then. A field that can't be read is as if it were not there.
//!
//! ```
//! use http::{HeaderMap, HeaderName, header};
//! use larder_http::{Delta, targeted};
//!
//! let ours = [HeaderName::from_static("cdn-cache-control")];
//! let mut headers = HeaderMap::new();
//! headers.insert(header::CACHE_CONTROL, "no-store".parse()?);
//! headers.insert("cdn-cache-control", "max-age=600".parse()?);
//! assert_eq!(targeted::from_headers(&headers, &ours).unwrap().max_age, Some(Delta::Seconds(600)));
//!
//! headers.insert("cdn-cache-control", "max-age=".parse()?);
//! assert!(targeted::from_headers(&headers, &ours).is_none());
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::cache_control::{CacheControl, FieldRule, field_names};
use crate::delta::Delta;
use crate::structured::{Item, Member, dictionary};
use http::{HeaderMap, HeaderName};

/// The policy in the first usable of the fields in `targets`; `None`: Cache-Control and Expires count.
///
/// Members of a type that the directive has not are not consumed, as the RFC demands; but a directive that restricts
/// (`no-store`, `no-cache`, `private`, the revalidation directives) counts with any value other than `?0`.
#[must_use]
pub fn from_headers(headers: &HeaderMap, targets: &[HeaderName]) -> Option<CacheControl> {
    let usable = |name: &&HeaderName| headers.contains_key(*name);
    targets.iter().filter(usable).find_map(|name| {
        let members = dictionary(headers, name)?;
        (!members.is_empty()).then(|| policy(&members))
    })
}

fn policy(members: &[(String, Member)]) -> CacheControl {
    let mut cc = CacheControl::default();
    for (name, member) in members {
        let restricts = *member != Member::Item(Item::Boolean(false));
        let permits = *member == Member::Item(Item::Boolean(true));
        let seconds = match member {
            Member::Item(Item::Integer(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        let seconds = seconds.map(|n| Delta::Seconds(n.min(Delta::LARGEST)));
        match name.as_str() {
            "no-store" => cc.no_store |= restricts,
            "no-cache" => cc.no_cache = rule(member),
            "private" => cc.private = rule(member),
            "must-revalidate" => cc.must_revalidate |= restricts,
            "proxy-revalidate" => cc.proxy_revalidate |= restricts,
            "no-transform" => cc.no_transform |= restricts,
            "public" => cc.public |= permits,
            "must-understand" => cc.must_understand |= permits,
            "immutable" => cc.immutable |= permits,
            "max-age" => cc.max_age = seconds,
            "s-maxage" => cc.s_maxage = seconds,
            "stale-while-revalidate" => cc.stale_while_revalidate = seconds,
            "stale-if-error" => cc.stale_if_error = seconds,
            _ => {}
        }
    }
    cc
}

fn rule(member: &Member) -> FieldRule {
    match member {
        Member::Item(Item::Boolean(false)) => FieldRule::Absent,
        Member::Item(Item::String(names)) => {
            field_names(names.as_bytes()).map_or(FieldRule::All, FieldRule::Fields)
        }
        _ => FieldRule::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    const OURS: HeaderName = HeaderName::from_static("larder-cache-control");
    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

    fn read(fields: &[(HeaderName, &str)]) -> Option<CacheControl> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        from_headers(&headers, &[OURS, CDN])
    }

    #[test]
    fn the_first_usable_field_of_the_list_is_the_whole_policy() {
        let cc = read(&[(CDN, "max-age=1"), (OURS, "max-age=2, private")]).unwrap();
        assert_eq!((cc.max_age, cc.private), (Some(Delta::Seconds(2)), FieldRule::All));
        assert_eq!(read(&[(CDN, "max-age=1"), (OURS, "")]).unwrap().max_age, Some(Delta::Seconds(1)));
        assert_eq!(
            read(&[(CDN, "max-age=1"), (OURS, "max-age=abc,,")]).unwrap().max_age,
            Some(Delta::Seconds(1))
        );
        assert_eq!(read(&[(header::CACHE_CONTROL, "max-age=1")]), None);
        assert_eq!(read(&[(HeaderName::from_static("acme-cache-control"), "max-age=1")]), None);
    }

    #[test]
    fn wrong_types_are_not_consumed_where_they_would_permit() {
        for wrong in ["max-age=\"10\"", "max-age=1.5", "max-age=tok", "max-age", "max-age=-1"] {
            assert_eq!(read(&[(CDN, wrong)]).unwrap().max_age, None, "{wrong}");
        }
        assert!(!read(&[(CDN, "public=1")]).unwrap().public);
        assert!(!read(&[(CDN, "no-store=?0, a")]).unwrap().no_store);
        assert!(read(&[(CDN, "no-store=1")]).unwrap().no_store);
        assert_eq!(
            read(&[(CDN, "private=\"set-cookie\"")]).unwrap().private,
            FieldRule::Fields(vec![header::SET_COOKIE])
        );
        assert_eq!(read(&[(CDN, "no-cache=(1)")]).unwrap().no_cache, FieldRule::All);
    }

    #[test]
    fn upper_case_names_and_overflow_are_read_as_structured_fields_are() {
        assert_eq!(read(&[(CDN, "Max-Age=10")]), None, "keys are lower case");
        assert_eq!(
            read(&[(CDN, "max-age=99999999999")]).unwrap().max_age,
            Some(Delta::Seconds(Delta::LARGEST))
        );
    }
}
