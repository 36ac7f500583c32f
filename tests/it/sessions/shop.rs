//! The application that these suites visit, in each arrangement of session layer and caching layers, and its visitors.

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use larder::prelude::*;
use larder_tests::{Served, client, serve};
use reqwest::Response;
use serde_json::Value;
use tower::ServiceBuilder;
use tower_sessions::{Session, SessionManagerLayer, SessionStore};

use crate::support::{Runs, patient};

/// Where the session layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Outside of `cache_page`, which can't see the cookie that it sets.
    AroundRoutes,
    /// The same, and a `CachesLayer` outside of it.
    BelowCachesLayer,
    /// Outside of the pair.
    AroundPair,
    /// Between the two of the pair, where Django has it.
    BetweenPair,
}

impl Place {
    pub(crate) const ALL: [Self; 4] =
        [Self::AroundRoutes, Self::BelowCachesLayer, Self::AroundPair, Self::BetweenPair];
}

/// What the caching layer was told about cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    All,
    Ignored,
    NoneNamed,
    OthersNamed,
}

impl Cookies {
    pub(crate) const EACH: [Self; 4] = [Self::All, Self::Ignored, Self::NoneNamed, Self::OthersNamed];
}

macro_rules! told {
    ($layer:expr, $cookies:expr) => {
        match $cookies {
            Cookies::All => $layer,
            Cookies::Ignored => $layer.ignore_cookies(),
            Cookies::NoneNamed => $layer.cookies::<&str>([]),
            Cookies::OthersNamed => $layer.cookies(["lang"]),
        }
    };
}

/// Who is greeted: reads the session only.
async fn greet(session: Session, State(runs): State<Runs>) -> String {
    runs.next();
    let name: Option<String> = session.get("name").await.expect("a store");
    format!("hello {}", name.as_deref().unwrap_or("nobody"))
}

/// Gives every visitor a number on the first visit.
async fn number(session: Session, State(runs): State<Runs>) -> String {
    tokio::task::yield_now().await;
    let number = match session.get::<usize>("number").await.expect("a store") {
        Some(number) => number,
        None => {
            let number = runs.next();
            session.insert("number", number).await.expect("a store");
            number
        }
    };
    format!("visitor {number}")
}

async fn everybodys(State(runs): State<Runs>) -> ([(&'static str, &'static str); 1], String) {
    ([("cache-control", "public")], format!("run {}", runs.next()))
}

async fn nobodys(State(runs): State<Runs>) -> String {
    format!("run {}", runs.next())
}

/// Shows a message once.
async fn board(session: Session) -> String {
    let message: Option<String> = session.remove("flash").await.expect("a store");
    message.unwrap_or_else(|| "no news".to_owned())
}

async fn login(session: Session, Query(query): Query<Value>) -> String {
    session.cycle_id().await.expect("a store");
    session.insert("name", &query["name"]).await.expect("a store");
    "welcome".to_owned()
}

async fn logout(session: Session) {
    session.flush().await.expect("a store");
}

async fn saved(session: Session) {
    session.insert("flash", "saved").await.expect("a store");
}

/// The application in one arrangement.
pub(crate) fn shop<S>(store: S, cache: &Cache, place: Place, cookies: Cookies) -> (Router, Runs)
where
    S: SessionStore + Clone,
{
    let runs = Runs::default();
    let page = || told!(cache_page(60).cache(cache), cookies);
    let mut routes = Router::new();
    let pages = [
        ("/greet", get(greet)),
        ("/number", get(number)),
        ("/everybodys", get(everybodys)),
        ("/nobodys", get(nobodys)),
        ("/board", get(board)),
    ];
    let by_route = matches!(place, Place::AroundRoutes | Place::BelowCachesLayer);
    for (path, handler) in pages {
        routes = routes.route(path, if by_route { handler.layer(page()) } else { handler });
    }
    let routes = routes
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/saved", post(saved))
        .with_state(runs.clone())
        .layer(Extension(()));
    let sessions = SessionManagerLayer::new(store).with_secure(false);
    let update = || told!(UpdateCacheLayer::new(60).cache(cache), cookies);
    let app = match place {
        Place::AroundRoutes => routes.layer(sessions),
        Place::BelowCachesLayer => routes.layer(sessions).layer(CachesLayer::outermost()),
        Place::AroundPair => {
            let pair =
                ServiceBuilder::new().layer(update()).layer(FetchFromCacheLayer::new()).service(routes);
            Router::new().fallback_service(pair).layer(sessions)
        }
        Place::BetweenPair => {
            let pair = ServiceBuilder::new()
                .layer(update())
                .layer(sessions)
                .layer(FetchFromCacheLayer::new())
                .service(routes);
            Router::new().fallback_service(pair)
        }
    };
    (app, runs)
}

/// Somebody with a browser that keeps the session's cookie.
pub(crate) struct Visitor {
    client: reqwest::Client,
    cookie: Option<String>,
}

/// What a visitor was shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) cache_status: String,
    pub(crate) vary: String,
    pub(crate) set_cookie: String,
}

impl Shown {
    /// Whether it was made for an earlier request; its way into the store may not be over.
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status.starts_with("larder; hit") || self.cache_status.contains("; collapsed")
    }
}

impl Visitor {
    pub(crate) fn new() -> Self {
        Self { client: client(), cookie: None }
    }

    /// Somebody whose browser sends this cookie.
    pub(crate) fn with_cookie(cookie: &str) -> Self {
        Self { client: client(), cookie: Some(cookie.to_owned()) }
    }

    /// The cookie that it would send now.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Whether it has a session, as far as its browser knows.
    pub(crate) fn has_session(&self) -> bool {
        self.cookie.is_some()
    }

    pub(crate) async fn get(&mut self, site: &Served, path: &str) -> Shown {
        self.send(self.client.get(site.url(path))).await
    }

    pub(crate) async fn post(&mut self, site: &Served, path: &str) -> Shown {
        self.send(self.client.post(site.url(path))).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Shown {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = request.send().await.expect("an answer");
        let field = |name: &str| {
            let lines = response.headers().get_all(name).iter();
            lines.map(|line| line.to_str().expect("text")).collect::<Vec<_>>().join(", ")
        };
        let (cache_status, vary, set) = (field("cache-status"), field("vary"), field("set-cookie"));
        if let Some(pair) = set.split(';').next().filter(|pair| pair.starts_with("id=")) {
            self.cookie = (pair.len() > 3).then(|| pair.to_owned());
        }
        Shown { text: text(response).await, cache_status, vary, set_cookie: set }
    }
}

async fn text(response: Response) -> String {
    response.text().await.expect("a body")
}

/// The caches on which these suites run.
pub(crate) fn caches() -> Vec<(&'static str, Cache)> {
    let url = larder_tests::env::redis_url();
    let more = if url.contains('?') { '&' } else { '?' };
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let own = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let redis = patient(&format!("{url}{more}prefix=sessions-{}-{own}", std::process::id()));
    vec![("memory", patient("memory:")), ("redis", redis)]
}

/// Serves the application in every arrangement, one after another.
pub(crate) async fn each<S, F>(
    store: impl Fn(&Cache) -> S,
    test: impl Fn(Served, Runs, Place, Cookies, String) -> F,
) where
    S: SessionStore + Clone,
    F: Future<Output = ()>,
{
    for (name, cache) in caches() {
        for place in Place::ALL {
            for cookies in Cookies::EACH {
                let (app, runs) = shop(store(&cache), &cache, place, cookies);
                test(serve(app).await, runs, place, cookies, format!("{name}, {place:?}, {cookies:?}")).await;
                cache.clear().await.expect("cleared");
            }
        }
    }
}
