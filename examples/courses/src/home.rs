//! The page for people. It greets its visitor, so it is not cached as a whole; what is dear in it is a fragment.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Html;
use larder::fragment::{Fragments, minijinja as fragment};
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use tokio::runtime::Handle;

use crate::Courses;
use crate::error::ApiError;
use crate::login::Visitor;
use crate::query::Wanted;

/// The templates, and where their fragments are kept.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    engine: Arc<Environment<'static>>,
    fragments: Fragments,
}

impl Templates {
    pub(crate) fn new(courses: &Courses) -> Self {
        let fragments = Fragments::new(&courses.cache);
        let mut engine = Environment::new();
        fragment::install(&mut engine, &fragments);
        // A loader, so that `{% cache %}` may be written as in Django.
        engine.set_loader(fragment::loader(|name| {
            Ok((name == "home.html").then(|| include_str!("../templates/home.html").to_owned()))
        }));
        Self { engine: Arc::new(engine), fragments }
    }
}

pub(crate) async fn home(
    State(courses): State<Courses>,
    Extension(templates): Extension<Templates>,
    visitor: Visitor,
) -> Result<Html<String>, ApiError> {
    let none = String::new;
    let newest = Wanted { search: none(), level: none(), subject: none(), page: 1, perpage: 5 };
    let (count, listed) = courses.database.list(&newest).await?;
    let (database, runtime) = (courses.database.clone(), Handle::current());
    // Asked by the template, within the fragment: if that is there, the database is not.
    let top_authors = Value::from_function(move || {
        let authors = runtime.block_on(database.top_authors());
        authors.map(|authors| Value::from(Serde(authors))).map_err(|error| {
            Error::new(ErrorKind::InvalidOperation, "the authors can't be had").with_source(error)
        })
    });
    let (user, listed) = (visitor.0.map(|user| user.name), Value::from(Serde(listed)));
    let engine = Arc::clone(&templates.engine);
    let page = templates.fragments.render(move || {
        engine.get_template("home.html")?.render(context! { user, count, listed, top_authors })
    });
    Ok(Html(page.await.map_err(|error| ApiError::Inside(error.into()))?))
}
