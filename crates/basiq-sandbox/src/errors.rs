//! Basiq's error bodies: a list with a `correlationId` that its support asks for.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::switches::ThrottleBody;

/// An error answer, before it has a correlation id.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    source: Option<&'static str>,
    throttled: bool,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &str,
        source: Option<&'static str>,
    ) -> Self {
        Self { status, code, title, detail: detail.to_owned(), source, throttled: false }
    }

    /// 403 for too many requests.
    pub(crate) fn throttled() -> Self {
        Self { throttled: true, ..Self::of_status(StatusCode::FORBIDDEN) }
    }

    pub(crate) fn not_found(detail: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "resource-not-found",
            "Requested resource is not found.",
            detail,
            None,
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized-access",
            "Unauthorized Access",
            "You are not authorized to access this resource",
            None,
        )
    }

    pub(crate) fn token_expired(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN => Self::forbidden("forbidden-access", "Token has expired"),
            _ => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid-authorization-token",
                "Unauthorized Access",
                "Token has expired",
                None,
            ),
        }
    }

    pub(crate) fn forbidden(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "Forbidden Access", detail, Some("id"))
    }

    pub(crate) fn bad(code: &'static str, detail: &str, parameter: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "Parameter value is not valid", detail, Some(parameter))
    }

    pub(crate) fn conflict(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "resource-already-exists", "Resource already exists", detail, None)
    }

    /// Basiq's body for a status, as faults on demand give it.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::bad("parameter-not-valid", "ID value is not valid.", "id"),
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::FORBIDDEN => {
                Self::forbidden("forbidden-access", "Access to this resource is forbidden.")
            }
            StatusCode::NOT_FOUND => Self::not_found("Resource not found."),
            StatusCode::TOO_MANY_REQUESTS => Self::new(
                status,
                "too-many-requests",
                "Too many requests",
                "You have exceeded the rate limit for this API.",
                None,
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::new(
                status,
                "service-unavailable",
                "Service Unavailable",
                "Service Unavailable. Try again later.",
                None,
            ),
            _ => Self::new(
                status,
                "internal-server-error",
                "Internal Server error.",
                "Internal Server error. Contact support.",
                None,
            ),
        }
    }

    pub(crate) fn respond(&self, correlation: &str, throttle: ThrottleBody) -> Response {
        if self.throttled { throttled(throttle, correlation) } else { self.plain(correlation) }
    }

    fn plain(&self, correlation: &str) -> Response {
        let mut error =
            json!({"type": "error", "code": self.code, "title": self.title, "detail": self.detail});
        if let (Some(parameter), Value::Object(fields)) = (self.source, &mut error) {
            fields.insert("source".to_owned(), json!({"parameter": parameter}));
        }
        let body = json!({"type": "list", "correlationId": correlation, "data": [error]});
        (self.status, axum::Json(body)).into_response()
    }
}

/// 403 as throttling gives it; its body is one of the unknowns.
fn throttled(body: ThrottleBody, correlation: &str) -> Response {
    match body {
        ThrottleBody::ForbiddenAccess => ApiError::forbidden("forbidden-access", "Access to this resource is forbidden.").plain(correlation),
        ThrottleBody::AccessDenied => ApiError::forbidden("access-denied", "Access to this resource is denied.").plain(correlation),
        ThrottleBody::TooManyRequests => ApiError::forbidden("too-many-requests", "Query limit reached.").plain(correlation),
        ThrottleBody::Empty => StatusCode::FORBIDDEN.into_response(),
        ThrottleBody::Html => (
            StatusCode::FORBIDDEN,
            [(header::CONTENT_TYPE, "text/html")],
            Body::from("<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center></body></html>"),
        )
            .into_response(),
    }
}
