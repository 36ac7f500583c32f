//! The program: opens the database and the cache, and listens.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use larder::prelude::*;
use tokio::net::TcpListener;

use crate::{Courses, Database, app};

/// A catalogue of courses, cached.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
#[non_exhaustive]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: String,
    /// The cache to use, as a URL: memory:, redis://127.0.0.1:6379/1
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub cache: String,
    /// The database, as a URL: sqlite::memory:, sqlite:///file.db?mode=rwc, postgres://user@host/database
    #[arg(long, value_name = "URL", default_value = "sqlite::memory:")]
    pub database: String,
    /// Make the first pages of the list again every ten minutes, before anybody misses them
    #[arg(long)]
    pub keep_warm: bool,
}

/// Runs the example until Ctrl-C.
///
/// # Errors
/// If the cache, the database or the address can't be had.
pub async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let open = |prefix: &str| larder::schemes().builder(&args.cache)?.key_prefix(prefix).build();
    let (cache, sessions) = (open("courses")?, open("courses-sessions")?);
    let database = Database::open(&args.database).await?;
    let password = match std::env::var("COURSES_PASSWORD") {
        Ok(password) => password,
        Err(_) => random()?,
    };
    let listener = TcpListener::bind(&args.listen).await?;
    let address = listener.local_addr()?;
    println!("Open http://{address}/ and log in as ada, grace or linus; the password is {password}");

    let app = app(Courses { database, cache: cache.clone(), sessions, password: password.into() });
    let warming = match args.keep_warm {
        true => {
            let pages = Pages::of(app.clone()).host(address.to_string());
            let pages = pages.urls(["/api/courses", "/api/courses?page=2"]);
            Some(Warmer::new(&cache).every(Duration::from_secs(600)).warm(pages).spawn()?)
        }
        false => None,
    };
    let told = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(told).await?;
    if let Some(warming) = warming {
        warming.stop().await;
    }
    Ok(())
}

fn random() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
