//! A fill on its way into the store, and what those who wait for it get.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use larder_core::flight::{Flights, Leader};
use larder_core::{
    Attachment, Cache, Entry, ErrorKind, Fill, Key, Lease, Stamp, Standing, Tag, UnixMillis, When,
};
use larder_http::{CacheStatus, Forward, Reason, StoredMeta, StoredResponse, VaryFields};
use parking_lot::Mutex;

use crate::admit::Facts;
use crate::attach;
use crate::body::SharedBody;
use crate::coded;
use crate::detach;
use crate::identity::{Identity, Variant};
use crate::kept::Page;
use crate::outer::Added;
use crate::passes::{PASS_MILLIS, Passes, Route};
use crate::record::Record;
use crate::respond;
use crate::slots::Seat;
use crate::stale::Renewal;
use crate::varied::Varied;

/// What a leader publishes at its head.
#[derive(Clone)]
pub(crate) enum Landing {
    /// A page; whoever's variant it is may read it along.
    Page(Arc<Landed>),
    /// A page that another process has stored; for whose variant it is.
    Stored(Arc<Page>),
    /// What the pages of this URL vary on, by what another process has stored.
    Vary(VaryFields),
    /// Not to be shared: each for itself.
    Alone,
    /// The application failed, with this status if it gave one: who has a stale page is answered with it, others go each for themselves.
    Failed(Option<u16>),
}

/// A page of which the head is known and the body is coming.
pub(crate) struct Landed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) fields: VaryFields,
    pub(crate) variant: Variant,
    /// For everybody, whatever credentials they send.
    pub(crate) widened: bool,
    pub(crate) meta: StoredMeta,
    pub(crate) body: LandedBody,
    /// Those who wait may have it; not what has to be validated before each use.
    pub(crate) shareable: bool,
}

pub(crate) enum LandedBody {
    Whole(Bytes),
    Coming(SharedBody),
}

impl Landed {
    /// The answer for one who waited; `None` if the body can't be joined any more.
    pub(crate) fn answer(
        &self,
        facts: Facts,
        request: &HeaderMap,
        now: UnixMillis,
    ) -> Option<Response<Body>> {
        let (status, mut headers) = respond::conditioned(self.status, &self.headers, facts, request, now);
        let mut cache_status = CacheStatus::forward(Forward::Miss);
        cache_status.collapsed = Some(true);
        cache_status.append_to(&mut headers);
        let mut response = match &self.body {
            LandedBody::Whole(bytes) => {
                let body = if status == StatusCode::NOT_MODIFIED { Bytes::new() } else { bytes.clone() };
                respond::finish(status, headers, body, facts, self.meta.flags.head_only)
            }
            LandedBody::Coming(shared) => {
                let body = match status {
                    StatusCode::NOT_MODIFIED => respond::unchanged(facts.coded),
                    _ if facts.head => respond::bare(&headers),
                    _ => Body::new(shared.reader()?),
                };
                let mut response = Response::new(body);
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
        };
        // As good as a hit: the page was begun by another request, and its tags are not at hand.
        if facts.nested {
            response.extensions_mut().insert(Added { inner_hit: true, ..Added::default() });
        }
        Some(response)
    }
}

/// What all layers on one cache share in this process.
pub(crate) struct Traffic {
    pub(crate) flights: Flights<Landing>,
    /// For what nobody waits.
    pub(crate) passes: Passes,
    /// How many pages have landed, counted apart for groups of URLs.
    landed: [AtomicU64; GROUPS],
}

const GROUPS: usize = 64;

impl Default for Traffic {
    fn default() -> Self {
        Self {
            flights: Flights::new(),
            passes: Passes::default(),
            landed: [const { AtomicU64::new(0) }; GROUPS],
        }
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic").field("flights", &self.flights.len()).finish_non_exhaustive()
    }
}

impl Traffic {
    /// A number that is another one once a page of this URL has landed: if it is the same, looking again finds nothing new from this
    /// process.
    pub(crate) fn landed(&self, identity: &Identity) -> u64 {
        self.landed[identity.url_group(GROUPS)].load(Ordering::SeqCst)
    }
}

/// Everything that is needed to store a page once its body is whole.
pub(crate) struct Store {
    pub(crate) cache: Cache,
    pub(crate) identity: Identity,
    pub(crate) fill: Fill,
    pub(crate) tags: Vec<Tag>,
    /// What was read while it was made.
    pub(crate) attachment: Option<Attachment>,
    pub(crate) limit: u32,
    pub(crate) landed: Arc<Landed>,
    pub(crate) leader: Option<Arc<Leader<Landing>>>,
    pub(crate) lease: Option<Lease>,
    /// It was known for what can't be stored, here or in another process.
    pub(crate) passed: bool,
    pub(crate) route: Option<Route>,
    /// Until when it is kept though it is stale.
    pub(crate) keep: Option<UnixMillis>,
    /// What a part is joined with.
    pub(crate) parts: Option<Box<Parts>>,
    /// For how long a body goes on at its own pace where other processes wait for it.
    pub(crate) drives: Option<Duration>,
    /// Kept in compressed forms too.
    pub(crate) precompress: bool,
    /// It is made behind an answer, and that is under way until it is stored.
    #[expect(dead_code, reason = "held, not read: the refresh is over when the last who holds it lets go")]
    pub(crate) refresh: Option<Arc<Renewal>>,
}

impl Store {
    /// Stores the page and gives the keys that it stands under, or says why not.
    async fn run(&mut self, body: Bytes) -> Result<Vec<Key>, Reason> {
        let (fill, tags) = self.filled()?;
        let cache = &self.cache;
        match self.try_run(body, fill, tags).await {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(reason)) => {
                tracing::debug!(target: "larder::decision", cache = cache.name(), reason = reason.as_str(), "a page was not stored");
                Err(reason)
            }
            Err(error) => {
                // The failure itself is in the log already.
                tracing::debug!(target: "larder::decision", cache = cache.name(), kind = error.kind().as_str(), %error, "a page was not stored");
                match error.kind() {
                    ErrorKind::TooLarge => Err(Reason::TooLarge),
                    _ => Err(Reason::BackendError),
                }
            }
        }
    }

    /// Tells the other processes that it is there.
    async fn landed(&self, flight: &Key, keys: Vec<Key>) {
        match &self.lease {
            Some(lease) => lease.made(keys),
            None if self.passed && self.cache.shares_fills() => {
                // Whatever comes of it: it is not remembered for long.
                _ = self.cache.unpass(flight).await;
            }
            None => {}
        }
    }

    /// Tells the other processes that nobody should wait for it.
    fn let_go(&self, until: UnixMillis) {
        if let Some(lease) = &self.lease {
            lease.pass(until);
        }
    }

    /// The fill with what was read since, and the tags that it is sealed with.
    fn filled(&mut self) -> Result<(Fill, Vec<Tag>), Reason> {
        let empty = Fill::new(self.fill.space(), self.fill.fence());
        let (mut fill, mut tags) = (std::mem::replace(&mut self.fill, empty), std::mem::take(&mut self.tags));
        if let Some(attachment) = &self.attachment {
            tags.extend(attachment.give(&self.cache, &mut fill).map_err(attach::reason)?);
        }
        // A part that this one may be joined with is as old as it was.
        if let Some(entry) = self.parts.as_ref().and_then(|parts| parts.entry.as_ref()) {
            fill.inherit(entry.stamp());
        }
        Ok((fill, tags))
    }

    async fn try_run(
        &self,
        body: Bytes,
        fill: Fill,
        tags: Vec<Tag>,
    ) -> Result<Result<Vec<Key>, Reason>, larder_core::Error> {
        let landed = &self.landed;
        let until = landed.meta.timing.usable_until().max(self.keep.unwrap_or(0));
        let until = (until != UnixMillis::MAX).then_some(until);
        let Some(stamp) = self.cache.seal(&fill, &tags, until).await? else {
            return Ok(Err(Reason::Invalidated));
        };
        // Overtaken by a fill that began after an invalidation: ours is the older page.
        if self.leader.as_ref().is_some_and(|leader| !leader.is_open()) {
            return Ok(Err(Reason::Invalidated));
        }
        let (headers, meta) = (landed.headers.clone(), landed.meta.clone());
        let mut page = StoredResponse { status: landed.status, headers, body, meta };
        if self.precompress {
            page = compressed(page).await;
        }
        let place = Place {
            identity: &self.identity,
            variant: &landed.variant,
            fields: &landed.fields,
            limit: self.limit,
            answers: self.keep.is_none(),
        };
        let lease = self.lease.as_ref();
        let joined = self.parts.as_ref().and_then(|parts| parts.join(&page, self.cache.clock().now()));
        let whole = joined.and_then(|(joined, whole)| {
            page = joined;
            whole
        });
        let place = match &whole {
            Some((identity, variant)) => Place { identity, variant, ..place },
            None => place,
        };
        let stored = place.store_under(lease, &self.cache, page, until, stamp).await?;
        Ok(stored.ok_or(Reason::TakenOver))
    }
}

/// A stored response that a new part may be joined with.
pub(crate) struct Parts {
    pub(crate) rules: Arc<larder_http::shared::Rules>,
    pub(crate) held: Arc<Page>,
    /// The entry that it was read from.
    pub(crate) entry: Option<Entry>,
    /// Where the whole is stored, if it becomes one.
    pub(crate) whole: (Identity, Variant),
}

impl Parts {
    /// The two joined, and where that is stored if it is another place than the part's.
    fn join(
        &self,
        part: &StoredResponse,
        now: UnixMillis,
    ) -> Option<(StoredResponse, Option<(Identity, Variant)>)> {
        let mut joined = larder_http::shared::combine(&self.rules, &self.held.to_stored(), part, now)?;
        joined.headers.remove(crate::shared::ASKED_RANGE);
        let whole = (joined.status == StatusCode::OK).then(|| self.whole.clone());
        Some((joined, whole))
    }
}

/// Where a page is stored so that requests find it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) variant: &'a Variant,
    pub(crate) fields: &'a VaryFields,
    pub(crate) limit: u32,
    /// It is sent as it is kept, for as long as it is fresh.
    pub(crate) answers: bool,
}

impl Place<'_> {
    /// Stores a page, and notes in its URL's record what it varies on.
    pub(crate) async fn store(
        self,
        cache: &Cache,
        page: StoredResponse,
        until: Option<UnixMillis>,
        stamp: Stamp,
    ) -> Result<(), larder_core::Error> {
        self.store_under(None, cache, page, until, stamp).await.map(|_| ())
    }

    /// The same for a page that was made under a lease; gives the keys that it stands under, or `None` if another process has taken over
    /// meanwhile: what comes of that is newer.
    async fn store_under(
        self,
        lease: Option<&Lease>,
        cache: &Cache,
        mut page: StoredResponse,
        until: Option<UnixMillis>,
        stamp: Stamp,
    ) -> Result<Option<Vec<Key>>, larder_core::Error> {
        let inline = self.fields.is_empty() && !self.variant.is_credentialed();
        let primary = self.identity.primary_key();
        let key = if inline { primary.identity() } else { self.variant.key().identity() };
        if *page.meta.key != *key {
            page.meta.key = Bytes::copy_from_slice(key);
        }
        let slots = match inline {
            true => Vec::new(),
            false => self.variant.slots(self.identity, self.limit).into(),
        };
        let mut keys: Vec<Key> = std::iter::once(primary.clone()).chain(slots).collect();
        // The lease is looked at in the same step as what stands in the page's place.
        keys.extend(lease.map(|lease| lease.key().clone()));
        let at_hand = match lease {
            None => keys.iter().map(|key| cache.lookup_now(key)).collect(),
            Some(_) => None,
        };
        let mut found: Vec<Option<Entry>> = match at_hand {
            Some(found) => found,
            None => cache.lookup(&keys).await?,
        };
        if let Some(lease) = lease {
            let there = found.pop().flatten();
            keys.pop();
            let expired = match lease.standing(there.as_ref()) {
                Standing::Held => false,
                Standing::Expired => true,
                Standing::TakenOver => return Ok(None),
            };
            if expired && found.iter().flatten().any(|there| self.is_newer(there, &page)) {
                return Ok(None);
            }
        }
        let page = Record::of(Arc::new(Page::kept(page, self.answers)));
        let mut found = found.into_iter();
        let there = found.next().flatten();
        let mut record = match there.as_ref().map(Record::from_entry) {
            Some(Ok(record)) => Record::clone(&record),
            _ => Record::default(),
        };
        if inline {
            record.page = page.page;
            let until = later(until, there.as_ref().filter(|_| !record.sets.is_empty()), until);
            cache.put(primary, Entry::new(record.into_value(), until, stamp), When::Always).await?;
            return Ok(Some(vec![primary.clone()]));
        }
        let untagged = Stamp::untagged(stamp.space);
        let Seat { slot, moved: mut entries } =
            Seat::of(&self, cache, [found.next().flatten(), found.next().flatten()]).await?;
        let stored = vec![slot.clone()];
        entries.push((slot, Entry::new(page.into_value(), until, stamp)));
        let noted = record.note(self.fields);
        cache.attached::<Varied>().note(primary, &record.sets);
        let outlived =
            there.as_ref().is_none_or(|entry| later(entry.expires(), None, until) != entry.expires());
        if noted || outlived {
            // A page that stands in the record keeps the stamp it was stored with.
            let stamp = match (&there, &record.page) {
                (Some(entry), Some(_)) => entry.stamp().clone(),
                _ => untagged,
            };
            let until = later(until, there.as_ref(), until);
            entries.push((primary.clone(), Entry::new(record.into_value(), until, stamp)));
        }
        // A record whose variant was refused leads to nothing, which is a miss.
        match cache.put_many(entries).await?.pop() {
            Some((_, error)) => Err(error),
            None => Ok(Some(stored)),
        }
    }

    /// Whether what stands there is this page as somebody made it who began later.
    fn is_newer(&self, there: &Entry, page: &StoredResponse) -> bool {
        let Ok(record) = Record::from_entry(there) else { return false };
        let newer = |there: &Arc<Page>| {
            *there.meta.key == *page.meta.key
                && there.meta.timing.request_time > page.meta.timing.request_time
        };
        record.page.as_ref().is_some_and(newer)
    }
}

/// Bodies above this are compressed on a thread that may block.
const AT_ONCE: usize = 16 << 10;

async fn compressed(mut page: StoredResponse) -> StoredResponse {
    if page.body.len() <= AT_ONCE || tokio::runtime::Handle::try_current().is_err() {
        page.meta.forms = coded::forms(&page);
        return page;
    }
    let beside = page.clone();
    page.meta.forms = tokio::task::spawn_blocking(move || coded::forms(&beside)).await.unwrap_or_default();
    page
}

/// The later of two expiries; `None` is never.
fn later(a: Option<UnixMillis>, entry: Option<&Entry>, b: Option<UnixMillis>) -> Option<UnixMillis> {
    let ab = a.zip(b).map(|(a, b)| a.max(b));
    match entry {
        None => ab,
        Some(entry) => ab.zip(entry.expires()).map(|(x, y)| x.max(y)),
    }
}

/// Waits for two things: the verdict on the head, and the end of the body. Only with both is the page stored.
pub(crate) struct Gate(Mutex<Option<Box<Waiting>>>);

struct Waiting {
    store: Store,
    traffic: Arc<Traffic>,
    flight: Key,
    approved: bool,
    body: Option<Bytes>,
}

pub(crate) type Task = Pin<Box<dyn Future<Output = Result<(), Reason>> + Send>>;

impl Gate {
    pub(crate) fn new(store: Store, traffic: Arc<Traffic>, flight: Key) -> Arc<Self> {
        let waiting = Waiting { store, traffic, flight, approved: false, body: None };
        Arc::new(Self(Mutex::new(Some(Box::new(waiting)))))
    }

    /// The head has passed: those who wait get the page. Gives back what is left to do.
    #[must_use]
    pub(crate) fn approve(&self) -> Option<Task> {
        let mut waiting = self.0.lock();
        let state = waiting.as_mut()?;
        state.approved = true;
        state.traffic.passes.forget(&state.flight, state.store.route);
        if let Some(leader) = &state.store.leader {
            leader.publish(match state.store.landed.shareable {
                true => Landing::Page(Arc::clone(&state.store.landed)),
                false => Landing::Alone,
            });
        }
        // Who waits in another process can't read along.
        let drives = state.store.drives.filter(|_| state.store.lease.is_some());
        let coming = match &state.store.landed.body {
            LandedBody::Coming(body) => drives.zip(Some(body.clone())),
            LandedBody::Whole(_) => None,
        };
        let task = Self::ready(&mut waiting);
        // It may come back here, if there is no place for it.
        drop(waiting);
        if let Some((limit, body)) = coming
            && let Some(driving) = body.drive_beside()
        {
            detach::spawn(limit, driving);
        }
        task
    }

    /// The head became private, or never came: each for itself.
    pub(crate) fn refuse(&self, reason: Reason) {
        let Some(state) = self.0.lock().take() else { return };
        if let LandedBody::Coming(body) = &state.store.landed.body {
            body.ends_with_its_readers();
        }
        if reason == Reason::BecamePrivate {
            let until = state.store.cache.clock().now().saturating_add(PASS_MILLIS);
            state.traffic.passes.note(&state.flight, until);
            state.traffic.passes.note_route(state.store.route, until);
            state.store.let_go(until);
        }
        // A client that went away says nothing about the page: the next one leads.
        if let Some(leader) = &state.store.leader
            && reason != Reason::ClientGone
        {
            leader.publish(Landing::Alone);
        }
    }

    /// The body has ended, whole or not.
    #[must_use]
    pub(crate) fn ended(&self, body: Result<Bytes, Reason>) -> Option<Task> {
        let mut waiting = self.0.lock();
        match body {
            Ok(body) => waiting.as_mut()?.body = Some(body),
            Err(reason) => {
                let state = waiting.take()?;
                drop(waiting);
                tracing::debug!(target: "larder::decision", cache = state.store.cache.name(), reason = reason.as_str(), "a page was not stored");
                if matches!(reason, Reason::TooLarge | Reason::Trailers) {
                    let until = state.store.cache.clock().now().saturating_add(PASS_MILLIS);
                    state.traffic.passes.note(&state.flight, until);
                    state.store.let_go(until);
                    if let Some(leader) = state.store.leader.as_ref().filter(|_| !state.approved) {
                        leader.publish(Landing::Alone);
                    }
                }
                return None;
            }
        }
        Self::ready(&mut waiting)
    }

    fn ready(waiting: &mut Option<Box<Waiting>>) -> Option<Task> {
        if !waiting.as_ref().is_some_and(|w| w.approved && w.body.is_some()) {
            return None;
        }
        let mut waiting = waiting.take()?;
        let body = waiting.body.take()?;
        Some(Box::pin(async move {
            let Waiting { store, traffic, flight, .. } = &mut *waiting;
            let stored = store.run(body).await;
            traffic.landed[store.identity.url_group(GROUPS)].fetch_add(1, Ordering::SeqCst);
            match &stored {
                Ok(keys) => store.landed(flight, keys.clone()).await,
                Err(Reason::TooLarge) => {
                    let until = store.cache.clock().now().saturating_add(PASS_MILLIS);
                    traffic.passes.note(flight, until);
                    store.let_go(until);
                }
                Err(_) => {}
            }
            // The flight is open until here, so that nobody falls between it and the store.
            drop(waiting);
            stored.map(|_| ())
        }))
    }
}

/// How long a store beside the request may take in all; each of its steps has the cache's deadline.
const LONGEST_STORE: Duration = Duration::from_secs(60);

/// Runs a task now if it needs no waiting, else beside the request.
pub(crate) fn run_soon(task: Option<Task>) {
    let Some(mut task) = task else { return };
    let mut cx = Context::from_waker(Waker::noop());
    if task.as_mut().poll(&mut cx).is_pending() {
        run_beside(task);
    }
}

/// Runs a task beside the request.
pub(crate) fn run_beside(task: Task) {
    detach::spawn(LONGEST_STORE, async move {
        let _ = task.await;
    });
}
