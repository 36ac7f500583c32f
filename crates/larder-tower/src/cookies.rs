//! Which cookies a page may depend on.
//!
//! Cookies are credentials: a page made for a request that carries some is keyed by them and only comes back to the same ones. That
//! would make every visitor of an analytics script a user of their own, so cookies that are known to carry nothing for the server
//! are left out of the key **and removed from the request that the handler sees**: the page can't depend on them.

use std::borrow::Cow;

/// Cookies that analytics and consent scripts set for themselves, by name; `*` at the end stands for any rest.
pub const IGNORED_COOKIES: &[&str] = &[
    "_ga",
    "_ga_*",
    "_gid",
    "_gat",
    "_gat_*",
    "_gac_*",
    "_gcl_*",
    "__gads",
    "__gpi",
    "__utma",
    "__utmb",
    "__utmc",
    "__utmt",
    "__utmv",
    "__utmz",
    "_fbp",
    "_fbc",
    "_hj*",
    "_pk_*",
    "_clck",
    "_clsk",
    "_uetsid",
    "_uetvid",
    "_ttp",
    "_tt_enable_cookie",
    "_pin_unauth",
    "_rdt_uuid",
    "_scid",
    "_sctr",
    "__hstc",
    "__hssc",
    "__hssrc",
    "hubspotutk",
    "ajs_anonymous_id",
    "ajs_user_id",
    "amplitude_id*",
    "mp_*_mixpanel",
    "OptanonConsent",
    "OptanonAlertBoxClosed",
    "CookieConsent",
    "cookielawinfo-*",
    "__cf_bm",
    "_cfuvid",
    "cf_clearance",
];

/// Which cookies are keyed and seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CookieRule {
    /// All but those on [`IGNORED_COOKIES`].
    #[default]
    AllButIgnored,
    /// Only these.
    Only(Vec<String>),
    /// None.
    IgnoreAll,
}

impl CookieRule {
    /// Only cookies of these names.
    pub fn only<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Only(names.into_iter().map(|n| n.as_ref().to_owned()).collect())
    }

    fn keeps(&self, name: &[u8]) -> bool {
        match self {
            Self::AllButIgnored => !IGNORED_COOKIES.iter().any(|pattern| matches(pattern, name)),
            Self::Only(names) => names.iter().any(|n| n.as_bytes() == name),
            Self::IgnoreAll => false,
        }
    }

    /// The cookies that count, of all `Cookie` lines joined: unchanged where all count, empty where none does.
    pub(crate) fn filter<'a>(&self, cookies: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let pairs = || cookies.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
        if pairs().all(|pair| self.keeps(name_of(pair))) {
            return cookies;
        }
        let kept: Vec<&[u8]> = pairs().filter(|pair| self.keeps(name_of(pair))).collect();
        Cow::Owned(kept.join(&b"; "[..]))
    }
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|b| *b == b'=').next().unwrap_or(pair).trim_ascii()
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.split_once('*') {
        None => pattern.as_bytes() == name,
        Some((front, back)) => {
            name.len() >= front.len() + back.len()
                && name.starts_with(front.as_bytes())
                && name.ends_with(back.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rule: &CookieRule, cookies: &str) -> String {
        String::from_utf8(rule.filter(cookies.as_bytes().into()).into_owned()).unwrap()
    }

    #[test]
    fn analytics_cookies_do_not_count_and_all_others_do() {
        let rule = CookieRule::default();
        assert_eq!(
            filter(&rule, "_ga=1; sessionid=a; _ga_X1=2;_hjSession_1=3; mp_abc_mixpanel=4"),
            "sessionid=a"
        );
        assert_eq!(filter(&rule, "_ga=1; _gid=2"), "");
        assert_eq!(filter(&rule, "a=1;b=2"), "a=1;b=2", "what is kept whole is not rewritten");
        assert_eq!(filter(&rule, "_gaz=1"), "_gaz=1");
        assert_eq!(filter(&rule, "noequals; =x"), "noequals; =x");
    }

    #[test]
    fn named_cookies_count_alone_whatever_their_order_and_case() {
        let rule = CookieRule::only(["sessionid", "lang"]);
        assert_eq!(
            filter(&rule, "x=1; lang=de; SessionId=9; sessionid=a; sessionid=b"),
            "lang=de; sessionid=a; sessionid=b"
        );
        assert_eq!(filter(&CookieRule::IgnoreAll, "sessionid=a"), "");
    }
}
