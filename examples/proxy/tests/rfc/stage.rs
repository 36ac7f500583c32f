//! One proxy between a client and an origin that goes by the script.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use larder::{Cache, ManualClock};
use parking_lot::Mutex;
use proxy::{Args, Upstream};
use tokio::net::{TcpListener, TcpStream};

use crate::script::{Answer, Case, Exchange, Expect, Step};

/// When each case begins.
const BEGINNING: u64 = 1_800_000_000_000;

/// What the origin answers, and what it was asked.
#[derive(Default)]
struct Origin {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<(String, HeaderMap)>>,
}

impl Origin {
    async fn run(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let origin = Arc::clone(&self);
            let service = service_fn(move |request: Request<Incoming>| {
                let origin = Arc::clone(&origin);
                async move { origin.answer(request).await }
            });
            tokio::spawn(async move {
                let mut server = hyper::server::conn::http1::Builder::new();
                let _ = server.auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, &'static str> {
        let (parts, body) = request.into_parts();
        let _ = body.collect().await;
        let turn = {
            let mut asked = self.asked.lock();
            asked.push((parts.method.to_string(), parts.headers));
            asked.len()
        };
        let answers = self.answers.lock().clone();
        let answer = answers.get(turn - 1).or(answers.last()).cloned().unwrap_or_default();
        if answer.status == 0 {
            return Err("the script says close");
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.fields {
            response = response.header(name, value);
        }
        let bodiless = answer.status == 304 || answer.status == 204;
        let body = if bodiless { String::new() } else { answer.body };
        Ok(response.body(Full::from(body)).unwrap())
    }
}

/// Plays a case; `Err` says what came otherwise.
pub(crate) async fn play(case: &Case) -> Result<(), String> {
    let hand = ManualClock::new(BEGINNING);
    let origin = Arc::new(Origin::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let behind = tokio::spawn(Arc::clone(&origin).run(listener));

    let options = case.options.iter().map(|option| format!("--{option}"));
    let args = ["proxy".to_owned(), "--upstream".into(), upstream.clone()].into_iter().chain(options);
    let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
    let cache = Cache::builder(larder::memory::Memory::new()).clock(hand.clock()).build().unwrap();
    let upstream = Upstream::new(&upstream.parse().unwrap(), Duration::from_secs(30)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<Infallible>();
    let front = tokio::spawn(proxy::serve(listener, upstream, proxy::layer(&args, &cache), async {
        let _ = stopped.await;
    }));

    let (mut outcome, mut settling) = (Ok(()), false);
    for step in &case.steps {
        outcome = match step {
            Step::Wait(seconds) => {
                hand.advance(Duration::from_secs(*seconds));
                Ok(())
            }
            Step::Behind => asked_behind(&origin).await,
            Step::Ask(exchange) => {
                let mut tries = if settling { 2_400 } else { 1 };
                loop {
                    let outcome = ask(exchange, address, &origin, &hand).await;
                    tries -= 1;
                    if outcome.is_ok() || tries == 0 {
                        break outcome;
                    }
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
            }
        };
        // What comes of an answer behind the client's back takes a moment, which nobody can see from outside.
        settling = matches!(step, Step::Behind);
        if outcome.is_err() {
            break;
        }
    }
    drop(stop);
    front.abort();
    behind.abort();
    outcome
}

/// Waits until the proxy has asked by itself.
async fn asked_behind(origin: &Origin) -> Result<(), String> {
    for _ in 0..6_000 {
        if !origin.asked.lock().is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the origin was not asked behind the client's back".into())
}

async fn ask(
    exchange: &Exchange,
    address: std::net::SocketAddr,
    origin: &Origin,
    hand: &ManualClock,
) -> Result<(), String> {
    let at = |text: String| format!("line {}: {text}", exchange.line);
    let now = hand.clock().now();
    let mut answers = exchange.answers.clone();
    for (_, value) in answers.iter_mut().flat_map(|answer| &mut answer.fields) {
        *value = dated(value, now);
    }
    *origin.answers.lock() = answers;
    origin.asked.lock().clear();

    let stream = TcpStream::connect(address).await.map_err(|error| at(error.to_string()))?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| at(error.to_string()))?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(&*exchange.method).uri(&*exchange.path);
    if !exchange.fields.iter().any(|(name, _)| name == "host") {
        request = request.header("host", "example.com");
    }
    for (name, value) in &exchange.fields {
        request = request.header(name, dated(value, now));
    }
    let body = Full::<bytes::Bytes>::from(exchange.content.clone().unwrap_or_default());
    let request = request.body(body).map_err(|error| at(error.to_string()))?;
    let response = tokio::time::timeout(Duration::from_secs(20), client.send_request(request)).await;
    let response =
        response.map_err(|_| at("no answer in 20 s".into()))?.map_err(|error| at(error.to_string()))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| at(error.to_string()))?.to_bytes();
    connection.abort();

    let asked = origin.asked.lock().clone();
    let said = format!("{} {:?}", parts.status, parts.headers);
    if exchange.asked == Some(asked.is_empty()) {
        return Err(at(format!("the origin was asked {} times; the answer was {said}", asked.len())));
    }
    if parts.status != StatusCode::from_u16(exchange.status).unwrap() {
        return Err(at(format!("{} was wanted; the answer was {said}", exchange.status)));
    }
    check(&parts.headers, &exchange.got, now).map_err(|why| at(format!("the client: {why}; {said}")))?;
    if let Some((_, seen)) = asked.last() {
        check(seen, &exchange.seen, now).map_err(|why| at(format!("the origin: {why}; {seen:?}")))?;
    }
    match &exchange.body {
        Some(wanted) if wanted.replace("\\r\\n", "\r\n").as_bytes() != body => {
            Err(at(format!("{wanted:?} was wanted; the body was {:?}", String::from_utf8_lossy(&body))))
        }
        _ => Ok(()),
    }
}

fn check(headers: &HeaderMap, wanted: &[Expect], now: u64) -> Result<(), String> {
    for expect in wanted {
        match expect {
            Expect::Not(name) if headers.contains_key(name) => return Err(format!("{name} is there")),
            Expect::Not(_) => {}
            Expect::Is(name, value) => {
                let lines: Vec<_> =
                    headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
                let (got, wanted) = (lines.join(", "), dated(value, now));
                let alike = match wanted.strip_suffix('*') {
                    Some(front) => got.starts_with(front),
                    None => got == wanted,
                };
                if !alike || lines.is_empty() {
                    return Err(format!("{name} is {got:?} and not {wanted:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Puts dates where `{now±n}` stands.
fn dated(text: &str, now: u64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{now") {
        let (offset, after) = after.split_once('}').expect("a closing brace");
        let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().expect("seconds") };
        let at = now.saturating_add_signed(offset * 1000);
        out.push_str(before);
        out.push_str(larder::http_rules::format_date(at).to_str().unwrap());
        rest = after;
    }
    out + rest
}
