//! What goes wrong, as the API says it. None of it is a 200, so no layer keeps it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Debug)]
pub(crate) enum ApiError {
    /// What the client sent makes no sense.
    Wrong(String),
    /// Nobody is logged in.
    Unknown,
    /// It is another's.
    Forbidden,
    NotFound,
    /// Ours; the client is not told.
    Inside(Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inside(error.into())
    }
}

impl From<tower_sessions::session::Error> for ApiError {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::Inside(error.into())
    }
}

#[derive(Serialize)]
struct Detail {
    detail: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Wrong(detail) => (StatusCode::BAD_REQUEST, detail),
            Self::Unknown => (StatusCode::UNAUTHORIZED, "log in first".to_owned()),
            Self::Forbidden => (StatusCode::FORBIDDEN, "only its author may do that".to_owned()),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found".to_owned()),
            Self::Inside(error) => {
                eprintln!("error: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong".to_owned())
            }
        };
        (status, Json(Detail { detail })).into_response()
    }
}
