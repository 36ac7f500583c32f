//! Sessions of `tower-sessions` that stand on a request: whose page it is, and whether making it changed them.
//!
//! A session layer outside puts the session on the request, so a page can depend on it though its cookie is not keyed
//! (`ignore_cookies`), and a first visit can create it though its cookie is set further out only. Whether a handler *read* a session can't be
//! seen: `tower-sessions` loads it behind the handler's back, and a middleware further out may have read it before (`axum-login`). So
//! the safe thing is done:
//!
//! | the session | its page |
//! |---|---|
//! | is there and has an id | is keyed on the id, whatever the layer says about cookies |
//! | was changed, or got its id, while the page was made | is not stored |
//! | was changed before the page, and has no id yet | is neither looked up nor stored |
//! | is there at all | says `Vary: Cookie`, unless it is `public`: stored here or not |
//!
//! No feature leaves this out: a page shown to somebody else would be the price of it. Where no session stands on a request, it costs two looks
//! into its extensions.

use http::{Extensions, HeaderMap, header};
use larder_http::{CacheControl, CacheControlPatch, Reason, patch_vary};

use crate::engine::Visit;
use crate::identity::Digest;

/// What can be told of a request's sessions before its page is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnRequest {
    /// There is one.
    pub(crate) is_there: bool,
    /// A digest of the ids of those that have one.
    pub(crate) named: Option<Digest>,
    /// Somebody further out changed one that has no id yet: nothing in a key could tell this visitor from others.
    pub(crate) is_new: bool,
}

/// Told of one session: its id, whether it was changed.
type Told = (Option<i128>, bool);

/// The sessions of both releases of `tower-sessions` that are in use: `axum-login` stands on the older one.
fn told(extensions: &Extensions) -> [Option<Told>; 2] {
    let new = extensions.get::<tower_sessions_core::Session>();
    let old = extensions.get::<tower_sessions_core_014::Session>();
    [
        new.map(|s| (s.id().map(|id| id.0), s.is_modified())),
        old.map(|s| (s.id().map(|id| id.0), s.is_modified())),
    ]
}

impl OnRequest {
    #[inline]
    pub(crate) fn of(extensions: &Extensions) -> Self {
        if Self::is_on(extensions) { Self::told_of(extensions) } else { Self::default() }
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn is_on(extensions: &Extensions) -> bool {
        extensions.get::<tower_sessions_core::Session>().is_some()
            || extensions.get::<tower_sessions_core_014::Session>().is_some()
    }

    #[cold]
    fn told_of(extensions: &Extensions) -> Self {
        let told = told(extensions);
        let mut seen = Self::default();
        let mut hasher = None;
        for (place, (id, changed)) in (0_u8..).zip(told).filter_map(|(place, told)| Some((place, told?))) {
            seen.is_there = true;
            seen.is_new |= changed && id.is_none();
            if let Some(id) = id {
                let hasher =
                    hasher.get_or_insert_with(|| blake3::Hasher::new_derive_key("larder session id"));
                hasher.update(&[place]).update(&id.to_le_bytes());
            }
        }
        seen.named = hasher.map(|hasher| *hasher.finalize().as_bytes());
        seen
    }
}

/// Whose a response is that is not stored here. It may say itself that it is good for a while, and a cache in front of the application goes by that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whose {
    /// A session stands on the request.
    session: bool,
    /// It has an id or was changed, or something else names the user.
    named: bool,
}

impl Whose {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let OnRequest { is_there, named, is_new } = OnRequest::of(extensions);
        Self { session: is_there, named: named.is_some() || is_new }
    }

    pub(crate) fn of_visit(visit: &Visit) -> Self {
        Self { session: visit.facts.session, named: visit.identity.is_credentialed() }
    }

    /// Of one whose session changed while it was made: what it says may be the change, and its visitor may have had no name before.
    pub(crate) fn changed() -> Self {
        Self { session: true, named: true }
    }

    /// Says it as a page that is stored does: what a handler read from its session came by the cookie.
    pub(crate) fn say(self, headers: &mut HeaderMap) {
        if !self.session {
            return;
        }
        let said = CacheControl::from_headers(headers);
        if said.public {
            return;
        }
        let lives = said.max_age.or(said.s_maxage).is_some() || headers.contains_key(header::EXPIRES);
        if self.named && lives && !said.is_restricted() {
            CacheControlPatch::default().private().apply(headers);
        }
        patch_vary(headers, ["Cookie"]);
    }
}

/// Keeps a request's sessions while its page is made, to be asked afterwards.
#[derive(Clone, Default)]
pub(crate) struct SessionWitness {
    sessions: Extensions,
    before: [Option<Told>; 2],
}

impl std::fmt::Debug for SessionWitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A session shows its store's content.
        f.debug_struct("SessionWitness").finish_non_exhaustive()
    }
}

impl SessionWitness {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let mut sessions = Extensions::new();
        if let Some(session) = extensions.get::<tower_sessions_core::Session>() {
            sessions.insert(session.clone());
        }
        if let Some(session) = extensions.get::<tower_sessions_core_014::Session>() {
            sessions.insert(session.clone());
        }
        let before = told(&sessions);
        Self { sessions, before }
    }

    /// Why the page is its visitor's alone, if it is. A session that is saved at once, without a change, gets an id all the same.
    pub(crate) fn private(&self) -> Option<Reason> {
        let now = told(&self.sessions);
        let changed = self.before.iter().zip(now).any(|(before, now)| {
            let (before, now) = (before.unwrap_or_default(), now.unwrap_or_default());
            now.1 || (now.0.is_some() && now.0 != before.0)
        });
        changed.then_some(Reason::SessionModified)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use tower_sessions_core::session::{Id, Record};
    use tower_sessions_core::session_store::Result;
    use tower_sessions_core::{Session, SessionStore};

    use super::*;

    /// Saves everything and finds nothing.
    #[derive(Debug)]
    struct Hole;

    #[async_trait]
    impl SessionStore for Hole {
        async fn create(&self, _: &mut Record) -> Result<()> {
            Ok(())
        }
        async fn save(&self, _: &Record) -> Result<()> {
            Ok(())
        }
        async fn load(&self, _: &Id) -> Result<Option<Record>> {
            Ok(None)
        }
        async fn delete(&self, _: &Id) -> Result<()> {
            Ok(())
        }
    }

    fn with(id: Option<i128>) -> (Extensions, Session) {
        let session = Session::new(id.map(Id), Arc::new(Hole), None);
        let mut extensions = Extensions::new();
        extensions.insert(session.clone());
        (extensions, session)
    }

    #[tokio::test]
    async fn each_id_names_another_visitor_and_no_session_names_nobody() {
        let of = |id| OnRequest::of(&with(id).0);
        assert!(!OnRequest::of(&Extensions::new()).is_there);
        let nobody = of(None);
        assert!(nobody.is_there && nobody.named.is_none() && !nobody.is_new);
        assert_eq!(of(Some(1)).named, of(Some(1)).named);
        assert_ne!(of(Some(1)).named, of(Some(2)).named);
    }

    #[tokio::test]
    async fn the_sessions_of_two_releases_are_told_apart() {
        let (new, _) = with(Some(1));
        let mut old = Extensions::new();
        let store =
            Arc::new(tower_sessions_core_014::session_store::CachingSessionStore::new(OldHole, OldHole));
        old.insert(tower_sessions_core_014::Session::new(
            Some(tower_sessions_core_014::session::Id(1)),
            store,
            None,
        ));
        assert_ne!(OnRequest::of(&new).named, OnRequest::of(&old).named);
        let witness = SessionWitness::of(&old);
        assert_eq!(witness.private(), None);
        old.get::<tower_sessions_core_014::Session>().unwrap().insert("a", 1).await.unwrap();
        assert_eq!(witness.private(), Some(Reason::SessionModified));
    }

    #[derive(Clone, Debug)]
    struct OldHole;

    #[async_trait]
    impl tower_sessions_core_014::SessionStore for OldHole {
        async fn save(
            &self,
            _: &tower_sessions_core_014::session::Record,
        ) -> tower_sessions_core_014::session_store::Result<()> {
            Ok(())
        }
        async fn load(
            &self,
            _: &tower_sessions_core_014::session::Id,
        ) -> tower_sessions_core_014::session_store::Result<Option<tower_sessions_core_014::session::Record>>
        {
            Ok(None)
        }
        async fn delete(
            &self,
            _: &tower_sessions_core_014::session::Id,
        ) -> tower_sessions_core_014::session_store::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_change_and_a_bare_save_make_a_page_private_and_a_read_does_not() {
        let (extensions, session) = with(None);
        let witness = SessionWitness::of(&extensions);
        assert_eq!(session.get::<u8>("a").await.unwrap(), None);
        assert_eq!(witness.private(), None);
        session.save().await.unwrap();
        assert!(!session.is_modified(), "tower-sessions does not call this a change");
        assert_eq!(witness.private(), Some(Reason::SessionModified));

        let (extensions, session) = with(None);
        session.insert("a", 1).await.unwrap();
        assert!(OnRequest::of(&extensions).is_new);
    }

    #[tokio::test]
    async fn what_a_session_holds_is_not_shown() {
        let (extensions, session) = with(Some(7));
        session.insert("token", "s3cret").await.unwrap();
        assert_eq!(format!("{:?}", SessionWitness::of(&extensions)), "SessionWitness { .. }");
    }
}
