//! Who is there. The session is kept in the cache; its cookie has only its id.

use axum::Form;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use tower_sessions::Session;

use crate::Courses;
use crate::error::ApiError;

/// Where in the session it stands who it is.
const USER: &str = "user";

/// Who is logged in. As an extractor: 401 if nobody is.
#[derive(Clone, Debug, Deserialize, FromRow, Serialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// Whoever it is, logged in or not. Reading the session is all it takes: pages under one are kept apart by the layers themselves.
#[derive(Debug)]
pub(crate) struct Visitor(pub(crate) Option<User>);

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let session = Session::from_request_parts(parts, state).await;
        let session = session.map_err(|(_, why)| ApiError::Inside(why.into()))?;
        Ok(Self(session.get(USER).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Visitor::from_request_parts(parts, state).await?.0.ok_or(ApiError::Unknown)
    }
}

pub(crate) async fn form() -> Html<&'static str> {
    Html(include_str!("../templates/login.html"))
}

#[derive(Deserialize)]
pub(crate) struct Login {
    name: String,
    password: String,
}

pub(crate) async fn login(
    State(courses): State<Courses>,
    session: Session,
    Form(login): Form<Login>,
) -> Result<Response, ApiError> {
    // Digests are compared in constant time.
    let knows = blake3::hash(login.password.as_bytes()) == blake3::hash(courses.password.as_bytes());
    match courses.database.user(&login.name).await?.filter(|_| knows) {
        Some(user) => {
            // Whoever knew the id before must not be logged in with it.
            session.cycle_id().await?;
            session.insert(USER, user).await?;
            Ok(Redirect::to("/").into_response())
        }
        None => Ok((StatusCode::FORBIDDEN, form().await).into_response()),
    }
}

pub(crate) async fn logout(session: Session) -> Result<Redirect, ApiError> {
    session.flush().await?;
    Ok(Redirect::to("/"))
}
