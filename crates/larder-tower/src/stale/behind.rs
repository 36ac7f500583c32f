//! What it takes to make a page anew behind an answer.

use http::request::Parts;
use http::{HeaderMap, Method, header};

use crate::again::Again;
use crate::engine::Visit;
use crate::kept::Page;
use crate::marks::mark;
use crate::outer::{Enclosed, Outer, Waits};
use crate::pair::Ticket;
use crate::settings::Settings;
use crate::stale::{Renewal, Renewing};

/// A request like the one that found a page stale, ready to be run.
pub(crate) struct Behind(Again);

impl Behind {
    /// For a page that `visit` found; `None`: it can't be made behind its answer. `alone` is for where no layer stands outside.
    ///
    /// The request is made of what the outermost layer saw, with the credentials that the page is keyed on and no others. Where no layer stands
    /// outside, nobody would notice what a session layer adds to the answer: there it is done for requests only that name nobody.
    pub(crate) fn of(
        visit: &Visit,
        page: &Page,
        parts: &Parts,
        alone: impl FnOnce() -> Option<Again>,
    ) -> Option<Self> {
        let settings = visit.engine.settings();
        let credentialed = visit.identity.is_credentialed();
        let mut again = match parts.extensions.get::<Outer>() {
            // The content of a QUERY is in its key, and not in the head of the request.
            _ if parts.method.as_str() == "QUERY" => return None,
            Some(outer) => outer.again()?,
            None if credentialed || visit.facts.session => return None,
            None => alone()?,
        };
        let parts = &mut again.parts;
        // What is keyed on the session needs its cookie, whether or not that counts by itself.
        let by_session = credentialed && visit.facts.session;
        if !by_session {
            visit.identity.strip(&mut parts.headers);
        }
        // A gateway goes by what the response says of credentials, whoever sends them.
        if !page.meta.flags.credentialed && !settings.policy.is_shared() {
            let named = |name: &header::HeaderName| names_user(settings, name);
            // It is for everybody and yet differs by who asks.
            if credentialed && page.meta.vary.iter().any(named) {
                return None;
            }
            strip(settings, &mut parts.headers);
        }
        whole(&mut parts.headers);
        parts.method = match parts.method {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        parts.extensions.remove::<Outer>();
        parts.extensions.remove::<Enclosed>();
        parts.extensions.remove::<Waits>();
        parts.extensions.remove::<Ticket>();
        Some(Self(again))
    }

    /// Runs it, as this renewal.
    pub(crate) fn begin(self, visit: &Visit, renewal: std::sync::Arc<Renewal>) {
        let Self(mut again) = self;
        mark(&mut again.parts.extensions, Renewing(std::sync::Arc::downgrade(&renewal)));
        let settings = visit.engine.settings();
        let deadline = settings.stale.deadline.unwrap_or(settings.max_fill);
        renewal.spawn(&visit.cache, deadline, again.run());
    }
}

fn names_user(settings: &Settings, name: &header::HeaderName) -> bool {
    *name == header::COOKIE || *name == header::AUTHORIZATION || settings.identity_headers.contains(name)
}

fn strip(settings: &Settings, headers: &mut HeaderMap) {
    for name in [&header::COOKIE, &header::AUTHORIZATION].into_iter().chain(&settings.identity_headers) {
        headers.remove(name);
    }
}

/// The whole page is to be made, whatever part of it was asked for.
pub(crate) fn whole(headers: &mut HeaderMap) {
    for name in [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        headers.remove(name);
    }
}
