//! The way of a request: key, lookup, coalescing; and of its response: storable, tee, commit.
//!
//! Both caching layers are this engine. `cache_page` has both ends in one service; of the pair, `UpdateCacheLayer` has the back and
//! `FetchFromCacheLayer` the front, and a ticket on the request connects them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::MatchedPath;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Response, header};
use larder_core::flight::{Joined, Leader, Outcome};
use larder_core::{Attachment, Cache, Fill, Key, Lease, UnixMillis};
use larder_http::{Forward, Reason, VaryFields};

use crate::admit::Facts;
use crate::identity::Identity;
use crate::kept::Page;
use crate::keys::Notes;
use crate::labels::Labels;
use crate::landing::{Landed, Landing, Traffic};
use crate::lookup::{Found, look, look_now};
use crate::outer::{Enclosed, Waits};
use crate::parts::{Beside, PageTags};
use crate::passes::Route;
use crate::settings::Settings;
use crate::shared::Gateway;
use crate::stale::{Role, Shown, Stale};
use crate::turns::{Place, Turns};
use crate::varied::Varied;
pub(crate) use crate::wording::{say, say_bypass};

/// How often a request that waited joins another flight before it goes alone.
pub(crate) const REGROUPS: usize = 8;

/// The engine of one layer. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Arc<Settings>,
}

/// A request that was admitted.
pub(crate) struct Visit {
    pub(crate) engine: Engine,
    /// A handle for this request: it costs one deadline at most.
    pub(crate) cache: Cache,
    pub(crate) identity: Identity,
    pub(crate) facts: Facts,
    /// The request's fields as the outermost end of the layer saw them.
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) began: UnixMillis,
    pub(crate) enclosed: Enclosed,
    pub(crate) role: Role,
    /// What stands in for an application that fails.
    pub(crate) standby: Option<Stale>,
    /// The route that a router has chosen already.
    pub(crate) route: Option<MatchedPath>,
    /// Where it leads, for the page's tags.
    pub(crate) labels: Labels,
    /// What was found before anything was prepared for the case that nothing is.
    pub(crate) looked: Option<Looked>,
}

/// What a first look found.
pub(crate) struct Looked {
    /// What had landed before it.
    pub(crate) landed: u64,
    pub(crate) found: Result<Found, larder_core::Error>,
}

/// What becomes of an admitted request at the front.
pub(crate) enum Front {
    /// It is answered from a stored page.
    Hit(Arc<Page>),
    /// It waited for a new page in place of a stale one.
    Renewed(Arc<Page>),
    /// It found a stale page, or one that is to be made anew early; what becomes of that, [`Visit::course`] says.
    Stale(Stale, Box<Visit>),
    /// It is answered with a stale page.
    Show(Stale, Shown),
    /// It is a refresh that is not needed any more.
    Idle,
    /// It is answered with what another request made.
    Joined(Arc<Landed>, Box<Visit>),
    /// It makes its page.
    Lead(Box<Lead>),
    /// It goes alone, and nothing of it is stored.
    Alone(Box<Visit>, Forward, Reason),
}

/// A request that makes its page.
pub(crate) struct Lead {
    pub(crate) visit: Box<Visit>,
    pub(crate) forward: Forward,
    pub(crate) fill: Fill,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) flight: Key,
    /// Others wait for it; `None`: it was known not to be storable, or is for this request alone.
    pub(crate) leader: Option<Arc<Leader<Landing>>>,
    /// Other processes wait for it.
    pub(crate) lease: Option<Lease>,
    /// Nobody waits, since its key or route is known for what can't be stored.
    pub(crate) passed: bool,
    /// The application's own body had a length, though a middleware since may have hidden it.
    pub(crate) known_length: bool,
    /// What stood beside the response where the inner end saw it.
    pub(crate) beside: Beside,
    /// By the rules of a shared cache.
    pub(crate) gateway: Option<Gateway>,
    /// What is read while it is made.
    pub(crate) attachment: Option<Attachment>,
    /// Which headers are read while it is made.
    pub(crate) notes: Notes,
}

impl Engine {
    /// An engine with a copy of these settings: services are cloned for each request, and those of one layer on several routers would meet at
    /// one count.
    pub fn new(settings: &Settings) -> Self {
        Self { settings: Arc::new(settings.clone()) }
    }

    /// What the layer was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn shared_settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }
}

impl Visit {
    /// On which route this layer stands.
    pub(crate) fn route(&self) -> Option<Route> {
        let credentialed = self.identity.is_credentialed();
        self.route.as_ref().map(|path| Route::of(self.engine.settings.id, path, credentialed))
    }

    /// On what the pages of this URL varied last, as far as that is known.
    pub(crate) fn last_fields(&self) -> VaryFields {
        let lists = self.cache.attached::<Varied>().of(self.identity.primary_key());
        lists.and_then(|lists| lists.first().cloned()).unwrap_or_default()
    }

    pub(crate) fn limit(&self) -> u32 {
        self.engine.settings.max_variants
    }

    pub(crate) async fn look(&self) -> Result<Found, larder_core::Error> {
        let twin = self.facts.head.then(|| self.identity.head_twin());
        let identities: Vec<&Identity> = std::iter::once(&self.identity).chain(&twin).collect();
        look(&self.cache, &identities, &self.headers, self.limit()).await
    }

    /// What is there does not count for who is to make it anew.
    async fn look_or_refresh(&self) -> Result<Found, larder_core::Error> {
        match self.facts.refresh {
            true => Ok(Found::Miss(Forward::Request)),
            false => self.look().await,
        }
    }

    /// Under what those meet who make the same variant by GET, and by this request's method.
    pub(crate) fn flight_keys(&self, fields: &VaryFields) -> (Key, Key) {
        let by_get = self.identity.variant(fields, &self.headers, false).into_key();
        let own = match self.facts.head {
            true => self.own_flight(fields),
            false => by_get.clone(),
        };
        (by_get, own)
    }

    /// Under what those meet who make the same variant by this request's method.
    pub(crate) fn own_flight(&self, fields: &VaryFields) -> Key {
        match self.facts.head {
            true => self.identity.head_twin().variant(fields, &self.headers, false).into_key(),
            false => self.identity.variant(fields, &self.headers, false).into_key(),
        }
    }

    /// Whether it makes its page without waiting for anybody, nor anybody for it; and whether that is since such pages are known for what can't be
    /// stored.
    pub(crate) fn waits_for_none(
        &self,
        traffic: &Traffic,
        get_flight: &Key,
        own_flight: &Key,
    ) -> Option<bool> {
        let passes = traffic.passes.key(own_flight, self.began)
            || (self.facts.head && traffic.passes.key(get_flight, self.began))
            || traffic.passes.route(self.route(), self.began);
        let waits_for_itself = self.enclosed.flights.contains(own_flight);
        let alone = self.facts.solo || passes || waits_for_itself || !self.cache.capabilities().stores;
        alone.then_some(passes)
    }

    /// Whether a page that another request made is the one that this request asks for.
    pub(crate) fn is_ours(&self, landed: &Landed) -> bool {
        let variant = |identity: &Identity| {
            identity.variant(&landed.fields, &self.headers, landed.widened).key().clone()
        };
        let own = match landed.meta.flags.head_only {
            true => variant(&self.identity.head_twin()),
            false => variant(&self.identity),
        };
        own == *landed.variant.key()
    }

    /// Whether a page that another request found in the store is the one that this request asks for.
    fn is_stored_ours(&self, page: &Page) -> bool {
        let flags = page.meta.flags;
        let own = match flags.head_only {
            true => self.identity.head_twin(),
            false => self.identity.clone(),
        };
        let fields: VaryFields = page.meta.vary.iter().cloned().collect();
        let for_all = flags.widened || !own.is_credentialed();
        let variant = own.variant(&fields, &self.headers, flags.widened);
        (for_all && *page.meta.key == *own.primary_key().identity())
            || *page.meta.key == *variant.key().identity()
    }

    /// The stored page, if it is at hand and nothing else is to be done.
    pub(crate) fn hit_at_once(&mut self) -> Option<Arc<Page>> {
        if !self.may_be_answered() {
            return None;
        }
        match look_now(&self.cache, &self.identity, &self.headers, self.limit(), self.began)? {
            Found::Hit(page) => (!self.begins_early(&page)).then_some(page),
            _ => None,
        }
    }

    /// Whether a stored page may be its answer, whatever else there is.
    pub(crate) fn may_be_answered(&self) -> bool {
        !self.facts.precondition && !self.facts.refresh && self.role.is_ordinary()
    }

    /// Whether it is the one that makes this page anew early; the dice are thrown once.
    fn begins_early(&mut self, page: &Page) -> bool {
        let early = self.is_early(page);
        if early {
            self.role = Role::Early;
        }
        early
    }

    /// The front: looks, and waits or leads if there is nothing.
    pub(crate) async fn front(mut self: Box<Self>) -> Front {
        if self.facts.precondition {
            return Front::Alone(self, Forward::Request, Reason::Precondition);
        }
        let looked = match self.looked.take() {
            Some(looked) => looked,
            None => {
                let landed = self.cache.attached::<Traffic>().landed(&self.identity);
                Looked { landed, found: self.look_or_refresh().await }
            }
        };
        let landed = looked.landed;
        let found = match looked.found {
            Ok(found) => found,
            Err(error) => return self.backend_failed(&error),
        };
        match (&self.role, found) {
            (Role::Renewal(refresh), Found::Hit(page) | Found::Stale(Stale { page, .. })) => {
                match refresh.is_for(&page) {
                    true => {
                        self.join(
                            Forward::Stale,
                            landed,
                            VaryFields::from_iter(page.meta.vary.iter().cloned()),
                        )
                        .await
                    }
                    // It was made anew meanwhile, or the request is another one without what was not taken along.
                    false => Front::Idle,
                }
            }
            (Role::Renewal(_), Found::Miss(_)) => Front::Idle,
            (Role::Early, Found::Hit(page)) => self.early(page),
            (Role::Ordinary, Found::Hit(page)) if self.is_early(&page) => self.early(page),
            (_, Found::Hit(page)) => Front::Hit(page),
            (Role::Passing, Found::Stale(stale)) => self.past(stale).await,
            (_, Found::Stale(stale)) => Front::Stale(stale, self),
            (_, Found::Miss(forward)) => {
                let fields = self.last_fields();
                self.join(forward, landed, fields).await
            }
        }
    }

    fn is_early(&self, page: &Page) -> bool {
        self.engine.settings.stale.is_early(&page.meta, self.began)
    }

    fn early(self: Box<Self>, page: Arc<Page>) -> Front {
        let timing = page.meta.timing;
        Front::Stale(Stale { page, timing }, self)
    }

    /// Goes on to the application though there is a stale page, which stands in if that fails.
    pub(crate) async fn past(mut self: Box<Self>, stale: Stale) -> Front {
        let fields = stale.page.meta.vary.iter().cloned().collect();
        self.standby = Some(stale);
        // Whoever landed meanwhile did so after the look that found it stale.
        self.join(Forward::Stale, u64::MAX, fields).await
    }

    /// Waits for another who makes the same page, or leads. `landed_before` is what had landed when the store was looked at.
    async fn join(
        mut self: Box<Self>,
        mut forward: Forward,
        mut landed_before: u64,
        mut fields: VaryFields,
    ) -> Front {
        let traffic = self.cache.attached::<Traffic>();
        let tags = self.known_tags();
        let clock = self.cache.clock().clone();
        let soft = self.engine.settings.stale.soft_timeout.filter(|_| self.standby.is_some());
        let max_wait = self.engine.settings.max_wait;
        let mut patience = std::pin::pin!(clock.sleep(soft.map_or(max_wait, |soft| soft.min(max_wait))));
        'regroup: for _ in 0..REGROUPS {
            let fill = match self.cache.begin(&tags).await {
                Ok(fill) => fill,
                Err(error) => return self.backend_failed(&error),
            };
            self.began = self.cache.clock().now();
            let (get_flight, own_flight) = self.flight_keys(&fields);
            if let Some(passed) = self.waits_for_none(&traffic, &get_flight, &own_flight) {
                let mut lead = self.lead(forward, fill, traffic, own_flight, None);
                lead.passed = passed;
                return Front::Lead(lead);
            }
            let limit = self.engine.settings.max_waiters;
            // A HEAD may wait for a GET; a GET never waits for a HEAD, which has no body to give.
            let followed = match self.facts.head {
                true => traffic.flights.follow(&get_flight, fill.fence(), limit),
                false => None,
            };
            let joined = followed.unwrap_or_else(|| traffic.flights.join(&own_flight, fill.fence(), limit));
            let refreshes = self.role.renewal().is_some();
            let mut waiter = match joined {
                // Somebody makes it already.
                Joined::Full | Joined::Wait(_) if refreshes => return Front::Idle,
                Joined::Full => return Front::Alone(self, forward, Reason::WaitLimit),
                Joined::Lead(leader) => {
                    let mut turns = Turns::of(&self, &own_flight, &fill);
                    // Whoever led before may have landed between our look and our lead.
                    let mut looks = traffic.landed(&self.identity) != landed_before && !self.facts.refresh;
                    let (leader, lease) = loop {
                        if looks {
                            match (self.look_or_refresh().await, self.role.renewal()) {
                                (Ok(Found::Hit(page)), None) => {
                                    leader.publish(Landing::Stored(Arc::clone(&page)));
                                    return Front::Hit(page);
                                }
                                (Ok(Found::Hit(page)), Some(refresh)) if !refresh.is_for(&page) => {
                                    return Front::Idle;
                                }
                                (Ok(_), _) => {}
                                (Err(error), _) => return self.backend_failed(&error),
                            }
                            let seen = self.last_fields();
                            if seen != fields && !refreshes {
                                (forward, fields) = (Forward::VaryMiss, seen);
                                leader.publish(Landing::Vary(fields.clone()));
                                continue 'regroup;
                            }
                        }
                        match turns.next(patience.as_mut()).await {
                            Place::Lead(lease) => break (Some(Arc::new(leader)), lease),
                            Place::Look => looks = true,
                            Place::Pass(until) => {
                                traffic.passes.note(&own_flight, until);
                                leader.publish(Landing::Alone);
                                break (None, None);
                            }
                            Place::Taken => return Front::Idle,
                            Place::TooLong => return self.too_long(forward),
                        }
                    };
                    let passed = leader.is_none();
                    let mut lead = self.lead(forward, fill, traffic, own_flight, leader);
                    (lead.lease, lead.passed) = (lease, passed);
                    return Front::Lead(lead);
                }
                Joined::Wait(waiter) => waiter,
            };
            let waited = tokio::select! {
                outcome = waiter.wait() => outcome,
                () = &mut patience => {
                    return self.too_long(forward);
                }
            };
            drop(waiter);
            match waited {
                Outcome::Value(Landing::Page(landed)) => {
                    if self.is_ours(&landed) {
                        return Front::Joined(landed, self);
                    }
                    // The leader's head says what the page varies on, and ours is another variant: meet the others of it.
                    forward = Forward::VaryMiss;
                    fields = landed.fields.clone();
                }
                Outcome::Value(Landing::Stored(page)) => {
                    if self.is_stored_ours(&page) {
                        return Front::Hit(page);
                    }
                    (forward, fields) = (Forward::VaryMiss, page.meta.vary.iter().cloned().collect());
                }
                Outcome::Value(Landing::Vary(seen)) => (forward, fields) = (Forward::VaryMiss, seen),
                Outcome::Value(Landing::Failed(status)) if self.standby.is_some() => {
                    if let Some(stale) = self.standby.take() {
                        return Front::Show(stale, Shown::Failed(status));
                    }
                }
                Outcome::Value(Landing::Alone | Landing::Failed(_)) => {
                    self.began = self.cache.clock().now();
                    return Front::Lead(self.lead(forward, fill, traffic, own_flight, None));
                }
                // Gone without a word: look again, and compete for the lead.
                Outcome::Abandoned => {
                    landed_before = traffic.landed(&self.identity);
                    match self.look_or_refresh().await {
                        Ok(Found::Hit(page)) => return Front::Hit(page),
                        Ok(_) => {}
                        Err(error) => return self.backend_failed(&error),
                    }
                }
            }
        }
        if self.role.renewal().is_some() {
            return Front::Idle;
        }
        Front::Alone(self, forward, Reason::WaitLimit)
    }

    /// It has waited for long enough.
    fn too_long(mut self: Box<Self>, forward: Forward) -> Front {
        match self.standby.take() {
            Some(stale) => Front::Show(stale, Shown::TooSlow),
            None => Front::Alone(self, forward, Reason::WaitLimit),
        }
    }

    pub(crate) fn lead(
        self: Box<Self>,
        forward: Forward,
        fill: Fill,
        traffic: Arc<Traffic>,
        flight: Key,
        leader: Option<Arc<Leader<Landing>>>,
    ) -> Box<Lead> {
        let attachment = self.engine.settings.attach.then(Attachment::new);
        Box::new(Lead {
            visit: self,
            forward,
            fill,
            traffic,
            flight,
            leader,
            lease: None,
            passed: false,
            known_length: false,
            beside: Beside::default(),
            gateway: None,
            attachment,
            notes: Notes::default(),
        })
    }

    fn backend_failed(self: Box<Self>, error: &larder_core::Error) -> Front {
        // The failure itself is in the log already, and not for each request that it concerns.
        tracing::debug!(target: "larder::decision", cache = self.cache.name(), kind = error.kind().as_str(), %error, "the page is made without the store");
        match self.role.renewal() {
            // There is no store to make it for.
            Some(_) => Front::Idle,
            None => Front::Alone(self, Forward::Miss, Reason::BackendError),
        }
    }

    /// Hands the tags of this layer on to a layer outside: the page that it makes of this one is to be forgotten with it.
    pub(crate) fn label(&self, response: &mut Response<Body>) {
        if self.facts.nested {
            PageTags(self.known_tags()).add_to(response.extensions_mut());
        }
    }

    /// Tells layers inside which use the same store how long this request has waited for it already.
    pub(crate) fn pass_on_waits(&self, extensions: &mut Extensions) {
        if self.cache.patience().is_some() {
            let mut waits = extensions.get::<Waits>().cloned().unwrap_or_default();
            waits.note(&self.cache);
            extensions.insert(waits);
        }
    }

    /// Takes away from the request what the page must not depend on.
    pub(crate) fn prepare(&self, headers: &mut HeaderMap, leads: bool) {
        self.identity.strip(headers);
        if self.engine.settings.precompress {
            headers.remove(header::ACCEPT_ENCODING);
        }
        // Who makes a page for many makes the whole page; the client's condition is evaluated on it afterwards.
        if leads && self.facts.conditional {
            headers.remove(header::IF_NONE_MATCH);
            headers.remove(header::IF_MODIFIED_SINCE);
        }
    }
}

impl Lead {
    /// What the layers inside have to know of those outside.
    pub(crate) fn enclosing(&self) -> Enclosed {
        let mut enclosed = self.visit.enclosed.clone();
        enclosed.flights.push(self.flight.clone());
        enclosed.notes.push(self.notes.clone());
        enclosed
    }
}

/// Whether a request carries a body. Wrappers around bodies often don't say that they are empty, so on HTTP/1, where a body
/// needs a field to announce it, only the fields (and a known size) count.
pub(crate) fn has_body<B: http_body::Body>(version: http::Version, body: &B) -> bool {
    let hint = body.size_hint();
    hint.lower() > 0 || (version >= http::Version::HTTP_2 && !body.is_end_stream() && hint.exact() != Some(0))
}

/// The length a body says it has.
pub(crate) fn known_length(body: &Body, headers: &HeaderMap) -> Option<u64> {
    use http_body::Body as _;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    announced.or_else(|| body.size_hint().exact())
}

/// Any body as Axum's.
pub(crate) fn into_body<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    response.map(Body::new)
}
