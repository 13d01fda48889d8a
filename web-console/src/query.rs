//! The query strings of the API: parsed strictly, so that a misspelt key is an error and not a full list.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::port::{ListQuery, MessageQuery, MessagesQuery, PolicyQuery, ScheduledQuery};

/// Items in a list whose query names no `limit`: a page that a person reads.
pub(crate) const LIMIT_DEFAULT: usize = 100;

/// Items in a list at most: about 400 KB of JSON.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// Messages that may be skipped: the broker walks past each of them.
const OFFSET_MAX: usize = 10_000;

/// How the keys of a list are given.
const LIST_KEYS: &str = "each at most once; limit is 0 to 1000";

/// Whose policy is asked for.
pub(crate) struct Whose(pub(crate) PolicyQuery);

/// A [`ScheduledQuery`] whose limit is set and allowed.
pub(crate) struct Later(pub(crate) ScheduledQuery);

/// A [`MessagesQuery`] whose limit and offset are set and allowed.
pub(crate) struct Waiting(pub(crate) MessagesQuery);

/// Which message is asked for.
pub(crate) struct Which(pub(crate) MessageQuery);

/// A [`ListQuery`] whose limit is set and allowed.
pub(crate) struct Page(pub(crate) ListQuery);

/// Which items a live stream shows of each list. Equal ones share their samples.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    name: Option<String>,
    limit: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    name: Option<String>,
    limit: Option<usize>,
}

impl Filter {
    /// The list query that selects what this filter shows.
    pub(crate) fn query(&self) -> ListQuery {
        ListQuery {
            name: self.name.clone(),
            offset: 0,
            limit: Some(self.limit),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query: ListQuery = parse(parts, &format!("name, offset and limit, {LIST_KEYS}"))?;
        let limit = Some(checked(query.limit)?);
        Ok(Self(ListQuery { limit, ..query }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Later {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query: ScheduledQuery = parse(parts, &format!("after and limit, {LIST_KEYS}"))?;
        let limit = Some(checked(query.limit)?);
        if let Some(after) = &query.after
            && !is_end_of_page(after)
        {
            return Err(ApiError::BadQuery(
                "after is no end of a page: copy it from 'next' of the page before, or leave it out for the first one"
                    .to_owned(),
            ));
        }
        Ok(Self(ScheduledQuery { limit, ..query }))
    }
}

/// Whether it can be what `next` of a page of the schedule says: a time and the two numbers of an id.
fn is_end_of_page(after: &str) -> bool {
    let mut numbers = after.split('-').map(str::parse::<u64>);
    after.split('-').count() == 3 && numbers.all(|number| number.is_ok())
}

impl<S: Send + Sync> FromRequestParts<S> for Whose {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parse(parts, "kind (queue or topic) and name, each once").map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Waiting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query: MessagesQuery = parse(parts, &format!("queue, offset and limit, {LIST_KEYS}"))?;
        let limit = Some(checked(query.limit)?);
        if query.offset > OFFSET_MAX {
            return Err(ApiError::BadQuery(format!(
                "offset is {}, at most {OFFSET_MAX} messages are skipped; a client that subscribes with \
                 browser:true sees all",
                query.offset
            )));
        }
        Ok(Self(MessagesQuery { limit, ..query }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Which {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parse(parts, "queue and id, each once").map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Filter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query: EventQuery = parse(parts, &format!("name and limit, {LIST_KEYS}"))?;
        let name = query.name.filter(|name| !name.is_empty());
        Ok(Self {
            name,
            limit: checked(query.limit)?,
        })
    }
}

fn parse<T: DeserializeOwned>(parts: &Parts, keys: &str) -> Result<T, ApiError> {
    Query::try_from_uri(&parts.uri)
        .map(|Query(query)| query)
        .map_err(|rejection| {
            let reason = std::error::Error::source(&rejection)
                .map_or_else(|| rejection.body_text(), ToString::to_string);
            ApiError::BadQuery(format!("{reason}; the query takes {keys}"))
        })
}

fn checked(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if limit <= LIMIT_MAX => Ok(limit),
        Some(limit) => Err(ApiError::BadQuery(format!(
            "limit is {limit}, at most {LIMIT_MAX} are given at a time; page with offset"
        ))),
    }
}
