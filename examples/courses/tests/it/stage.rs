//! The application on a free port, and its visitors.

use courses::{Courses, Database, app};
use larder::Cache;
use larder_tests::env;
use larder_tests::{Served, client, serve};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

const PASSWORD: &str = "open sesame";

pub(crate) struct Stage {
    pub(crate) database: Database,
    caches: [Cache; 2],
    served: Served,
}

impl Stage {
    pub(crate) async fn in_memory() -> Self {
        Self::on("memory:?", "", "sqlite::memory:").await
    }

    /// Pages in memory, and courses in a schema of their own that is gone with the connection.
    pub(crate) async fn on_postgres() -> Self {
        let url = env::postgres_url();
        let sign = if url.contains('?') { '&' } else { '?' };
        Self::on("memory:?", "", &format!("{url}{sign}options[search_path]=pg_temp")).await
    }

    pub(crate) async fn on_redis(test: &str) -> Self {
        let url = env::redis_url();
        let sign = if url.contains('?') { '&' } else { '?' };
        // A busy machine may take its time.
        Self::on(
            &format!("{url}{sign}deadline=60s&"),
            &format!("{test}-{}-", std::process::id()),
            "sqlite::memory:",
        )
        .await
    }

    async fn on(url: &str, prefix: &str, database: &str) -> Self {
        let [cache, sessions] =
            ["pages", "sessions"].map(|name| larder::open(&format!("{url}prefix={prefix}{name}")).unwrap());
        let database = Database::open(database).await.unwrap();
        let courses = Courses {
            database: database.clone(),
            cache: cache.clone(),
            sessions: sessions.clone(),
            password: PASSWORD.into(),
        };
        Self { database, served: serve(app(courses)).await, caches: [cache, sessions] }
    }

    /// Takes away what it left on a server.
    pub(crate) async fn clean(&self) {
        for cache in &self.caches {
            cache.clear().await.unwrap();
        }
    }

    /// Where a browser finds it.
    pub(crate) fn url(&self, path: &str) -> String {
        self.served.url(path)
    }

    /// Somebody who is not logged in.
    pub(crate) fn anonymous(&self) -> Visitor {
        Visitor { base: self.served.url(""), cookie: None }
    }

    /// Somebody who has just logged in.
    pub(crate) async fn logged_in(&self, name: &str) -> Visitor {
        let mut visitor = self.anonymous();
        assert_eq!(visitor.log_in(name, PASSWORD).await, StatusCode::SEE_OTHER, "{name}");
        visitor
    }

    pub(crate) fn password(&self) -> &'static str {
        PASSWORD
    }
}

/// A browser with nothing but a session cookie.
#[derive(Clone)]
pub(crate) struct Visitor {
    base: String,
    pub(crate) cookie: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) cache: String,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let cache = response.headers().get("cache-status").map(|value| value.to_str().unwrap().to_owned());
        let (status, cache) = (response.status(), cache.unwrap_or_default());
        Self { status, cache, text: response.text().await.unwrap() }
    }

    /// Whether it was made before: it is in the store, or still on its way there.
    pub(crate) fn was_there(&self) -> bool {
        self.cache.starts_with("larder; hit") || self.cache.contains("; collapsed")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn titles(&self) -> Vec<String> {
        let title = |course: &Value| course["title"].as_str().unwrap().to_owned();
        self.json()["results"].as_array().unwrap().iter().map(title).collect()
    }
}

impl Visitor {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.send(Method::GET, path, None).await).await
    }

    pub(crate) async fn write(&self, method: Method, path: &str, body: Value) -> Answer {
        Answer::of(self.send(method, path, Some(body)).await).await
    }

    pub(crate) async fn rename(&self, id: u32, title: &str) -> Answer {
        let draft = json!({ "title": title, "level": "beginner", "subject": "programming" });
        self.write(Method::PUT, &format!("/api/courses/{id}"), draft).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = client().request(method, format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Sends a form, and keeps the cookie that comes back.
    async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> StatusCode {
        let mut request = client().post(format!("{}{path}", self.base)).form(form);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = request.send().await.unwrap();
        if let Some(cookie) = response.headers().get("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        response.status()
    }

    pub(crate) async fn log_in(&mut self, name: &str, password: &str) -> StatusCode {
        self.submit("/login", &[("name", name), ("password", password)]).await
    }

    pub(crate) async fn log_out(&mut self) -> StatusCode {
        self.submit("/logout", &[]).await
    }
}
