//! The other side: handlers that read what a hit reads, with the driver alone, in one step, and return the page's bytes with the fields of a
//! hit.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use rusqlite::Connection;

use crate::address::Address;
use crate::client::{Client, Command, Name, Patience, Reply};
use crate::serve::{PAGE, ours, warm};
use crate::{question, stores};

pub(crate) async fn app(store: &str, tags: usize) -> io::Result<Router> {
    match store {
        "redis" | "memcached" => {
            let address = stores::address(store)?;
            let (proxy, heard) = question::listen(address.clone()).await?;
            let ours = ours(&stores::open(store, tags, Some(&proxy))?, tags);
            warm(&ours).await?;
            _ = heard.take();
            warm(&ours).await?;
            let heard = heard.take();
            if store == "redis" {
                redis(&address, question::redis_names(&heard)?).await
            } else {
                let mut names = question::memcached_names(&heard);
                names.truncate(names.len() / 20);
                Ok(memcached(&address, &names))
            }
        }
        "sqlite" => sqlite(tags),
        "postgres" => postgres(tags).await,
        "file" => files(tags),
        // A hit in memory is what a copy in front of Redis has to be like.
        "tiered" => memory(tags).await,
        "memory" => {
            Ok(Router::new().route("/page", get(|| async { answer(Some(Bytes::from_static(&PAGE))) })))
        }
        _ => Err(io::Error::other(format!("{store}: there is no such store"))),
    }
}

async fn memory(tags: usize) -> io::Result<Router> {
    let app = ours(&stores::open("memory", tags, None)?, tags);
    warm(&app).await?;
    Ok(app)
}

/// The bytes, with the fields that a hit has.
fn answer(page: Option<Bytes>) -> Response {
    let Some(page) = page else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.reserve(FIELDS.len() + 1);
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const FIELDS: [(HeaderName, &str); 10] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_LANGUAGE, "en"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::DATE, "Sat, 21 Nov 2026 02:44:31 GMT"),
    (header::EXPIRES, "Sat, 21 Nov 2026 03:44:31 GMT"),
    (header::CACHE_CONTROL, "max-age=3600"),
    (header::VARY, "Cookie"),
    (header::AGE, "7"),
    (HeaderName::from_static("cache-status"), "larder; hit; ttl=3592"),
];

async fn redis(address: &str, names: Vec<String>) -> io::Result<Router> {
    eprintln!("redis: {} names", names.len());
    let client = redis::Client::open(format!("redis://{address}/0")).map_err(io::Error::other)?;
    let connection = client.get_multiplexed_async_connection().await.map_err(io::Error::other)?;
    let names = Arc::new(names);
    let read = move || {
        let (mut connection, names) = (connection.clone(), Arc::clone(&names));
        async move {
            let mut question = redis::cmd("MGET");
            for name in names.iter() {
                question.arg(name);
            }
            let found: Result<Vec<Option<Bytes>>, _> = question.query_async(&mut connection).await;
            answer(found.ok().and_then(|found| found.into_iter().next().flatten()))
        }
    };
    Ok(Router::new().route("/page", get(read)))
}

fn memcached(address: &str, names: &[String]) -> Router {
    eprintln!("memcached: {} names", names.len());
    let address = Address::parse(address).into_iter().collect();
    let patience = Patience { connect: Duration::from_secs(5), silence: Duration::from_secs(5) };
    let client = Arc::new(Client::new(address, patience));
    let names: Arc<[Name]> = names.iter().map(|name| Name::copy_from_slice(name.as_bytes())).collect();
    let read = move || {
        let (client, names) = (Arc::clone(&client), Arc::clone(&names));
        async move {
            let answers = client.ask(names.iter().cloned().map(Command::Get).collect()).await;
            let first = answers.replies.into_iter().next().flatten();
            answer(
                first.and_then(|reply| if let Reply::Value { data, .. } = reply { Some(data) } else { None }),
            )
        }
    };
    Router::new().route("/page", get(read))
}

/// Whether a hit reads it: not what only fills need, nor the records of groups that were never invalidated.
fn is_read(name: &str) -> bool {
    !name.contains(":fence:") && !name.contains("larder.in:")
}

/// The page first.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| is_read(name));
    names.sort_by_key(|name| !name.contains(":page."));
    names
}

fn sqlite(tags: usize) -> io::Result<Router> {
    let file = format!("{}/cache{tags}.db", stores::directory()?);
    let connection = Connection::open(file).map_err(io::Error::other)?;
    let names: Vec<String> = {
        let mut all = connection.prepare("SELECT name FROM larder_cache").map_err(io::Error::other)?;
        let names = all.query_map([], |row| row.get(0)).map_err(io::Error::other)?;
        names.collect::<Result<_, _>>().map_err(io::Error::other)?
    };
    let names = Arc::new(in_order(names));
    eprintln!("sqlite: {} names", names.len());
    let places = vec!["?"; names.len()].join(", ");
    let question = Arc::new(format!("SELECT name, value FROM larder_cache WHERE name IN ({places})"));
    let connection = Arc::new(Mutex::new(connection));
    let read = move || {
        let (connection, names, question) =
            (Arc::clone(&connection), Arc::clone(&names), Arc::clone(&question));
        async move {
            let rows =
                tokio::task::spawn_blocking(move || -> Result<Vec<(String, Vec<u8>)>, rusqlite::Error> {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut statement = connection.prepare_cached(&question)?;
                    let rows = statement.query_map(rusqlite::params_from_iter(names.iter()), |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                    rows.collect()
                });
            let rows = rows.await.ok().and_then(Result::ok).unwrap_or_default();
            answer(rows.into_iter().find(|(name, _)| name.contains(":page.")).map(|(_, value)| value.into()))
        }
    };
    Ok(Router::new().route("/page", get(read)))
}

async fn postgres(tags: usize) -> io::Result<Router> {
    let options: sqlx::postgres::PgConnectOptions = stores::postgres()?.parse().map_err(io::Error::other)?;
    let options = sqlx::ConnectOptions::disable_statement_logging(options);
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(10).test_before_acquire(false);
    let pool = pool.connect_with(options).await.map_err(io::Error::other)?;
    let all = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT name FROM bench_{tags}")));
    let names: Vec<String> = all.fetch_all(&pool).await.map_err(io::Error::other)?;
    let names = Arc::new(in_order(names));
    eprintln!("postgres: {} names", names.len());
    let (first, end) = (format!("bench{tags}:outbox:"), format!("bench{tags}:outbox;"));
    let bounds = Arc::new((first, end));
    // What others' transactions left is read along.
    let question: Arc<str> = format!(
        "(SELECT name, value FROM bench_{tags} WHERE name = ANY($1)) UNION ALL \
         (SELECT name, value FROM bench_{tags} WHERE name >= $2 AND name < $3 ORDER BY name LIMIT 101)"
    )
    .into();
    let read = move || {
        let (pool, names, question) = (pool.clone(), Arc::clone(&names), Arc::clone(&question));
        let bounds = Arc::clone(&bounds);
        async move {
            let rows = sqlx::query_as::<_, (String, Vec<u8>)>(sqlx::AssertSqlSafe(question)).bind(&names[..]);
            let rows = rows.bind(&bounds.0).bind(&bounds.1);
            let rows = rows.fetch_all(&pool).await.unwrap_or_default();
            answer(rows.into_iter().find(|(name, _)| name.contains(":page.")).map(|(_, value)| value.into()))
        }
    };
    Ok(Router::new().route("/page", get(read)))
}

fn files(tags: usize) -> io::Result<Router> {
    let mut paths: Vec<(bool, PathBuf)> = Vec::new();
    for shard in fs::read_dir(format!("{}/files{tags}", stores::directory()?))? {
        let shard = shard?.path();
        if !shard.is_dir() {
            continue;
        }
        for file in fs::read_dir(shard)? {
            let path = file?.path();
            let whole = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let page = path.extension().is_some_and(|ending| ending == "larder");
            if page || (path.extension().is_some_and(|ending| ending == "larder-record") && is_read(&whole)) {
                paths.push((!page, path));
            }
        }
    }
    paths.sort();
    let paths: Arc<[PathBuf]> = paths.into_iter().map(|(_, path)| path).collect();
    eprintln!("file: {} files", paths.len());
    let read = move || {
        let paths = Arc::clone(&paths);
        async move {
            let read = move || paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>();
            let found = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default();
            answer(found.into_iter().next().map(Bytes::from))
        }
    };
    Ok(Router::new().route("/page", get(read)))
}
